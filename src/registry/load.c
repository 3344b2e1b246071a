/* Builds the catalog out of the tables. */
#include "core/arena.h"
#include "registry/operation.h"

#include <errno.h>

/* A growing array of MACs or initiators, used for one row after the other. */
struct scratch {
    struct mac_address *macs;
    char **allow;
    size_t count, room;
};

static void scratch_clear(struct scratch *s)
{
    for (size_t i = 0; s->allow && i < s->count; i++)
        free(s->allow[i]);
    s->count = 0;
}

static void scratch_free(struct scratch *s)
{
    scratch_clear(s);
    free(s->macs);
    free(s->allow);
}

static int scratch_grow(struct scratch *s, void **array, size_t size)
{
    if (s->count < s->room)
        return 0;
    size_t room = s->room ? s->room * 2 : 8;
    void *grown = reallocarray(*array, room, size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    s->room = room;
    return 0;
}

/* Text that only we ever write; anything else means damage. */
static int damaged(struct db *db, const char *what, const char *text, struct error *ret_error)
{
    return error_set(ret_error, -EUCLEAN, "the registry %s is damaged: '%.64s' is not a %s",
                     db->path, text, what);
}

static int add_mac(struct db *db, struct scratch *macs, const char *text, struct error *ret_error)
{
    if (scratch_grow(macs, (void **)&macs->macs, sizeof(*macs->macs)) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (mac_parse(text, &macs->macs[macs->count]) < 0)
        return damaged(db, "mac", text, ret_error);
    macs->count++;
    return 0;
}

/* The MACs of all nodes come in the order of the nodes: one pass over both. */
static int read_macs(struct db *db, sqlite3_stmt *rows, int64_t node_id, bool *more,
                     struct scratch *macs, struct error *ret_error)
{
    macs->count = 0;
    while (*more && sqlite3_column_int64(rows, 0) == node_id) {
        int r = add_mac(db, macs, db_column_text(rows, 1), ret_error);
        if (r < 0)
            return r;
        r = db_next(db, rows, ret_error);
        if (r < 0)
            return r;
        *more = r > 0;
    }
    return 0;
}

#define MAX_ATTACHMENTS REGISTRY_MAX_LUN

static int read_attachments(struct db *db, int64_t node_id,
                            struct catalog_attachment attachments[static MAX_ATTACHMENTS],
                            size_t *ret_count, struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db, "SELECT lun, volume_id FROM attachments WHERE node_id = ? ORDER BY lun",
                 DB_VALUES(db_int(node_id)), ret_error);
    if (!rows)
        return ret_error->code;
    size_t n = 0;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        int lun = sqlite3_column_int(rows, 0);
        if (n == MAX_ATTACHMENTS || lun < 1 || lun > REGISTRY_MAX_LUN) {
            r = damaged(db, "LUN", db_column_text(rows, 0), ret_error);
            db_end(rows);
            return r;
        }
        attachments[n++] = (struct catalog_attachment){
            .lun = (uint32_t)lun, .volume_id = (uint64_t)sqlite3_column_int64(rows, 1)};
    }
    *ret_count = n;
    return r;
}

static int read_paths(struct db *db, int64_t node_id,
                      struct catalog_path paths[static REGISTRY_MAX_PATHS], size_t *ret_count,
                      struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db, "SELECT mac, address FROM node_paths WHERE node_id = ? ORDER BY mac",
                 DB_VALUES(db_int(node_id)), ret_error);
    if (!rows)
        return ret_error->code;
    size_t n = 0;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        if (n == REGISTRY_MAX_PATHS || mac_parse(db_column_text(rows, 0), &paths[n].mac) < 0 ||
            ipv4_parse(db_column_text(rows, 1), &paths[n].address) < 0) {
            r = damaged(db, "path of a node", db_column_text(rows, 1), ret_error);
            db_end(rows);
            return r;
        }
        n++;
    }
    *ret_count = n;
    return r;
}

static int read_node(struct db *db, sqlite3_stmt *row, const struct scratch *macs,
                     struct catalog *catalog, struct error *ret_error)
{
    struct catalog_node node = {
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .name = db_column_text(row, 1),
        .group = db_column_text_or_null(row, 2),
        .volume_id = (uint64_t)sqlite3_column_int64(row, 4),
        .created_at = (uint64_t)sqlite3_column_int64(row, 5),
        .macs = macs->macs,
        .n_macs = macs->count,
    };
    struct catalog_attachment attachments[MAX_ATTACHMENTS];
    struct catalog_path paths[REGISTRY_MAX_PATHS];
    struct dhcp_options options;
    struct boot_rules rules;
    cleanup_chap_record struct chap_record chap;
    int r = read_attachments(db, (int64_t)node.id, attachments, &node.n_attachments, ret_error);
    if (r >= 0)
        r = read_paths(db, (int64_t)node.id, paths, &node.n_paths, ret_error);
    if (r >= 0)
        r = chap_read_record(db, (int64_t)node.id, &chap, ret_error);
    if (r >= 0)
        r = options_read_node(db, (int64_t)node.id, &options, ret_error);
    if (r >= 0)
        r = boot_rules_read_node(db, (int64_t)node.id, &rules, ret_error);
    if (r < 0)
        return r;
    node.rules = &rules;
    node.chap = chap.list;
    node.chap_since = chap.since;
    node.chap_seen = chap.seen;
    node.ways.chap_rotation = chap.rotation;
    node.attachments = attachments;
    node.paths = paths;
    node.options = &options;
    const char *address = db_column_text_or_null(row, 3);
    const char *password = db_column_text_or_null(row, 6);
    if (!name_is_host(node.name))
        return damaged(db, "node's name", node.name, ret_error);
    if (node.n_macs == 0)
        return damaged(db, "node with a mac", node.name, ret_error);
    if (address && ipv4_parse(address, &node.address) < 0)
        return damaged(db, "IPv4 address", address, ret_error);
    if (password && wake_password_parse(password, &node.wake_password) < 0)
        return damaged(db, "password of a card", "(secret)", ret_error);
    if (direct_way_parse(db_column_text(row, 7), &node.ways.direct, ret_error) < 0 ||
        ibft_origin_parse(db_column_text(row, 8), &node.ways.ibft_origin, ret_error) < 0)
        return damaged(db, "node's way to boot", node.name, ret_error);
    if (catalog_add_node(catalog, &node) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return 0;
}

static int read_nodes(struct db *db, sqlite3_stmt *nodes, sqlite3_stmt *mac_rows,
                      struct scratch *macs, struct catalog *catalog, struct error *ret_error)
{
    int r = db_next(db, mac_rows, ret_error);
    bool more_macs = r > 0;
    while (r >= 0 && (r = db_next(db, nodes, ret_error)) > 0) {
        r = read_macs(db, mac_rows, sqlite3_column_int64(nodes, 0), &more_macs, macs, ret_error);
        if (r >= 0)
            r = read_node(db, nodes, macs, catalog, ret_error);
    }
    return r;
}

#define NODE_MACS "SELECT node_id, mac FROM node_macs"
#define IN_ORDER  " ORDER BY node_id, position"
#define NODES                                                                                      \
    "SELECT n.id, n.name, g.name, n.address, n.volume_id, n.created_at,"                           \
    " (SELECT password FROM node_wake WHERE node_id = n.id), n.direct, n.ibft_origin"              \
    " FROM nodes n"                                                                                \
    " LEFT JOIN groups g ON g.id = n.group_id"

/* All of them, or the one of that id, if there is one. */
static int load_nodes(struct db *db, int64_t id, struct catalog *catalog, struct error *ret_error)
{
    struct scratch macs = {0};
    sqlite3_stmt *mac_rows =
        id ? db_start(db, NODE_MACS " WHERE node_id = ?" IN_ORDER, DB_VALUES(db_int(id)), ret_error)
           : db_start(db, NODE_MACS IN_ORDER, DB_NO_VALUES, ret_error);
    sqlite3_stmt *nodes =
        id ? db_start(db, NODES " WHERE n.id = ?", DB_VALUES(db_int(id)), ret_error)
           : db_start(db, NODES " ORDER BY n.id", DB_NO_VALUES, ret_error);
    int r = -EIO;
    if (mac_rows && nodes)
        r = read_nodes(db, nodes, mac_rows, &macs, catalog, ret_error);
    else
        r = ret_error->code;
    if (nodes)
        db_end(nodes);
    if (mac_rows)
        db_end(mac_rows);
    scratch_free(&macs);
    return r;
}

static int read_allow(struct db *db, int64_t volume_id, struct scratch *allow,
                      struct error *ret_error)
{
    scratch_clear(allow);
    sqlite3_stmt *rows =
        db_start(db, "SELECT initiator FROM volume_allow WHERE volume_id = ? ORDER BY initiator",
                 DB_VALUES(db_int(volume_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        char *copy = NULL;
        if (scratch_grow(allow, (void **)&allow->allow, sizeof(*allow->allow)) < 0 ||
            !(copy = strdup(db_column_text(rows, 0)))) {
            db_end(rows);
            return error_set(ret_error, -ENOMEM, "out of memory");
        }
        allow->allow[allow->count++] = copy;
    }
    return r;
}

static enum volume_state state_of(const char *text)
{
    if (str_eq(text, "ready"))
        return VOLUME_READY;
    if (str_eq(text, "creating"))
        return VOLUME_CREATING;
    return str_eq(text, "failed") ? VOLUME_FAILED : VOLUME_REMOVING;
}

/* One on its way out has no layers any more. */
static int read_overlay(struct db *db, sqlite3_stmt *row, struct overlay_loader *loader,
                        struct catalog_overlay *overlay, struct catalog_volume *volume,
                        struct error *ret_error)
{
    int64_t top_id = sqlite3_column_int64(row, 16);
    if (volume->kind != VOLUME_OVERLAY || (volume->state == VOLUME_REMOVING && !top_id))
        return 0;
    overlay->follows = sqlite3_column_int(row, 17) != 0;
    overlay->ephemeral = sqlite3_column_int(row, 18) != 0;
    overlay->staged_argument = arena_strdup(&loader->arena, db_column_text_or_null(row, 20));
    if (overlay_change_parse(db_column_text_or_null(row, 19), &overlay->staged) < 0)
        return damaged(db, "change of an overlay", db_column_text(row, 19), ret_error);
    int r = overlay_load(db, loader, (int64_t)volume->id, volume->name, top_id, overlay, ret_error);
    volume->overlay = overlay;
    volume->image = overlay->base.image;
    return r;
}

/* What is known of a LUN elsewhere is where it is. */
static int read_elsewhere(struct db *db, struct iscsi_uri *uri, struct catalog_volume *volume,
                          struct error *ret_error)
{
    struct error why;
    if (volume->kind != VOLUME_ISCSI)
        return 0;
    if (iscsi_uri_parse(volume->path, uri, &why) < 0)
        return damaged(db, "URI of a LUN", volume->path, ret_error);
    volume->elsewhere = uri;
    return 0;
}

static bool is_sound_size(const struct catalog_volume *volume)
{
    if (volume->kind == VOLUME_ISCSI)
        return volume->size == 0;
    return volume->size > 0 && volume->size <= INT64_MAX && volume->block_size > 0 &&
           volume->size % volume->block_size == 0;
}

static int read_volume(struct db *db, sqlite3_stmt *row, const struct scratch *allow,
                       struct overlay_loader *loader, struct catalog *catalog,
                       struct error *ret_error)
{
    char path[PATH_MAX];
    struct catalog_volume volume = {
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .name = db_column_text(row, 1),
        .state = state_of(db_column_text(row, 3)),
        .failure = db_column_text_or_null(row, 4),
        .path = path_from_store(db, db_column_text(row, 5), path),
        .owned = sqlite3_column_int(row, 6) != 0,
        .size = (uint64_t)sqlite3_column_int64(row, 7),
        .block_size = (uint32_t)sqlite3_column_int(row, 8),
        .read_only = sqlite3_column_int(row, 9) != 0,
        .allow_any = sqlite3_column_int(row, 10) != 0,
        .image = db_column_text_or_null(row, 12),
        .created_at = (uint64_t)sqlite3_column_int64(row, 13),
        .thick = sqlite3_column_int(row, 14) != 0,
        .removable = sqlite3_column_int(row, 15) != 0,
        .allow = (const char *const *)allow->allow,
        .n_allow = allow->count,
    };
    cleanup_chap_credentials struct chap_credentials chap = {.mode = CHAP_NONE};
    int r = chap_read_volume(db, (int64_t)volume.id, &chap, ret_error);
    if (r < 0)
        return r;
    if (volume_kind_parse(db_column_text(row, 2), &volume.kind) < 0)
        return damaged(db, "kind of volume", db_column_text(row, 2), ret_error);
    struct catalog_overlay overlay = {0};
    r = read_overlay(db, row, loader, &overlay, &volume, ret_error);
    struct iscsi_uri uri;
    if (r >= 0)
        r = read_elsewhere(db, &uri, &volume, ret_error);
    if (r < 0)
        return r;
    struct source sources[REGISTRY_MAX_SOURCES];
    r = sources_read(db, (int64_t)volume.id, sources, &volume.n_sources, ret_error);
    if (r < 0)
        return r;
    volume.sources = sources;
    volume.chap = &chap;
    volume.shared = volume.allow_any || volume.n_allow > 1;
    if (!name_is_object(volume.name))
        return damaged(db, "volume's name", volume.name, ret_error);
    if (!is_sound_size(&volume))
        return damaged(db, "volume with a size", volume.name, ret_error);
    const void *serial = sqlite3_column_blob(row, 11);
    if (!serial || sqlite3_column_bytes(row, 11) != sizeof(volume.serial))
        return damaged(db, "serial number", volume.name, ret_error);
    memcpy(volume.serial, serial, sizeof(volume.serial));
    if (catalog_add_volume(catalog, &volume) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return 0;
}

#define VOLUMES                                                                                    \
    "SELECT id, name, kind, state, failure, path, owned, size, block_size, read_only, allow_any,"  \
    " serial, image, created_at, thick, removable, layer_id, follows, ephemeral, staged,"          \
    " staged_argument FROM volumes"

/* As load_nodes(). */
static int load_volumes(struct db *db, int64_t id, struct catalog *catalog, struct error *ret_error)
{
    struct scratch allow = {0};
    struct overlay_loader loader = {0};
    sqlite3_stmt *rows =
        id ? db_start(db, VOLUMES " WHERE id = ?", DB_VALUES(db_int(id)), ret_error)
           : db_start(db, VOLUMES, DB_NO_VALUES, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        r = read_allow(db, sqlite3_column_int64(rows, 0), &allow, ret_error);
        if (r >= 0)
            r = read_volume(db, rows, &allow, &loader, catalog, ret_error);
        if (r < 0)
            break;
    }
    db_end(rows);
    scratch_free(&allow);
    arena_free(&loader.arena);
    return r;
}

/* The labels of one version, with their text in an arena. */
struct labels {
    struct arena arena;
    struct catalog_label list[REGISTRY_MAX_LABELS];
    size_t count;
};

static int read_labels(struct db *db, uint64_t version_id, struct labels *labels,
                       struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db, "SELECT key, value FROM image_labels WHERE version_id = ? ORDER BY key",
                 DB_VALUES(db_int((int64_t)version_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        if (labels->count == REGISTRY_MAX_LABELS || !name_is_object(db_column_text(rows, 0))) {
            r = damaged(db, "label", db_column_text(rows, 0), ret_error);
            db_end(rows);
            return r;
        }
        struct catalog_label *l = &labels->list[labels->count++];
        l->key = arena_strdup(&labels->arena, db_column_text(rows, 0));
        l->value = arena_strdup(&labels->arena, db_column_text(rows, 1));
        if (!l->key || !l->value) {
            db_end(rows);
            return error_set(ret_error, -ENOMEM, "out of memory");
        }
    }
    return r;
}

static int read_image(struct db *db, sqlite3_stmt *row, struct labels *labels,
                      struct catalog *catalog, struct error *ret_error)
{
    char path[PATH_MAX];
    struct catalog_image image = {
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .name = db_column_text(row, 1),
        .version = (uint32_t)sqlite3_column_int64(row, 2),
        .path = path_from_store(db, db_column_text(row, 3), path),
        .size = (uint64_t)sqlite3_column_int64(row, 4),
        .created_at = (uint64_t)sqlite3_column_int64(row, 5),
        .sha256 = db_column_text_or_null(row, 7),
        .source = db_column_text_or_null(row, 8),
        .format = db_column_text_or_null(row, 9),
        .labels = labels->list,
    };
    int r = read_labels(db, image.id, labels, ret_error);
    if (r < 0)
        return r;
    image.n_labels = labels->count;
    const void *identity = sqlite3_column_blob(row, 6);
    if (!identity || sqlite3_column_bytes(row, 6) != sizeof(image.identity))
        return damaged(db, "image version with an identity", image.name, ret_error);
    memcpy(image.identity, identity, sizeof(image.identity));
    if (catalog_add_image(catalog, &image) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return 0;
}

static int load_images(struct db *db, struct catalog *catalog, struct error *ret_error)
{
    sqlite3_stmt *rows = db_start(
        db,
        "SELECT v.id, i.name, v.version, v.path, v.size, v.created_at, v.identity, v.sha256,"
        " v.source, v.format"
        " FROM image_versions v JOIN images i ON i.id = v.image_id WHERE v.state = 'ready'",
        DB_NO_VALUES, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        struct labels labels = {0};
        r = read_image(db, rows, &labels, catalog, ret_error);
        arena_free(&labels.arena);
        if (r < 0)
            break;
    }
    db_end(rows);
    return r;
}

static int load_groups(struct db *db, struct catalog *catalog, struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db, "SELECT id, name, created_at FROM groups", DB_NO_VALUES, ret_error);
    if (!rows)
        return ret_error->code;
    int r;
    struct dhcp_options options;
    struct boot_rules rules;
    while ((r = db_next(db, rows, ret_error)) > 0) {
        struct catalog_group group = {
            .id = (uint64_t)sqlite3_column_int64(rows, 0),
            .name = db_column_text(rows, 1),
            .created_at = (uint64_t)sqlite3_column_int64(rows, 2),
            .options = &options,
            .rules = &rules,
        };
        r = options_read_group(db, (int64_t)group.id, &options, ret_error);
        if (r >= 0)
            r = boot_rules_read_group(db, (int64_t)group.id, &rules, ret_error);
        if (r >= 0 && catalog_add_group(catalog, &group) < 0)
            r = error_set(ret_error, -ENOMEM, "out of memory");
        if (r < 0)
            break;
    }
    db_end(rows);
    return r;
}

static int load_site_rules(struct db *db, struct catalog *catalog, struct error *ret_error)
{
    struct boot_rules rules;
    int r = boot_rules_read_site(db, &rules, ret_error);
    if (r >= 0)
        catalog_set_site_rules(catalog, &rules);
    return r;
}

static int no_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory");
}

static int copy_groups(const struct catalog *from, struct catalog *catalog)
{
    size_t n;
    int r = 0;
    const struct catalog_group *groups = catalog_groups(from, &n);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = catalog_add_group(catalog, &groups[i]);
    return r;
}

static int copy_entries(const struct catalog *from, struct catalog *catalog)
{
    size_t n;
    int r = 0;
    const struct catalog_entry *entries = catalog_entries(from, &n);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = catalog_add_entry(catalog, &entries[i]);
    catalog_set_site_rules(catalog, catalog_site_rules(from));
    return r;
}

static int copy_images(const struct catalog *from, struct catalog *catalog)
{
    size_t n;
    int r = 0;
    const struct catalog_image *images = catalog_images(from, &n);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = catalog_add_image(catalog, &images[i]);
    return r;
}

static bool names_volume(const struct changed *changed, size_t n_changed, uint64_t id)
{
    for (size_t i = 0; i < n_changed; i++)
        if ((uint64_t)changed[i].volume_id == id)
            return true;
    return false;
}

static bool names_node(const struct changed *changed, size_t n_changed, uint64_t id)
{
    for (size_t i = 0; i < n_changed; i++)
        if ((uint64_t)changed[i].node_id == id)
            return true;
    return false;
}

static int copy_volumes(const struct catalog *from, const struct changed *changed, size_t n_changed,
                        struct catalog *catalog)
{
    size_t n;
    int r = 0;
    const struct catalog_volume *volumes = catalog_volumes(from, &n);
    for (size_t i = 0; r >= 0 && i < n; i++)
        if (!names_volume(changed, n_changed, volumes[i].id))
            r = catalog_add_volume(catalog, &volumes[i]);
    return r;
}

static int copy_nodes(const struct catalog *from, const struct changed *changed, size_t n_changed,
                      struct catalog *catalog)
{
    size_t n;
    int r = 0;
    const struct catalog_node *nodes = catalog_nodes(from, &n);
    for (size_t i = 0; r >= 0 && i < n; i++)
        if (!names_node(changed, n_changed, nodes[i].id))
            r = catalog_add_node(catalog, &nodes[i]);
    return r;
}

/* Each that is named, once. */
static int load_named(struct db *db, const struct changed *changed, size_t n_changed,
                      struct catalog *catalog, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n_changed; i++) {
        int64_t volume_id = changed[i].volume_id, node_id = changed[i].node_id;
        if (volume_id && !names_volume(changed, i, (uint64_t)volume_id))
            r = load_volumes(db, volume_id, catalog, ret_error);
        if (r >= 0 && node_id && !names_node(changed, i, (uint64_t)node_id))
            r = load_nodes(db, node_id, catalog, ret_error);
    }
    return r;
}

struct catalog *catalog_load_changed(struct db *db, const struct catalog *before,
                                     const struct changed *changed, size_t n_changed,
                                     struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog =
        catalog_new(catalog_base_iqn(before), catalog_generation(before) + 1);
    if (!catalog || copy_groups(before, catalog) < 0 || copy_images(before, catalog) < 0 ||
        copy_entries(before, catalog) < 0 ||
        copy_volumes(before, changed, n_changed, catalog) < 0 ||
        copy_nodes(before, changed, n_changed, catalog) < 0) {
        no_memory(ret_error);
        return NULL;
    }
    if (load_named(db, changed, n_changed, catalog, ret_error) < 0)
        return NULL;
    if (catalog_seal(catalog) < 0) {
        no_memory(ret_error);
        return NULL;
    }
    return take_ptr(catalog);
}

struct catalog *catalog_load(struct db *db, const char *base_iqn, uint64_t generation,
                             struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_new(base_iqn, generation);
    if (!catalog) {
        error_set(ret_error, -ENOMEM, "out of memory");
        return NULL;
    }
    if (load_site_rules(db, catalog, ret_error) < 0 ||
        boot_entries_load(db, catalog, ret_error) < 0 || load_groups(db, catalog, ret_error) < 0 ||
        load_images(db, catalog, ret_error) < 0 || load_volumes(db, 0, catalog, ret_error) < 0 ||
        load_nodes(db, 0, catalog, ret_error) < 0)
        return NULL;
    if (catalog_seal(catalog) < 0) {
        error_set(ret_error, -ENOMEM, "out of memory");
        return NULL;
    }
    return take_ptr(catalog);
}
