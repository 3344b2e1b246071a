/*
 * RFC 8415 16 (which messages are valid), 18.3 (what a server does with each): from a datagram to
 * the network and the machine that it concerns, and by its type to what happens.
 */
#include "dhcp6/server_internal.h"

static void report(const struct exchange6 *x, enum dhcp6_oddity_kind kind,
                   const struct in6_addr *source)
{
    const struct dhcp6_policy *policy = &x->server->policy;
    const struct dhcp6_oddity oddity = {
        .kind = kind,
        .source = *source,
        .address = x->address,
        .mac = x->mac,
        .node = x->known ? x->node.name : NULL,
        .subnet = x->network ? x->network->settings.name : NULL,
        .client = x->client,
    };
    counter_add(&x->server->counters.oddities[kind], 1);
    policy->oddity(policy->context, &oddity);
}

static void report_client(const struct exchange6 *x, enum dhcp6_oddity_kind kind)
{
    report(x, kind, &x->arrival->source);
}

static void tell(const struct exchange6 *x, enum dhcp6_type type, bool has_address)
{
    const struct dhcp6_policy *policy = &x->server->policy;
    struct dhcp6_event event = {
        .type = type,
        .request = x->request->type,
        .mac = x->mac,
        .node = x->known ? &x->node : NULL,
        .subnet = &x->network->settings,
        .client = x->client,
        .unprivileged = x->arrival->source_port >= 1024,
    };
    if (has_address)
        event.address = x->address;
    counter_add(&x->server->counters.sent[type], 1);
    policy->event(policy->context, &event);
}

/* --- where and who --- */

static bool serves(const struct dhcp_network *n, unsigned link)
{
    return n->link == link && n->settings.network6.bits && !IN6_IS_ADDR_UNSPECIFIED(&n->server6);
}

/* Where a relay says that its client is: the one next to it that says so (RFC 8415 13.1). */
static const struct in6_addr *relayed_place(const struct dhcp6_message *message)
{
    for (size_t i = message->n_relays; i-- > 0;) {
        const struct in6_addr *link = &message->relays[i].link;
        if (!IN6_IS_ADDR_UNSPECIFIED(link) && !IN6_IS_ADDR_LINKLOCAL(link))
            return link;
    }
    return NULL;
}

/* Of several networks on one wire a machine is in that of its node's IPv4 address, or of the first.
 */
static bool is_of_node(const struct exchange6 *x, const struct dhcp_network *n)
{
    return x->known && x->node.address &&
           (x->node.address & n->settings.mask) == n->settings.network;
}

static const struct dhcp_network *attached_network(const struct exchange6 *x,
                                                   const struct dhcp_network *networks,
                                                   size_t count)
{
    const struct dhcp_network *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct dhcp_network *n = &networks[i];
        if (!serves(n, x->arrival->link) || !network6_contains(&n->settings.network6, &n->server6))
            continue;
        if (is_of_node(x, n))
            return n;
        if (!first)
            first = n;
    }
    return first;
}

static const struct dhcp_network *find_network(const struct exchange6 *x,
                                               const struct dhcp_network *networks, size_t count)
{
    const struct in6_addr *place = relayed_place(x->request);
    if (!place)
        return attached_network(x, networks, count);
    for (size_t i = 0; i < count; i++)
        if (serves(&networks[i], x->arrival->link) &&
            network6_contains(&networks[i].settings.network6, place))
            return &networks[i];
    report(x, DHCP6_ODD_NO_SUBNET, place);
    return NULL;
}

static bool identify(struct exchange6 *x)
{
    const struct dhcp6_policy *policy = &x->server->policy;
    if (!dhcp6_client_mac(x->request, &x->arrival->source, &x->mac)) {
        x->client.kind = dhcp6_client_kind(x->request);
        report_client(x, DHCP6_ODD_NO_MAC);
        return false;
    }
    x->known = policy->node_by_mac(policy->context, x->mac, &x->node);
    return true;
}

static bool locate(struct exchange6 *x, const struct dhcp_network *networks, size_t count)
{
    x->network = find_network(x, networks, count);
    if (!x->network)
        return false;
    x->client = dhcp6_client_of(x->request, &x->network->settings);
    x->address = net_address6_of_mac(&x->network->settings.network6.prefix, x->mac);
    return true;
}

static bool take_allowance(struct dhcp6_server *server, uint64_t now)
{
    uint64_t forgotten = (now - server->strangers_at) * DHCP6_STRANGERS_PER_SECOND / USEC_PER_SEC;
    if (forgotten > 0) {
        server->strangers -= MIN(forgotten, server->strangers);
        server->strangers_at += forgotten * USEC_PER_SEC / DHCP6_STRANGERS_PER_SECOND;
    }
    if (server->strangers >= DHCP6_STRANGERS_AT_ONCE)
        return false;
    server->strangers++;
    return true;
}

/* Does the answer go where we always find this node? See server.h. */
static bool is_usual_place(const struct exchange6 *x)
{
    const struct in6_addr *source = &x->arrival->source;
    if (x->request->n_relays == 0 && IN6_IS_ADDR_LINKLOCAL(source))
        return true; /* its MAC was read from that */
    for (size_t i = 0; i < DHCP6_PLACES; i++)
        if (ipv6_eq(&x->server->places[i], source))
            return true;
    return false;
}

static bool may_answer_node(const struct exchange6 *x)
{
    struct dhcp6_server *server = x->server;
    if (is_usual_place(x))
        return true;
    if (!take_allowance(server, x->now)) {
        report_client(x, DHCP6_ODD_FLOOD);
        return false;
    }
    server->places[server->next_place++ % DHCP6_PLACES] = x->arrival->source;
    return true;
}

/* See server.h. */
static bool may_answer(const struct exchange6 *x)
{
    if (x->known)
        return may_answer_node(x);
    if (x->client.kind == DHCP_CLIENT_OTHER) {
        report_client(x, DHCP6_ODD_STRANGER);
        return false;
    }
    if (x->network->settings.unknown == SUBNET_IGNORE) {
        report_client(x, DHCP6_ODD_IGNORED);
        return false;
    }
    if (!take_allowance(x->server, x->now)) {
        report_client(x, DHCP6_ODD_FLOOD);
        return false;
    }
    return true;
}

/* --- what each type of message does --- */

static bool send_answer(struct exchange6 *x, enum dhcp6_type type, enum answer6_kind kind,
                        struct dhcp6_answer *answer)
{
    if (!answer6_build(x, type, kind, answer)) {
        report_client(x, DHCP6_ODD_TOO_LARGE);
        return false;
    }
    tell(x, type, kind == ANSWER6_ADDRESS);
    return true;
}

static bool on_solicit(struct exchange6 *x, struct dhcp6_answer *answer)
{
    char url[DHCP6_URL_SIZE];
    if (dhcp_client_wants_loader(&x->client) && !exchange6_boot_url(x, url))
        report_client(x, DHCP6_ODD_NO_LOADER);
    return send_answer(x, x->request->rapid_commit ? DHCP6_REPLY : DHCP6_ADVERTISE, ANSWER6_ADDRESS,
                       answer);
}

/* Is all that the client has of this network? False also of a client that has nothing. */
static bool has_addresses(const struct exchange6 *x, bool *ret_on_link)
{
    bool any = false, on_link = true;
    for (size_t i = 0; i < x->request->n_ias; i++) {
        const struct dhcp6_ia *ia = &x->request->ias[i];
        struct wire_reader r = dhcp6_option_reader(&ia->options);
        struct in6_addr address;
        while (ia->code != DHCP6_OPTION_IA_PD && dhcp6_ia_next(&r, &address)) {
            any = true;
            on_link = on_link && network6_contains(&x->network->settings.network6, &address);
        }
    }
    *ret_on_link = on_link;
    return any;
}

static bool on_confirm(struct exchange6 *x, struct dhcp6_answer *answer)
{
    bool on_link;
    return has_addresses(x, &on_link) &&
           send_answer(x, DHCP6_REPLY, on_link ? ANSWER6_CONFIRMED : ANSWER6_NOT_ON_LINK, answer);
}

static bool on_decline(struct exchange6 *x, struct dhcp6_answer *answer)
{
    report_client(x, DHCP6_ODD_TAKEN);
    return send_answer(x, DHCP6_REPLY, ANSWER6_STATUS, answer);
}

static bool dispatch(struct exchange6 *x, struct dhcp6_answer *answer)
{
    switch (x->request->type) {
    case DHCP6_SOLICIT:
        return on_solicit(x, answer);
    case DHCP6_REQUEST:
    case DHCP6_RENEW:
    case DHCP6_REBIND:
        return send_answer(x, DHCP6_REPLY, ANSWER6_ADDRESS, answer);
    case DHCP6_CONFIRM:
        return on_confirm(x, answer);
    case DHCP6_RELEASE:
        return send_answer(x, DHCP6_REPLY, ANSWER6_STATUS, answer);
    case DHCP6_DECLINE:
        return on_decline(x, answer);
    case DHCP6_INFORMATION_REQUEST:
        return send_answer(x, DHCP6_REPLY, ANSWER6_INFORMATION, answer);
    default:
        return false;
    }
}

/* Beside another server: see server.h. */
static bool dispatch_proxy(struct exchange6 *x, struct dhcp6_answer *answer)
{
    char url[DHCP6_URL_SIZE];
    if (!exchange6_boot_url(x, url))
        return false;
    if (x->request->type == DHCP6_INFORMATION_REQUEST)
        return send_answer(x, DHCP6_REPLY, ANSWER6_INFORMATION, answer);
    if (x->request->type == DHCP6_SOLICIT && x->client.kind == DHCP_CLIENT_HTTP)
        return send_answer(x, DHCP6_ADVERTISE, ANSWER6_BOOT, answer);
    return false;
}

/* --- which messages are valid (RFC 8415 16) --- */

enum id { ID_NONE, ID_ANY, ID_OURS };

static bool is_ours(const struct exchange6 *x)
{
    uint8_t duid[SERVER6_DUID_SIZE];
    const struct dhcp6_option *id = &x->request->server_id;
    server6_duid(x->network, duid);
    return id->size == sizeof(duid) && memcmp(id->data, duid, sizeof(duid)) == 0;
}

static enum id server_id_wanted(enum dhcp6_type type)
{
    switch (type) {
    case DHCP6_SOLICIT:
    case DHCP6_CONFIRM:
    case DHCP6_REBIND:
        return ID_NONE;
    case DHCP6_INFORMATION_REQUEST:
        return ID_ANY;
    default:
        return ID_OURS;
    }
}

/* A client that says nothing of itself can only be informed. */
static bool is_complete(const struct dhcp6_message *message)
{
    if (message->type == DHCP6_INFORMATION_REQUEST)
        return message->n_ias == 0;
    return message->client_id.data &&
           (server_id_wanted(message->type) == ID_NONE) == !message->server_id.data;
}

static bool is_for_us(const struct exchange6 *x)
{
    if (!x->request->server_id.data || is_ours(x))
        return true;
    if (x->network->settings.mode == SUBNET_SERVER && x->request->type == DHCP6_REQUEST)
        report_client(x, DHCP6_ODD_FOREIGN_SERVER);
    return false;
}

/* What a server sends, or nobody. */
static bool is_of_client(enum dhcp6_type type)
{
    return type != DHCP6_ADVERTISE && type != DHCP6_REPLY && type != DHCP6_RECONFIGURE;
}

bool dhcp6_server_receive(struct dhcp6_server *server, const struct dhcp_network *networks,
                          size_t n_networks, const struct dhcp6_arrival *arrival, const void *data,
                          size_t size, uint64_t now, struct dhcp6_answer *answer)
{
    struct dhcp6_message message;
    struct exchange6 x = {.server = server, .arrival = arrival, .request = &message, .now = now};
    if (dhcp6_message_parse(data, size, &message) < 0 || !is_of_client(message.type)) {
        report_client(&x, DHCP6_ODD_MALFORMED);
        return false;
    }
    counter_add(&server->counters.received[message.type], 1);
    /* Nobody was told that we may be asked directly (RFC 8415 18.4). */
    if (!arrival->multicast && message.n_relays == 0)
        return false;
    if (!is_complete(&message)) {
        report_client(&x, DHCP6_ODD_MALFORMED);
        return false;
    }
    if (!identify(&x) || !locate(&x, networks, n_networks) || !may_answer(&x) || !is_for_us(&x))
        return false;
    return x.network->settings.mode == SUBNET_PROXY ? dispatch_proxy(&x, answer)
                                                    : dispatch(&x, answer);
}
