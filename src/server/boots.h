/*
 * What DHCP, TFTP and iSCSI see of a node's boot, on its way to the tracker and to the log.
 * Everything here runs on the control thread.
 */
#pragma once

#include "boot/tracker.h"
#include "core/ratelimit.h"
#include "dhcp/server.h"
#include "dhcp6/server.h"
#include "server/targets.h"
#include "tftp/server.h"

struct boots {
    struct boot_tracker *tracker;
    struct catalog_slot *catalog;
    struct registry *registry;
    /* The machine that has an address that another server has given it, if the wire shows that.
     * NULL: there is no such server. */
    bool (*neighbour)(void *context, uint32_t address, struct mac_address *ret_mac);
    /* The machine that has an IPv6 address, see machine6.h. NULL: nobody knows. */
    bool (*machine6)(void *context, const struct endpoint *peer, struct mac_address *ret_mac);
    void *context;
    struct ratelimit refusals, violations, discoveries, lost;
};

/* Which program of a boot logs in? */
enum boot_sign boots_sign_of_login(const struct iscsi_login_traits *traits);

void boots_dhcp_event(struct boots *boots, const struct dhcp_event *event);
void boots_dhcp6_event(struct boots *boots, const struct dhcp6_event *event);
void boots_tftp_event(struct boots *boots, const struct tftp_event *event);
void boots_session_event(struct boots *boots, const struct session_event *event);
