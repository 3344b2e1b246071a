/*
 * The volumes that are open as targets, each on the I/O thread that owns it.
 *
 * A target is opened by the first login and closed after the last session. Both may take long (a
 * disk that has to be written out, a file server that is away), so threads of their own do it, and
 * those who want to log in meanwhile wait. The device of an overlay stays open for some seconds
 * more, without a target, for a machine that comes back: it is closed at once when anything else is
 * to be done with the volume, or its machine boots.
 *
 * A volume whose flush has failed is remembered here. Its system was told that writes are lost, and
 * must not be told by a later flush that all is well: whatever it opens again stays failed until it
 * has begun anew, from the disk as it is, without anything in its memory. So are its persistent
 * reservations, which outlive all sessions; those that outlive the daemon as well are loaded when
 * it is opened (server/reservation_store.h).
 */
#pragma once

#include "iscsi/portal.h"
#include "registry/registry.h"
#include "server/boot_recorder.h"
#include "server/space_watch.h"
#include "server/volume_device.h"

struct open_volumes;
struct storage;

/* registry: where persistent reservations and the layers of overlays are kept; NULL: reservations
 * do not survive a restart, and there are no overlays. storage: who folds layers, and space: knows
 * how full file systems are; or NULL. NULL without memory. */
struct open_volumes *open_volumes_new(unsigned n_threads, struct registry *registry,
                                      struct storage *storage, struct catalog_slot *catalog,
                                      struct space_watch *space);
/* Who records what nodes read while they boot; must outlive them. Before anything is opened. */
void open_volumes_set_boot_recorder(struct open_volumes *volumes, struct boot_recorder *recorder);
/* Waits for what is being opened or closed; nothing is from then on. After the portal was stopped,
 * before the threads are. */
void open_volumes_drain(struct open_volumes *volumes);
/* After the threads were stopped. NULL: no-op. */
void open_volumes_free(struct open_volumes *volumes);

/* On the volume's thread, `thread`. spec is copied. booting: whoever asks, if he has just started
 * his machine (else NULL); then an overlay may become another one first, without those who still
 * have it open. A further path of it (server/beginning.h) begins nothing, nor does a machine that
 * is refused because another one has the volume. request->done() is called at once or later. */
void open_volumes_get(struct open_volumes *volumes, struct io_thread *thread,
                      const struct volume_spec *spec, const struct iscsi_login_identity *booting,
                      struct iscsi_target_request *request);
/* The same thread: a session of the target ends because its initiator logged out, which has let go
 * of everything that it wrote. */
void open_volumes_logged_out(const struct iscsi_target *target);
/* On the volume's thread: nobody has it open, and nobody is opening or closing it. One that is open
 * only because somebody may come back begins to close. */
bool open_volumes_is_shut(struct open_volumes *volumes, const struct io_thread *thread,
                          uint64_t id);
/* On this thread: closes those, and keeps none open from now on. Before open_volumes_drain(). */
void open_volumes_keep_nothing(struct open_volumes *volumes, const struct io_thread *thread);
/* On this thread: those of its volumes that are open look at what is new about their space. */
void open_volumes_look_at_space(struct open_volumes *volumes, const struct io_thread *thread);
/* The volume of a target that came from here. */
uint64_t open_volumes_id(const struct iscsi_target *target);

/* --- open_volumes_read.c --- */

/* A read of a volume that is open, for somebody who has no session with it. */
struct open_volumes_read {
    uint64_t volume_id;
    uint64_t offset; /* bytes */
    size_t size;     /* bytes, at most BUFFER_MAX_SIZE */
    uint8_t *data;
    /* On the volume's thread: *read is its caller's again. 0 or a negative errno: -ESHUTDOWN: it is
     * not open, or about to be opened anew; -ERANGE: not within it. */
    void (*done)(struct open_volumes_read *read, int result);

    /* private */
    struct volume *volume;
    struct block_request request;
};

/* On the volume's thread, `thread`. It stays open until then. Waits while its device is exchanged.
 */
void open_volumes_read(struct open_volumes *volumes, const struct io_thread *thread,
                       struct open_volumes_read *read);

/* --- open_volumes_exchange.c --- */

/* A change of what a volume consists of, while it may be in use. */
struct open_volumes_exchange {
    uint64_t volume_id;
    /* Makes the change, with no device open on the volume; in_use: one is opened right after it. It
     * may block. */
    int (*change)(void *argument, bool in_use, struct error *ret_error);
    void *argument;
    /* On the volume's thread: *exchange is its caller's again. result: what change() said, or
     * -ESHUTDOWN: it is not open, and change() was not called; -EAGAIN: it is being opened or
     * closed right now. The volume may be lost to those who use it after -EIO. */
    void (*done)(struct open_volumes_exchange *exchange, int result);
    struct error error; /* of a result other than those two */

    /* private */
    int result;
    struct volume *volume;
    struct block_request flush;
};

/* On the volume's thread: lets nothing more through to its device, and when that has nothing to do
 * any more and all is durable, closes it, has the change made, opens what there is then, and goes
 * on with that. Whoever uses the volume notices a pause. */
void open_volumes_exchange(struct open_volumes *volumes, struct io_thread *thread,
                           struct open_volumes_exchange *exchange);
