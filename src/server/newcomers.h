/* Machines that boot here and are no nodes: where they are registered (`unknown` of a subnet), and
 * by which rules they are adopted. */
#pragma once

#include "boot/tracker.h"
#include "dhcp/server.h"
#include "http/nodes.h"
#include "server/addresses.h"
#include "server/adopter.h"

struct newcomers {
    struct boot_tracker *tracker;
    struct addresses *addresses;
    struct pending *pending;
    struct adopter *adopter;
};

/* newcomers: zeroed; newcomers_stop() it whatever this returns. All that it is given must outlive
 * it. */
int newcomers_start(struct newcomers *newcomers, const struct adopt_rules *rules,
                    struct boot_tracker *tracker, struct addresses *addresses,
                    struct storage *storage, struct registry *registry,
                    struct catalog_slot *catalog, struct error *ret_error) MUST_CHECK;
/* Nobody may be seen any more. */
void newcomers_stop(struct newcomers *newcomers);

/* Another configuration. */
void newcomers_set_rules(struct newcomers *newcomers, const struct adopt_rules *rules);
/* DHCP answers somebody; on the control thread. */
void newcomers_dhcp_event(struct newcomers *newcomers, const struct dhcp_event *event);
/* As node_http_settings.registers wants it; any thread. */
bool newcomers_place(const struct newcomers *newcomers, const struct endpoint *peer,
                     struct node_http_place *ret_place);
