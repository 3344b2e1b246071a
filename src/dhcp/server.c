/*
 * RFC 2131 4.3: from a datagram to the network and the node that it concerns, and by its type to
 * what happens.
 */
#include "dhcp/proxy.h"
#include "dhcp/server_internal.h"

#include <errno.h>

#define CHADDR_OFFSET 28 /* RFC 2131 2 */

struct dhcp_server *dhcp_server_new(const struct dhcp_policy *policy, uint64_t seed)
{
    struct dhcp_server *server = calloc(1, sizeof(*server));
    if (!server)
        return NULL;
    server->doubles = dhcp_doubles_new(seed);
    if (!server->doubles) {
        free(server);
        return NULL;
    }
    server->policy = *policy;
    server->seed = seed;
    server->strangers = DHCP_STRANGERS_AT_ONCE;
    return server;
}

void dhcp_server_free(struct dhcp_server *server)
{
    if (!server)
        return;
    networks_free(server->networks, server->n_networks);
    dhcp_doubles_free(server->doubles);
    free(server);
}

const struct dhcp_counters *dhcp_server_counters(const struct dhcp_server *server)
{
    return &server->counters;
}

/* --- an exchange --- */

static struct dhcp_oddity oddity_of(const struct exchange *x, enum dhcp_oddity_kind kind,
                                    uint32_t address)
{
    return (struct dhcp_oddity){
        .kind = kind,
        .source = x->arrival->source,
        .mac = x->request->mac,
        .address = address,
        .node = x->known ? x->node.name : NULL,
        .subnet = x->network ? x->network->config.settings.name : NULL,
        .client = x->client,
    };
}

static void tell_oddity(const struct exchange *x, const struct dhcp_oddity *oddity)
{
    const struct dhcp_policy *policy = &x->server->policy;
    counter_add(&x->server->counters.oddities[oddity->kind], 1);
    policy->oddity(policy->context, oddity);
}

void exchange_report(const struct exchange *x, enum dhcp_oddity_kind kind, uint32_t address,
                     const struct mac_address *holder)
{
    struct dhcp_oddity oddity = oddity_of(x, kind, address);
    if (holder)
        oddity.holder = *holder;
    tell_oddity(x, &oddity);
}

void exchange_report_option(const struct exchange *x, uint8_t option)
{
    struct dhcp_oddity oddity = oddity_of(x, DHCP_ODD_LEFT_OUT, 0);
    oddity.option = option;
    tell_oddity(x, &oddity);
}

void exchange_report_duplicate(const struct exchange *x, const struct dhcp_oddity *found)
{
    struct dhcp_oddity oddity = oddity_of(x, found->kind, 0);
    oddity.holder = found->holder;
    oddity.other_node = found->other_node;
    oddity.place = found->place;
    oddity.other_place = found->other_place;
    oddity.uuid = found->uuid;
    oddity.host_name = found->host_name;
    tell_oddity(x, &oddity);
}

void exchange_identify(struct exchange *x, struct mac_address mac)
{
    const struct dhcp_policy *policy = &x->server->policy;
    x->known = policy->node_by_mac(policy->context, mac, &x->node);
    x->reserved = x->known && x->network && network_contains(x->network, x->node.address)
                      ? x->node.address
                      : 0;
}

void exchange_tell(const struct exchange *x, enum dhcp_type type, uint32_t address)
{
    const struct dhcp_policy *policy = &x->server->policy;
    struct dhcp_event event = {
        .type = type,
        .request = x->request->type,
        .mac = x->request->mac,
        .node = x->known ? &x->node : NULL,
        .address = address,
        .proxy = x->network->config.settings.mode == SUBNET_PROXY,
        .client = x->client,
        .unprivileged = x->arrival->source_port >= 1024,
        .at = x->now->wall,
        .subnet = &x->network->config.settings,
        .relay = &x->relay,
    };
    counter_add(&x->server->counters.sent[type], 1);
    policy->event(policy->context, &event);
}

/* --- which network a message is of --- */

/* A relay says where its client is: by its own address there, or by link selection. */
static struct network *relayed_network(struct exchange *x)
{
    uint32_t place = x->request->giaddr;
    (void)dhcp_relay_address(x->request, DHCP_RELAY_LINK_SELECTION, &place);
    for (size_t i = 0; i < x->server->n_networks; i++) {
        struct network *n = &x->server->networks[i];
        if (n->served && n->config.link == x->arrival->link && network_contains(n, place))
            return n;
    }
    exchange_report(x, DHCP_ODD_NO_SUBNET, place, NULL);
    return NULL;
}

/* How well a network fits a client on its own wire; 0: not at all. */
static unsigned fitness(struct exchange *x, struct network *network)
{
    const struct dhcp_message *request = x->request;
    uint32_t wanted = request->ciaddr ? request->ciaddr : request->requested;
    bool selecting = request->server_id != 0;
    struct exchange in = *x;
    in.network = network;
    exchange_identify(&in, request->mac);
    if (selecting && request->server_id == network->config.server)
        return 6;
    if (request->type != DHCP_DISCOVER && wanted && network_contains(network, wanted))
        return 5;
    if (in.reserved)
        return 4;
    if (lease_by_mac(network->leases, request->mac))
        return 3;
    if (network->config.settings.mode == SUBNET_PROXY)
        return 1;
    return network->config.settings.n_ranges ? 2 : 0;
}

static struct network *attached_network(struct exchange *x)
{
    const struct dhcp_arrival *arrival = x->arrival;
    struct network *best = NULL;
    unsigned best_fitness = 0;
    for (size_t i = 0; i < x->server->n_networks; i++) {
        struct network *n = &x->server->networks[i];
        if (!n->served || n->config.link != arrival->link)
            continue;
        /* A renewal is sent straight to us, past the relay. */
        bool routed = arrival->unicast && network_contains(n, x->request->ciaddr);
        if (!n->config.local && !routed)
            continue;
        unsigned f = fitness(x, n);
        if (!best || f > best_fitness) {
            best = n;
            best_fitness = f;
        }
    }
    return best;
}

static struct network *find_network(struct exchange *x)
{
    if (x->arrival->boot_server)
        return proxy_network(x);
    return x->request->giaddr ? relayed_network(x) : attached_network(x);
}

static bool locate(struct exchange *x)
{
    x->network = find_network(x);
    if (!x->network)
        return false;
    x->server_id = x->network->config.server;
    (void)dhcp_relay_address(x->request, DHCP_RELAY_SERVER_ID, &x->server_id);
    exchange_identify(x, x->request->mac);
    x->client = dhcp_client_of(x->request, &x->network->config.settings);
    dhcp_relay_text(x->request, DHCP_RELAY_CIRCUIT_ID, x->relay.circuit_id);
    dhcp_relay_text(x->request, DHCP_RELAY_REMOTE_ID, x->relay.remote_id);
    lease_expire(x->network->leases, x->now->monotonic);
    return true;
}

/* --- what each type of message does --- */

static uint32_t lease_time(const struct exchange *x)
{
    const struct dhcp_option *wish = dhcp_message_option(x->request, DHCP_OPTION_LEASE_TIME);
    uint32_t ours = x->network->config.settings.lease_time;
    if (!wish || wish->size != 4)
        return ours;
    struct wire_reader r = wire_reader_of(wish->data, wish->size);
    uint32_t wished = wire_get_be32(&r);
    return MIN(MAX(wished, (uint32_t)DHCP_MIN_LEASE), ours);
}

/* A lease of another address ends here, on the disk too. */
static void leave_other_address(struct exchange *x, uint32_t address)
{
    struct lease *old = lease_by_mac(x->network->leases, x->request->mac);
    if (!old || old->address == address)
        return;
    bool was_bound = old->remembered;
    lease_release(x->network->leases, old, x->now->monotonic);
    if (was_bound)
        commit_end(x, old);
}

/* Holds the address for the client until it asks for it. */
static bool hold(struct exchange *x, uint32_t address)
{
    struct lease *own = lease_by_mac(x->network->leases, x->request->mac);
    uint64_t now = x->now->monotonic;
    bool bound = own && own->state == LEASE_BOUND && lease_is_live(own, now);
    /* It may go on using what it has, if it does not come back for the offer; and nobody else
     * gets a reserved address anyway. */
    if (bound && own->address == address)
        own->reserved = x->reserved; /* as things are now: what is offered is not refused then */
    if (bound && (own->address == address || address == x->reserved))
        return true;
    leave_other_address(x, address);
    struct lease *lease = lease_assign(x->network->leases, x->request->mac, address, LEASE_OFFERED,
                                       now + LEASE_OFFER_TIME, now);
    if (lease)
        lease->reserved = x->reserved;
    if (lease && address != x->reserved)
        conflicts_offered(x, address);
    return lease || address == x->reserved;
}

static bool on_discover(struct exchange *x, struct dhcp_answer *answer)
{
    uint32_t address;
    if (!assign_choose(x, &address))
        return false;
    if (!hold(x, address)) {
        exchange_report(x, DHCP_ODD_NO_MEMORY, address, NULL);
        return false;
    }
    if (dhcp_client_wants_loader(&x->client) &&
        !dhcp_client_loader(&x->client, &x->network->config.settings)[0])
        exchange_report(x, DHCP_ODD_NO_LOADER, address, NULL);
    answer_build(x, DHCP_OFFER, address, lease_time(x), answer);
    exchange_tell(x, DHCP_OFFER, address);
    return true;
}

static bool grant(struct exchange *x, uint32_t address, enum request_state state,
                  struct dhcp_answer *answer)
{
    uint64_t now = x->now->monotonic;
    uint32_t seconds = lease_time(x);
    leave_other_address(x, address);
    struct lease *lease = lease_assign(x->network->leases, x->request->mac, address, LEASE_BOUND,
                                       now + seconds * USEC_PER_SEC, now);
    if (!lease) {
        exchange_report(x, DHCP_ODD_NO_MEMORY, address, NULL);
        return false;
    }
    if (state != REQUEST_RENEWING) /* or it would not notice at its next boot what changed */
        lease->reserved = x->reserved;
    answer_build(x, DHCP_ACK, address, seconds, answer);
    if (!commit_lease(x, lease, answer))
        return false;
    exchange_tell(x, DHCP_ACK, address);
    return true;
}

static bool refuse(struct exchange *x, uint32_t address, struct dhcp_answer *answer)
{
    struct lease *own = lease_by_mac(x->network->leases, x->request->mac);
    answer_refuse(x,
                  network_contains(x->network, address) ? "address not available" : "wrong network",
                  answer);
    /* It gives the address up on hearing this: others, its own node first, may have it. */
    if (own && own->address == address && own->state == LEASE_BOUND)
        leave_other_address(x, 0);
    exchange_tell(x, DHCP_NAK, address);
    return true;
}

/* The client took another server's offer: ours is free again. */
static bool on_not_selected(struct exchange *x)
{
    struct lease *own = lease_by_mac(x->network->leases, x->request->mac);
    if (own && own->state == LEASE_OFFERED)
        lease_forget(x->network->leases, own);
    exchange_report(x, DHCP_ODD_FOREIGN_SERVER, x->request->server_id, NULL);
    return false;
}

static bool on_request(struct exchange *x, struct dhcp_answer *answer)
{
    const struct dhcp_message *request = x->request;
    enum request_state state = REQUEST_INIT_REBOOT;
    uint32_t address = request->requested;
    if (request->server_id) {
        if (request->server_id != x->server_id)
            return on_not_selected(x);
        state = REQUEST_SELECTING;
    }
    if (!address) {
        address = request->ciaddr;
        state = state == REQUEST_SELECTING ? state : REQUEST_RENEWING;
    }
    if (!address)
        return false; /* asks for nothing */
    switch (assign_judge(x, address, state)) {
    case VERDICT_GRANT:
        return grant(x, address, state, answer);
    case VERDICT_REFUSE:
        return refuse(x, address, answer);
    case VERDICT_SILENT:
        break;
    }
    return false;
}

static bool on_decline(struct exchange *x)
{
    uint32_t address = x->request->requested;
    struct lease *own = lease_by_mac(x->network->leases, x->request->mac);
    bool has_it = own && own->address == address && own->state != LEASE_FREE;
    /* Its own node's address may have been offered without a lease (hold()). */
    bool offered = address && address == x->reserved &&
                   lease_available(x->network->leases, address, x->request->mac, x->now->monotonic);
    if (x->request->server_id != x->server_id || (!has_it && !offered))
        return false;
    exchange_report(x, DHCP_ODD_TAKEN, address, NULL);
    if (has_it)
        lease_decline(x->network->leases, own, x->now->monotonic);
    else
        (void)lease_decline_address(x->network->leases, address, x->now->monotonic);
    struct lease *declined = lease_by_address(x->network->leases, address);
    if (declined)
        commit_end(x, declined); /* it must not be forgotten by a restart, and be seen */
    return false;
}

static bool on_release(struct exchange *x)
{
    struct lease *own = lease_by_mac(x->network->leases, x->request->mac);
    bool for_us = !x->request->server_id || x->request->server_id == x->server_id;
    if (for_us && own && own->state == LEASE_BOUND && own->address == x->request->ciaddr)
        leave_other_address(x, 0);
    return false;
}

/* The client has an address from elsewhere and wants the rest (RFC 2131 4.3.5). We answer only to
 * an address of this network: anything else could be a forged one. */
static bool on_inform(struct exchange *x, struct dhcp_answer *answer)
{
    if (!network_contains(x->network, x->request->ciaddr))
        return false;
    answer_build(x, DHCP_ACK, 0, 0, answer);
    exchange_tell(x, DHCP_ACK, x->request->ciaddr);
    return true;
}

/* Somebody else's machine, which another server on this network may answer. */
static bool is_ignored(const struct exchange *x)
{
    if (x->known || x->client.kind == DHCP_CLIENT_OTHER ||
        x->network->config.settings.unknown != SUBNET_IGNORE)
        return false;
    exchange_report(x, DHCP_ODD_IGNORED, 0, NULL);
    return true;
}

static bool dispatch(struct exchange *x, struct dhcp_answer *answer)
{
    if (x->network->config.settings.mode == SUBNET_PROXY)
        return proxy_receive(x, answer);
    switch (x->request->type) {
    case DHCP_DISCOVER:
        return on_discover(x, answer);
    case DHCP_REQUEST:
        return on_request(x, answer);
    case DHCP_DECLINE:
        return on_decline(x);
    case DHCP_RELEASE:
        return on_release(x);
    case DHCP_INFORM:
        return on_inform(x, answer);
    default: /* an OFFER, ACK or NAK from a client */
        exchange_report(x, DHCP_ODD_MALFORMED, 0, NULL);
        return false;
    }
}

/* Where we are but a proxy, or nothing at all, another server is no news. */
static bool serves_addresses(const struct dhcp_server *server, unsigned link)
{
    for (size_t i = 0; i < server->n_networks; i++) {
        const struct network *n = &server->networks[i];
        if (n->served && n->config.link == link && n->config.settings.mode == SUBNET_SERVER)
            return true;
    }
    return false;
}

/* --- floods --- */

/* Whose message it is, looked at before all else. */
static bool is_of_node(const struct dhcp_server *server, const void *data, size_t size)
{
    const struct dhcp_policy *policy = &server->policy;
    struct dhcp_node node;
    struct mac_address mac;
    if (size < DHCP_HEADER_SIZE)
        return false;
    memcpy(mac.bytes, (const uint8_t *)data + CHADDR_OFFSET, sizeof(mac.bytes));
    return policy->node_by_mac(policy->context, mac, &node);
}

static void refill(struct dhcp_server *server, uint64_t now)
{
    uint64_t more = (now - server->strangers_at) * DHCP_STRANGERS_PER_SECOND / USEC_PER_SEC;
    if (more == 0)
        return;
    server->strangers_at += more * USEC_PER_SEC / DHCP_STRANGERS_PER_SECOND;
    server->strangers = MIN(server->strangers + more, (uint64_t)DHCP_STRANGERS_AT_ONCE);
}

/* What is over the measure is dropped with next to no work, so that the socket's buffer always has
 * room for a node's message. */
static bool is_too_much(struct dhcp_server *server, const void *data, size_t size, uint64_t now)
{
    if (is_of_node(server, data, size))
        return false;
    refill(server, now);
    if (server->strangers == 0)
        return true;
    server->strangers--;
    return false;
}

bool dhcp_server_receive(struct dhcp_server *server, const struct dhcp_arrival *arrival,
                         const void *data, size_t size, const struct dhcp_clock *now,
                         struct dhcp_answer *answer)
{
    struct dhcp_message *message = &server->message;
    struct exchange x = {.server = server, .arrival = arrival, .request = message, .now = now};
    if (is_too_much(server, data, size, now->monotonic)) {
        exchange_report(&x, DHCP_ODD_FLOOD, 0, NULL);
        return false;
    }
    int r = dhcp_message_parse(data, size, message);
    if (r < 0) {
        exchange_report(&x, r == -EPROTONOSUPPORT ? DHCP_ODD_UNSUPPORTED : DHCP_ODD_MALFORMED, 0,
                        NULL);
        return false;
    }
    counter_add(&server->counters.received[message->type], 1);
    if (message->op == DHCP_BOOTREPLY) {
        if (serves_addresses(server, arrival->link))
            exchange_report(&x, DHCP_ODD_FOREIGN_SERVER,
                            message->server_id ? message->server_id : arrival->source, NULL);
        return false;
    }
    if (!locate(&x))
        return false;
    duplicates_look(&x);
    return !is_ignored(&x) && dispatch(&x, answer);
}
