/* /v1/leases: what the registry keeps, and what the DHCP server has only offered. */
#include "http/admin_internal.h"

#include <errno.h>

#define MAX_OFFERS 1024 /* in a flood there are more, of which these are enough to see that */

struct lease_list {
    const struct catalog *catalog;
    json_t *list;
    uint64_t now;
    struct admin_offer offers[MAX_OFFERS]; /* ordered by address */
    bool taken[MAX_OFFERS];                /* who was offered it has it by now */
    size_t n_offers;
};

static int compare_offers(const void *a, const void *b)
{
    uint32_t x = ((const struct admin_offer *)a)->address;
    uint32_t y = ((const struct admin_offer *)b)->address;
    return (x > y) - (x < y);
}

/* Nodes are found by MAC, as the DHCP server does. */
static void add_row(struct lease_list *l, uint32_t address, struct mac_address mac,
                    const char *host_name, const char *subnet, const char *state,
                    uint64_t expires_at)
{
    char address_text[IPV4_TEXT_SIZE], mac_text[MAC_TEXT_SIZE];
    static const struct mac_address nobody;
    const struct catalog_node *node = catalog_node_by_mac(l->catalog, mac);
    json_array_append_new(l->list, json_pack("{s:s, s:s?, s:s, s:s?, s:s, s:s, s:I}", "address",
                                             ipv4_format(address, address_text), "mac",
                                             mac_eq(mac, nobody) ? NULL : mac_format(mac, mac_text),
                                             "host_name", host_name, "node",
                                             node ? node->name : NULL, "subnet", subnet, "state",
                                             state, "expires_at", (json_int_t)expires_at));
}

/* The offers were read before the registry: a lease of that machine is newer. */
static bool has_become(const struct registry_lease *lease, const struct admin_offer *offer,
                       uint64_t now)
{
    return lease->state == REGISTRY_LEASE_BOUND && lease->expires_at > now &&
           mac_eq(lease->mac, offer->mac);
}

/* Whoever had it last has it no more, if it is offered now. */
static void add_lease(void *context, const struct registry_lease *lease)
{
    struct lease_list *l = context;
    const struct admin_offer key = {.address = lease->address};
    const struct admin_offer *offer =
        bsearch(&key, l->offers, l->n_offers, sizeof(key), compare_offers);
    if (offer)
        l->taken[offer - l->offers] = has_become(lease, offer, l->now);
    if (!offer || l->taken[offer - l->offers])
        add_row(l, lease->address, lease->mac, lease->host_name, lease->subnet,
                registry_lease_state_name(lease->state), lease->expires_at);
}

static int fill(struct call *call, struct lease_list *l, struct error *ret_error)
{
    const struct admin_settings *settings = &call->admin->settings;
    int r = settings->offers ? settings->offers(settings->context, l->offers, MAX_OFFERS,
                                                &l->n_offers, ret_error)
                             : 0;
    if (r < 0)
        return r;
    qsort(l->offers, l->n_offers, sizeof(l->offers[0]), compare_offers);
    l->now = clock_wall_usec();
    r = registry_lease_list(settings->registry, add_lease, l, ret_error);
    for (size_t i = 0; r >= 0 && i < l->n_offers; i++)
        if (!l->taken[i])
            add_row(l, l->offers[i].address, l->offers[i].mac, "", l->offers[i].subnet, "offered",
                    l->offers[i].expires_at);
    return r;
}

void admin_list_leases(struct call *call)
{
    struct error error;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(call->admin->settings.catalog);
    cleanup_free struct lease_list *l = calloc(1, sizeof(*l));
    if (!l) {
        (void)error_set(&error, -ENOMEM, "out of memory");
        call_reply_error(call, &error);
        return;
    }
    l->catalog = catalog;
    l->list = json_array();
    if (fill(call, l, &error) >= 0) {
        call_reply(call, 200, json_pack("{s:o}", "leases", l->list));
        return;
    }
    json_decref(l->list);
    call_reply_error(call, &error);
}

void admin_release_lease(struct call *call)
{
    const struct admin_settings *settings = &call->admin->settings;
    struct error error;
    int r = settings->release_lease ? settings->release_lease(settings->context, call->name, &error)
                                    : error_set(&error, -ENOENT, "there are no leases here");
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_object());
}
