#include "server/dhcp_log.h"

#include "core/log.h"
#include "dhcp/conflicts.h"

#include <net/if.h>

/* The rate limit knows sources by their address; a machine without one stands as fe80::<mac>. */
static struct endpoint source_of_mac(struct mac_address mac)
{
    struct endpoint e = {.v6.sin6_family = AF_INET6};
    e.v6.sin6_addr.s6_addr[0] = 0xfe;
    e.v6.sin6_addr.s6_addr[1] = 0x80;
    memcpy(e.v6.sin6_addr.s6_addr + 10, mac.bytes, sizeof(mac.bytes));
    return e;
}

static struct endpoint source_of_address(uint32_t address)
{
    return (struct endpoint){
        .v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)},
    };
}

static struct endpoint source_of(const struct dhcp_oddity *o)
{
    switch (o->kind) {
    case DHCP_ODD_MALFORMED:
    case DHCP_ODD_UNSUPPORTED:
        return o->source ? source_of_address(o->source) : source_of_mac(o->mac);
    case DHCP_ODD_NO_SUBNET:
    case DHCP_ODD_FOREIGN_SERVER:
        return source_of_address(o->address);
    case DHCP_ODD_STORE_LATE:
    case DHCP_ODD_STORE_FAILED:
    case DHCP_ODD_NO_MEMORY:
    case DHCP_ODD_FLOOD: /* or of nobody known */
    case DHCP_ODD_NOT_SET_ASIDE:
        return source_of_address(INADDR_LOOPBACK); /* it is our own fault, whoever asked */
    case DHCP_ODD_FOUND:
    case DHCP_ODD_USED_TWICE:
    case DHCP_ODD_CLAIMS_ALL:
        return source_of_mac(o->holder);
    default:
        return source_of_mac(o->mac);
    }
}

struct words {
    char mac[MAC_TEXT_SIZE], holder[MAC_TEXT_SIZE];
    char address[IPV4_TEXT_SIZE], source[IPV4_TEXT_SIZE];
    const char *subnet;
};

static int level_of(enum dhcp_oddity_kind kind)
{
    switch (kind) {
    case DHCP_ODD_CONFLICT:
    case DHCP_ODD_TAKEN:
    case DHCP_ODD_FOREIGN_SERVER:
    case DHCP_ODD_NO_ADDRESS:
    case DHCP_ODD_STORE_FAILED:
    case DHCP_ODD_NO_MEMORY:
    case DHCP_ODD_FLOOD:
    case DHCP_ODD_SAME_MAC:
    case DHCP_ODD_SAME_NAME:
    case DHCP_ODD_FOUND:
    case DHCP_ODD_USED_TWICE:
    case DHCP_ODD_NOT_SET_ASIDE:
    case DHCP_ODD_CLAIMS_ALL:
        return LOG_WARNING;
    default:
        return LOG_NOTICE;
    }
}

void dhcp_log_describe_no_loader(const struct dhcp_client *client, const char *mac,
                                 const char *subnet, char text[static DHCP_LOG_TEXT_SIZE])
{
    enum dhcp_loader loader = dhcp_architecture_loader(client->architecture);
    if (loader == DHCP_LOADERS)
        snprintf(text, DHCP_LOG_TEXT_SIZE,
                 "%s boots by %s and calls itself architecture %u, which is not known here: it "
                 "gets nothing to boot",
                 mac, dhcp_client_word(client), client->architecture);
    else
        snprintf(text, DHCP_LOG_TEXT_SIZE,
                 "%s boots by %s and is %s (architecture %u), for which there is no loader: it "
                 "gets nothing to boot; put one into the loaders directory and name it by `%s` of "
                 "[subnet %s]",
                 mac, dhcp_client_word(client), dhcp_loader_kind(loader)->word,
                 client->architecture, dhcp_loader_kind(loader)->key, subnet);
}

static void place_words(const struct dhcp_place *place, char *text, size_t size)
{
    char address[IPV4_TEXT_SIZE], name[IF_NAMESIZE];
    const char *port = *place->port_text ? ", port " : "";
    if (place->relay)
        snprintf(text, size, "relay %s%s%s", ipv4_format(place->relay, address), port,
                 place->port_text);
    else if (if_indextoname(place->link, name))
        snprintf(text, size, "interface %s%s%s", name, port, place->port_text);
    else
        snprintf(text, size, "an interface that is gone%s%s", port, place->port_text);
}

static void describe_same_mac(const struct dhcp_oddity *o, const struct words *w, char *text,
                              size_t size)
{
    char here[128], there[128];
    place_words(o->place, here, sizeof(here));
    place_words(o->other_place, there, sizeof(there));
    snprintf(text, size,
             "%s asks in turn from two places, %s and %s: two machines have one MAC (a copied "
             "virtual machine?), or these networks are joined; give one of them another MAC",
             w->mac, here, there);
}

static void describe_same_name(const struct dhcp_oddity *o, const struct words *w, char *text,
                               size_t size)
{
    snprintf(
        text, size,
        "%s, which is none of the MACs of node '%s', asks by that host name: two machines have "
        "one name, or it is another card of that node; then: nodisk node set %s --mac with "
        "all of its MACs",
        w->mac, o->other_node, o->other_node);
}

static void describe_used_twice(const struct dhcp_oddity *o, const struct words *w, char *text,
                                size_t size)
{
    if (o->node)
        snprintf(
            text, size,
            "%s uses address %s of node '%s', and is none of its MACs: find that machine, or it "
            "is a bridge or bond of that node; then: nodisk node set %s --mac with all of its "
            "MACs",
            w->holder, w->address, o->node, o->node);
    else
        snprintf(text, size,
                 "%s uses address %s, which is leased to %s: find that machine, or it is a bridge "
                 "or bond of the other one",
                 w->holder, w->address, w->mac);
}

static void describe(const struct dhcp_oddity *o, const struct words *w, char *text, size_t size)
{
    switch (o->kind) {
    case DHCP_ODD_MALFORMED:
        snprintf(text, size, "malformed message from %s (%s): dropped", w->source, w->mac);
        break;
    case DHCP_ODD_UNSUPPORTED:
        snprintf(text, size,
                 "message from %s (%s) is plain BOOTP or not from Ethernet hardware: dropped",
                 w->source, w->mac);
        break;
    case DHCP_ODD_NO_SUBNET:
        snprintf(text, size,
                 "a relay asks for the network of %s, which no [subnet] of that interface covers: "
                 "add one",
                 w->address);
        break;
    case DHCP_ODD_NO_ADDRESS:
        snprintf(text, size,
                 "no address left for %s: widen `range` of [subnet %s], or register it as a node "
                 "with an address",
                 w->mac, w->subnet);
        break;
    case DHCP_ODD_CONFLICT:
        snprintf(text, size,
                 "its address %s is leased to %s, which is none of its MACs: %s gets another one "
                 "until that lease ends",
                 w->address, w->holder, w->mac);
        break;
    case DHCP_ODD_TAKEN:
        snprintf(text, size,
                 "address %s is in use by a machine that did not get it from here (found by %s): "
                 "set aside for some minutes; find that machine",
                 w->address, w->mac);
        break;
    case DHCP_ODD_NO_LOADER:
        dhcp_log_describe_no_loader(&o->client, w->mac, w->subnet, text);
        break;
    case DHCP_ODD_LEFT_OUT:
        snprintf(text, size,
                 "option %u does not fit into the answer for %s, whose messages may not be larger: "
                 "left out",
                 o->option, w->mac);
        break;
    case DHCP_ODD_FOREIGN_SERVER:
        snprintf(text, size,
                 "another DHCP server, %s, answers machines of [subnet %s] (%s chose it): stop it, "
                 "or nodes will boot from it at random",
                 w->address, w->subnet, w->mac);
        break;
    case DHCP_ODD_IGNORED:
        snprintf(text, size,
                 "%s boots by %s and is no node: not answered, as [subnet %s] has unknown = ignore",
                 w->mac, dhcp_client_word(&o->client), w->subnet);
        break;
    case DHCP_ODD_STORE_LATE:
        snprintf(text, size,
                 "the registry is slow: %s got %s for %d s only until its lease is stored", w->mac,
                 w->address, DHCP_SHORT_LEASE);
        break;
    case DHCP_ODD_STORE_FAILED:
        snprintf(text, size, "the lease of %s by %s cannot be stored: it is given for %d s only",
                 w->address, w->mac, DHCP_SHORT_LEASE);
        break;
    case DHCP_ODD_NO_MEMORY:
        snprintf(text, size, "out of memory, or too many leases: no answer to %s", w->mac);
        break;
    case DHCP_ODD_FLOOD:
        snprintf(
            text, size,
            "more than %d messages a second from machines that are no nodes: the others of them "
            "get no answer; find out who sends so many",
            DHCP_STRANGERS_PER_SECOND);
        break;
    case DHCP_ODD_SAME_MAC:
        describe_same_mac(o, w, text, size);
        break;
    case DHCP_ODD_SAME_NAME:
        describe_same_name(o, w, text, size);
        break;
    case DHCP_ODD_FOUND:
        snprintf(
            text, size,
            "%s uses address %s of [subnet %s] without a lease of it: set aside for as long as "
            "it does; give that machine another address, or take this one out of `range`",
            w->holder, w->address, w->subnet);
        break;
    case DHCP_ODD_NOT_SET_ASIDE:
        snprintf(
            text, size,
            "%s says that it uses address %s of [subnet %s] without a lease of it, which is not "
            "set aside: more than %d were within a minute, or there are too many leases; find "
            "out who claims so many by ARP",
            w->holder, w->address, w->subnet, DHCP_SET_ASIDE_MAX);
        break;
    case DHCP_ODD_USED_TWICE:
        describe_used_twice(o, w, text, size);
        break;
    case DHCP_ODD_CLAIMS_ALL:
        snprintf(text, size,
                 "%s answers ARP for one address of [subnet %s] after the other, %s now (a router "
                 "with proxy ARP?): that it uses them is not believed",
                 w->holder, w->subnet, w->address);
        break;
    case DHCP_ODD_NAMESAKE:
        snprintf(
            text, size,
            "a hint: %s and %s, which are no nodes, both have a lease and call themselves '%s'",
            w->mac, w->holder, o->host_name);
        break;
    case DHCP_ODD_SAME_UUID:
        if (!o->node) {
            snprintf(
                text, size,
                "a hint: %s and %s, which are no nodes, say that they are of one machine (UUID "
                "%s): two cards of it, to be one node, or a maker or a copy gave two the same",
                w->mac, w->holder, o->uuid);
            break;
        }
        snprintf(
            text, size,
            "a hint: %s of node '%s' and %s of node '%s' say that they are of one machine (UUID "
            "%s): one machine that is two nodes, or a maker or a copy gave two the same",
            w->mac, o->node, w->holder, o->other_node, o->uuid);
        break;
    case DHCP_ODDITIES:
        break;
    }
}

void dhcp_log_describe(const struct dhcp_oddity *oddity, char text[static DHCP_LOG_TEXT_SIZE])
{
    struct words words = {.subnet = oddity->subnet ? oddity->subnet : "?"};
    mac_format(oddity->mac, words.mac);
    mac_format(oddity->holder, words.holder);
    ipv4_format(oddity->address, words.address);
    ipv4_format(oddity->source, words.source);
    text[0] = '\0';
    describe(oddity, &words, text, DHCP_LOG_TEXT_SIZE);
}

void dhcp_log_oddity(struct dhcp_log *log, const struct dhcp_oddity *oddity)
{
    char text[DHCP_LOG_TEXT_SIZE], more[48] = "";
    uint32_t suppressed;
    struct endpoint source = source_of(oddity);
    if (!ratelimit_allow(&log->limits[oddity->kind], &source, clock_monotonic_usec(), &suppressed))
        return;
    dhcp_log_describe(oddity, text);
    if (suppressed)
        snprintf(more, sizeof(more), " (and %u times more before)", suppressed);
    log_write(level_of(oddity->kind), oddity->node, "dhcp: %s%s", text, more);
}

void dhcp_log_send_failure(struct dhcp_log *log, const struct dhcp_answer *answer, int error)
{
    char mac[MAC_TEXT_SIZE];
    uint32_t suppressed;
    struct endpoint source = source_of_mac(answer->mac);
    if (ratelimit_allow(&log->send_failures, &source, clock_monotonic_usec(), &suppressed))
        log_warning("dhcp: cannot send an answer to %s: %s", mac_format(answer->mac, mac),
                    strerror(-error));
}
