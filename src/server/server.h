/*
 * The daemon as a whole, for the files of `server` that start its parts: each part is started by a
 * function of its own, which tells it by callbacks what it may ask of the others. To these the
 * context is the server. What is started later is NULL meanwhile, and nobody asks it for anything.
 */
#pragma once

#include "core/mailbox.h"
#include "server/boots.h"
#include "server/config.h"
#include "server/http_log.h"
#include "server/https.h"
#include "server/newcomers.h"
#include "server/patient_mailbox.h"
#include "server/sessions.h"

#include <systemd/sd-event.h>

struct server {
    const char *config_path;
    struct config config;
    sd_event *loop;
    struct mailbox mailbox;                 /* to the control thread */
    struct patient_mailbox session_mailbox; /* the same, of sessions */
    int state_lock;                         /* descriptor that holds the state directory */
    struct catalog_slot *catalog;
    struct policy_slot *policy;  /* rules of the configuration */
    struct addresses *addresses; /* that nodes may have */
    struct loaders *loaders;     /* that firmware fetches */
    struct scripts *scripts;     /* the operator's own */
    struct registry *registry;
    struct storage *storage;
    struct space_watch *space;
    struct duplicates *duplicates;
    struct boots boots;
    struct newcomers newcomers;
    struct stage_provider stages;
    struct boot_cache *boot_cache;
    struct hook_events *hook_events;
    struct http_log http_log;
    struct https https;
    struct san *san;
    struct sessions sessions;
    struct session_provider session_provider;
    struct node_http *node_http;
    struct tftp_glue *tftp;
    struct listeners listening; /* since the start */
    struct dhcp_glue *dhcp;
    struct admin *admin;
};

/* --- the parts, in the order in which they start --- */

/* The control thread's loop, with its signals and mailboxes; and the log's thread. Before any other
 * thread is made: they inherit which signals are blocked. */
int server_start_loop(struct server *server, struct error *ret_error) MUST_CHECK;
/* The registry and the files behind it: what a killed daemon left half-done is cleared first. */
int server_start_storage(struct server *server, struct error *ret_error) MUST_CHECK;
int server_start_boots(struct server *server, struct error *ret_error) MUST_CHECK;
int server_start_san(struct server *server, struct error *ret_error) MUST_CHECK;
/* From here on server->listening is known. */
int server_start_node_http(struct server *server, struct error *ret_error) MUST_CHECK;
int server_start_firmware(struct server *server, struct error *ret_error) MUST_CHECK;
/* The last: whoever reaches the API finds everything else running. */
int server_start_admin(struct server *server, struct error *ret_error) MUST_CHECK;

/* --- what more than one of them is told by --- */

/* Is there a hook that is asked what nodes boot? */
bool server_would_ask(void *context);
/* The machine that has an address of a network that we are the proxy of. */
bool server_neighbour(void *context, uint32_t address, struct mac_address *ret_mac);
bool server_machine6(void *context, const struct endpoint *peer, struct mac_address *ret_mac);
/* Where machines of the subnet that an address is in find the target, as things are now. False if
 * they do not. */
bool server_network_of(void *context, uint32_t address, uint32_t *ret_mask,
                       struct endpoint *ret_portal);

/* --- while it runs --- */

/* Reads the configuration again, and tells in the log what came of it. A file with a mistake
 * changes nothing. On the control thread. */
void server_reload(struct server *server);
