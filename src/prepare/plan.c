#include "prepare/plan.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>

static const struct tree_entry nothing = {.kind = TREE_ABSENT};

void plan_begin(struct plan *plan, const struct tree *tree, const struct plan_settings *settings)
{
    *plan = (struct plan){.tree = tree, .system = system_look(tree), .settings = *settings};
}

void plan_end(struct plan *plan)
{
    free(plan->changes);
    free(plan->commands);
    free(plan->notes);
    arena_free(&plan->arena);
}

void plan_again(struct plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < plan->n_commands; i++)
        if (plan->commands[i].moment == PLAN_BEFORE_FILES)
            plan->commands[kept++] = plan->commands[i];
    plan->n_commands = kept;
    plan->n_changes = 0;
    plan->n_notes = 0;
    plan->system = system_look(plan->tree);
}

static void fail(struct plan *plan, int code, const char *what, const char *path)
{
    if (!plan->error.code)
        error_set(&plan->error, code, "%s: cannot %s /%s: %s", plan->step, what, path,
                  strerror(-code));
}

/* Room for one more at the end of a list; NULL without memory. */
static void *grow(struct plan *plan, void *list, size_t *count, size_t size)
{
    void **items = list;
    void *more = reallocarray(*items, *count + 1, size);
    if (!more) {
        fail(plan, -ENOMEM, "keep", "");
        return NULL;
    }
    *items = more;
    return (char *)more + (*count)++ * size;
}

const char *plan_format(struct plan *plan, const char *format, ...)
{
    char text[2 * PATH_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return n < 0 ? "" : arena_strdup(&plan->arena, text) ?: "";
}

static struct plan_change *find(struct plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->n_changes; i++)
        if (str_eq(plan->changes[i].path, path))
            return &plan->changes[i];
    return NULL;
}

bool tree_entry_same(const struct tree_entry *a, const struct tree_entry *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == TREE_ABSENT)
        return true;
    bool same = a->uid == b->uid && a->gid == b->gid;
    if (a->kind != TREE_LINK)
        same = same && a->mode == b->mode;
    if (same && a->data && b->data)
        same = a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
    return same;
}

const struct tree_entry *plan_get(struct plan *plan, const char *path)
{
    const struct plan_change *change = find(plan, path);
    struct tree_entry *entry = arena_alloc(&plan->arena, sizeof(*entry));
    if (change)
        return &change->after;
    int r = entry ? tree_read(plan->tree, &plan->arena, path, entry) : -ENOMEM;
    if (r < 0) {
        fail(plan, r, "read", path);
        return &nothing;
    }
    return entry;
}

const char *plan_text(struct plan *plan, const char *path)
{
    const struct plan_change *change = find(plan, path);
    if (change)
        return change->after.kind == TREE_FILE ? change->after.data : NULL;
    return tree_text(plan->tree, &plan->arena, path);
}

bool plan_exists(struct plan *plan, const char *path)
{
    const struct plan_change *change = find(plan, path);
    return change ? change->after.kind != TREE_ABSENT : tree_exists(plan->tree, path);
}

struct tree_names plan_list(struct plan *plan, const char *path)
{
    struct tree_names names = {NULL, 0};
    int r = tree_list(plan->tree, &plan->arena, path, &names);
    if (r < 0)
        fail(plan, r, "list", path);
    return names;
}

static void put(struct plan *plan, const char *path, const struct tree_entry *after);

/* Each directory on the way that is not there. */
static void put_parents(struct plan *plan, const char *path)
{
    static const struct tree_entry directory = {.kind = TREE_DIRECTORY, .mode = 0755};
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        const char *parent = plan_format(plan, "%.*s", (int)(slash - path), path);
        if (!plan_exists(plan, parent))
            put(plan, parent, &directory);
    }
}

/* A change that another step took back is none. */
static void drop(struct plan *plan, struct plan_change *change)
{
    size_t behind = (size_t)(plan->changes + plan->n_changes - (change + 1));
    memmove(change, change + 1, behind * sizeof(*change));
    plan->n_changes--;
}

static void put(struct plan *plan, const char *path, const struct tree_entry *after)
{
    struct plan_change *change = find(plan, path);
    if (plan->error.code)
        return;
    if (change && tree_entry_same(&change->before, after)) {
        drop(plan, change);
        return;
    }
    if (change) {
        change->after = *after;
        return;
    }
    const struct tree_entry *before = plan_get(plan, path);
    if (plan->error.code || tree_entry_same(before, after))
        return;
    if (before->kind == TREE_DIRECTORY || before->kind == TREE_OTHER) {
        error_set(&plan->error, -EEXIST,
                  "%s: /%s is no file: move it away, it is in the way of one", plan->step, path);
        return;
    }
    if (after->kind != TREE_ABSENT && after->kind != TREE_DIRECTORY)
        put_parents(plan, path);
    change = grow(plan, &plan->changes, &plan->n_changes, sizeof(*change));
    if (change)
        *change = (struct plan_change){.step = plan->step,
                                       .path = arena_strdup(&plan->arena, path) ?: "",
                                       .before = *before,
                                       .after = *after};
}

static const char *copy(struct plan *plan, const char *data, size_t size)
{
    char *mine = arena_alloc(&plan->arena, size + 1);
    if (!mine)
        fail(plan, -ENOMEM, "keep", "");
    else if (size)
        memcpy(mine, data, size);
    return mine;
}

void plan_file(struct plan *plan, const char *path, uint32_t mode, const char *text, size_t size)
{
    const struct tree_entry *now = plan_get(plan, path);
    bool is_file = now->kind == TREE_FILE;
    const struct tree_entry after = {
        .kind = TREE_FILE,
        .mode = mode      ? mode
                : is_file ? now->mode
                          : 0644,
        .uid = is_file ? now->uid : 0,
        .gid = is_file ? now->gid : 0,
        .data = copy(plan, text, size),
        .size = size,
    };
    put(plan, path, &after);
}

void plan_link(struct plan *plan, const char *path, const char *target)
{
    const struct tree_entry *now = plan_get(plan, path);
    bool is_link = now->kind == TREE_LINK;
    const struct tree_entry after = {
        .kind = TREE_LINK,
        .uid = is_link ? now->uid : 0,
        .gid = is_link ? now->gid : 0,
        .data = copy(plan, target, strlen(target)),
        .size = strlen(target),
    };
    put(plan, path, &after);
}

void plan_remove(struct plan *plan, const char *path)
{
    put(plan, path, &nothing);
}

static bool same_words(const char *const *a, const char *const *b)
{
    size_t i = 0;
    while (a[i] && b[i] && str_eq(a[i], b[i]))
        i++;
    return !a[i] && !b[i];
}

void plan_command(struct plan *plan, enum plan_moment moment, const char *why,
                  const char *const *argv)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_commands; i++)
        if (same_words(plan->commands[i].argv, argv))
            return;
    while (argv[count])
        count++;
    const char **words = arena_alloc(&plan->arena, (count + 1) * sizeof(*words));
    struct plan_command *command =
        words ? grow(plan, &plan->commands, &plan->n_commands, sizeof(*command)) : NULL;
    if (!command)
        return;
    for (size_t i = 0; i < count; i++)
        words[i] = arena_strdup(&plan->arena, argv[i]) ?: "";
    *command = (struct plan_command){plan->step, why, moment, words};
}

void plan_note(struct plan *plan, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct plan_note *note = grow(plan, &plan->notes, &plan->n_notes, sizeof(*note));
    if (n >= 0 && note)
        *note = (struct plan_note){plan->step, arena_strdup(&plan->arena, text) ?: ""};
}
