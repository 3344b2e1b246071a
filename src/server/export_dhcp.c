#include "server/export_internal.h"

#include <errno.h>

static const struct export_format {
    const char *name;
    int (*write)(const struct export_job *job);
} formats[] = {
    {"dnsmasq", export_dnsmasq},
    {"kea", export_kea},
    {"isc", export_isc},
    {"networkd", export_networkd},
};

const char *export_url(const struct export_network *network, const char *path,
                       char url[static EXPORT_URL_SIZE])
{
    char host[IPV4_TEXT_SIZE], port[8] = "";
    if (network->http_port != 80)
        snprintf(port, sizeof(port), ":%u", network->http_port);
    snprintf(url, EXPORT_URL_SIZE, "http://%s%s/%s", ipv4_format(network->server, host), port,
             path);
    return url;
}

/* More than fit together are more than fit into a DHCP message: those that come last are not in. */
static void add_options(struct dhcp_options *to, const struct dhcp_options *from)
{
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(from, &at, &setting);)
        if (dhcp_options_set(to, &setting))
            return;
}

void export_node_options(const struct catalog *catalog, const struct catalog_node *node,
                         struct dhcp_options *ret_options)
{
    const struct catalog_group *group = catalog_group_by_name(catalog, node->group);
    struct dhcp_setting own;
    *ret_options = (struct dhcp_options){0};
    add_options(ret_options, node->options);
    if (!group)
        return;
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(group->options, &at, &setting);)
        if (!dhcp_options_find(node->options, setting.code, &own) &&
            dhcp_options_set(ret_options, &setting))
            return;
}

static const struct export_format *find_format(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (str_eq(formats[i].name, name))
            return &formats[i];
    return NULL;
}

static int no_format(const char *name, struct error *ret_error)
{
    char known[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_SIZE(formats) && used < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                                 formats[i].name);
    return error_set(ret_error, -EINVAL, "there is no format '%.32s'; there are %s", name, known);
}

int export_dhcp(const char *name, const struct export_network *networks, size_t n_networks,
                const struct catalog *catalog, char **ret_text, struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0;
    const struct export_format *format = find_format(name);
    if (!format)
        return no_format(name, ret_error);
    struct export_job job = {open_memstream(&text, &size), catalog, networks, n_networks};
    if (!job.out)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = format->write(&job);
    if (fclose(job.out) != 0 || r < 0) {
        free(text);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *ret_text = text;
    return 0;
}
