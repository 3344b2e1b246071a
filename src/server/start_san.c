/* The iSCSI target with its volumes, and who is told of its sessions. */
#include "server/server.h"

#include "server/boot_cache.h"
#include "server/duplicates.h"
#include "server/hook_events.h"
#include "server/san.h"
#include "server/space_watch.h"
#include "storage/storage.h"

static void on_session(void *context, const struct session_event *event)
{
    struct server *server = context;
    boots_session_event(&server->boots, event);
    if (event->kind == ISCSI_EVENT_REFUSED && event->has_rival) {
        cleanup_catalog struct catalog *catalog = catalog_slot_get(server->catalog);
        const struct catalog_node *node = catalog_node_by_initiator(catalog, event->initiator);
        (void)duplicates_note_login(server->duplicates, event, node ? node->name : NULL);
    }
    hook_events_login(server->hook_events, event);
}

int server_start_san(struct server *server, struct error *ret_error)
{
    int r = space_watch_start(server->config.state_directory, &server->config.warn_free,
                              &server->space, ret_error);
    if (r >= 0)
        r = san_start(&server->config, server->catalog, server->registry, server->storage,
                      server->space, boot_cache_recorder(server->boot_cache),
                      &server->session_mailbox.mailbox, on_session, server, &server->san,
                      ret_error);
    if (r < 0)
        return r;
    server->sessions = (struct sessions){.roster = san_roster(server->san),
                                         .holds = san_holds(server->san),
                                         .catalog = server->catalog,
                                         .targets = san_targets(server->san)};
    server->session_provider = sessions_provider(&server->sessions);
    return storage_tidy_start(server->storage, ret_error);
}
