/*
 * kea-dhcp4(8), from 2.2: an option of a reservation comes before that of a subnet, and that before
 * one of a class, so that a group's options are in its nodes' reservations. Nodes with an address
 * are reserved in its subnet, and all of them globally, where they keep their name and options in
 * any other subnet. A boot file of a class comes before others; the classes of a subnet are looked
 * at there alone, and no two of them fit one machine.
 */
#include "server/export_internal.h"

#include "dhcp/packet.h"

#include <errno.h>
#include <jansson.h>

static const char is_ipxe[] =
    "substring(option[77].hex, 0, 4) == 'iPXE' or substring(option[77].hex, 1, 4) == 'iPXE' or "
    "option[175].exists";

/* --- options --- */

static json_t *option_hex(uint8_t code, bool always, const uint8_t *data, size_t size)
{
    char hex[2 * DHCP_OPTION_VALUE_MAX + 1] = "";
    for (size_t i = 0; i < size && i < DHCP_OPTION_VALUE_MAX; i++)
        snprintf(hex + 2 * i, 3, "%02x", data[i]);
    return json_pack("{s:i, s:b, s:s, s:b}", "code", code, "csv-format", 0, "data", hex,
                     "always-send", always);
}

/* Kea compresses names itself, and takes none that are. */
static json_t *option_of(const struct dhcp_setting *setting)
{
    char text[DHCP_OPTION_TEXT_SIZE];
    const struct dhcp_option_kind *kind = dhcp_option_kind_by_code(setting->code);
    if (kind && kind->type == DHCP_TYPE_DOMAINS &&
        dhcp_option_value_format(kind->type, setting->data, setting->size, text))
        return json_pack("{s:i, s:b, s:s, s:b}", "code", setting->code, "csv-format", 1, "data",
                         text, "always-send", setting->always);
    return option_hex(setting->code, setting->always, setting->data, setting->size);
}

static void add_options(json_t *list, const struct dhcp_options *options)
{
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);)
        json_array_append_new(list, option_of(&setting));
}

static void add_addresses(json_t *list, const struct subnet *s, uint8_t code,
                          const uint32_t *addresses, size_t count)
{
    uint8_t data[4 * SUBNET_MAX_SERVERS];
    struct dhcp_setting own;
    if (count == 0 || dhcp_options_find(&s->options, code, &own))
        return;
    for (size_t i = 0; i < count; i++)
        for (unsigned byte = 0; byte < 4; byte++)
            data[4 * i + byte] = (uint8_t)(addresses[i] >> (24 - 8 * byte));
    json_array_append_new(list, option_hex(code, false, data, 4 * count));
}

static json_t *subnet_options(const struct subnet *s)
{
    json_t *list = json_array();
    struct dhcp_setting own;
    add_addresses(list, s, DHCP_OPTION_ROUTER, s->routers, s->n_routers);
    add_addresses(list, s, DHCP_OPTION_DNS, s->dns, s->n_dns);
    if (s->domain[0] && !dhcp_options_find(&s->options, DHCP_OPTION_DOMAIN, &own))
        json_array_append_new(list, option_hex(DHCP_OPTION_DOMAIN, false,
                                               (const uint8_t *)s->domain, strlen(s->domain)));
    add_options(list, &s->options);
    return list;
}

/* --- reservations --- */

/* Each card that has an address of the node's own in the subnet; NULL: all cards, without. */
static void add_node(json_t *list, const struct export_job *job, const struct catalog_node *node,
                     const struct subnet *s)
{
    struct dhcp_options options;
    char text[IPV4_TEXT_SIZE], mac[MAC_TEXT_SIZE];
    export_node_options(job->catalog, node, &options);
    for (size_t i = 0; i < node->n_macs; i++) {
        uint32_t address = catalog_node_address_of(node, node->macs[i]);
        if (s && (!address || (address & s->mask) != s->network))
            continue;
        json_t *data = json_array();
        add_options(data, &options);
        json_t *one = json_pack("{s:s, s:s, s:o}", "hw-address", mac_format(node->macs[i], mac),
                                "hostname", node->name, "option-data", data);
        if (s)
            json_object_set_new(one, "ip-address", json_string(ipv4_format(address, text)));
        json_array_append_new(list, one);
    }
}

static json_t *all_nodes(const struct export_job *job)
{
    size_t count;
    json_t *list = json_array();
    const struct catalog_node *nodes = catalog_nodes(job->catalog, &count);
    for (size_t i = 0; i < count; i++)
        add_node(list, job, &nodes[i], NULL);
    return list;
}

static json_t *nodes_in(const struct export_job *job, const struct subnet *s)
{
    size_t count;
    json_t *list = json_array();
    const struct catalog_node *nodes = catalog_nodes(job->catalog, &count);
    for (size_t i = 0; i < count; i++)
        add_node(list, job, &nodes[i], s);
    return list;
}

/* --- classes --- */

static const char *class_name(const struct subnet *s, const char *what,
                              char name[static NAME_MAX_LEN + 24])
{
    snprintf(name, NAME_MAX_LEN + 24, "%s-%s", s->name, what);
    return name;
}

static void add_class(json_t *classes, json_t *of_subnet, const char *name, const char *test,
                      const char *file, json_t *options)
{
    json_array_append_new(classes, json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name, "test",
                                             test, "only-if-required", 1, "boot-file-name", file,
                                             "option-data", options));
    json_array_append_new(of_subnet, json_string(name));
}

/* Firmware that boots by HTTP wants its own class back (UEFI 2.10, 24.7). */
static void add_loader(json_t *classes, json_t *of_subnet, const struct export_network *n,
                       const struct dhcp_architecture *architecture)
{
    static const char http_client[] = "HTTPClient";
    char name[NAME_MAX_LEN + 24], what[16], test[192], path[LOADER_MAX_LEN + 16],
        url[EXPORT_URL_SIZE];
    const char *file = n->subnet->loaders[architecture->loader];
    json_t *options = json_array();
    snprintf(what, sizeof(what), "arch-%u", architecture->code);
    snprintf(test, sizeof(test),
             "not member('ipxe') and substring(option[93].hex, 0, 2) == 0x%04x%s",
             architecture->code,
             architecture->http ? " and substring(option[60].hex, 0, 10) == 'HTTPClient'" : "");
    snprintf(path, sizeof(path), "loaders/%s", file);
    if (architecture->http) {
        file = export_url(n, path, url);
        json_array_append_new(options,
                              option_hex(DHCP_OPTION_VENDOR_CLASS, true,
                                         (const uint8_t *)http_client, sizeof(http_client) - 1));
    }
    add_class(classes, of_subnet, class_name(n->subnet, what, name), test, file, options);
}

/* iPXE waits for no proxy: suboption 176 of its option. */
static void add_script(json_t *classes, json_t *of_subnet, const struct export_network *n)
{
    static const uint8_t no_pxedhcp[] = {0xb0, 1, 1};
    char name[NAME_MAX_LEN + 24], url[EXPORT_URL_SIZE];
    json_t *options = json_array();
    json_array_append_new(options,
                          option_hex(DHCP_OPTION_IPXE, true, no_pxedhcp, sizeof(no_pxedhcp)));
    add_class(classes, of_subnet, class_name(n->subnet, "ipxe", name), "member('ipxe')",
              export_url(n, EXPORT_SCRIPT, url), options);
}

static json_t *add_classes(json_t *classes, const struct export_network *n)
{
    size_t count;
    const struct dhcp_architecture *list = dhcp_architectures(&count);
    json_t *of_subnet = json_array();
    for (size_t i = 0; i < count; i++)
        if (n->subnet->loaders[list[i].loader][0])
            add_loader(classes, of_subnet, n, &list[i]);
    add_script(classes, of_subnet, n);
    return of_subnet;
}

/* --- subnets --- */

static json_t *pools_of(const struct subnet *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_ranges; i++) {
        char first[IPV4_TEXT_SIZE], last[IPV4_TEXT_SIZE], pool[2 * IPV4_TEXT_SIZE + 4];
        snprintf(pool, sizeof(pool), "%s - %s", ipv4_format(s->ranges[i].first, first),
                 ipv4_format(s->ranges[i].last, last));
        json_array_append_new(list, json_pack("{s:s}", "pool", pool));
    }
    return list;
}

static json_t *subnet_of(const struct export_job *job, size_t number, json_t *classes)
{
    const struct export_network *n = &job->networks[number];
    const struct subnet *s = n->subnet;
    char text[IPV4_TEXT_SIZE], prefix[IPV4_TEXT_SIZE + 4];
    snprintf(prefix, sizeof(prefix), "%s/%d", ipv4_format(s->network, text),
             __builtin_popcount(s->mask));
    json_t *subnet = json_pack(
        "{s:I, s:s, s:I, s:o, s:o, s:o, s:{s:s}}", "id", (json_int_t)number + 1, "subnet", prefix,
        "valid-lifetime", (json_int_t)s->lease_time, "pools", pools_of(s), "option-data",
        subnet_options(s), "reservations", nodes_in(job, s), "user-context", "name", s->name);
    if (n->server) { /* else nothing boots from us there */
        json_object_set_new(subnet, "next-server", json_string(ipv4_format(n->server, text)));
        json_object_set_new(subnet, "require-client-classes", add_classes(classes, n));
    }
    return subnet;
}

/* Firmware, iPXE and the system of one machine say different client identifiers: its MAC counts. */
int export_kea(const struct export_job *job)
{
    json_t *subnets = json_array();
    json_t *classes = json_pack("[{s:s, s:s}]", "name", "ipxe", "test", is_ipxe);
    for (size_t i = 0; i < job->n_networks; i++)
        json_array_append_new(subnets, subnet_of(job, i, classes));
    json_t *all =
        json_pack("{s:{s:{s:[s]}, s:b, s:b, s:b, s:b, s:b, s:o, s:o, s:o}}", "Dhcp4",
                  "interfaces-config", "interfaces", "*", "authoritative", 1, "match-client-id", 0,
                  "ip-reservations-unique", 0, "reservations-global", 1, "reservations-in-subnet",
                  1, "client-classes", classes, "reservations", all_nodes(job), "subnet4", subnets);
    if (!all)
        return -ENOMEM;
    int r = json_dumpf(all, job->out, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(all);
    fputc('\n', job->out);
    return r < 0 ? -ENOMEM : 0;
}
