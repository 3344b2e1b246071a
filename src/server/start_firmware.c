/* What firmware needs: addresses, and loaders over TFTP. */
#include "server/server.h"

#include "server/dhcp_glue.h"
#include "server/san.h"
#include "server/tftp_glue.h"

static void on_dhcp(void *context, const struct dhcp_event *event)
{
    struct server *server = context;
    boots_dhcp_event(&server->boots, event);
    newcomers_dhcp_event(&server->newcomers, event);
}

static void on_dhcp6(void *context, const struct dhcp6_event *event)
{
    struct server *server = context;
    boots_dhcp6_event(&server->boots, event);
}

static void on_tftp(void *context, const struct tftp_event *event)
{
    struct server *server = context;
    boots_tftp_event(&server->boots, event);
}

static bool node_is_up(void *context, const struct catalog_node *node)
{
    const struct server *server = context;
    char peer[256];
    return node->volume_id && san_is_in_use(server->san, node->volume_id, peer);
}

int server_start_firmware(struct server *server, struct error *ret_error)
{
    struct tftp_glue_settings tftp = {
        .mailbox = &server->mailbox, .event = on_tftp, .context = server};
    struct dhcp_glue_settings dhcp = {
        .loop = server->loop,
        .mailbox = &server->mailbox,
        .catalog = server->catalog,
        .duplicates = server->duplicates,
        .registry = server->registry,
        .node_is_up = node_is_up,
        .event = on_dhcp,
        .event6 = on_dhcp6,
        .context = server,
    };
    int r = tftp_glue_start(&tftp, &server->config, &server->tftp, ret_error);
    if (r >= 0)
        r = dhcp_glue_start(&dhcp, &server->config, &server->listening, &server->dhcp, ret_error);
    return r;
}
