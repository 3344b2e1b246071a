/*
 * What an answer holds: RFC 8415 18.3, RFC 3646 (name servers, domains), RFC 5970 3.1 (boot file)
 * and UEFI 2.10 24.7.2 (vendor class of HTTP boot).
 *
 * Two things are as EDK2 needs them. Its HTTP boot takes the URL to be a string that ends with a
 * zero: there must be an option behind it, whose code begins with one. Its PXE boot, where an
 * answer has the vendor class PXEClient, asks once more for what it has been told already: so that
 * one is never sent.
 */
#include "dhcp6/server_internal.h"

#define OPTION_DOMAIN_SEARCH                                                                       \
    119          /* of DHCPv4, as an operator sets it: names in the same encoding                  \
                  */
#define BEST 255 /* RFC 8415 18.2.1: a client waits for no other offer */

void server6_duid(const struct dhcp_network *network, uint8_t ret_duid[static SERVER6_DUID_SIZE])
{
    struct wire_writer w = wire_writer_of(ret_duid, SERVER6_DUID_SIZE);
    wire_put_be16(&w, 3); /* link-layer address */
    wire_put_be16(&w, DHCP6_HARDWARE_ETHERNET);
    wire_put_bytes(&w, network->mac.bytes, sizeof(network->mac.bytes));
}

bool exchange6_boot_url(const struct exchange6 *x, char ret_url[static DHCP6_URL_SIZE])
{
    const struct dhcp6_boot_place place = {
        .server = x->network->server6, .http_port = x->network->http_port6, .mac = x->mac};
    return dhcp6_boot_url(&x->client, &x->network->settings, &place, ret_url);
}

static void put_ids(const struct exchange6 *x, struct dhcp6_builder *b)
{
    uint8_t duid[SERVER6_DUID_SIZE];
    const struct dhcp6_option *client = &x->request->client_id;
    if (client->data)
        dhcp6_builder_add(b, DHCP6_OPTION_CLIENT_ID, client->data, client->size);
    server6_duid(x->network, duid);
    dhcp6_builder_add(b, DHCP6_OPTION_SERVER_ID, duid, sizeof(duid));
}

/* --- addresses --- */

static void put_address(struct dhcp6_builder *b, const struct in6_addr *address, uint32_t seconds)
{
    size_t opened = dhcp6_builder_open(b, DHCP6_OPTION_IA_ADDRESS);
    wire_put_bytes(&b->writer, address, sizeof(*address));
    wire_put_be32(&b->writer, seconds); /* preferred... */
    wire_put_be32(&b->writer, seconds); /* ...and valid for so long */
    dhcp6_builder_close(b, opened);
}

/* What else it has must go (RFC 8415 18.3.4). */
static void put_outdated(const struct exchange6 *x, const struct dhcp6_ia *ia,
                         struct dhcp6_builder *b)
{
    struct wire_reader r = dhcp6_option_reader(&ia->options);
    struct in6_addr address;
    while (dhcp6_ia_next(&r, &address))
        if (!ipv6_eq(&address, &x->address))
            put_address(b, &address, 0);
}

static void put_own_ia(const struct exchange6 *x, const struct dhcp6_ia *ia,
                       struct dhcp6_builder *b)
{
    uint32_t seconds = x->network->settings.lease_time;
    enum dhcp6_type type = x->request->type;
    size_t opened = dhcp6_builder_open(b, DHCP6_OPTION_IA_NA);
    wire_put_be32(&b->writer, ia->id);
    wire_put_be32(&b->writer, seconds / 2);     /* T1 */
    wire_put_be32(&b->writer, seconds / 5 * 4); /* T2 */
    put_address(b, &x->address, seconds);
    if (type == DHCP6_RENEW || type == DHCP6_REBIND)
        put_outdated(x, ia, b);
    dhcp6_builder_close(b, opened);
}

/* A second address, a temporary one or a prefix is not to be had here. */
static void put_empty_ia(const struct dhcp6_ia *ia, struct dhcp6_builder *b)
{
    size_t opened = dhcp6_builder_open(b, ia->code);
    wire_put_be32(&b->writer, ia->id);
    if (ia->code != DHCP6_OPTION_IA_TA)
        wire_put_zeros(&b->writer, 8); /* T1, T2 */
    if (ia->code == DHCP6_OPTION_IA_PD)
        dhcp6_builder_add_status(b, DHCP6_STATUS_NO_PREFIX, "no prefixes here");
    else
        dhcp6_builder_add_status(b, DHCP6_STATUS_NO_ADDRESSES, "one address for a machine");
    dhcp6_builder_close(b, opened);
}

static void put_ias(const struct exchange6 *x, struct dhcp6_builder *b)
{
    bool given = false;
    for (size_t i = 0; i < x->request->n_ias; i++) {
        const struct dhcp6_ia *ia = &x->request->ias[i];
        if (ia->code == DHCP6_OPTION_IA_NA && !given)
            put_own_ia(x, ia, b);
        else
            put_empty_ia(ia, b);
        given = given || ia->code == DHCP6_OPTION_IA_NA;
    }
}

/* --- what else there is to know --- */

static void put_dns(const struct exchange6 *x, struct dhcp6_builder *b)
{
    const struct subnet *s = &x->network->settings;
    if (s->n_dns6 && dhcp6_message_wants(x->request, DHCP6_OPTION_DNS))
        dhcp6_builder_add(b, DHCP6_OPTION_DNS, s->dns6, s->n_dns6 * sizeof(s->dns6[0]));
}

/* The domain as DNS encodes it (RFC 8415 10). */
static void put_domain(const char *domain, struct dhcp6_builder *b)
{
    size_t opened = dhcp6_builder_open(b, DHCP6_OPTION_DOMAINS);
    while (*domain) {
        size_t n = strcspn(domain, ".");
        wire_put_u8(&b->writer, (uint8_t)n);
        wire_put_bytes(&b->writer, domain, n);
        domain += n + (domain[n] == '.');
    }
    wire_put_u8(&b->writer, 0);
    dhcp6_builder_close(b, opened);
}

static bool find_search_list(const struct exchange6 *x, struct dhcp_setting *ret_list)
{
    const struct dhcp_options *levels[] = {x->known ? x->node.options : NULL,
                                           x->known ? x->node.group_options : NULL,
                                           &x->network->settings.options};
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (levels[i] && dhcp_options_find(levels[i], OPTION_DOMAIN_SEARCH, ret_list))
            return true;
    return false;
}

static void put_domains(const struct exchange6 *x, struct dhcp6_builder *b)
{
    const char *domain = x->network->settings.domain;
    struct dhcp_setting list;
    if (!dhcp6_message_wants(x->request, DHCP6_OPTION_DOMAINS))
        return;
    if (find_search_list(x, &list))
        dhcp6_builder_add(b, DHCP6_OPTION_DOMAINS, list.data, list.size);
    else if (*domain)
        put_domain(domain, b);
}

static void put_boot(const struct exchange6 *x, struct dhcp6_builder *b)
{
    char url[DHCP6_URL_SIZE];
    if (!exchange6_boot_url(x, url))
        return;
    dhcp6_builder_add(b, DHCP6_OPTION_BOOT_URL, url, strlen(url));
    if (x->client.kind == DHCP_CLIENT_HTTP) /* as it said it itself: it is known by that */
        dhcp6_builder_add(b, DHCP6_OPTION_VENDOR_CLASS, x->request->vendor_class.data,
                          x->request->vendor_class.size);
}

/* --- the whole --- */

static void put_contents(const struct exchange6 *x, enum dhcp6_type type, enum answer6_kind kind,
                         struct dhcp6_builder *b)
{
    static const uint8_t best = BEST;
    switch (kind) {
    case ANSWER6_CONFIRMED:
        dhcp6_builder_add_status(b, DHCP6_STATUS_SUCCESS, "the addresses are right here");
        return;
    case ANSWER6_NOT_ON_LINK:
        dhcp6_builder_add_status(b, DHCP6_STATUS_NOT_ON_LINK, "the addresses are of elsewhere");
        return;
    case ANSWER6_STATUS:
        dhcp6_builder_add_status(b, DHCP6_STATUS_SUCCESS, "taken note of");
        return;
    case ANSWER6_BOOT:
        break;
    case ANSWER6_ADDRESS:
        put_ias(x, b);
        if (type == DHCP6_ADVERTISE)
            dhcp6_builder_add(b, DHCP6_OPTION_PREFERENCE, &best, sizeof(best));
        else if (x->request->type == DHCP6_SOLICIT)
            dhcp6_builder_add(b, DHCP6_OPTION_RAPID_COMMIT, NULL, 0);
        break;
    case ANSWER6_INFORMATION:
        break;
    }
    put_boot(x, b);
    if (x->network->settings.mode == SUBNET_PROXY)
        return;
    put_dns(x, b);
    put_domains(x, b);
}

bool answer6_build(const struct exchange6 *x, enum dhcp6_type type, enum answer6_kind kind,
                   struct dhcp6_answer *answer)
{
    struct dhcp6_builder b;
    dhcp6_builder_begin(&b, answer->data, x->request, type);
    put_contents(x, type, kind, &b);
    put_ids(x, &b); /* an option always follows the URL */
    answer->link = x->arrival->link;
    answer->to = x->arrival->source;
    answer->to_port = x->request->n_relays ? DHCP6_SERVER_PORT : DHCP6_CLIENT_PORT;
    answer->size = dhcp6_builder_finish(&b);
    return answer->size > 0;
}
