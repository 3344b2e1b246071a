/*
 * var/lib/nodisk-prepare/undo.json: {"paths": [{"path", "kind", "mode", "uid", "gid", "seconds",
 * "nanoseconds", "target" or "data": "N" (a file beside it), "after": SHA-256}, ...]}, in the order
 * in which they were changed.
 *
 * It may be a stranger's: paths are looked up inside the tree only, like all others.
 */
#include "prepare/undo.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <nettle/sha2.h>

#define RECORD UNDO_DIRECTORY "/undo.json"

static const char *const kind_names[] = {
    [TREE_ABSENT] = "absent",       [TREE_FILE] = "file",   [TREE_LINK] = "link",
    [TREE_DIRECTORY] = "directory", [TREE_OTHER] = "other",
};

struct fingerprint {
    char hex[2 * SHA256_DIGEST_SIZE + 1];
};

/* Of all that tree_entry_same() looks at. */
static struct fingerprint fingerprint_of(const struct tree_entry *entry)
{
    struct fingerprint print;
    struct sha256_ctx hash;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char head[128];
    bool there = entry->kind != TREE_ABSENT;
    int n = snprintf(head, sizeof(head), "%s %o %u %u ", kind_names[entry->kind],
                     there && entry->kind != TREE_LINK ? entry->mode : 0, there ? entry->uid : 0,
                     there ? entry->gid : 0);
    sha256_init(&hash);
    sha256_update(&hash, (size_t)n, (const uint8_t *)head);
    if (entry->kind == TREE_FILE || entry->kind == TREE_LINK)
        sha256_update(&hash, entry->size, (const uint8_t *)entry->data);
    sha256_digest(&hash, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(print.hex + 2 * i, 3, "%02x", digest[i]);
    return print;
}

/* The record, or a new one; NULL: it is damaged, or no memory. */
static json_t *load(const struct tree *tree, struct arena *arena, bool *ret_exists)
{
    const char *text = tree_text(tree, arena, RECORD);
    *ret_exists = text != NULL;
    json_t *record = text ? json_loads(text, 0, NULL) : json_pack("{s:[]}", "paths");
    if (record && !json_is_array(json_object_get(record, "paths"))) {
        json_decref(record);
        record = NULL;
    }
    return record;
}

static int put_text(const struct tree *tree, const char *path, const char *data, size_t size)
{
    const struct tree_entry entry = {.kind = TREE_FILE,
                                     .mode = 0600,
                                     .uid = geteuid(),
                                     .gid = getegid(),
                                     .data = data,
                                     .size = size};
    return tree_put(tree, path, &entry);
}

static int save(const struct tree *tree, const json_t *record)
{
    char *text = json_dumps(record, JSON_INDENT(1));
    int r = text ? put_text(tree, RECORD, text, strlen(text)) : -ENOMEM;
    free(text);
    return r;
}

static int make_directories(const struct tree *tree)
{
    static const char *const directories[] = {"var", "var/lib", UNDO_DIRECTORY};
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        const struct tree_entry directory = {
            .kind = TREE_DIRECTORY,
            .mode = str_eq(directories[i], UNDO_DIRECTORY) ? 0700 : 0755,
        };
        int r = tree_exists(tree, directories[i]) ? 0 : tree_put(tree, directories[i], &directory);
        if (r < 0)
            return r;
    }
    return 0;
}

static json_t *find(const json_t *paths, const char *path)
{
    size_t i;
    json_t *one;
    json_array_foreach(paths, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "path"));
        if (name && str_eq(name, path))
            return one;
    }
    return NULL;
}

static bool is_number(const char *text)
{
    return text && text[0] && strspn(text, "0123456789") == strlen(text) && strlen(text) < 9;
}

/* A name for a file beside the record that none has: after an undo in part, some are kept. */
static unsigned long free_number(const json_t *paths)
{
    unsigned long number = 0;
    size_t i;
    const json_t *one;
    json_array_foreach(paths, i, one)
    {
        const char *data = json_string_value(json_object_get(one, "data"));
        if (is_number(data))
            number = MAX(number, strtoul(data, NULL, 10) + 1);
    }
    return number;
}

/* A new one, with what the path is now; its data in a file beside the record. */
static int note_new(struct plan *plan, json_t *paths, const struct plan_change *change)
{
    const struct tree_entry *before = &change->before;
    const char *number = plan_format(plan, "%lu", free_number(paths));
    json_t *one =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:I, s:I}", "path", change->path, "kind",
                  kind_names[before->kind], "mode", (int)before->mode, "uid", (int)before->uid,
                  "gid", (int)before->gid, "seconds", (json_int_t)before->modified.tv_sec,
                  "nanoseconds", (json_int_t)before->modified.tv_nsec);
    int r = one && json_array_append_new(paths, json_incref(one)) == 0 ? 0 : -ENOMEM;
    if (r == 0 && before->kind == TREE_LINK)
        r = json_object_set_new(one, "target", json_string(before->data)) < 0 ? -EINVAL : 0;
    if (r == 0 && before->kind == TREE_FILE) {
        json_object_set_new(one, "data", json_string(number));
        r = put_text(plan->tree, plan_format(plan, UNDO_DIRECTORY "/%s", number), before->data,
                     before->size);
    }
    json_decref(one);
    return r;
}

static int note_all(struct plan *plan, json_t *paths)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *change = &plan->changes[i];
        int r = find(paths, change->path) ? 0 : note_new(plan, paths, change);
        if (r < 0)
            return r;
        const struct fingerprint after = fingerprint_of(&change->after);
        json_object_set_new(find(paths, change->path), "after", json_string(after.hex));
    }
    return 0;
}

int undo_note(struct plan *plan, struct error *ret_error)
{
    bool exists;
    json_t *record = load(plan->tree, &plan->arena, &exists);
    if (!record)
        return error_set(ret_error, -EBADMSG,
                         "/" RECORD " is damaged: move it away, or use --no-undo");
    int r = make_directories(plan->tree);
    if (r == 0)
        r = note_all(plan, json_object_get(record, "paths"));
    if (r == 0)
        r = save(plan->tree, record);
    json_decref(record);
    if (r < 0)
        return error_set(ret_error, r,
                         "cannot write what is needed to undo (/" UNDO_DIRECTORY
                         "): %s; nothing was changed",
                         strerror(-r));
    return 0;
}

/* A path's first state, out of the record. */
static int first_state(const struct tree *tree, struct arena *arena, const json_t *one,
                       struct tree_entry *ret_entry)
{
    const char *kind, *target = NULL, *data = NULL;
    int mode, uid, gid;
    json_int_t seconds, nanoseconds;
    struct tree_entry entry = {0};
    if (json_unpack((json_t *)one, "{s:s, s:i, s:i, s:i, s:I, s:I, s?s, s?s}", "kind", &kind,
                    "mode", &mode, "uid", &uid, "gid", &gid, "seconds", &seconds, "nanoseconds",
                    &nanoseconds, "target", &target, "data", &data) < 0)
        return -EBADMSG;
    if (nanoseconds < 0 || nanoseconds > 999999999)
        return -EBADMSG;
    if (str_eq(kind, "file") && is_number(data)) {
        char path[64];
        snprintf(path, sizeof(path), UNDO_DIRECTORY "/%s", data);
        int r = tree_read(tree, arena, path, &entry);
        if (r < 0 || entry.kind != TREE_FILE)
            return r < 0 ? r : -EBADMSG;
    } else if (str_eq(kind, "link") && target) {
        entry = (struct tree_entry){
            .kind = TREE_LINK, .data = arena_strdup(arena, target), .size = strlen(target)};
    } else if (!str_eq(kind, "absent")) {
        return -EBADMSG;
    }
    entry.mode = (uint32_t)mode & 07777;
    entry.uid = (uint32_t)uid;
    entry.gid = (uint32_t)gid;
    entry.modified = (struct timespec){.tv_sec = seconds, .tv_nsec = nanoseconds};
    *ret_entry = entry;
    return entry.kind == TREE_LINK && !entry.data ? -ENOMEM : 0;
}

/* Gives one path its first state back. Returns an enum undo_result or an error. */
static int undo_one(const struct tree *tree, struct arena *arena, const json_t *one, bool force,
                    bool dry)
{
    const char *path = json_string_value(json_object_get(one, "path"));
    const char *after = json_string_value(json_object_get(one, "after"));
    struct tree_entry first, now;
    if (!path || !after)
        return -EBADMSG;
    int r = first_state(tree, arena, one, &first);
    if (r == 0)
        r = tree_read(tree, arena, path, &now);
    if (r < 0)
        return r;
    if (tree_entry_same(&first, &now))
        return UNDO_WAS_SO;
    if (!force && !str_eq(fingerprint_of(&now).hex, after))
        return UNDO_CHANGED_SINCE;
    r = dry ? 0 : tree_put(tree, path, &first);
    /* a directory that others use now */
    if (r == -ENOTEMPTY || r == -EEXIST)
        return UNDO_WAS_SO;
    return r < 0 ? r : UNDO_RESTORED;
}

static int undo_paths(const struct tree *tree, struct arena *arena, json_t *paths, bool force,
                      bool dry, undo_told *told, void *context, size_t *ret_kept,
                      struct error *ret_error)
{
    size_t kept = 0;
    for (size_t i = json_array_size(paths); i-- > 0;) {
        json_t *one = json_array_get(paths, i);
        const char *path = json_string_value(json_object_get(one, "path")) ?: "?";
        int r = undo_one(tree, arena, one, force, dry);
        if (r < 0)
            return error_set(ret_error, r, "cannot undo /%s: %s", path, strerror(-r));
        kept += r == UNDO_CHANGED_SINCE;
        told(context, path, (enum undo_result)r);
        if (r != UNDO_CHANGED_SINCE && !dry)
            json_array_remove(paths, i);
    }
    *ret_kept = kept;
    return 0;
}

static int remove_all(const struct tree *tree, struct arena *arena)
{
    static const struct tree_entry nothing = {.kind = TREE_ABSENT};
    struct tree_names names;
    char path[PATH_MAX];
    int r = tree_list(tree, arena, UNDO_DIRECTORY, &names);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        snprintf(path, sizeof(path), UNDO_DIRECTORY "/%s", names.names[i]);
        r = tree_put(tree, path, &nothing);
    }
    return r < 0 ? r : tree_put(tree, UNDO_DIRECTORY, &nothing);
}

static int damaged(struct error *ret_error)
{
    return error_set(ret_error, -EBADMSG, "/" RECORD " is damaged: nothing can be undone");
}

int undo_all(const struct tree *tree, bool force, bool dry, undo_told *told, void *context,
             size_t *ret_kept, struct error *ret_error)
{
    struct arena arena = {0};
    size_t kept = 0;
    bool exists;
    json_t *record = load(tree, &arena, &exists);
    int r = !record   ? damaged(ret_error)
            : !exists ? error_set(ret_error, -ENOENT, "there is nothing to undo in %s", tree->path)
                      : undo_paths(tree, &arena, json_object_get(record, "paths"), force, dry, told,
                                   context, &kept, ret_error);
    if (r == 0 && !dry) {
        r = kept ? save(tree, record) : remove_all(tree, &arena);
        if (r < 0)
            error_set(ret_error, r, "cannot remove /" UNDO_DIRECTORY ": %s", strerror(-r));
    }
    json_decref(record);
    arena_free(&arena);
    if (r == 0)
        *ret_kept = kept;
    return r;
}

int undo_forget(const struct tree *tree, struct error *ret_error)
{
    struct arena arena = {0};
    int r = tree_exists(tree, UNDO_DIRECTORY) ? remove_all(tree, &arena) : -ENOENT;
    arena_free(&arena);
    if (r < 0)
        return error_set(ret_error, r, "cannot remove /" UNDO_DIRECTORY ": %s", strerror(-r));
    return 0;
}
