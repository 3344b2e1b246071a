/*
 * Volumes as iSCSI targets: who may log in to what (from the catalog), and who uses which volume.
 * server/open_volumes.h opens and closes them.
 */
#pragma once

#include "iscsi/portal.h"
#include "registry/registry.h"
#include "server/boot_recorder.h"
#include "server/holds.h"
#include "server/listen.h"
#include "server/space_watch.h"

struct targets;
struct storage;

/* What happened in a session, told on the control thread. Texts live as long as the call. */
struct session_event {
    enum iscsi_event_kind kind;
    const char *initiator; /* "" if it never said */
    const char *target;    /* "" likewise, or for discovery */
    struct endpoint peer;
    struct iscsi_login_traits traits;
    enum iscsi_login_status status;
    struct iscsi_session_counters counters;
    bool had_session;
    bool violated;         /* END: because the peer broke the protocol */
    const char *reason;    /* REFUSED, END */
    bool has_rival;        /* REFUSED: the disk is in use... */
    struct endpoint rival; /* ...from here */
    uint64_t at;           /* usec since 1970 */
};

typedef void targets_event(void *context, const struct session_event *event);

/* threads[0..n_threads): what volumes are spread over; must outlive the targets. control: the
 * mailbox that on_event is called through. registry, storage, space: see open_volumes_new(). */
int targets_new(struct catalog_slot *catalog, struct registry *registry, struct storage *storage,
                struct space_watch *space, struct io_thread *const *threads, unsigned n_threads,
                struct mailbox *control, targets_event *on_event, void *context,
                struct targets **ret_targets, struct error *ret_error) MUST_CHECK;
/* After the portal was stopped, before the threads are: waits for disks that are being closed. */
void targets_drain(struct targets *targets);
/* After the threads were stopped. */
void targets_free(struct targets *targets);

/* Volumes that another portal serves: logins to them are sent there. Copied; before the portal. */
void targets_set_redirects(struct targets *targets, const struct redirect_list *redirects);
/* What who wants to discover must prove; copied; before the portal. */
void targets_set_discovery_chap(struct targets *targets,
                                const struct chap_credentials *credentials);
/* See open_volumes.h; before the portal. */
void targets_set_boot_recorder(struct targets *targets, struct boot_recorder *recorder);
/* For iscsi_portal_start(). */
const struct iscsi_portal_operations *targets_operations(const struct targets *targets);

/* What nobody may log in to for now; lives as long as the targets. Any thread. */
struct holds *targets_holds(struct targets *targets);
/* Is a session open on a volume, or a login to it under way? If so, peer says with whom. Any
 * thread. */
bool targets_in_use(struct targets *targets, uint64_t volume_id, char peer[static 256]);
/* Makes a change of what a volume consists of, which may be in use: see open_volumes_exchange().
 * Not for I/O threads; whoever calls it has claimed the volume, or changes nothing. */
int targets_exchange(struct targets *targets, uint64_t volume_id,
                     int (*change)(void *argument, bool in_use, struct error *ret_error),
                     void *argument, struct error *ret_error) MUST_CHECK;
/* Is it closed, so that its files are nobody's? One that is open only because somebody may come
 * back begins to close. Not for I/O threads. */
bool targets_is_shut(struct targets *targets, uint64_t volume_id);
