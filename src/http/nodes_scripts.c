/*
 * The operator's own scripts, and what they fetch: the files of a directory, to anybody who asks,
 * as loaders are. A tree of scripts that was made for another server works as it is (ipxe/tree.h),
 * and a template NAME.in is rendered as NAME for the machine that asks (ipxe/template.h).
 *
 *   /scripts/boot.ipxe                      who asks is known by its address
 *   /scripts/52-54-00-00-00-01/boot.ipxe    or it says so; what a script fetches beside itself, too
 *
 * Nothing in them is secret. But what a machine says that is not at its node's address is not
 * taken.
 */
#include "http/nodes_internal.h"

#include "core/directory.h"
#include "ipxe/tree.h"
#include "ipxe/variables.h"

#include <errno.h>

#define MAX_NAME 512

static const char prefix[] = "/scripts/";

/* --- who asks --- */

static bool find_mac(const struct node_http *http, const struct endpoint *peer,
                     struct mac_address *ret_mac)
{
    const struct node_http_settings *settings = &http->settings;
    uint32_t address;
    if (!endpoint_ipv4(peer, &address))
        return settings->machine6 && settings->machine6(settings->context, peer, ret_mac);
    switch (settings->giver(settings->context, address)) {
    case NODE_HTTP_OURS:
        return boot_tracker_mac_of_address(settings->tracker, address, ret_mac);
    case NODE_HTTP_PROXIED:
        return settings->neighbour(settings->context, address, ret_mac);
    case NODE_HTTP_ELSEWHERE:
        break;
    }
    return false;
}

/* A MAC at the beginning of the path; it is skipped. */
static bool take_mac(const char **name, struct mac_address *ret_mac)
{
    char text[MAC_TEXT_SIZE];
    const char *slash = strchr(*name, '/');
    if (!slash || (size_t)(slash - *name) >= sizeof(text))
        return false;
    memcpy(text, *name, (size_t)(slash - *name));
    text[slash - *name] = '\0';
    if (mac_parse(text, ret_mac) < 0)
        return false;
    *name = slash + 1;
    return true;
}

/* --- values --- */

#define DASHED_SIZE 18

/* As it stands in URLs: 52-54-00-00-00-01. */
static const char *format_dashed(struct mac_address mac, char text[static DASHED_SIZE])
{
    const uint8_t *b = mac.bytes;
    snprintf(text, DASHED_SIZE, "%02x-%02x-%02x-%02x-%02x-%02x", b[0], b[1], b[2], b[3], b[4],
             b[5]);
    return text;
}

static void find_values(const struct node_http *http, struct node_script_machine *m,
                        const struct endpoint *local, const char *base_iqn)
{
    char url[NODE_HTTP_URL_SIZE], host[ENDPOINT_TEXT_SIZE], mac[DASHED_SIZE] = "";
    struct endpoint portal;
    http->settings.portal(http->settings.context, local, &portal);
    endpoint_format_host(&portal, host);
    if (m->has_mac)
        format_dashed(m->mac, mac);
    str_copy(m->mac_text, sizeof(m->mac_text), mac);
    str_copy(m->server_url, sizeof(m->server_url), node_http_format_url(http, local, url));
    snprintf(m->boot_url, sizeof(m->boot_url), "%s%s%s%s", m->server_url, prefix, mac,
             m->has_mac ? "/" : "");
    str_copy(m->iscsi_server, sizeof(m->iscsi_server), host);
    str_copy(m->base_iqn, sizeof(m->base_iqn), base_iqn);
    snprintf(m->base_iscsi, sizeof(m->base_iscsi), "iscsi:%s::%u:0:%s", host,
             endpoint_port(&portal), base_iqn);
    m->initiator[0] = '\0';
    if (m->node)
        snprintf(m->initiator, sizeof(m->initiator), "%s:%s", base_iqn, m->node->name);
}

void node_http_find_machine(struct node_http *http, const struct catalog *catalog,
                            const struct mac_address *mac, const struct endpoint *local,
                            struct node_script_machine *ret_machine)
{
    *ret_machine = (struct node_script_machine){.catalog = catalog, .has_mac = mac != NULL};
    if (mac) {
        ret_machine->mac = *mac;
        ret_machine->node = catalog_node_by_mac(catalog, *mac);
    }
    find_values(http, ret_machine, local, catalog_base_iqn(catalog));
}

static struct script_tree_values tree_values(const struct node_script_machine *m)
{
    return (struct script_tree_values){.boot_url = m->boot_url,
                                       .iscsi_server = m->iscsi_server,
                                       .base_iqn = m->base_iqn,
                                       .base_iscsi = m->base_iscsi,
                                       .initiator_iqn = m->node ? m->initiator : NULL};
}

/* "debian12@3" -> "debian12" */
static void image_of(const struct catalog_volume *volume, char name[static NAME_MAX_LEN + 1])
{
    const char *image = volume->overlay ? volume->overlay->base.image : NULL;
    str_copy(name, NAME_MAX_LEN + 1, image ? image : "");
    name[strcspn(name, "@")] = '\0';
}

static int set_disk(const struct node_script_machine *m, struct script_variables *variables)
{
    const struct catalog_volume *volume = catalog_volume_by_id(m->catalog, m->node->volume_id);
    char image[NAME_MAX_LEN + 1], target[IQN_MAX_LEN + NAME_MAX_LEN + 2];
    char root[sizeof(m->base_iscsi) + NAME_MAX_LEN + 2];
    if (!volume)
        return 0;
    image_of(volume, image);
    int r = script_variables_set(variables, "volume", volume->name);
    if (r >= 0)
        r = script_variables_set(variables, "image", image);
    if (r < 0 || volume->elsewhere)
        return r;
    snprintf(target, sizeof(target), "%s:%s", m->base_iqn, volume->name);
    snprintf(root, sizeof(root), "%s:%s", m->base_iscsi, volume->name);
    r = script_variables_set(variables, "target", target);
    return r < 0 ? r : script_variables_set(variables, "root-path", root);
}

int node_http_set_variables(const struct node_script_machine *m, struct script_variables *variables)
{
    char address[IPV4_TEXT_SIZE] = "";
    if (m->node && m->node->address)
        ipv4_format(catalog_node_address_of(m->node, m->mac), address);
    const struct {
        const char *name, *value;
    } list[] = {
        {"node", m->node ? m->node->name : NULL},
        {"mac", m->mac_text},
        {"address", address},
        {"group", m->node ? m->node->group : NULL},
        {"initiator-iqn", m->initiator},
        {"base-iqn", m->base_iqn},
        {"base-iscsi", m->base_iscsi},
        {"iscsi-server", m->iscsi_server},
        {"boot-url", m->boot_url},
        {"server-url", m->server_url},
    };
    int r = 0;
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(list); i++)
        r = script_variables_set(variables, list[i].name, list[i].value);
    return r >= 0 && m->node ? set_disk(m, variables) : r;
}

/* --- files --- */

static int open_file(const struct node_http *http, const char *name, const char *suffix,
                     int *ret_fd, uint64_t *ret_size)
{
    char path[MAX_NAME + 8];
    if (!http->settings.open_script)
        return -ENOENT;
    snprintf(path, sizeof(path), "%s%s", name, suffix);
    return http->settings.open_script(http->settings.context, path, ret_fd, ret_size);
}

static bool has_file(const struct node_http *http, const char *name)
{
    cleanup_close int fd = -1, template_fd = -1;
    uint64_t size;
    return open_file(http, name, "", &fd, &size) >= 0 ||
           open_file(http, name, ".in", &template_fd, &size) >= 0;
}

int node_http_read_text(int fd, uint64_t size, char **ret_text, size_t *ret_size)
{
    if (size > TEMPLATE_MAX_SIZE)
        return -EFBIG;
    char *text = malloc((size_t)size + 1);
    size_t done = 0;
    ssize_t n = text ? 1 : -1;
    while (text && done < size && n > 0) {
        n = pread(fd, text + done, (size_t)size - done, (off_t)done);
        done += n > 0 ? (size_t)n : 0;
    }
    if (n < 0) {
        int r = text ? -errno : -ENOMEM;
        free(text);
        return r;
    }
    text[done] = '\0';
    *ret_text = text;
    *ret_size = done;
    return 0;
}

int node_http_add_own_variables(const struct node_http *http, struct script_variables *variables,
                                struct error *ret_error)
{
    cleanup_close int fd = -1;
    cleanup_free char *text = NULL;
    uint64_t size;
    size_t length;
    if (open_file(http, SCRIPT_VARIABLES_FILE, "", &fd, &size) < 0)
        return 0;
    int r = node_http_read_text(fd, size, &text, &length);
    if (r < 0)
        return error_set(ret_error, r, "%s: %s", SCRIPT_VARIABLES_FILE, strerror(-r));
    r = script_variables_read(variables, text, length, ret_error);
    return r < 0 ? error_prefix(ret_error, "%s", SCRIPT_VARIABLES_FILE) : 0;
}

static int render(const struct node_http *http, const struct node_script_machine *m,
                  const char *text, size_t size, struct node_script_file *file,
                  struct error *ret_error)
{
    struct script_variables variables = {NULL, 0};
    size_t length = 0;
    const struct template_scope scope = {script_variables_look, &variables, false, NULL};
    int r = node_http_add_own_variables(http, &variables, ret_error);
    if (r >= 0 && node_http_set_variables(m, &variables) < 0)
        r = error_set(ret_error, -ENOMEM, "out of memory");
    if (r >= 0)
        r = template_render(text, size, &scope, &file->text, &length, ret_error);
    file->size = length;
    script_variables_free(&variables);
    return r;
}

static int get_template(const struct node_http *http, const struct node_script_machine *m,
                        const char *name, struct node_script_file *file, struct error *ret_error)
{
    cleanup_close int fd = -1;
    char *text = NULL;
    uint64_t size;
    size_t length = 0;
    int r = open_file(http, name, ".in", &fd, &size);
    if (r < 0)
        return error_set(ret_error, r, "%s", strerror(-r));
    file->origin = NODE_SCRIPT_TEMPLATE;
    r = node_http_read_text(fd, size, &text, &length);
    if (r < 0)
        return error_set(ret_error, r == -ENOENT ? -EIO : r, "%s", strerror(-r));
    r = render(http, m, text, length, file, ret_error);
    free(text);
    return r;
}

static int fill(const struct node_script_machine *m, int fd, uint64_t size,
                struct node_script_file *file, struct error *ret_error)
{
    char *text = NULL;
    size_t length = 0, filled = 0;
    const struct script_tree_values values = tree_values(m);
    int r = node_http_read_text(fd, size, &text, &length);
    if (r >= 0)
        r = script_tree_fill(text, length, &values, &file->text, &filled);
    file->size = filled;
    free(text);
    file->origin = NODE_SCRIPT_FILLED;
    return r < 0 ? error_set(ret_error, r, "%s", strerror(-r)) : 0;
}

/* What a tree has to have, if it is one. */
static int make(const struct node_http *http, const struct node_script_machine *m, const char *name,
                struct node_script_file *file, struct error *ret_error)
{
    const struct script_tree_values values = tree_values(m);
    bool settings = str_eq(name, SCRIPT_TREE_SETTINGS);
    if ((!settings && !str_eq(name, SCRIPT_TREE_BOOT)) || !has_file(http, SCRIPT_TREE_MENU))
        return error_set(ret_error, -ENOENT, "there is no such script");
    file->text = settings ? script_tree_make_settings(&values) : strdup(script_tree_boot_script);
    file->origin = NODE_SCRIPT_MADE;
    if (!file->text)
        return error_set(ret_error, -ENOMEM, "out of memory");
    file->size = strlen(file->text);
    return 0;
}

/* Neither what begins with a dot, as what editors and version control leave there does, nor what is
 * no script but makes one. */
static bool is_hidden(const char *name)
{
    size_t n = strlen(name);
    return name[0] == '.' || strstr(name, "/.") || str_eq(name, SCRIPT_VARIABLES_FILE) ||
           (n > 3 && str_eq(name + n - 3, ".in")) || n == 0 || n > MAX_NAME;
}

int node_http_script_file(const struct node_http *http, const struct node_script_machine *m,
                          const char *asked, struct node_script_file *ret_file,
                          struct error *ret_error)
{
    uint64_t size;
    char name[PATH_MAX];
    *ret_file = (struct node_script_file){.fd = -1};
    directory_clean_name(asked, name); /* what is opened is what is looked at */
    if (is_hidden(name))
        return error_set(ret_error, -ENOENT, "there is no such script");
    cleanup_close int fd = -1;
    int r = open_file(http, name, "", &fd, &size);
    if (r >= 0 && str_eq(name, SCRIPT_TREE_SETTINGS))
        return fill(m, fd, size, ret_file, ret_error);
    if (r >= 0) {
        ret_file->fd = take_fd(&fd);
        ret_file->size = size;
        return 0;
    }
    r = get_template(http, m, name, ret_file, ret_error);
    return r == -ENOENT ? make(http, m, name, ret_file, ret_error) : r;
}

const char *node_http_scripts_url(const struct node_http *http, const struct plan *plan,
                                  struct mac_address mac, const struct endpoint *local,
                                  char url[static NODE_SCRIPTS_URL_SIZE])
{
    char server[NODE_HTTP_URL_SIZE], text[DASHED_SIZE];
    bool by_rule = plan->kind == PLAN_SCRIPTS || plan->kind == PLAN_MENU;
    if ((!http->settings.boot_by_scripts && !by_rule) || !plan->node ||
        (!has_file(http, SCRIPT_TREE_BOOT) && !has_file(http, SCRIPT_TREE_MENU)))
        return NULL;
    snprintf(url, NODE_SCRIPTS_URL_SIZE, "%s%s%s/" SCRIPT_TREE_BOOT,
             node_http_format_url(http, local, server), prefix, format_dashed(mac, text));
    return url;
}

/* --- the request --- */

static void tell_bad_script(struct node_http *http, const struct endpoint *peer, const char *name,
                            const struct error *error)
{
    if (http->settings.oddity)
        http->settings.oddity(
            http->settings.context,
            &(struct node_http_oddity){
                .kind = NODE_HTTP_BAD_SCRIPT, .peer = *peer, .path = name, .reason = error->text});
}

static void reply(struct node_http *http, struct http_request *request, const struct endpoint *peer,
                  const struct node_script_machine *m, const char *name)
{
    struct node_script_file file;
    struct error error;
    int r = node_http_script_file(http, m, name, &file, &error);
    if (r == -ENOENT || r == -EXDEV || r == -EISDIR) {
        /* A tree tries several: that one is not there is no mistake. */
        node_http_reply_text(request, 404, "no such script\n");
    } else if (r < 0) {
        tell_bad_script(http, peer, name, &error);
        node_http_reply_text(request, 500, "this script has a mistake; see the log of nodisk\n");
    } else if (file.text) {
        http_reply_owned(request, 200, "text/plain", file.text, file.size);
    } else {
        http_reply_file(request, 200, "application/octet-stream", file.fd, file.size);
    }
}

bool node_http_scripts(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, const struct endpoint *local)
{
    const char *name = http_path(request);
    struct node_script_machine machine;
    struct mac_address mac;
    if (!str_has_prefix(name, prefix))
        return false;
    name += strlen(prefix);
    bool says = take_mac(&name, &mac), has_mac = says || find_mac(http, peer, &mac);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(http->settings.catalog);
    const struct catalog_node *node = says ? catalog_node_by_mac(catalog, mac) : NULL;
    if (node && node_http_is_stranger(http, peer, node, mac)) {
        node_http_refuse(http, request, peer, 403, "this address is not that machine's\n");
        return true;
    }
    node_http_find_machine(http, catalog, has_mac ? &mac : NULL, local, &machine);
    reply(http, request, peer, &machine, name);
    return true;
}
