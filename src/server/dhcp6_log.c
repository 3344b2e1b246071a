#include "server/dhcp6_log.h"

#include "core/log.h"
#include "server/dhcp_log.h"

#define TEXT_SIZE DHCP_LOG_TEXT_SIZE

static struct endpoint endpoint_of(const struct in6_addr *address)
{
    return (struct endpoint){.v6 = {.sin6_family = AF_INET6, .sin6_addr = *address}};
}

/* A flood has one source for the rate limit, whoever it says it is. */
static struct endpoint source_of(const struct dhcp6_oddity *o)
{
    return endpoint_of(o->kind == DHCP6_ODD_FLOOD ? &in6addr_loopback : &o->source);
}

static int level_of(const struct dhcp6_oddity *o)
{
    switch (o->kind) {
    case DHCP6_ODD_TAKEN:
    case DHCP6_ODD_FOREIGN_SERVER:
    case DHCP6_ODD_FLOOD:
    case DHCP6_ODD_TOO_LARGE:
        return LOG_WARNING;
    case DHCP6_ODD_STRANGER: /* as there are many in a network of all sorts of machines */
        return LOG_DEBUG;
    case DHCP6_ODD_NO_MAC: /* likewise: systems like to make up their addresses */
        return o->client.kind == DHCP_CLIENT_OTHER ? LOG_DEBUG : LOG_NOTICE;
    default:
        return LOG_NOTICE;
    }
}

struct words {
    char mac[MAC_TEXT_SIZE], source[INET6_ADDRSTRLEN], address[INET6_ADDRSTRLEN];
    const char *subnet;
};

static void describe(const struct dhcp6_oddity *o, const struct words *w,
                     char text[static TEXT_SIZE])
{
    switch (o->kind) {
    case DHCP6_ODD_MALFORMED:
        snprintf(text, TEXT_SIZE, "malformed message from %s: dropped", w->source);
        break;
    case DHCP6_ODD_NO_SUBNET:
        snprintf(text, TEXT_SIZE,
                 "a relay asks for the network of %s, which is `network6` of no [subnet] of that "
                 "interface: add one",
                 w->source);
        break;
    case DHCP6_ODD_NO_MAC:
        snprintf(text, TEXT_SIZE,
                 "%s asks, and which machine that is cannot be told: its link-local address is not "
                 "made from its MAC; no answer",
                 w->source);
        break;
    case DHCP6_ODD_STRANGER:
        snprintf(text, TEXT_SIZE, "%s is no node and does not boot: no answer", w->mac);
        break;
    case DHCP6_ODD_IGNORED:
        snprintf(text, TEXT_SIZE,
                 "%s boots by %s and is no node: not answered, as [subnet %s] has unknown = ignore",
                 w->mac, dhcp_client_word(&o->client), w->subnet);
        break;
    case DHCP6_ODD_NO_LOADER:
        dhcp_log_describe_no_loader(&o->client, w->mac, w->subnet, text);
        break;
    case DHCP6_ODD_TAKEN:
        snprintf(text, TEXT_SIZE,
                 "%s finds its address %s in use by another machine: find that one, it has the "
                 "same MAC or an address that somebody has set by hand",
                 w->mac, w->address);
        break;
    case DHCP6_ODD_FOREIGN_SERVER:
        snprintf(text, TEXT_SIZE,
                 "another DHCPv6 server answers machines of [subnet %s] (%s chose it): stop it, or "
                 "nodes will boot from it at random",
                 w->subnet, w->mac);
        break;
    case DHCP6_ODD_FLOOD:
        snprintf(text, TEXT_SIZE,
                 "more than %d machines a second that are no nodes want to boot, or ask through "
                 "ever other relays: the others of them get no answer; find out who sends so many",
                 DHCP6_STRANGERS_PER_SECOND);
        break;
    case DHCP6_ODD_TOO_LARGE:
        snprintf(text, TEXT_SIZE,
                 "the answer for %s is larger than a datagram: no answer; set fewer names by "
                 "`domain-search`",
                 w->mac);
        break;
    case DHCP6_ODDITIES:
        break;
    }
}

void dhcp6_log_oddity(struct dhcp6_log *log, const struct dhcp6_oddity *oddity)
{
    struct words words = {.subnet = oddity->subnet ? oddity->subnet : "?"};
    char text[TEXT_SIZE] = "", more[48] = "";
    uint32_t suppressed;
    struct endpoint source = source_of(oddity);
    int level = level_of(oddity);
    struct ratelimit *limit = level == LOG_DEBUG ? &log->quiet : &log->limits[oddity->kind];
    if (!ratelimit_allow(limit, &source, clock_monotonic_usec(), &suppressed))
        return;
    mac_format(oddity->mac, words.mac);
    ipv6_format(&oddity->source, words.source);
    ipv6_format(&oddity->address, words.address);
    describe(oddity, &words, text);
    if (suppressed)
        snprintf(more, sizeof(more), " (and %u times more before)", suppressed);
    log_write(level, oddity->node, "dhcp6: %s%s", text, more);
}

void dhcp6_log_send_failure(struct dhcp6_log *log, const struct dhcp6_answer *answer, int error)
{
    char to[INET6_ADDRSTRLEN];
    uint32_t suppressed;
    struct endpoint source = endpoint_of(&answer->to);
    if (ratelimit_allow(&log->send_failures, &source, clock_monotonic_usec(), &suppressed))
        log_warning("dhcp6: cannot send an answer to %s: %s", ipv6_format(&answer->to, to),
                    strerror(-error));
}
