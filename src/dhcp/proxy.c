#include "dhcp/proxy.h"

/* PXE 2.1 2.2: discovery control, bit 3: no server discovery, just load the boot file. */
static const uint8_t pxe_vendor_options[] = {6, 1, 8, 255};

#define UUID_MAX_SIZE 17 /* RFC 4578 2.3 */

struct network *proxy_network(struct exchange *x)
{
    for (size_t i = 0; i < x->server->n_networks; i++) {
        struct network *n = &x->server->networks[i];
        if (n->served && n->config.settings.mode == SUBNET_PROXY &&
            n->config.link == x->arrival->link && network_contains(n, x->arrival->source))
            return n;
    }
    return NULL;
}

/* Whoever sends from another port is no firmware, but a program that poses as it. */
static bool is_client_port(const struct exchange *x)
{
    uint16_t port = x->arrival->source_port;
    return x->request->giaddr ? port == DHCP_SERVER_PORT : port == DHCP_CLIENT_PORT;
}

static bool wants_answer(const struct exchange *x)
{
    enum dhcp_type type = x->request->type;
    if (x->client.kind == DHCP_CLIENT_OTHER)
        return false;
    if (x->arrival->boot_server)
        return type == DHCP_REQUEST || type == DHCP_INFORM;
    return type == DHCP_DISCOVER && is_client_port(x);
}

/* RFC 2131 4.1; an offer without an address can go to nobody's. */
static void choose_route(const struct exchange *x, struct dhcp_answer *answer)
{
    answer->link = x->arrival->link;
    answer->from = x->network->config.server;
    answer->mac = x->request->mac;
    answer->to = 0;
    answer->route = DHCP_TO_ALL;
    if (x->arrival->boot_server) {
        answer->route = DHCP_TO_BOOT_CLIENT;
        answer->to = x->arrival->source;
        answer->to_port = x->arrival->source_port;
    } else if (x->request->giaddr) {
        answer->route = DHCP_TO_RELAY;
        answer->to = x->request->giaddr;
    }
}

/* The class makes it an offer of a boot server. iPXE, too, takes it by that. */
static const char *class_of(const struct dhcp_boot *boot)
{
    return boot->http ? "HTTPClient" : "PXEClient";
}

static bool wants_vendor_options(const struct exchange *x, const struct dhcp_boot *boot)
{
    bool is_bios = dhcp_architecture_loader(x->client.architecture) == LOADER_BIOS;
    return boot->pxe && (is_bios || x->arrival->boot_server);
}

static void build(const struct exchange *x, enum dhcp_type type, const struct dhcp_boot *boot,
                  struct dhcp_answer *answer)
{
    const struct dhcp_option *uuid = dhcp_message_option(x->request, DHCP_OPTION_UUID);
    struct dhcp_reply reply = {
        .type = type,
        .flags = x->arrival->boot_server ? x->request->flags : x->request->flags | DHCP_BROADCAST,
        .ciaddr = type == DHCP_OFFER ? 0 : x->request->ciaddr,
        .siaddr = x->network->config.server,
        .file = boot->file,
    };
    size_t end = boot->pxe ? 1 : 0; /* with its NUL for firmware, as in answer.c */
    struct dhcp_builder builder;
    dhcp_builder_begin(&builder, answer->data, x->request, &reply);
    dhcp_builder_add_u32(&builder, DHCP_OPTION_SERVER_ID, x->network->config.server);
    dhcp_builder_add(&builder, DHCP_OPTION_VENDOR_CLASS, class_of(boot), strlen(class_of(boot)));
    if (uuid && uuid->size <= UUID_MAX_SIZE)
        dhcp_builder_add(&builder, DHCP_OPTION_UUID, uuid->data, uuid->size);
    if (wants_vendor_options(x, boot))
        dhcp_builder_add(&builder, DHCP_OPTION_VENDOR, pxe_vendor_options,
                         sizeof(pxe_vendor_options));
    dhcp_builder_add(&builder, DHCP_OPTION_BOOT_FILE, boot->file, strlen(boot->file) + end);
    answer->times_at = 0;
    answer->size = dhcp_builder_finish(&builder);
    choose_route(x, answer);
}

bool proxy_receive(struct exchange *x, struct dhcp_answer *answer)
{
    const struct dhcp_network *network = &x->network->config;
    enum dhcp_type type = x->arrival->boot_server ? DHCP_ACK : DHCP_OFFER;
    struct dhcp_boot boot;
    if (!wants_answer(x))
        return false;
    const struct dhcp_boot_place place = {.server = network->server,
                                          .http_port = network->http_port,
                                          .https_port = network->https_port,
                                          .https_name = network->https_name,
                                          .mac = x->request->mac,
                                          .is_node = x->known};
    dhcp_boot_choose(&x->client, &network->settings, &place, &boot);
    if (!boot.file[0]) {
        exchange_report(x, DHCP_ODD_NO_LOADER, 0, NULL);
        return false;
    }
    build(x, type, &boot, answer);
    exchange_tell(x, type, type == DHCP_ACK ? x->arrival->source : 0);
    return true;
}
