/* The disks of the nodes: I/O threads, targets and portals, started and stopped together. */
#pragma once

#include "server/config.h"
#include "server/targets.h"

struct san;

/* control: the mailbox of the control thread, on which on_event is called. recorder: NULL: no boot
 * is recorded. All of them must outlive it. */
int san_start(const struct config *config, struct catalog_slot *catalog, struct registry *registry,
              struct storage *storage, struct space_watch *space, struct boot_recorder *recorder,
              struct mailbox *control, targets_event *on_event, void *context, struct san **ret_san,
              struct error *ret_error) MUST_CHECK;
/* Ends every session and waits until the disks have let go. NULL: no-op. */
void san_stop(struct san *san);

/* As bound; lives as long as it. */
const struct listen_list *san_portals(const struct san *san);
/* The portal for a machine that reached us at `local` (whatever its port): the same address, if a
 * portal listens there, else the first portal. Any thread. */
void san_portal_for(const struct san *san, const struct endpoint *local,
                    struct endpoint *ret_portal);
/* Is a session open on a volume, or a login to it under way? Says with whom. Any thread. */
bool san_is_in_use(struct san *san, uint64_t volume_id, char peer[static 256]);
/* The sessions on the portal, what nobody may log in to for now, and the volumes as targets; live
 * as long as it. */
struct iscsi_roster *san_roster(const struct san *san);
struct holds *san_holds(const struct san *san);
struct targets *san_targets(const struct san *san);
/* Lives as long as it; any thread may read it. */
const struct iscsi_portal_counters *san_counters(const struct san *san);
