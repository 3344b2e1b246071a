/* What open_volumes.c, open_volumes_exchange.c and open_volumes_read.c share. */
#pragma once

#include <pthread.h>

#include "core/idmap.h"
#include "server/beginning.h"
#include "server/boot_recorder.h"
#include "server/open_volumes.h"
#include "server/reservation_store.h"
#include "server/volume_device.h"

/* How long the device of an overlay is kept after the last session. */
#define KEEP_USEC (10 * USEC_PER_SEC)

struct open_volumes {
    struct idmap *volumes; /* struct volume by id; a map for each thread, touched by it alone */
    unsigned n_threads;
    bool *keeps_nothing;       /* any more: of a thread, touched by it alone */
    struct registry *registry; /* or NULL */
    struct storage *storage;   /* or NULL */
    struct catalog_slot *catalog;
    struct space_watch *space;      /* or NULL */
    struct boot_recorder *recorder; /* or NULL */
    pthread_mutex_t lock;           /* protects all below */
    pthread_cond_t changed;
    unsigned n_jobs; /* threads that open or close */
    bool draining;
};

enum openness {
    SHUT,
    OPENING,
    OPEN,
    CLOSING,
    EXCHANGING, /* open, but its device is being exchanged for another one */
    KEPT,       /* nobody uses it, but its device is open still: somebody may come back */
};

/* A volume, from the first login on; kept after the last session only if there is something to
 * remember: that it has failed, or its persistent reservations, which outlive sessions. */
struct volume {
    struct open_volumes *owner;
    struct io_thread *thread;
    struct volume_spec spec; /* its strings are owned */
    enum openness state;
    struct iscsi_target *target; /* while OPEN or EXCHANGING */
    struct list waiting;         /* struct iscsi_target_request */
    unsigned n_reads;            /* struct open_volumes_read under way */
    bool failed;                 /* see the header */
    bool anew;                   /* ... but whoever opens it next begins anew */
    bool boots;                  /* whoever opens it next begins to boot from it */
    struct beginning beginning;  /* the last one */
    uint64_t told_at;            /* clock_monotonic_usec(); 0: nothing was wrong */
    struct error told;
    struct reservation_store store;
    struct io_timer keep;      /* runs while KEPT */
    struct space_place *place; /* of a thin one that is open, where that is known; else NULL */

    /* What the job works on; handed to it by its start, and back by `done`. */
    bool opens_at_boot, opens_anew; /* `boots` and `anew`, when the job began */
    struct block_device *device;
    struct scsi_reservations *reservations; /* while not OPEN; NULL: there are none */
    struct error error;
    struct open_volumes_exchange *exchange; /* while EXCHANGING */
    struct message done;
};

/* In a job, or where there is no thread for one: opens its device, or says why not. */
int open_volumes_open_device(struct volume *volume) MUST_CHECK;
/* Begins a job, which is what the volume is then busy with; `done` is called on its thread when it
 * is over. False: there is no thread to spare; the caller does it, since late is better than never.
 */
bool open_volumes_start_job(struct volume *volume, enum openness job,
                            void (*done)(struct message *message)) MUST_CHECK;
/* If it is KEPT, begins to close it. It may be gone after that. */
void open_volumes_keep_no_longer(struct volume *volume);
/* In the job: closes the device, makes the change and opens the device anew. */
void open_volumes_run_exchange(struct volume *volume);
/* It has a device now that is called `device`: whatever goes wrong with it is told. */
void open_volumes_adopt(struct volume *volume, struct block_device *device);
/* It is open with the device that it has now: what is read of it is recorded, if it boots. */
void open_volumes_attach_recorder(struct volume *volume);
/* ... and no longer, before that device goes. */
void open_volumes_detach_recorder(struct volume *volume);
/* It is open: those who have waited for that go on. */
void open_volumes_answer(struct volume *volume, const char *reason);
/* Logs what is wrong with it, if that is news. */
void open_volumes_tell(struct volume *volume, const struct error *what);
