/*
 * What an answer holds (RFC 2131 4.3.1, table 3): lease times first, then what the client asked
 * for in its order (option 55), then what a booting machine needs whether it asked or not.
 */
#include "dhcp/menu.h"
#include "dhcp/server_internal.h"

#define T1_OF(lease_time) ((lease_time) / 2)
#define T2_OF(lease_time) ((uint32_t)((uint64_t)(lease_time)*7 / 8))

static const char pxe_class[] = "PXEClient", http_class[] = "HTTPClient";
/* PXE 2.1 2.2: discovery control, bit 3: no server discovery, just load the boot file. */
static const uint8_t pxe_vendor_options[] = {6, 1, 8, 255};

#define UUID_MAX_SIZE 17 /* RFC 4578 2.3 */

static void offer_network(const struct exchange *x, struct menu *menu)
{
    const struct subnet *s = &x->network->config.settings;
    uint32_t broadcast = s->network | ~s->mask;
    /* What a ROM does not ask for, the loader needs that takes over what the ROM got. */
    bool rom = x->client.kind == DHCP_CLIENT_PXE;
    menu_offer_addresses(menu, DHCP_OPTION_SUBNET_MASK, true, &s->mask, 1);
    menu_offer_addresses(menu, DHCP_OPTION_ROUTER, rom, s->routers, s->n_routers);
    menu_offer_addresses(menu, DHCP_OPTION_DNS, rom, s->dns, s->n_dns);
    menu_offer_addresses(menu, DHCP_OPTION_BROADCAST, false, &broadcast, 1);
    if (x->known)
        menu_offer_text(menu, DHCP_OPTION_HOST_NAME, rom, x->node.name);
    menu_offer_text(menu, DHCP_OPTION_DOMAIN, rom, s->domain);
}

/* Of the node over those of its group over those of its subnet. */
static void offer_settings(const struct exchange *x, struct menu *menu)
{
    if (x->known) {
        menu_offer_settings(menu, x->node.options);
        menu_offer_settings(menu, x->node.group_options);
    }
    menu_offer_settings(menu, &x->network->config.settings.options);
}

static void offer_boot(const struct exchange *x, struct menu *menu)
{
    const struct dhcp_network *network = &x->network->config;
    const struct dhcp_option *uuid = dhcp_message_option(x->request, DHCP_OPTION_UUID);
    const struct dhcp_boot_place place = {.server = network->server,
                                          .http_port = network->http_port,
                                          .https_port = network->https_port,
                                          .https_name = network->https_name,
                                          .mac = x->request->mac,
                                          .is_node = x->known};
    dhcp_boot_choose(&x->client, &network->settings, &place, &menu->boot);
    if (!menu->boot.file[0])
        return;
    ipv4_format(network->server, menu->server);
    /* With their NUL for firmware: there are PXE ROMs that read on to one (as dnsmasq found). */
    size_t end = menu->boot.pxe ? 1 : 0;
    menu_offer_boot(menu, DHCP_OPTION_TFTP_SERVER, menu->server, strlen(menu->server) + end);
    menu_offer_boot(menu, DHCP_OPTION_BOOT_FILE, menu->boot.file, strlen(menu->boot.file) + end);
    if (menu->boot.http)
        menu_offer_boot(menu, DHCP_OPTION_VENDOR_CLASS, http_class, strlen(http_class));
    if (!menu->boot.pxe) {
        menu_offer_boot(menu, DHCP_OPTION_IPXE, menu->boot.ipxe, menu->boot.ipxe_size);
        return;
    }
    menu_offer_boot(menu, DHCP_OPTION_VENDOR_CLASS, pxe_class, strlen(pxe_class));
    menu_offer_boot(menu, DHCP_OPTION_VENDOR, pxe_vendor_options, sizeof(pxe_vendor_options));
    if (uuid && uuid->size <= UUID_MAX_SIZE)
        menu_offer_boot(menu, DHCP_OPTION_UUID, uuid->data, uuid->size);
    /* long, and it boots without it, too */
    menu_offer(menu, DHCP_OPTION_IPXE, true, menu->boot.ipxe, menu->boot.ipxe_size);
}

static size_t add_times(struct dhcp_builder *builder, uint32_t lease_time)
{
    if (lease_time == 0)
        return 0;
    size_t at = wire_writer_used(&builder->writer) + 2;
    dhcp_builder_add_u32(builder, DHCP_OPTION_LEASE_TIME, lease_time);
    dhcp_builder_add_u32(builder, DHCP_OPTION_T1, T1_OF(lease_time));
    dhcp_builder_add_u32(builder, DHCP_OPTION_T2, T2_OF(lease_time));
    return at;
}

void answer_set_times(struct dhcp_answer *answer, uint32_t lease_time)
{
    if (!answer->times_at)
        return;
    const uint32_t times[] = {lease_time, T1_OF(lease_time), T2_OF(lease_time)};
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        struct wire_writer w = wire_writer_of(answer->data + answer->times_at + 6 * i, 4);
        wire_put_be32(&w, times[i]);
    }
}

/* RFC 2131 4.1, last paragraphs. */
static void choose_route(const struct exchange *x, enum dhcp_type type, uint32_t yiaddr,
                         struct dhcp_answer *answer)
{
    const struct dhcp_message *request = x->request;
    answer->link = x->arrival->link;
    answer->from = x->network->config.server;
    answer->mac = request->mac;
    answer->to = yiaddr;
    if (request->giaddr) {
        answer->route = DHCP_TO_RELAY;
        answer->to = request->giaddr;
    } else if (type != DHCP_NAK && request->ciaddr) {
        answer->route = DHCP_TO_CLIENT;
        answer->to = request->ciaddr;
    } else if (type == DHCP_NAK || (request->flags & DHCP_BROADCAST)) {
        answer->route = DHCP_TO_ALL;
    } else {
        answer->route = DHCP_TO_HARDWARE;
    }
}

void answer_build(const struct exchange *x, enum dhcp_type type, uint32_t yiaddr,
                  uint32_t lease_time, struct dhcp_answer *answer)
{
    struct menu menu;
    menu_init(&menu);
    offer_boot(x, &menu);
    offer_settings(x, &menu);
    offer_network(x, &menu);
    struct dhcp_reply reply = {
        .type = type,
        .flags = x->request->flags,
        .ciaddr = type == DHCP_OFFER ? 0 : x->request->ciaddr,
        .yiaddr = yiaddr,
        .siaddr = menu.boot.file[0] ? x->network->config.server : 0,
        .file = menu.boot.file,
    };
    struct dhcp_builder builder;
    dhcp_builder_begin(&builder, answer->data, x->request, &reply);
    dhcp_builder_add_u32(&builder, DHCP_OPTION_SERVER_ID, x->server_id);
    answer->times_at = add_times(&builder, lease_time);
    uint8_t left_out =
        menu_serve(&menu, dhcp_message_option(x->request, DHCP_OPTION_PARAMETER_LIST), &builder);
    if (left_out)
        exchange_report_option(x, left_out);
    answer->size = dhcp_builder_finish(&builder);
    choose_route(x, type, yiaddr, answer);
}

void answer_refuse(const struct exchange *x, const char *reason, struct dhcp_answer *answer)
{
    /* RFC 2131 4.3.2: a relay must broadcast it, since the client has no address that works. */
    uint16_t flags = x->request->flags | (x->request->giaddr ? DHCP_BROADCAST : 0);
    struct dhcp_reply reply = {.type = DHCP_NAK, .flags = flags};
    struct dhcp_builder builder;
    dhcp_builder_begin(&builder, answer->data, x->request, &reply);
    dhcp_builder_add_u32(&builder, DHCP_OPTION_SERVER_ID, x->server_id);
    dhcp_builder_add(&builder, DHCP_OPTION_MESSAGE, reason, strlen(reason));
    answer->times_at = 0;
    answer->size = dhcp_builder_finish(&builder);
    choose_route(x, DHCP_NAK, 0, answer);
}
