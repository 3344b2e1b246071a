/*
 * The DHCP server in the daemon: its sockets on the control thread's loop, nodes from the catalog,
 * leases in the registry.
 */
#pragma once

#include "core/mailbox.h"
#include "dhcp/router_advert.h"
#include "dhcp/server.h"
#include "dhcp6/server.h"
#include "registry/registry.h"
#include "server/config.h"
#include "server/duplicates.h"

#include <systemd/sd-event.h>

struct dhcp_glue;

struct dhcp_glue_settings {
    sd_event *loop;
    struct mailbox *mailbox; /* of the loop's thread */
    struct catalog_slot *catalog;
    struct duplicates *duplicates; /* where what is there twice is noted */
    struct registry *registry;     /* where leases are kept; NULL: nowhere, all are short */
    /* Is a session open on the node's disk? On the loop's thread; must not block. NULL: unknown. */
    bool (*node_is_up)(void *context, const struct catalog_node *node);
    /* An OFFER, ACK or NAK goes out. On the loop's thread; must not block. NULL: nobody cares. */
    void (*event)(void *context, const struct dhcp_event *event);
    /* The same of DHCPv6, of every answer. */
    void (*event6)(void *context, const struct dhcp6_event *event);
    void *context;
};

/* Takes back the stored leases (this waits for the registry) and opens the interfaces of all
 * subnets that are not `off`; those that cannot be served now (told) are when they can. The config
 * and the listeners need not live on. */
int dhcp_glue_start(const struct dhcp_glue_settings *settings, const struct config *config,
                    const struct listeners *listeners, struct dhcp_glue **ret_glue,
                    struct error *ret_error) MUST_CHECK;
/* The same with another configuration; leases stay. On failure the old one is served on. */
int dhcp_glue_reload(struct dhcp_glue *glue, const struct config *config,
                     const struct listeners *listeners, struct error *ret_error) MUST_CHECK;
/* On the loop's thread. As dhcp_server_release(), with the sentence. */
int dhcp_glue_release(struct dhcp_glue *glue, const struct dhcp_release *release,
                      struct error *ret_error) MUST_CHECK;
/* On the loop's thread: every lease, and what is only offered. */
void dhcp_glue_each_lease(struct dhcp_glue *glue, dhcp_lease_visitor *visit, void *context);
/* Stops answering. Records on their way to the registry go on; run the mailbox once more when the
 * registry has stopped. NULL: no-op. */
void dhcp_glue_stop(struct dhcp_glue *glue);

/* Live as long as it; any thread may read them. */
const struct dhcp_counters *dhcp_glue_counters(const struct dhcp_glue *glue);
const struct router_advert_counters *dhcp_glue_router_adverts(const struct dhcp_glue *glue);
const struct dhcp6_counters *dhcp_glue_counters6(const struct dhcp_glue *glue);
