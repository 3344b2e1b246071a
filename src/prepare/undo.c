/*
 * var/lib/nodisk-prepare/undo.json: {"paths": [{"path", "kind", "mode", "uid", "gid", "seconds",
 * "nanoseconds", "target" or "data": "N" (a file beside it), "after": SHA-256, "changed": true (it
 * was somebody else's before it was written again)}, ...]}, in the order in which they were
 * changed.
 *
 * A tree may be a stranger's, and what is believed here is written with an owner and a mode: so the
 * directory and all in it have to be ours alone. Paths are looked up inside the tree only.
 */
#include "prepare/undo.h"

#include <errno.h>
#include <jansson.h>
#include <nettle/sha2.h>

#define NAME   "undo.json"
#define RECORD UNDO_DIRECTORY "/" NAME

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

static bool is_own(uint32_t uid, uint32_t mode)
{
    return uid == geteuid() && !(mode & 022);
}

/* The directory of the record. -EPERM: what is in it may be somebody else's. */
static int open_store(const struct tree *tree, struct tree *ret_store)
{
    struct tree store;
    struct stat st;
    int r = tree_enter(tree, UNDO_DIRECTORY, &store);
    if (r < 0)
        return r == -ENOTDIR ? -EPERM : r;
    if (fstat(store.fd, &st) < 0 || !is_own(st.st_uid, st.st_mode)) {
        tree_close(&store);
        return -EPERM;
    }
    *ret_store = store;
    return 0;
}

/* A file of ours. */
static int read_own(const struct tree *store, struct arena *arena, const char *name,
                    struct tree_entry *ret_entry)
{
    struct tree_entry entry;
    int r = tree_read(store, arena, name, &entry);
    if (r == 0 && entry.kind == TREE_ABSENT)
        r = -ENOENT;
    if (r == 0 && (entry.kind != TREE_FILE || !is_own(entry.uid, entry.mode)))
        r = -EPERM;
    if (r == 0)
        *ret_entry = entry;
    return r;
}

/* -ENOENT: there is none; -EBADMSG: it is damaged; -EPERM: it may be somebody else's. */
static int load(const struct tree *store, struct arena *arena, json_t **ret_record)
{
    struct tree_entry file = {.kind = TREE_ABSENT};
    int r = read_own(store, arena, NAME, &file);
    if (r < 0)
        return r;
    json_t *record = json_loads(file.data, 0, NULL);
    if (!json_is_array(json_object_get(record, "paths"))) {
        json_decref(record);
        return -EBADMSG;
    }
    *ret_record = record;
    return 0;
}

static int put_text(const struct tree *store, const char *name, const char *data, size_t size)
{
    const struct tree_entry entry = {.kind = TREE_FILE,
                                     .mode = 0600,
                                     .uid = geteuid(),
                                     .gid = getegid(),
                                     .data = data,
                                     .size = size};
    return tree_put(store, name, &entry);
}

static int save(const struct tree *store, const json_t *record)
{
    char *text = json_dumps(record, JSON_INDENT(1));
    int r = text ? put_text(store, NAME, text, strlen(text)) : -ENOMEM;
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
static int note_new(struct plan *plan, const struct tree *store, json_t *paths,
                    const struct plan_change *change)
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
        r = put_text(store, number, before->data, before->size);
    }
    json_decref(one);
    return r;
}

/* A path's first state, out of the record. */
static int first_state(const struct tree *store, struct arena *arena, const json_t *one,
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
        int r = read_own(store, arena, data, &entry);
        if (r < 0)
            return r;
    } else if (str_eq(kind, "link") && target) {
        entry = (struct tree_entry){
            .kind = TREE_LINK, .data = arena_strdup(arena, target), .size = strlen(target)};
    } else if (!str_eq(kind, "absent")) {
        return -EBADMSG;
    }
    /* nothing that is prepared runs as its owner: whatever a record says */
    entry.mode = (uint32_t)mode & 01777;
    entry.uid = (uint32_t)uid;
    entry.gid = (uint32_t)gid;
    entry.modified = (struct timespec){.tv_sec = seconds, .tv_nsec = nanoseconds};
    *ret_entry = entry;
    return entry.kind == TREE_LINK && !entry.data ? -ENOMEM : 0;
}

/* Is what was there now neither what we wrote nor the first state, which is kept? Then giving the
 * first state back would lose it. */
static bool was_changed(struct plan *plan, const struct tree *store, const json_t *one,
                        const struct tree_entry *before)
{
    const char *after = json_string_value(json_object_get(one, "after"));
    struct tree_entry first;
    if (before->kind == TREE_ABSENT || (after && str_eq(fingerprint_of(before).hex, after)))
        return false;
    return first_state(store, &plan->arena, one, &first) < 0 || !tree_entry_same(&first, before);
}

static int note_all(struct plan *plan, const struct tree *store, json_t *paths)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *change = &plan->changes[i];
        json_t *one = find(paths, change->path);
        if (one && was_changed(plan, store, one, &change->before))
            json_object_set_new(one, "changed", json_true());
        int r = one ? 0 : note_new(plan, store, paths, change);
        if (r < 0)
            return r;
        const struct fingerprint after = fingerprint_of(&change->after);
        json_object_set_new(find(paths, change->path), "after", json_string(after.hex));
    }
    return 0;
}

static int note_in(struct plan *plan, const struct tree *store)
{
    json_t *record;
    int r = load(store, &plan->arena, &record);
    if (r == -ENOENT) {
        record = json_pack("{s:[]}", "paths");
        r = record ? 0 : -ENOMEM;
    }
    if (r < 0)
        return r;
    r = note_all(plan, store, json_object_get(record, "paths"));
    if (r == 0)
        r = save(store, record);
    json_decref(record);
    return r;
}

static bool is_utf8(const char *text)
{
    json_t *json = json_string(text);
    json_decref(json);
    return json != NULL;
}

/* The record is JSON. */
static int check_names(const struct plan *plan, struct error *ret_error)
{
    char name[120];
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *change = &plan->changes[i];
        bool link = change->before.kind == TREE_LINK;
        if (is_utf8(change->path) && (!link || is_utf8(change->before.data)))
            continue;
        str_copy(name, sizeof(name), change->path);
        for (char *p = name; *p; p++)
            if (*p < ' ' || *p > '~')
                *p = '?';
        return error_set(ret_error, -EILSEQ,
                         "/%s has a name, or is a link to one, that is not UTF-8, so what is "
                         "needed to undo cannot be written: give it another name, or use "
                         "--no-undo; nothing was changed",
                         name);
    }
    return 0;
}

int undo_note(struct plan *plan, struct error *ret_error)
{
    struct tree store = {.fd = -1};
    int r = check_names(plan, ret_error);
    if (r < 0)
        return r;
    r = make_directories(plan->tree);
    if (r == 0)
        r = open_store(plan->tree, &store);
    if (r == 0)
        r = note_in(plan, &store);
    tree_close(&store);
    if (r == -EBADMSG)
        return error_set(ret_error, r, "/" RECORD " is damaged: move it away, or use --no-undo");
    if (r == -EPERM)
        return error_set(ret_error, r,
                         "/" UNDO_DIRECTORY " is not root's alone: move it away, or use --no-undo");
    if (r < 0)
        return error_set(ret_error, r,
                         "cannot write what is needed to undo (/" UNDO_DIRECTORY
                         "): %s; nothing was changed",
                         strerror(-r));
    return 0;
}

/* Gives one path its first state back. Returns an enum undo_result or an error. */
static int undo_one(const struct tree *tree, const struct tree *store, struct arena *arena,
                    const json_t *one, bool force, bool dry)
{
    const char *path = json_string_value(json_object_get(one, "path"));
    const char *after = json_string_value(json_object_get(one, "after"));
    const bool changed = json_is_true(json_object_get(one, "changed"));
    struct tree_entry first, now;
    if (!path || !after)
        return -EBADMSG;
    int r = first_state(store, arena, one, &first);
    if (r == 0)
        r = tree_read(tree, arena, path, &now);
    if (r < 0)
        return r;
    if (tree_entry_same(&first, &now))
        return UNDO_WAS_SO;
    if (!force && (changed || !str_eq(fingerprint_of(&now).hex, after)))
        return UNDO_CHANGED_SINCE;
    r = dry ? 0 : tree_put(tree, path, &first);
    /* a directory that others use now */
    if (r == -ENOTEMPTY || r == -EEXIST)
        return UNDO_WAS_SO;
    return r < 0 ? r : UNDO_RESTORED;
}

/* Returns how many stay. */
static size_t undo_paths(const struct tree *tree, const struct tree *store, struct arena *arena,
                         json_t *paths, bool force, bool dry, undo_told *told, void *context)
{
    size_t kept = 0;
    for (size_t i = json_array_size(paths); i-- > 0;) {
        json_t *one = json_array_get(paths, i);
        const char *path = json_string_value(json_object_get(one, "path")) ?: "?";
        int r = undo_one(tree, store, arena, one, force, dry);
        bool stays = r < 0 || r == UNDO_CHANGED_SINCE;
        kept += stays;
        told(context, path, r);
        if (!stays && !dry)
            json_array_remove(paths, i);
    }
    return kept;
}

/* The record first: data without it is nothing, but it without data is damaged. */
static int remove_all(const struct tree *tree, const struct tree *store, struct arena *arena)
{
    static const struct tree_entry nothing = {.kind = TREE_ABSENT};
    struct tree_names names;
    int r = tree_put(store, NAME, &nothing);
    if (r == 0)
        r = tree_list(store, arena, ".", &names);
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = tree_put(store, names.names[i], &nothing);
    return r < 0 ? r : tree_put(tree, UNDO_DIRECTORY, &nothing);
}

static int tell_unreadable(const struct tree *tree, int r, struct error *ret_error)
{
    if (r == -ENOENT)
        return error_set(ret_error, r, "there is nothing to undo in %s", tree->path);
    if (r == -EBADMSG)
        return error_set(ret_error, r, "/" RECORD " is damaged: nothing can be undone");
    if (r == -EPERM)
        return error_set(ret_error, r,
                         "/" UNDO_DIRECTORY " is not root's alone, so what it says is not "
                         "believed: nothing is undone");
    return error_set(ret_error, r, "cannot read /" RECORD ": %s", strerror(-r));
}

int undo_all(const struct tree *tree, bool force, bool dry, undo_told *told, void *context,
             size_t *ret_kept, struct error *ret_error)
{
    struct arena arena = {0};
    struct tree store = {.fd = -1};
    json_t *record = NULL;
    size_t kept = 0;
    int r = open_store(tree, &store);
    if (r == 0)
        r = load(&store, &arena, &record);
    if (r < 0) {
        tell_unreadable(tree, r, ret_error);
    } else {
        kept = undo_paths(tree, &store, &arena, json_object_get(record, "paths"), force, dry, told,
                          context);
        if (!dry)
            r = kept ? save(&store, record) : remove_all(tree, &store, &arena);
        if (r < 0)
            error_set(ret_error, r, "cannot remove /" UNDO_DIRECTORY ": %s", strerror(-r));
    }
    json_decref(record);
    tree_close(&store);
    arena_free(&arena);
    if (r == 0)
        *ret_kept = kept;
    return r;
}

int undo_forget(const struct tree *tree, struct error *ret_error)
{
    struct arena arena = {0};
    struct tree store = {.fd = -1};
    int r = tree_enter(tree, UNDO_DIRECTORY, &store);
    if (r == 0)
        r = remove_all(tree, &store, &arena);
    tree_close(&store);
    arena_free(&arena);
    if (r < 0)
        return error_set(ret_error, r, "cannot remove /" UNDO_DIRECTORY ": %s", strerror(-r));
    return 0;
}
