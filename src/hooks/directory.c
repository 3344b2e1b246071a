#include "hooks/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <sys/stat.h>

/* What editors and package managers leave beside a file, and what says of itself that it is none.
 */
static const char *const leftovers[] = {".*",         "*~",       "#*",     "*.dpkg-*",
                                        "*.bak",      "*.orig",   "*.rej",  "*.save",
                                        "*.disabled", "*.sample", "README*"};

static bool is_leftover(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(leftovers); i++)
        if (fnmatch(leftovers[i], name, 0) == 0)
            return true;
    return false;
}

/* NULL: nobody else could write to it. */
static const char *why_unsafe(const struct stat *st)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return "it belongs neither to root nor to the user of the daemon; chown root";
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return "others than its owner may write to it; chmod go-w";
    return NULL;
}

static const char *why_not(const char *path, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "it is no file";
    if (!(st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) || access(path, X_OK) < 0)
        return "it is not executable; chmod +x, or move it away";
    return why_unsafe(st);
}

int hook_directory_check(const char *path, struct error *ret_error)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return error_set(ret_error, -errno, "%s", strerror(errno));
    const char *why = why_not(path, &st);
    return why ? error_set(ret_error, -EACCES, "%s", why) : 0;
}

bool hook_directory_any(const char *directory, const char *event)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/%s", directory, event);
    if (access(path, F_OK) == 0)
        return true;
    snprintf(path, sizeof(path), "%s/%s.d", directory, event);
    return access(path, F_OK) == 0;
}

struct look {
    void (*refused)(void *context, const char *path, const char *why);
    void *context;
    struct hook_list *list;
};

static void take(struct look *look, const char *path)
{
    struct error error;
    struct hook_list *list = look->list;
    int r = hook_directory_check(path, &error);
    if (r == -ENOENT)
        return;
    if (r >= 0 && list->count == HOOK_MAX_PROGRAMS)
        r = error_set(&error, -EACCES, "there are more than %d of them", HOOK_MAX_PROGRAMS);
    if (r < 0)
        look->refused(look->context, path, error.text);
    else
        str_copy(list->paths[list->count++], PATH_MAX, path);
}

static int is_wanted(const struct dirent *entry)
{
    return !is_leftover(entry->d_name);
}

/* In the order of bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int check_directory(const char *path, struct error *ret_error)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno; /* there is none */
    const char *why = S_ISDIR(st.st_mode) ? why_unsafe(&st) : "it is no directory";
    return why ? error_set(ret_error, -EACCES, "hooks of %s are not run: %s", path, why) : 0;
}

int hook_directory_check_folder(const char *path, struct error *ret_error)
{
    int r = check_directory(path, ret_error);
    return r == -EACCES ? r : 0;
}

static int take_all_of(struct look *look, const char *directory, struct error *ret_error)
{
    char path[2 * PATH_MAX];
    struct dirent **entries;
    int r = check_directory(directory, ret_error);
    if (r < 0)
        return r == -EACCES ? r : 0;
    int n = scandir(directory, &entries, is_wanted, by_name);
    if (n < 0)
        return error_set(ret_error, -errno, "hooks of %s cannot be listed: %s", directory,
                         strerror(errno));
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        take(look, path);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int hook_directory_list(const char *directory, const char *event,
                        void (*refused)(void *context, const char *path, const char *why),
                        void *context, struct hook_list *ret_list, struct error *ret_error)
{
    char path[PATH_MAX + 32];
    struct look look = {.refused = refused, .context = context, .list = ret_list};
    ret_list->count = 0;
    int r = check_directory(directory, ret_error);
    if (r < 0)
        return r == -EACCES ? r : 0;
    snprintf(path, sizeof(path), "%s/%s", directory, event);
    take(&look, path);
    snprintf(path, sizeof(path), "%s/%s.d", directory, event);
    return take_all_of(&look, path, ret_error);
}
