/*
 * Logical units and who is connected to them.
 *
 * A target has logical units by LUN; each LU is one block device and belongs, with everything
 * here, to one I/O thread. A session of an initiator is an I_T nexus; what an LU remembers about
 * each (the unit attention that it has to be told) is kept per nexus, and ends with the session.
 * Persistent reservations are of a nexus by its name and stay.
 */
#pragma once

#include "block/block.h"
#include "core/list.h"
#include "scsi/constants.h"
#include "scsi/copy_record.h"
#include "scsi/lu_gate.h"
#include "scsi/range_lock.h"
#include "scsi/reservations.h"
#include "scsi/space.h"
#include "scsi/task_set.h"

#define SCSI_MAX_UNIT_ATTENTIONS 8

/* What MODE SELECT can change; false by default. */
struct scsi_mode_settings {
    bool descriptor_sense; /* D_SENSE */
    bool write_protect;    /* SWP */
};

struct scsi_lu;

/* Reservations to be made durable; stays until done() was called. */
struct scsi_reservations_save {
    const struct scsi_reservations *reservations; /* what was removed is marked so */
    /* On the LU's thread; 0 or a negative errno, and then what was saved before is still there. */
    void (*done)(struct scsi_reservations_save *save, int result);
};

struct scsi_lu {
    struct io_thread *thread;
    struct block_device *device; /* owned */
    uint32_t block_size;         /* logical block: 512 or 4096 */
    uint64_t n_blocks;
    uint8_t serial[16]; /* unique for ever: identifies the volume to the initiators */
    bool read_only;
    bool thick;     /* fully provisioned: no space is given back, and nothing is said of it */
    bool removable; /* set by whoever made it: its medium can be ejected */
    bool ejected;
    struct scsi_mode_settings mode;
    const struct scsi_space *space; /* of its blocks; NULL: not known */
    struct scsi_space_told space_told;
    struct list nexuses;      /* struct scsi_nexus */
    struct scsi_lu_gate gate; /* what all requests to the device go through */
    struct scsi_range_lock ranges;
    struct scsi_task_set tasks;
    struct scsi_reservations *reservations; /* owned */
    struct scsi_nexus *reserved_by;         /* RESERVE(6); NULL: nobody */
    /* Saves reservations that are to survive a loss of power, or no longer (persist), instead of
     * those that it saved before. One at a time. NULL: nothing can be saved. */
    void (*save)(struct scsi_lu *lu, struct scsi_reservations_save *save);
    void *context;          /* of whoever set save */
    struct list preempting; /* of persistent_reserve_out.c */
    struct io_deferred check_preempting;
};

struct scsi_task;

/* What a nexus has under way, known to the transport. On the LU's thread. */
struct scsi_nexus_operations {
    /* Ends all tasks that it has on the LU early, without a response, but for `except`, which may
     * be one of another nexus. Not told when they have ended: scsi_lu_tasks_ended() is. */
    void (*abort_tasks)(struct scsi_nexus *nexus, const struct scsi_task *except);
    /* Of those, may any still change the medium or the LU? */
    bool (*lingers)(const struct scsi_nexus *nexus);
};

struct scsi_nexus {
    struct list link;
    struct scsi_lu *lu;
    struct scsi_nexus_id id;
    const struct scsi_nexus_operations *operations; /* NULL: it never has more than one task */
    bool registered, holds;                         /* as lu->reservations has it */
    bool preempted, aborting;                       /* its tasks are to be aborted; are being */
    enum scsi_sense unit_attentions[SCSI_MAX_UNIT_ATTENTIONS]; /* in the order of telling */
    unsigned n_unit_attentions;
    bool prevents_removal; /* of the medium */
    struct scsi_copy_records copies;
};

/* Takes over the device, also on failure. block_size divides device->size. NULL: no memory. */
struct scsi_lu *scsi_lu_new(struct io_thread *thread, struct block_device *device,
                            uint32_t block_size, const uint8_t serial[static 16]);
/* Gives the device back, for whoever closes it elsewhere; then only scsi_lu_free() may follow. */
struct block_device *scsi_lu_take_device(struct scsi_lu *lu);
/* No nexus may be left. */
void scsi_lu_free(struct scsi_lu *lu);

/* Nothing may be written: it is read-only, or an initiator wants it so. */
static inline bool scsi_lu_is_protected(const struct scsi_lu *lu)
{
    return lu->read_only || lu->mode.write_protect;
}

/* What a reset of the LU does to it (SAM-5 6.3.3); the nexuses are not told. */
void scsi_lu_reset(struct scsi_lu *lu);

/* By any nexus. */
bool scsi_lu_removal_is_prevented(const struct scsi_lu *lu);

/* Takes over the persistent reservations. */
void scsi_lu_set_reservations(struct scsi_lu *lu, struct scsi_reservations *reservations);
/* Gives them away, for whoever keeps them while the LU is closed; then only scsi_lu_free() may
 * follow. */
struct scsi_reservations *scsi_lu_take_reservations(struct scsi_lu *lu);
/* Tasks that were aborted have ended: somebody may have waited for that. Any number of times. */
void scsi_lu_tasks_ended(struct scsi_lu *lu);

/* The id is copied. A session that is still connected with the same one has lost its nexus. */
void scsi_nexus_connect(struct scsi_nexus *nexus, struct scsi_lu *lu,
                        const struct scsi_nexus_id *id,
                        const struct scsi_nexus_operations *operations);
/* I_T nexus loss (SAM-5 6.3.4): it may still have tasks, but is to be disconnected. */
void scsi_nexus_lose(struct scsi_nexus *nexus);
/* No task of it may be left. */
void scsi_nexus_disconnect(struct scsi_nexus *nexus);

/* --- unit attentions (unit_attention.c) --- */

/* Has this nexus told with its next command. One that is queued already, or that a queued reset
 * covers, is not queued; more than fit are merged into a reset, which covers them all (SAM-5 5.14).
 */
void scsi_nexus_establish_unit_attention(struct scsi_nexus *nexus, enum scsi_sense sense);
/* Has every nexus told, but for `except` (or NULL). */
void scsi_lu_establish_unit_attention(struct scsi_lu *lu, const struct scsi_nexus *except,
                                      enum scsi_sense sense);
/* Not to be told any more, if it was queued. */
void scsi_nexus_clear_unit_attention(struct scsi_nexus *nexus, enum scsi_sense sense);
/* The next one to tell, removed; SENSE_NONE if there is none. */
enum scsi_sense scsi_nexus_take_unit_attention(struct scsi_nexus *nexus);
/* The same, of those that tell of a reset or a lost nexus: they are told before a reservation
 * conflict is (SAM-5 5.3.3). */
enum scsi_sense scsi_nexus_take_reset_attention(struct scsi_nexus *nexus);
