/*
 * What a node would get now, without its asking and without its boot: so no secrets are in it, and
 * nothing that only the machine knows (its UUID, its chip).
 */
#include "http/nodes_internal.h"

#include "ipxe/tree.h"

#include <errno.h>

#define MAX_TEXT (256 * KIB)

static const char *origin_name(enum node_script_origin origin)
{
    static const char *const names[] = {
        [NODE_SCRIPT_AS_IT_IS] = "as it is",
        [NODE_SCRIPT_FILLED] = "with this server's values",
        [NODE_SCRIPT_TEMPLATE] = "from its template",
        [NODE_SCRIPT_MADE] = "made by nodisk",
    };
    return names[origin];
}

/* Takes over the file. NULL: it is no text, or too large. */
static char *text_of(struct node_script_file *file)
{
    if (file->fd < 0)
        return file->text;
    char *text = file->size <= MAX_TEXT ? malloc((size_t)file->size + 1) : NULL;
    ssize_t n = text ? pread(file->fd, text, (size_t)file->size, 0) : -1;
    close(file->fd);
    if (n < 0 || memchr(text, '\0', (size_t)n)) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static void add_part(json_t *parts, const char *name, const char *origin, const char *text)
{
    json_t *part = json_pack("{s:s, s:s, s:s?}", "file", name, "origin", origin, "text", text);
    if (part)
        json_array_append_new(parts, part);
}

/* -ENOENT: the node gets none of that name. */
static int show_file(const struct node_http *http, const struct node_script_machine *m,
                     const char *name, json_t *parts, struct error *ret_error)
{
    struct node_script_file file;
    int r = node_http_script_file(http, m, name, &file, ret_error);
    if (r == -EXDEV || r == -EISDIR)
        r = -ENOENT;
    if (r == -ENOENT)
        return error_set(ret_error, r, "the directory of scripts has no %.200s for this node",
                         name);
    if (r < 0)
        return error_prefix(ret_error, "%s", name);
    const char *origin = origin_name(file.origin);
    cleanup_free char *text = text_of(&file);
    add_part(parts, name, origin, text);
    return 0;
}

/* What the machine itself looks for, as far as it is known here: the first that is there. */
static int show_own(const struct node_http *http, const struct node_script_machine *m,
                    json_t *parts, struct error *ret_error)
{
    char name[128];
    const uint8_t *b = m->mac.bytes;
    snprintf(name, sizeof(name), SCRIPT_TREE_BOOT_DIR "hostname-%s.ipxe", m->node->name);
    int r = show_file(http, m, name, parts, ret_error);
    if (r != -ENOENT)
        return r;
    snprintf(name, sizeof(name), SCRIPT_TREE_BOOT_DIR "mac-%02x%02x%02x%02x%02x%02x.ipxe", b[0],
             b[1], b[2], b[3], b[4], b[5]);
    return show_file(http, m, name, parts, ret_error);
}

static int show_tree(const struct node_http *http, const struct node_script_machine *m,
                     json_t *parts, struct error *ret_error)
{
    int r = show_file(http, m, SCRIPT_TREE_BOOT, parts, ret_error);
    if (r >= 0)
        r = show_file(http, m, SCRIPT_TREE_SETTINGS, parts, ret_error);
    if (r < 0)
        return r;
    r = show_own(http, m, parts, ret_error);
    if (r >= 0 || r == -ENOENT)
        r = show_file(http, m, SCRIPT_TREE_MENU, parts, ret_error);
    return r == -ENOENT ? 0 : r;
}

/* For the place of a secret. */
static void hide(const struct chap_credentials **chap, struct chap_credentials *room)
{
    if (!*chap)
        return;
    *room = **chap;
    str_copy(room->initiator.secret, sizeof(room->initiator.secret), "hidden");
    str_copy(room->target.secret, sizeof(room->target.secret), "hidden");
    *chap = room;
}

static int show_boot(const struct node_http *http, const struct node_script_machine *m,
                     const struct endpoint *local, json_t *parts, struct error *ret_error)
{
    cleanup_policy struct policy *policy = policy_slot_get(http->settings.policy);
    const struct endpoint peer = endpoint_of_ipv4(m->node->address, 0);
    struct facts facts;
    bool now;
    const struct plan_moment moment = {
        .now = clock_wall_usec(),
        .failures = boot_tracker_failures(http->settings.tracker, m->node->id),
        .fallback_after = http->settings.fallback_after,
        .policy = policy,
        .facts =
            boot_tracker_facts(http->settings.tracker, m->node->id, &facts, &now) ? &facts : NULL,
        .peer = m->node->address ? &peer : NULL,
    };
    struct plan plan = plan_for_mac(m->catalog, m->mac, &moment);
    struct chap_credentials chap = {0}, elsewhere = {0};
    struct catalog_node node = *plan.node;
    struct catalog_volume volume = {0};
    hide(&node.chap, &chap);
    plan.node = &node;
    if (plan.volume) {
        volume = *plan.volume;
        hide(&volume.chap, &elsewhere);
        plan.volume = &volume;
    }
    cleanup_free char *text = node_http_render(http, &plan, m->mac, &peer, local, m->catalog);
    if (!text)
        return error_set(ret_error, -ENOMEM, "out of memory");
    add_part(parts, "/boot.ipxe", origin_name(NODE_SCRIPT_MADE), text);
    return 0;
}

int node_http_show(struct node_http *http, const struct catalog *catalog,
                   const struct catalog_node *node, const struct endpoint *local, const char *stage,
                   json_t **ret_json, struct error *ret_error)
{
    struct node_script_machine machine;
    json_t *parts = json_array();
    node_http_find_machine(http, catalog, &node->macs[0], local, &machine);
    int r = 0;
    if (str_eq(stage, "boot"))
        r = show_boot(http, &machine, local, parts, ret_error);
    else if (str_eq(stage, "scripts"))
        r = show_tree(http, &machine, parts, ret_error);
    else
        r = show_file(http, &machine, stage, parts, ret_error);
    if (r < 0) {
        json_decref(parts);
        return r;
    }
    *ret_json = json_pack("{s:s, s:s, s:s, s:o}", "node", node->name, "mac", machine.mac_text,
                          "stage", stage, "parts", parts);
    return 0;
}
