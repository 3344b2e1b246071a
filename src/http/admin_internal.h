/* What the files of the admin API share. */
#pragma once

#include "http/admin.h"
#include "http/body.h"
#include "http/http.h"

#include <pthread.h>
#include <stdatomic.h>

#define ADMIN_MAX_BODY (64 * KIB)

struct admin {
    struct admin_settings settings;
    char state_directory[PATH_MAX];
    char socket[PATH_MAX];
    uint64_t started_at;
    struct http_server *http;
    atomic_bool stopping;
    atomic_uint n_watchers;
    atomic_uint n_jobs;
};

/* One request on its way through a handler. */
struct call {
    struct admin *admin;
    struct http_request *request;
    char name[256]; /* what stands for '*' in the route's path, or "" */
};

struct route {
    const char *method;
    const char *path; /* a '*' at the end stands for any name */
    void (*handle)(struct call *call);
};

/* Finds the handler for a request. NULL: *ret_path_exists says whether another method would do. */
const struct route *admin_find_route(const char *method, const char *path, char name[static 256],
                                     bool *ret_path_exists);

/* --- answers --- */

/* Takes over json (NULL: out of memory). */
void call_reply(struct call *call, unsigned status, json_t *json);
void call_reply_error(struct call *call, const struct error *error);
/* A stream of one line: {"result": json}. Takes over json. */
void call_reply_result(struct call *call, json_t *json);
/* Progress lines while the job runs, then {"result": ...} as `result` makes it, or {"error": ...}.
 * Takes over job. Without a job the result comes at once. */
void call_reply_job(struct call *call, struct storage_job *job, const char *name,
                    json_t *(*result)(struct admin *admin, const char *name, uint32_t version));

/* What look() makes of the volume that the call names; 404 if there is none. */
void call_reply_volume(struct call *call, json_t *(*look)(const struct catalog *catalog,
                                                          const struct catalog_volume *volume));

/* --- how things look in JSON; each new, NULL without memory --- */

json_t *node_to_json(struct admin *admin, const struct catalog *catalog,
                     const struct catalog_node *node);
json_t *volume_to_json(const struct catalog *catalog, const struct catalog_volume *volume);
json_t *image_to_json(const struct catalog *catalog, const struct catalog_image *image);
/* What the node boots next, and why. */
json_t *boot_plan_to_json(const struct admin *admin, const struct catalog *catalog,
                          const struct catalog_node *node);
/* Results of jobs that are about one. */
json_t *volume_result(struct admin *admin, const char *name, uint32_t version);
json_t *image_result(struct admin *admin, const char *name, uint32_t version);
/* That one of its MACs was given last; 0: none. */
uint32_t node_last_address(struct admin *admin, const struct catalog_node *node);
/* A list of texts, as they can be given again. NULL: an empty one. */
json_t *options_to_json(const struct dhcp_options *options);
/* What switches a node's power, without its password; waits for the registry. */
json_t *bmc_to_json(struct admin *admin, const char *node);
/* NULL: null */
json_t *overlay_to_json(const struct catalog_overlay *overlay);
/* Every node with "boot": what the provider knows of it, or null. */
json_t *nodes_with_stages(struct admin *admin);

/* In the memory of the body. NULL: there is none left. */
const struct catalog_label *call_labels(struct body *body, const struct body_texts *texts);

/* Points into the body. */
struct registry_options_change options_of_body(const struct body_list *set,
                                               const struct body_list *unset);

const char *volume_state_text(enum volume_state state);

/* Bytes that a file really uses; 0 if it cannot be told. */
uint64_t file_used(const char *path);
/* For /v1/status; in admin_space.c. New. */
json_t *space_to_json(struct admin *admin);
json_t *usage_to_json(const struct admin *admin, const struct catalog *catalog);

/* --- handlers, by the file that they are in --- */

void admin_list_nodes(struct call *call);
void admin_add_node(struct call *call);
void admin_show_node(struct call *call);
void admin_set_node(struct call *call);
void admin_remove_node(struct call *call);
void admin_wake_node(struct call *call);
void admin_set_bmc(struct call *call);
void admin_power(struct call *call);

void admin_list_pending(struct call *call);
void admin_forget_pending(struct call *call);
void admin_adopt_node(struct call *call);

void admin_list_images(struct call *call);
void admin_import_image(struct call *call);
void admin_show_image(struct call *call);
void admin_set_image(struct call *call);
void admin_verify_image(struct call *call);
void admin_warm_image(struct call *call);
void admin_remove_image(struct call *call);

void admin_list_volumes(struct call *call);
void admin_create_volume(struct call *call);
void admin_show_volume(struct call *call);
void admin_set_volume(struct call *call);
void admin_remove_volume(struct call *call);

void admin_change_overlay(struct call *call);
void admin_unstage_overlay(struct call *call);
void admin_list_snapshots(struct call *call);
void admin_add_snapshot(struct call *call);
void admin_remove_snapshot(struct call *call);
void admin_commit_volume(struct call *call);
void admin_export_volume(struct call *call);

void admin_attach_volume(struct call *call);
void admin_detach_volume(struct call *call);

void admin_list_groups(struct call *call);
void admin_add_group(struct call *call);
void admin_show_group(struct call *call);
void admin_set_group(struct call *call);
void admin_remove_group(struct call *call);

void admin_list_boot_rules(struct call *call);
void admin_set_boot_rule(struct call *call);
void admin_clear_boot_rules(struct call *call);
void admin_show_boot_plan(struct call *call);

void admin_list_boot_entries(struct call *call);
void admin_add_boot_entry(struct call *call);
void admin_show_boot_entry(struct call *call);
void admin_remove_boot_entry(struct call *call);
void admin_fetch_boot_entry(struct call *call);

void admin_list_leases(struct call *call);
void admin_release_lease(struct call *call);
void admin_export_dhcp(struct call *call);
void admin_export_firewall(struct call *call);
void admin_show_ibft(struct call *call);
void admin_list_loaders(struct call *call);
void admin_show_script(struct call *call);
void admin_list_sessions(struct call *call);
void admin_show_session(struct call *call);
void admin_end_sessions(struct call *call);
void admin_end_session(struct call *call);
void admin_list_holds(struct call *call);
void admin_drain(struct call *call);
void admin_release(struct call *call);
void admin_status(struct call *call);
void admin_events(struct call *call);
