/*
 * A registry whose rows and pages somebody has changed: it must be refused with a sentence, or come
 * to a catalog that is as sound as any. Input: records of
 *
 *     what (1 byte), size (1 byte), bytes
 *
 * what & 1: bytes are put over the database file at the place in the first three of them; else they
 * are the value of a column: which one (1 byte), row (1 byte), type (1 byte), value.
 */
#include "core/names.h"
#include "core/wire.h"
#include "registry/operation.h"
#include "registry/plan.h"
#include "registry/schema.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const columns[][2] = {
    {"groups", "id"},
    {"groups", "name"},
    {"images", "name"},
    {"image_versions", "image_id"},
    {"image_versions", "version"},
    {"image_versions", "path"},
    {"image_versions", "size"},
    {"image_versions", "state"},
    {"volumes", "id"},
    {"volumes", "name"},
    {"volumes", "kind"},
    {"volumes", "state"},
    {"volumes", "path"},
    {"volumes", "size"},
    {"volumes", "block_size"},
    {"volumes", "read_only"},
    {"volumes", "thick"},
    {"volumes", "removable"},
    {"volumes", "serial"},
    {"volumes", "image"},
    {"volume_allow", "initiator"},
    {"nodes", "id"},
    {"nodes", "name"},
    {"nodes", "group_id"},
    {"nodes", "address"},
    {"nodes", "volume_id"},
    {"node_macs", "mac"},
    {"node_macs", "node_id"},
    {"node_macs", "position"},
    {"image_versions", "identity"},
    {"image_versions", "sha256"},
    {"image_labels", "key"},
    {"image_labels", "value"},
    {"volumes", "layer_id"},
    {"volumes", "follows"},
    {"volumes", "ephemeral"},
    {"volumes", "staged"},
    {"volumes", "staged_argument"},
    {"layers", "id"},
    {"layers", "identity"},
    {"layers", "volume_id"},
    {"layers", "below_id"},
    {"layers", "image_version_id"},
    {"layers", "size"},
    {"layers", "state"},
    {"snapshots", "name"},
    {"snapshots", "volume_id"},
    {"snapshots", "layer_id"},
    {"node_options", "setting"},
    {"group_options", "setting"},
    {"volume_allow_from", "source"},
    {"node_paths", "node_id"},
    {"node_paths", "mac"},
    {"node_paths", "address"},
    {"boot_rules", "node_id"},
    {"boot_rules", "slot"},
    {"boot_rules", "target"},
    {"boot_rules", "until"},
    {"boot_rules", "times"},
    {"boot_entries", "name"},
    {"boot_entries", "title"},
    {"boot_entries", "kind"},
    {"boot_entries", "arguments"},
    {"boot_entry_initrds", "entry_id"},
    {"boot_entry_initrds", "file"},
    {"boot_entry_answers", "entry_id"},
    {"boot_entry_answers", "format"},
    {"boot_entry_answers", "file"},
    {"boot_entry_variables", "name"},
    {"boot_entry_variables", "value"},
    {"boot_entry_digests", "position"},
    {"boot_entry_digests", "sha256"},
    {"boot_entry_urls", "position"},
    {"boot_entry_urls", "url"},
    {"boot_rule_after", "rule_id"},
    {"boot_rule_after", "failures"},
    {"volume_trials", "boot_id"},
    {"volume_trials", "snapshot"},
    {"volume_trials", "running"},
    {"volume_trials", "kept"},
    {"node_chap", "user"},
    {"node_chap", "secret"},
    {"node_chap", "target_user"},
    {"node_chap", "target_secret"},
    {"node_chap_rotation", "node_id"},
    {"node_chap_rotation", "rotation"},
    {"node_chap_age", "node_id"},
    {"node_chap_age", "boot_id"},
    {"node_chap_age", "since"},
    {"node_chap_age", "seen"},
    {"node_chap_older", "node_id"},
    {"node_chap_older", "boot_id"},
    {"node_chap_older", "user"},
    {"node_chap_older", "secret"},
    {"node_chap_older", "target_user"},
    {"node_chap_older", "target_secret"},
    {"node_chap_older", "seen"},
};

static const char rows[] =
    "PRAGMA journal_mode = DELETE;"
    "INSERT INTO groups VALUES (1, 'rack1', 1);"
    "INSERT INTO images VALUES (1, 'debian12', 2);"
    "INSERT INTO image_versions VALUES (1, 1, 1, 'ready', '/i/1.raw', 4096, 1, randomblob(16),"
    " NULL, 'a.qcow2', 'qcow2');"
    "INSERT INTO image_labels VALUES (1, 'os', 'Debian 12');"
    "INSERT INTO image_versions VALUES (2, 1, 2, 'importing', '/i/2.raw', 0, 1, randomblob(16),"
    " NULL, NULL, NULL);"
    "INSERT INTO volumes VALUES (1, 'disk1', 'file', 'ready', NULL, '/v/1.raw', 1, 8192, 512, 0, 0,"
    " x'00112233445566778899aabbccddeeff', 'debian12@1', 1, 0, 1, NULL, 0, 0, NULL, NULL, 0, 0);"
    "INSERT INTO volumes VALUES (2, 'disk2', 'device', 'failed', 'why', '/dev/x', 0, 8192, 4096, 1,"
    " 1, x'10112233445566778899aabbccddeeff', NULL, 1, 1, 0, NULL, 0, 0, NULL, NULL, 0, 0);"
    "INSERT INTO volumes VALUES (3, 'disk3', 'overlay', 'ready', NULL, 'layers/3', 1, 8192, 512, 0,"
    " 0, x'20112233445566778899aabbccddeeff', NULL, 1, 0, 0, NULL, 1, 0, 'rollback', 's', 0, 0);"
    "INSERT INTO layers VALUES (1, randomblob(16), 3, NULL, 1, 4096, 'made', 0, 1);"
    "INSERT INTO layers VALUES (2, randomblob(16), 3, 1, NULL, 8192, 'made', 1, 1);"
    "INSERT INTO layers VALUES (3, randomblob(16), 3, 2, NULL, 8192, 'new', 0, 1);"
    "UPDATE volumes SET layer_id = 3 WHERE id = 3;"
    "INSERT INTO snapshots VALUES (1, 3, 's', 1, 1);"
    "INSERT INTO volumes VALUES (4, 'disk4', 'iscsi', 'ready', NULL, "
    "'iscsi://nas/iqn.2026-11.x:y/1', 0,"
    " 0, 512, 0, 0, x'30112233445566778899aabbccddeeff', NULL, 1, 0, 0, NULL, 0, 0, NULL, NULL, 0, "
    "0);"
    "INSERT INTO volume_allow VALUES (2, 'iqn.2020-01.org.x:a');"
    "INSERT INTO volume_allow_from VALUES (1, '10.0.0.0/24'), (1, 'node'), (2, '2001:db8::/32');"
    "INSERT INTO nodes VALUES (1, 'web1', 1, '10.0.0.11', 1, 1, 'default', 'default');"
    "INSERT INTO nodes VALUES (2, 'web2', NULL, NULL, NULL, 1, 'default', 'default');"
    "INSERT INTO node_options VALUES (1, 26, 'mtu=9000');"
    "INSERT INTO group_options VALUES (1, 42, 'always:ntp=10.0.0.5');"
    "INSERT INTO node_macs VALUES ('52:54:00:00:00:01', 1, 0);"
    "INSERT INTO node_macs VALUES ('52:54:00:00:00:04', 1, 1);"
    "INSERT INTO node_paths VALUES (1, '52:54:00:00:00:04', '10.1.0.11');"
    "INSERT INTO node_macs VALUES ('52:54:00:00:00:02', 2, 0);"
    "INSERT INTO node_macs VALUES ('52:54:00:00:00:03', 2, 1);"
    "INSERT INTO boot_entries VALUES (1, 'rescue', 'Rescue', 'live', '/k', 'quiet', 1);"
    "INSERT INTO boot_entry_initrds VALUES (1, 0, '/i');"
    "INSERT INTO boot_entry_answers VALUES (1, 'preseed', '/p');"
    "INSERT INTO boot_entry_variables VALUES (1, 'suite', 'bookworm');"
    "INSERT INTO boot_entry_digests VALUES (1, -1, "
    "'0123456789012345678901234567890123456789012345678"
    "901234567890abc');"
    "INSERT INTO boot_entry_urls VALUES (1, 0, 'http://m/i');"
    "INSERT INTO boot_rules VALUES (1, 1, NULL, 'temporary', 'local', NULL, 2, 0, 1);"
    "INSERT INTO boot_rules VALUES (2, 2, NULL, 'standing', 'entry:rescue', NULL, NULL, 0, 1);"
    "INSERT INTO boot_rules VALUES (3, NULL, 1, 'fallback', 'menu', NULL, NULL, 0, 1);"
    "INSERT INTO boot_rules VALUES (4, NULL, NULL, 'temporary', 'volume:disk2', 9, NULL, 0, 1);"
    "INSERT INTO boot_rule_after VALUES (3, 2);"
    "INSERT INTO volume_trials VALUES (3, 7, 's', 7, 's', 's');"
    "INSERT INTO node_chap VALUES (1, 'web1', 'correct-horse', 'nodisk', 'battery-staple');"
    "INSERT INTO node_chap VALUES (2, 'web2', 'correct-mouse', NULL, NULL);"
    "INSERT INTO node_chap_rotation VALUES (1, 'boot'), (2, 'manual');"
    "INSERT INTO node_chap_age VALUES (1, 9, 1, 0), (2, 4, 1, 1);"
    "INSERT INTO node_chap_older VALUES (1, 8, 'web1', 'older-horse-1', 'nodisk', 'older-staple', "
    "0),"
    " (1, 5, 'web1', 'older-horse-2', NULL, NULL, 1), (2, 0, 'web2', 'older-mouse-1', NULL, NULL, "
    "1);";

/* The database as it was before; made once. */
static struct {
    char path[64];
    uint8_t *bytes;
    size_t size;
} whole;

static void read_whole(void)
{
    struct stat st;
    int fd = open(whole.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        abort();
    whole.size = (size_t)st.st_size;
    whole.bytes = malloc(whole.size);
    if (read(fd, whole.bytes, whole.size) != st.st_size)
        abort();
    close(fd);
}

static void remove_files(void)
{
    char name[80];
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        snprintf(name, sizeof(name), "%s%s", whole.path, endings[i]);
        unlink(name);
    }
}

static void make_whole(void)
{
    struct db db = {0};
    struct error error;
    snprintf(whole.path, sizeof(whole.path), "/dev/shm/nodisk-fuzz-%d.db", getpid());
    atexit(remove_files);
    if (schema_open(&db, whole.path, &error) < 0 || db_exec(&db, rows, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    db_close(&db);
    read_whole();
}

/* The next record; false: that was the last one. */
static bool next_record(struct wire_reader *r, uint8_t *ret_what, struct wire_reader *ret_bytes)
{
    if (wire_reader_left(r) < 3)
        return false;
    *ret_what = wire_get_u8(r);
    size_t size = wire_get_u8(r);
    *ret_bytes = wire_get_sub(r, MIN(size, wire_reader_left(r)));
    return true;
}

/* Over the bytes of a copy of the file. */
static void poke(uint8_t *bytes, struct wire_reader r)
{
    size_t at = wire_get_be24(&r) % whole.size;
    size_t n = MIN(wire_reader_left(&r), whole.size - at);
    wire_get_copy(&r, bytes + at, n);
}

static void write_damaged(struct wire_reader r)
{
    uint8_t what, *bytes = malloc(whole.size);
    struct wire_reader record;
    memcpy(bytes, whole.bytes, whole.size);
    while (next_record(&r, &what, &record))
        if (what & 1)
            poke(bytes, record);
    remove_files();
    int fd = open(whole.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, whole.size) != (ssize_t)whole.size)
        abort();
    close(fd);
    free(bytes);
}

/* May fail: the value may not fit the column. */
static void set_value(sqlite3 *handle, struct wire_reader r)
{
    const char *const *column = columns[wire_get_u8(&r) % ARRAY_SIZE(columns)];
    unsigned row = wire_get_u8(&r) % 4, type = wire_get_u8(&r) % 4;
    sqlite3_stmt *statement;
    char sql[160];
    snprintf(sql, sizeof(sql),
             "UPDATE %s SET %s = ?1 WHERE %s = (SELECT %s FROM %s LIMIT 1 OFFSET %u)", column[0],
             column[1], column[1], column[1], column[0], row);
    if (sqlite3_prepare_v2(handle, sql, -1, &statement, NULL) != SQLITE_OK)
        return;
    if (type == 0)
        sqlite3_bind_int64(statement, 1, (int64_t)wire_get_be64(&r));
    else if (type == 1)
        sqlite3_bind_text(statement, 1, (const char *)r.pos, (int)wire_reader_left(&r),
                          SQLITE_STATIC);
    else if (type == 2)
        sqlite3_bind_blob(statement, 1, r.pos, (int)wire_reader_left(&r), SQLITE_STATIC);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
}

static void change_values(struct wire_reader r)
{
    sqlite3 *handle;
    struct wire_reader record;
    uint8_t what;
    if (sqlite3_open(whole.path, &handle) == SQLITE_OK) {
        sqlite3_exec(handle, "PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF", NULL,
                     NULL, NULL);
        while (next_record(&r, &what, &record))
            if (!(what & 1))
                set_value(handle, record);
    }
    sqlite3_close(handle);
}

static void check_secrets(const struct catalog_node *node)
{
    size_t count = 0;
    for (const struct chap_credentials *c = node->chap; c; c = c->older) {
        assert(++count <= 1 + REGISTRY_MAX_OLDER_CHAP);
        assert(c->mode != CHAP_NONE && strlen(c->initiator.secret) >= CREDENTIALS_SECRET_MIN);
        assert(c->mode != CHAP_MUTUAL || !str_eq(c->initiator.secret, c->target.secret));
        assert(!c->older || c->older->tag < c->tag);
    }
}

static void check_node(const struct catalog *catalog, const struct catalog_node *node)
{
    const struct plan_moment moment = {.now = 5};
    assert(name_is_host(node->name) && node->n_macs > 0);
    check_secrets(node);
    for (size_t i = 0; i < node->n_macs; i++) {
        struct plan plan = plan_for_mac(catalog, node->macs[i], &moment);
        assert(plan.node && (plan.kind < PLAN_PREPARING || plan.kind > PLAN_VOLUME || plan.volume));
        assert(plan.kind != PLAN_ENTRY || plan.entry);
    }
}

static void check_image(const struct catalog *catalog, const struct catalog_image *image)
{
    assert(catalog_image_find(catalog, image->name, image->version));
    for (size_t i = 0; i < image->n_labels; i++)
        assert(name_is_object(image->labels[i].key) && image->labels[i].value);
}

static void check_layers(const struct catalog_layer *layers, size_t count)
{
    assert(count > 0 && count <= REGISTRY_MAX_LAYERS);
    for (size_t i = 0; i < count; i++)
        assert(layers[i].path);
}

static void check_overlay(const struct catalog_overlay *overlay)
{
    check_layers(overlay->layers, overlay->n_layers);
    for (size_t i = 0; i < overlay->n_snapshots; i++) {
        assert(overlay->snapshots[i].name);
        check_layers(overlay->snapshots[i].layers, overlay->snapshots[i].n_layers);
    }
}

static void check_catalog(const struct catalog *catalog)
{
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        check_node(catalog, &nodes[i]);
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    for (size_t i = 0; i < count; i++) {
        const struct catalog_volume *v = &volumes[i];
        assert(name_is_object(v->name) && v->path);
        assert(v->block_size == 512 || v->block_size == 4096);
        assert((v->kind == VOLUME_ISCSI) == (v->elsewhere != NULL));
        assert(v->elsewhere ? v->size == 0 : v->size > 0 && v->size % v->block_size == 0);
        if (v->overlay)
            check_overlay(v->overlay);
    }
    const struct catalog_image *images = catalog_images(catalog, &count);
    for (size_t i = 0; i < count; i++)
        check_image(catalog, &images[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct db db = {0};
    struct error error = {0};
    struct catalog *catalog = NULL;
    struct wire_reader r = wire_reader_of(data, size);
    if (!whole.bytes)
        make_whole();
    write_damaged(r);
    change_values(r);
    if (schema_open(&db, whole.path, &error) >= 0)
        catalog = catalog_load(&db, "iqn.2026-11.lan.example", 1, &error);
    if (catalog)
        check_catalog(catalog);
    else
        assert(error.code < 0 && error.text[0]);
    catalog_unref(catalog);
    db_close(&db);
    return 0;
}
