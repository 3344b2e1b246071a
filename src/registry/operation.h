/*
 * How a request travels to the registry thread and back (inside this folder only).
 *
 * A typed request embeds `struct operation` first. A caller that waits keeps it on its stack; one
 * that does not gives it away on the heap, and the thread frees it.
 */
#pragma once

#include "core/arena.h"
#include "registry/db.h"
#include "registry/registry.h"

#include <semaphore.h>

/* What an operation has changed of the catalog, by id; 0: none. Nothing named: it may be anything.
 */
struct changed {
    int64_t volume_id, node_id; /* that one, which may be new or gone */
    bool more;                  /* and others */
};

struct operation {
    struct message message;
    struct registry *registry;
    /* Runs inside the transaction and a savepoint of its own; a negative return undoes it. */
    int (*apply)(struct db *db, struct operation *operation, struct error *ret_error);
    bool reads_only;        /* changes nothing */
    bool changes_catalog;   /* a new catalog is needed after it */
    struct changed changed; /* apply() fills it in, if it knows: the rest is not read anew */
    struct error error;
    struct operation *next; /* in the batch being carried out */
    sem_t *waiter;          /* or NULL: it is on the heap and `reply` (if any) is told */
    struct registry_reply *reply;
};

/* Carries it out and waits. */
int operation_run(struct registry *registry, struct operation *operation,
                  struct error *ret_error) MUST_CHECK;
/* Gives it away; it must come from malloc(). */
void operation_post(struct registry *registry, struct operation *operation,
                    struct registry_reply *reply);

/* For apply(). */
const char *operation_kernel(const struct operation *operation);
int operation_check_address(struct registry *registry, uint32_t address,
                            struct error *ret_error) MUST_CHECK;

/* Shared by nodes.c and volumes.c: adds the volume inside the caller's operation. */
int volume_insert(struct db *db, const struct registry_volume *volume, struct changed *changed,
                  struct error *ret_error) MUST_CHECK;

/* Shared by nodes.c and attachments.c: the id of a row by its name (the one parameter of sql);
 * -ENOENT with the words `what 'name'`. */
int find_named(struct db *db, const char *sql, const char *what, const char *name, int64_t *ret_id,
               struct error *ret_error) MUST_CHECK;
/* Shared by the same: the name of the node that a query finds, copied to name. 1: found. */
int find_holder(struct db *db, const char *sql, const struct db_value *values, size_t n_values,
                char name[static NAME_MAX_LEN + 1], struct error *ret_error) MUST_CHECK;
/* Shared by attachments.c and nodes.c: another node that a volume for one machine belongs to, as
 * its disk or attached. 1: its name was copied to `name`; 0: there is none. */
int attachment_find_rival(struct db *db, int64_t node_id, int64_t volume_id,
                          char name[static NAME_MAX_LEN + 1], struct error *ret_error) MUST_CHECK;

/* CHAP credentials (chap.c): *ret_credentials has CHAP_NONE if there are none. */
int chap_read_node(struct db *db, int64_t node_id, struct chap_credentials *ret_credentials,
                   struct error *ret_error) MUST_CHECK;
int chap_read_volume(struct db *db, int64_t volume_id, struct chap_credentials *ret_credentials,
                     struct error *ret_error) MUST_CHECK;
/* Shared by nodes.c and node_paths.c: may this node have the address as its own? */
int node_check_address(struct registry *registry, struct db *db, int64_t node_id, uint32_t address,
                       struct error *ret_error) MUST_CHECK;
/* What set_paths says. */
int node_paths_set(struct registry *registry, struct db *db, int64_t node_id,
                   const struct registry_node_change *change, struct error *ret_error) MUST_CHECK;
/* After any change of a node: do its paths go with its cards and its address? */
int node_paths_check(struct db *db, int64_t node_id, struct error *ret_error) MUST_CHECK;
/* A row that begins with user, secret, target_user and target_secret. -EUCLEAN, without a word of
 * what it is. */
int chap_read_row(struct db *db, sqlite3_stmt *row, struct chap_credentials *credentials,
                  struct error *ret_error) MUST_CHECK;
/* Stores new secrets in place of those that are given, for the same users and as many. */
int chap_make_anew(struct db *db, int64_t node_id, struct chap_credentials *credentials,
                   struct error *ret_error) MUST_CHECK;
/* What set_chap and rotate_chap say. */
int chap_change_node(struct db *db, int64_t node_id, const char *node,
                     const struct registry_node_change *change, struct error *ret_error) MUST_CHECK;
int chap_store_volume(struct db *db, int64_t volume_id, const struct chap_credentials *credentials,
                      struct error *ret_error) MUST_CHECK;

/* All that there is of a node's secrets (chap_rotation.c). The first of the list are the present
 * ones (CHAP_NONE: it has none), and each points to the next; their tags are boots. */
struct chap_record {
    enum chap_rotation rotation;
    uint64_t since; /* as in struct catalog_node; likewise: */
    bool seen;
    struct chap_credentials list[1 + REGISTRY_MAX_OLDER_CHAP];
};
int chap_read_record(struct db *db, int64_t node_id, struct chap_record *record,
                     struct error *ret_error) MUST_CHECK;
void chap_record_wipe(struct chap_record *record);
#define cleanup_chap_record __attribute__((cleanup(chap_record_wipe)))
int chap_set_rotation(struct db *db, int64_t node_id, enum chap_rotation rotation,
                      struct error *ret_error) MUST_CHECK;
/* Somebody gives a node other secrets, or none: what it had before is worth nothing any more. */
int chap_begin_age(struct db *db, int64_t node_id, bool has_secrets,
                   struct error *ret_error) MUST_CHECK;
/* New ones for this boot, unless it has some already; those before are kept. */
int chap_rotate_for_boot(struct db *db, int64_t node_id, uint64_t boot_id,
                         struct error *ret_error) MUST_CHECK;

/* Where a volume's initiators may come from (sources.c). */
int sources_read(struct db *db, int64_t volume_id,
                 struct source sources[static REGISTRY_MAX_SOURCES], size_t *ret_count,
                 struct error *ret_error) MUST_CHECK;
int sources_store(struct db *db, int64_t volume_id, const char *const *sources, size_t n_sources,
                  struct error *ret_error) MUST_CHECK;

/* DHCP options (options.c). */
int options_read_node(struct db *db, int64_t node_id, struct dhcp_options *options,
                      struct error *ret_error) MUST_CHECK;
int options_read_group(struct db *db, int64_t group_id, struct dhcp_options *options,
                       struct error *ret_error) MUST_CHECK;
int options_change_node(struct db *db, int64_t node_id,
                        const struct registry_options_change *change,
                        struct error *ret_error) MUST_CHECK;
int options_change_group(struct db *db, int64_t group_id,
                         const struct registry_options_change *change,
                         struct error *ret_error) MUST_CHECK;

/* The rules of what to boot (boot_rules.c). */
int boot_rules_read_node(struct db *db, int64_t node_id, struct boot_rules *ret_rules,
                         struct error *ret_error) MUST_CHECK;
int boot_rules_read_group(struct db *db, int64_t group_id, struct boot_rules *ret_rules,
                          struct error *ret_error) MUST_CHECK;
int boot_rules_read_site(struct db *db, struct boot_rules *ret_rules,
                         struct error *ret_error) MUST_CHECK;
/* All boot entries, into the catalog (boot_entries.c). */
int boot_entries_load(struct db *db, struct catalog *catalog, struct error *ret_error) MUST_CHECK;
/* What one has beside its files (entry_parts.c): may it have that? It is added, and read into
 * the arena. */
int entry_parts_check(const struct registry_boot_entry *entry, struct error *ret_error) MUST_CHECK;
int entry_parts_add(struct db *db, const struct registry_boot_entry *entry,
                    struct error *ret_error) MUST_CHECK;
int entry_parts_read(struct db *db, struct arena *arena, struct catalog_entry *entry,
                     struct error *ret_error) MUST_CHECK;

/* Have the node, and the nodes of the volume, nothing that makes no sense with a disk elsewhere
 * (elsewhere.c)? 0 as an id is nobody's. */
int elsewhere_check(struct db *db, int64_t node_id, int64_t volume_id,
                    struct error *ret_error) MUST_CHECK;

/* Labels of image versions (image_labels.c): -EINVAL for what cannot be one. */
int labels_check(const struct catalog_label *labels, size_t n_labels,
                 struct error *ret_error) MUST_CHECK;
/* Adds to those that a version has, or changes them; a value of NULL takes one away. */
int labels_store(struct db *db, int64_t version_id, const struct catalog_label *labels,
                 size_t n_labels, struct error *ret_error) MUST_CHECK;

/* Files in the directory of the database (the state directory) are stored relative to it, so that a
 * copy of that directory never touches the files of the original. How a path is stored: a part of
 * path. */
const char *path_to_store(const struct db *db, const char *path);
/* And back: absolute. "" stays "", and so does a URI. */
const char *path_from_store(const struct db *db, const char *stored, char path[static PATH_MAX]);

/* The files of a layer, but for their suffixes. */
const char *path_of_layer(const struct db *db, int64_t layer_id, char path[static PATH_MAX]);
/* Gives a volume a new, empty top over another layer, or an image version, or nothing (0), and sets
 * what its row says of it. */
int overlay_put_top(struct db *db, int64_t volume_id, int64_t below_id, int64_t image_version_id,
                    uint64_t size, struct error *ret_error) MUST_CHECK;
/* What the overlays of one catalog have in common. Zeroed; overlay_load() fills it, arena_free()
 * it. */
struct overlay_loader {
    struct arena arena;
    struct catalog_base base; /* the one read last */
};

/* Reads an overlay whose top this is; what it consists of lives in the loader. */
int overlay_load(struct db *db, struct overlay_loader *loader, int64_t volume_id, const char *name,
                 int64_t top_id, struct catalog_overlay *overlay,
                 struct error *ret_error) MUST_CHECK;

/* Everything that the catalog holds, as the transaction under way sees it. NULL: failed. */
struct catalog *catalog_load(struct db *db, const char *base_iqn, uint64_t generation,
                             struct error *ret_error) MUST_CHECK;
/* The same, if nothing but what is listed has changed since `before` was loaded: of a thousand
 * volumes one is read, and not a thousand. */
struct catalog *catalog_load_changed(struct db *db, const struct catalog *before,
                                     const struct changed *changed, size_t n_changed,
                                     struct error *ret_error) MUST_CHECK;
