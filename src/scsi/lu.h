/*
 * Logical units and who is connected to them.
 *
 * A target has logical units by LUN; each LU is one block device and belongs, with everything
 * here, to one I/O thread. A session of an initiator is an I_T nexus; what an LU remembers about
 * each (the unit attention that it has to be told) is kept per nexus.
 */
#pragma once

#include "block/block.h"
#include "core/list.h"
#include "scsi/constants.h"
#include "scsi/range_lock.h"

#define SCSI_MAX_UNIT_ATTENTIONS 8

/* What MODE SELECT can change; false by default. */
struct scsi_mode_settings {
    bool descriptor_sense; /* D_SENSE */
    bool write_protect;    /* SWP */
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
    struct list nexuses; /* struct scsi_nexus */
    struct scsi_range_lock ranges;
};

struct scsi_nexus {
    struct list link;
    struct scsi_lu *lu;
    enum scsi_sense unit_attentions[SCSI_MAX_UNIT_ATTENTIONS]; /* oldest first */
    unsigned n_unit_attentions;
    bool prevents_removal; /* of the medium */
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

void scsi_nexus_connect(struct scsi_nexus *nexus, struct scsi_lu *lu);
/* No task of it may be left. */
void scsi_nexus_disconnect(struct scsi_nexus *nexus);

/* Has this nexus told with its next command. One that is queued already is not queued twice; more
 * than fit are merged into a reset, which covers them all (SAM-5 5.14). */
void scsi_nexus_establish_unit_attention(struct scsi_nexus *nexus, enum scsi_sense sense);
/* Has every nexus told, but for `except` (or NULL). */
void scsi_lu_establish_unit_attention(struct scsi_lu *lu, const struct scsi_nexus *except,
                                      enum scsi_sense sense);
/* The next one to tell, removed; SENSE_NONE if there is none. */
enum scsi_sense scsi_nexus_take_unit_attention(struct scsi_nexus *nexus);
