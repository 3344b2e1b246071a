/*
 * The files of boot entries that come from other servers: kept in `entries/SHA-256` of the state
 * directory, so that nodes boot whether those servers are there or not.
 *
 * A file is fetched without a name, gets the name of its content when it is whole, and is then
 * named by the registry. What the registry does not name is removed when nothing is being fetched.
 */
#include "storage/fetch.h"
#include "storage/job.h"

#include <dirent.h>
#include <errno.h>

#define MAX_FILES (REGISTRY_MAX_INITRDS + 1) /* the kernel first */

struct entry_job {
    struct storage_job job;
    struct arena arena; /* all that `entry` points to */
    struct registry_boot_entry entry;
    bool again; /* it is there, and only its files are new */
    const char *files[MAX_FILES];
    size_t current;
    int fd; /* of what is being fetched; -1: nothing */
    struct fetch *fetch;
    uint64_t done; /* bytes of those that are whole */
};

static struct entry_job *entry_of(const struct storage_job *job)
{
    return (struct entry_job *)container_of(job, const struct entry_job, job);
}

/* --- what is in the directory --- */

static bool is_named(const struct catalog *catalog, const char *path)
{
    size_t count;
    const struct catalog_entry *entries = catalog_entries(catalog, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_eq(entries[i].file, path))
            return true;
        for (size_t j = 0; j < entries[i].n_initrds; j++)
            if (str_eq(entries[i].initrds[j], path))
                return true;
    }
    return false;
}

/* With the lock held, while nothing is being fetched. */
static void remove_unnamed(struct storage *storage)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    DIR *d = opendir(storage->entries);
    char path[PATH_MAX];
    for (struct dirent *e; d && (e = readdir(d));)
        if (strlen(e->d_name) == DIGEST_TEXT_SIZE - 1 &&
            snprintf(path, sizeof(path), "%s/%s", storage->entries, e->d_name) < PATH_MAX &&
            !is_named(catalog, path))
            unlink(path);
    if (d)
        closedir(d);
}

void storage_entries_clean(struct storage *storage)
{
    pthread_mutex_lock(&storage->lock);
    if (storage->n_fetching == 0)
        remove_unnamed(storage);
    pthread_mutex_unlock(&storage->lock);
}

static void count_fetching(struct storage *storage, int change)
{
    pthread_mutex_lock(&storage->lock);
    storage->n_fetching += (unsigned)change;
    pthread_mutex_unlock(&storage->lock);
}

/* --- one file --- */

static const char *url_of(const struct entry_job *e, size_t i)
{
    return e->entry.urls[i];
}

static int fetch_next(struct entry_job *e, struct error *ret_error)
{
    char path[PATH_MAX];
    while (e->current <= e->entry.n_initrds && !url_of(e, e->current)[0])
        e->current++;
    if (e->current > e->entry.n_initrds)
        return 0;
    if (snprintf(path, sizeof(path), "%s/new", e->job.storage->entries) >= PATH_MAX)
        return error_set(ret_error, -ENAMETOOLONG, "the state directory's path is too long");
    e->fd = file_create_nameless(path, ret_error);
    if (e->fd < 0)
        return e->fd;
    return fetch_begin(url_of(e, e->current), e->fd, &e->fetch, ret_error);
}

static int check_digest(const struct entry_job *e, const char *found, struct error *ret_error)
{
    const char *wanted = e->entry.sha256 ? e->entry.sha256[e->current] : "";
    if (!wanted[0] || str_eq(wanted, found))
        return 0;
    return error_set(ret_error, -EBADMSG,
                     "%.200s is not what it must be: its SHA-256 is %s, and not %s",
                     url_of(e, e->current), found, wanted);
}

static void end_fetch(struct entry_job *e)
{
    fetch_end(e->fetch);
    e->fetch = NULL;
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
}

/* The same content is there already as often as not. */
static int keep(struct entry_job *e, struct error *ret_error)
{
    char digest[DIGEST_TEXT_SIZE], path[PATH_MAX];
    fetch_digest(e->fetch, digest);
    int r = check_digest(e, digest, ret_error);
    if (r >= 0 &&
        snprintf(path, sizeof(path), "%s/%s", e->job.storage->entries, digest) >= PATH_MAX)
        r = error_set(ret_error, -ENAMETOOLONG, "the state directory's path is too long");
    if (r >= 0)
        r = file_give_name(e->fd, path, 0444, ret_error);
    if (r < 0 && r != -EEXIST)
        return r;
    e->files[e->current] = arena_strdup(&e->arena, path);
    e->done += fetch_done(e->fetch);
    end_fetch(e);
    return e->files[e->current++] ? 0 : error_set(ret_error, -ENOMEM, "out of memory");
}

/* --- the job --- */

static int begin(struct storage_job *job, struct error *ret_error)
{
    return fetch_next(entry_of(job), ret_error);
}

static int step(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    struct entry_job *e = entry_of(job);
    if (!e->fetch)
        return 0;
    int r = fetch_step(e->fetch, clock_monotonic_usec() + budget, ret_error);
    if (r != 0)
        return r;
    r = keep(e, ret_error);
    if (r >= 0)
        r = fetch_next(e, ret_error);
    return r < 0 ? r : e->fetch != NULL;
}

static int publish(struct storage_job *job, struct error *ret_error)
{
    struct entry_job *e = entry_of(job);
    struct registry *registry = job->storage->settings.registry;
    for (size_t i = 1; i <= e->entry.n_initrds; i++)
        if (e->files[i])
            ((const char **)e->entry.initrds)[i - 1] = e->files[i];
    if (e->files[0])
        e->entry.file = e->files[0];
    return e->again ? registry_boot_entry_renew(registry, &e->entry, ret_error)
                    : registry_boot_entry_add(registry, &e->entry, ret_error);
}

static struct storage_progress progress(const struct storage_job *job)
{
    const struct entry_job *e = entry_of(job);
    uint64_t done = e->fetch ? fetch_done(e->fetch) : e->done;
    return (struct storage_progress){
        .stage = "fetching", .done = done, .total = e->fetch ? fetch_total(e->fetch) : e->done};
}

/* May come more than once. */
static void release(struct storage_job *job)
{
    struct entry_job *e = entry_of(job);
    end_fetch(e);
    if (!e->entry.urls)
        return;
    e->entry.urls = NULL;
    arena_free(&e->arena);
    count_fetching(job->storage, -1);
    storage_entries_clean(job->storage);
}

static void undo(struct storage_job *job, const char *why)
{
    /* release() has removed what no entry names */
}

static const struct job_kind kind = {begin, step, publish, progress, release, undo};

/* --- making it --- */

static bool copy_texts(struct arena *arena, const char *const **texts, size_t count)
{
    const char **copy = arena_alloc(arena, (count + 1) * sizeof(*copy));
    bool good = copy;
    for (size_t i = 0; good && i < count; i++)
        good = (copy[i] = arena_strdup(arena, (*texts)[i]));
    *texts = copy;
    return good;
}

static bool copy_text(struct arena *arena, const char **text)
{
    *text = *text ? arena_strdup(arena, *text) : NULL;
    return *text;
}

static bool copy_variables(struct arena *arena, struct registry_boot_entry *e)
{
    struct catalog_label *copy = arena_alloc(arena, (e->n_variables + 1) * sizeof(*copy));
    bool good = copy;
    for (size_t i = 0; good && i < e->n_variables; i++) {
        copy[i] = e->variables[i];
        good = copy_text(arena, &copy[i].key) && copy_text(arena, &copy[i].value);
    }
    e->variables = copy;
    return good;
}

static bool copy_entry(struct arena *arena, struct registry_boot_entry *e)
{
    size_t files = e->n_initrds + 1;
    return copy_text(arena, &e->name) && copy_text(arena, &e->title) &&
           copy_text(arena, &e->file) && copy_text(arena, &e->arguments) &&
           copy_texts(arena, &e->initrds, e->n_initrds) && copy_texts(arena, &e->urls, files) &&
           (!e->sha256 || copy_texts(arena, &e->sha256, files)) &&
           (!e->answer || copy_text(arena, &e->answer)) && copy_variables(arena, e);
}

static int make(struct storage *storage, const struct registry_boot_entry *entry, bool again,
                struct storage_job **ret_job, struct error *ret_error)
{
    struct entry_job *e = calloc(1, sizeof(*e));
    if (!e)
        return error_set(ret_error, -ENOMEM, "out of memory");
    e->job = (struct storage_job){.kind = &kind, .storage = storage};
    e->entry = *entry;
    e->again = again;
    e->fd = -1;
    if (!copy_entry(&e->arena, &e->entry)) {
        arena_free(&e->arena);
        free(e);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    count_fetching(storage, 1);
    *ret_job = &e->job;
    return 0;
}

int storage_entry_add(struct storage *storage, const struct registry_boot_entry *entry,
                      struct storage_job **ret_job, struct error *ret_error)
{
    int r = registry_boot_entry_check(entry, ret_error);
    return r < 0 ? r : make(storage, entry, false, ret_job, ret_error);
}

int storage_entry_fetch(struct storage *storage, const char *name, struct storage_job **ret_job,
                        struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_entry *entry = catalog_entry_by_name(catalog, name);
    if (!entry)
        return error_set(ret_error, -ENOENT, "there is no entry '%.64s'; see: nodisk entry list",
                         name);
    if (!entry->urls)
        return error_set(ret_error, -EINVAL,
                         "no file of the entry '%s' comes from a URL: they are read where they are",
                         entry->name);
    const struct registry_boot_entry again = {.name = entry->name,
                                              .title = entry->title,
                                              .kind = entry->kind,
                                              .file = entry->file,
                                              .arguments = entry->arguments,
                                              .initrds = entry->initrds,
                                              .n_initrds = entry->n_initrds,
                                              .sha256 = entry->sha256,
                                              .urls = entry->urls};
    return make(storage, &again, true, ret_job, ret_error);
}
