#include "server/newcomers.h"

static void arrived(void *context, const char *json_line)
{
    const struct newcomers *n = context;
    boot_tracker_tell(n->tracker, json_line);
}

static void undecided(void *context)
{
    const struct newcomers *n = context;
    adopter_wake(n->adopter);
}

int newcomers_start(struct newcomers *n, const struct adopt_rules *rules,
                    struct boot_tracker *tracker, struct addresses *addresses,
                    struct storage *storage, struct registry *registry,
                    struct catalog_slot *catalog, struct error *ret_error)
{
    const struct pending_listener listener = {
        .arrived = arrived, .undecided = undecided, .context = n};
    n->tracker = tracker;
    n->addresses = addresses;
    int r = pending_new(registry, catalog, &listener, &n->pending, ret_error);
    if (r >= 0)
        r = adopter_start(n->pending, storage, registry, catalog, &n->adopter, ret_error);
    if (r >= 0)
        adopter_set_rules(n->adopter, rules);
    return r;
}

void newcomers_stop(struct newcomers *n)
{
    adopter_stop(n->adopter);
    pending_free(n->pending);
}

void newcomers_set_rules(struct newcomers *n, const struct adopt_rules *rules)
{
    adopter_set_rules(n->adopter, rules);
}

/* What only DHCP sees: the port of the relay. All else it says itself, when it asks for its
 * script. */
void newcomers_dhcp_event(struct newcomers *n, const struct dhcp_event *event)
{
    if (event->type != DHCP_ACK || event->request == DHCP_INFORM || event->node || !event->subnet ||
        event->subnet->unknown != SUBNET_REGISTER || event->client.kind == DHCP_CLIENT_OTHER)
        return;
    pending_see(n->pending, &(struct pending_sight){.mac = event->mac,
                                                    .address = event->address,
                                                    .subnet = event->subnet->name,
                                                    .circuit_id = event->relay->circuit_id,
                                                    .remote_id = event->relay->remote_id,
                                                    .asked_dhcp = true});
}

bool newcomers_place(const struct newcomers *n, const struct endpoint *peer,
                     struct node_http_place *ret_place)
{
    struct subnet subnet;
    uint32_t address;
    bool v4 = endpoint_ipv4(peer, &address);
    bool found = v4 ? addresses_find(n->addresses, address, &subnet)
                    : addresses_find6(n->addresses, peer, &subnet) == 0;
    if (!found || subnet.unknown != SUBNET_REGISTER)
        return false;
    *ret_place = (struct node_http_place){
        .lease_time = v4 && subnet.mode == SUBNET_SERVER ? subnet.lease_time : 0};
    str_copy(ret_place->subnet, sizeof(ret_place->subnet), subnet.name);
    return true;
}
