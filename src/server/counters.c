#include "server/counters.h"

struct entry {
    const char *name;
    size_t offset; /* of a struct counter */
};

static const struct entry dhcp_received[] = {
    {"discover", offsetof(struct dhcp_counters, received[DHCP_DISCOVER])},
    {"request", offsetof(struct dhcp_counters, received[DHCP_REQUEST])},
    {"decline", offsetof(struct dhcp_counters, received[DHCP_DECLINE])},
    {"release", offsetof(struct dhcp_counters, received[DHCP_RELEASE])},
    {"inform", offsetof(struct dhcp_counters, received[DHCP_INFORM])},
};

static const struct entry dhcp_sent[] = {
    {"offer", offsetof(struct dhcp_counters, sent[DHCP_OFFER])},
    {"ack", offsetof(struct dhcp_counters, sent[DHCP_ACK])},
    {"nak", offsetof(struct dhcp_counters, sent[DHCP_NAK])},
};

static const struct entry dhcp_odd[] = {
    {"malformed", offsetof(struct dhcp_counters, oddities[DHCP_ODD_MALFORMED])},
    {"unsupported", offsetof(struct dhcp_counters, oddities[DHCP_ODD_UNSUPPORTED])},
    {"no_subnet", offsetof(struct dhcp_counters, oddities[DHCP_ODD_NO_SUBNET])},
    {"no_address", offsetof(struct dhcp_counters, oddities[DHCP_ODD_NO_ADDRESS])},
    {"conflict", offsetof(struct dhcp_counters, oddities[DHCP_ODD_CONFLICT])},
    {"taken", offsetof(struct dhcp_counters, oddities[DHCP_ODD_TAKEN])},
    {"no_loader", offsetof(struct dhcp_counters, oddities[DHCP_ODD_NO_LOADER])},
    {"left_out", offsetof(struct dhcp_counters, oddities[DHCP_ODD_LEFT_OUT])},
    {"foreign_server", offsetof(struct dhcp_counters, oddities[DHCP_ODD_FOREIGN_SERVER])},
    {"ignored", offsetof(struct dhcp_counters, oddities[DHCP_ODD_IGNORED])},
    {"store_late", offsetof(struct dhcp_counters, oddities[DHCP_ODD_STORE_LATE])},
    {"store_failed", offsetof(struct dhcp_counters, oddities[DHCP_ODD_STORE_FAILED])},
    {"no_memory", offsetof(struct dhcp_counters, oddities[DHCP_ODD_NO_MEMORY])},
    {"flood", offsetof(struct dhcp_counters, oddities[DHCP_ODD_FLOOD])},
    {"same_mac", offsetof(struct dhcp_counters, oddities[DHCP_ODD_SAME_MAC])},
    {"same_name", offsetof(struct dhcp_counters, oddities[DHCP_ODD_SAME_NAME])},
    {"namesake", offsetof(struct dhcp_counters, oddities[DHCP_ODD_NAMESAKE])},
    {"found", offsetof(struct dhcp_counters, oddities[DHCP_ODD_FOUND])},
    {"used_twice", offsetof(struct dhcp_counters, oddities[DHCP_ODD_USED_TWICE])},
    {"not_set_aside", offsetof(struct dhcp_counters, oddities[DHCP_ODD_NOT_SET_ASIDE])},
    {"claims_all", offsetof(struct dhcp_counters, oddities[DHCP_ODD_CLAIMS_ALL])},
    {"same_uuid", offsetof(struct dhcp_counters, oddities[DHCP_ODD_SAME_UUID])},
};

_Static_assert(ARRAY_SIZE(dhcp_odd) == DHCP_ODDITIES, "one entry for each");

static const struct entry dhcp6_received[] = {
    {"solicit", offsetof(struct dhcp6_counters, received[DHCP6_SOLICIT])},
    {"request", offsetof(struct dhcp6_counters, received[DHCP6_REQUEST])},
    {"confirm", offsetof(struct dhcp6_counters, received[DHCP6_CONFIRM])},
    {"renew", offsetof(struct dhcp6_counters, received[DHCP6_RENEW])},
    {"rebind", offsetof(struct dhcp6_counters, received[DHCP6_REBIND])},
    {"release", offsetof(struct dhcp6_counters, received[DHCP6_RELEASE])},
    {"decline", offsetof(struct dhcp6_counters, received[DHCP6_DECLINE])},
    {"information_request", offsetof(struct dhcp6_counters, received[DHCP6_INFORMATION_REQUEST])},
};

static const struct entry dhcp6_sent[] = {
    {"advertise", offsetof(struct dhcp6_counters, sent[DHCP6_ADVERTISE])},
    {"reply", offsetof(struct dhcp6_counters, sent[DHCP6_REPLY])},
};

static const struct entry dhcp6_odd[] = {
    {"malformed", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_MALFORMED])},
    {"no_subnet", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_NO_SUBNET])},
    {"no_mac", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_NO_MAC])},
    {"stranger", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_STRANGER])},
    {"ignored", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_IGNORED])},
    {"no_loader", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_NO_LOADER])},
    {"taken", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_TAKEN])},
    {"foreign_server", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_FOREIGN_SERVER])},
    {"flood", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_FLOOD])},
    {"too_large", offsetof(struct dhcp6_counters, oddities[DHCP6_ODD_TOO_LARGE])},
};

_Static_assert(ARRAY_SIZE(dhcp6_odd) == DHCP6_ODDITIES, "one entry for each");

static const struct entry router_adverts[] = {
    {"solicitations", offsetof(struct router_advert_counters, solicitations)},
    {"answered", offsetof(struct router_advert_counters, answered)},
    {"unknown", offsetof(struct router_advert_counters, unknown)},
    {"limited", offsetof(struct router_advert_counters, limited)},
    {"malformed", offsetof(struct router_advert_counters, malformed)},
    {"from_routers", offsetof(struct router_advert_counters, from_routers)},
};

static const struct entry tftp[] = {
    {"requests", offsetof(struct tftp_counters, requests)},
    {"started", offsetof(struct tftp_counters, started)},
    {"finished", offsetof(struct tftp_counters, finished)},
    {"failed", offsetof(struct tftp_counters, failed)},
    {"aborted", offsetof(struct tftp_counters, aborted)},
    {"bytes", offsetof(struct tftp_counters, bytes)},
    {"malformed", offsetof(struct tftp_counters, malformed)},
    {"refused", offsetof(struct tftp_counters, refused)},
    {"busy", offsetof(struct tftp_counters, busy)},
    {"active", offsetof(struct tftp_counters, active)},
};

static const struct entry http[] = {
    {"requests", offsetof(struct node_http_counters, requests)},
    {"scripts", offsetof(struct node_http_counters, scripts)},
    {"unknown", offsetof(struct node_http_counters, unknown)},
    {"up", offsetof(struct node_http_counters, up)},
    {"loaders", offsetof(struct node_http_counters, loaders)},
    {"refused", offsetof(struct node_http_counters, refused)},
    {"dropped", offsetof(struct node_http_counters, dropped)},
};

static const struct entry iscsi[] = {
    {"connections", offsetof(struct iscsi_portal_counters, connections)},
    {"busy", offsetof(struct iscsi_portal_counters, busy)},
    {"logins", offsetof(struct iscsi_portal_counters, logins)},
    {"refused", offsetof(struct iscsi_portal_counters, refused)},
    {"violations", offsetof(struct iscsi_portal_counters, violations)},
    {"sessions", offsetof(struct iscsi_portal_counters, sessions)},
};

static json_t *to_json(const struct entry *entries, size_t count, const void *base)
{
    json_t *json = json_object();
    for (size_t i = 0; json && i < count; i++) {
        const struct counter *counter =
            (const struct counter *)((const char *)base + entries[i].offset);
        json_object_set_new(json, entries[i].name, json_integer((json_int_t)counter_get(counter)));
    }
    return json;
}

#define TO_JSON(entries, base) to_json(entries, ARRAY_SIZE(entries), base)

json_t *counters_to_json(const struct counters *c)
{
    return json_pack(
        "{s:{s:o, s:o, s:o}, s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o}", "dhcp", "received",
        TO_JSON(dhcp_received, c->dhcp), "sent", TO_JSON(dhcp_sent, c->dhcp), "odd",
        TO_JSON(dhcp_odd, c->dhcp), "dhcp6", "received", TO_JSON(dhcp6_received, c->dhcp6), "sent",
        TO_JSON(dhcp6_sent, c->dhcp6), "odd", TO_JSON(dhcp6_odd, c->dhcp6), "router_advertisements",
        TO_JSON(router_adverts, c->router_adverts), "tftp", TO_JSON(tftp, c->tftp), "http",
        TO_JSON(http, c->http), "iscsi", TO_JSON(iscsi, c->iscsi));
}
