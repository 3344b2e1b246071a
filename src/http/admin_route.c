/* Which handler answers which request. */
#include "http/admin_internal.h"

static const struct route routes[] = {
    {"GET", "/v1/status", admin_status},
    {"GET", "/v1/events", admin_events},
    {"GET", "/v1/nodes", admin_list_nodes},
    {"POST", "/v1/nodes", admin_add_node},
    {"GET", "/v1/nodes/*", admin_show_node},
    {"PATCH", "/v1/nodes/*", admin_set_node},
    {"DELETE", "/v1/nodes/*", admin_remove_node},
    {"POST", "/v1/wakes", admin_wake_node},
    {"POST", "/v1/bmcs", admin_set_bmc},
    {"POST", "/v1/power", admin_power},
    {"GET", "/v1/pending", admin_list_pending},
    {"DELETE", "/v1/pending/*", admin_forget_pending},
    {"POST", "/v1/adoptions", admin_adopt_node},
    {"GET", "/v1/images", admin_list_images},
    {"POST", "/v1/images", admin_import_image},
    {"GET", "/v1/images/*", admin_show_image},
    {"PATCH", "/v1/images/*", admin_set_image},
    {"DELETE", "/v1/images/*", admin_remove_image},
    {"POST", "/v1/verifications", admin_verify_image},
    {"POST", "/v1/warmups", admin_warm_image},
    {"GET", "/v1/volumes", admin_list_volumes},
    {"POST", "/v1/volumes", admin_create_volume},
    {"GET", "/v1/volumes/*", admin_show_volume},
    {"PATCH", "/v1/volumes/*", admin_set_volume},
    {"DELETE", "/v1/volumes/*", admin_remove_volume},
    {"POST", "/v1/changes", admin_change_overlay},
    {"DELETE", "/v1/changes/*", admin_unstage_overlay},
    {"POST", "/v1/snapshots", admin_add_snapshot},
    {"GET", "/v1/snapshots/*", admin_list_snapshots},
    {"DELETE", "/v1/snapshots/*", admin_remove_snapshot},
    {"POST", "/v1/commits", admin_commit_volume},
    {"POST", "/v1/exports", admin_export_volume},
    {"POST", "/v1/attachments", admin_attach_volume},
    {"DELETE", "/v1/attachments/*", admin_detach_volume},
    {"GET", "/v1/groups", admin_list_groups},
    {"POST", "/v1/groups", admin_add_group},
    {"GET", "/v1/groups/*", admin_show_group},
    {"PATCH", "/v1/groups/*", admin_set_group},
    {"DELETE", "/v1/groups/*", admin_remove_group},
    {"GET", "/v1/boot-rules", admin_list_boot_rules},
    {"POST", "/v1/boot-rules", admin_set_boot_rule},
    {"DELETE", "/v1/boot-rules", admin_clear_boot_rules},
    {"DELETE", "/v1/boot-rules/*", admin_clear_boot_rules},
    {"GET", "/v1/boot-plans/*", admin_show_boot_plan},
    {"GET", "/v1/boot-entries", admin_list_boot_entries},
    {"POST", "/v1/boot-entries", admin_add_boot_entry},
    {"GET", "/v1/boot-entries/*", admin_show_boot_entry},
    {"DELETE", "/v1/boot-entries/*", admin_remove_boot_entry},
    {"POST", "/v1/boot-entry-fetches", admin_fetch_boot_entry},
    {"GET", "/v1/leases", admin_list_leases},
    {"DELETE", "/v1/leases/*", admin_release_lease},
    {"GET", "/v1/dhcp-exports/*", admin_export_dhcp},
    {"GET", "/v1/ibft/*", admin_show_ibft},
    {"GET", "/v1/firewall", admin_export_firewall},
    {"GET", "/v1/loaders", admin_list_loaders},
    {"GET", "/v1/scripts/*", admin_show_script},
    {"GET", "/v1/sessions", admin_list_sessions},
    {"DELETE", "/v1/sessions", admin_end_sessions},
    {"GET", "/v1/sessions/*", admin_show_session},
    {"DELETE", "/v1/sessions/*", admin_end_session},
    {"GET", "/v1/holds", admin_list_holds},
    {"POST", "/v1/holds", admin_drain},
    {"DELETE", "/v1/holds", admin_release},
};

static bool matches(const char *pattern, const char *path, char name[static 256])
{
    size_t fixed = strcspn(pattern, "*");
    name[0] = '\0';
    if (pattern[fixed] == '\0')
        return str_eq(pattern, path);
    const char *rest = path + fixed;
    return strncmp(pattern, path, fixed) == 0 && *rest && str_copy(name, 256, rest);
}

const struct route *admin_find_route(const char *method, const char *path, char name[static 256],
                                     bool *ret_path_exists)
{
    *ret_path_exists = false;
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!matches(routes[i].path, path, name))
            continue;
        *ret_path_exists = true;
        if (str_eq(routes[i].method, method))
            return &routes[i];
    }
    return NULL;
}
