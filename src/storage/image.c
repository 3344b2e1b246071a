/* Images: import, verification and removal. */
#include "registry/image_users.h"
#include "storage/boot_file.h"
#include "storage/digest.h"
#include "storage/import.h"
#include "storage/job.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

/* Both kinds of job that an image has. */
struct image_job {
    struct storage_job job;
    char name[NAME_MAX_LEN + 1];
    char path[PATH_MAX];
};

/* --- import --- */

struct import_job {
    struct image_job image;
    char from_name[PATH_MAX];
    struct import import;
};

static struct import_job *import_of(const struct storage_job *job)
{
    return (struct import_job *)container_of(job, const struct import_job, image.job);
}

static int begin_import(struct storage_job *job, struct error *ret_error)
{
    return import_begin(&import_of(job)->import, ret_error);
}

static int step_import(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    struct import_job *i = import_of(job);
    int r = import_step(&i->import, budget, ret_error);
    if (r != 0)
        return r;
    if (fsync(i->import.to) < 0)
        return error_set(ret_error, -errno, "%s cannot be written: %s", i->image.path,
                         strerror(errno));
    return 0;
}

static int publish_import(struct storage_job *job, struct error *ret_error)
{
    struct import_job *i = import_of(job);
    const struct registry_image_result result = {
        .size = i->import.size, .sha256 = i->import.sha256, .format = i->import.format};
    int r = file_publish(i->import.to, i->image.path, 0444, ret_error);
    if (r < 0)
        return r;
    r = registry_image_finish(job->storage->settings.registry, i->image.name, i->image.job.version,
                              &result, ret_error);
    if (r < 0) {
        struct error ignored;
        file_remove(i->image.path, true, &ignored);
    }
    return r;
}

static struct storage_progress import_progress(const struct storage_job *job)
{
    const struct import *import = &import_of(job)->import;
    return (struct storage_progress){
        .stage = import->stage, .done = import->done, .total = import->total};
}

static void close_both(struct import *import)
{
    if (import->from >= 0)
        close(import->from);
    if (import->to >= 0)
        close(import->to);
    import->from = import->to = -1;
}

static void release_import(struct storage_job *job)
{
    import_end(&import_of(job)->import);
    close_both(&import_of(job)->import);
}

static void remove_directory_if_empty(const char *path)
{
    char copy[PATH_MAX];
    str_copy(copy, sizeof(copy), path);
    rmdir(dirname(copy));
}

void image_withdraw(struct storage *storage, const char *name, uint32_t version, const char *path)
{
    struct error ignored;
    file_remove(path, false, &ignored);
    (void)!registry_image_abandon(storage->settings.registry, name, version, &ignored);
    remove_directory_if_empty(path);
}

static void undo_import(struct storage_job *job, const char *why)
{
    const struct image_job *image = &import_of(job)->image;
    image_withdraw(job->storage, image->name, job->version, image->path);
}

static const struct job_kind import_kind = {begin_import,    step_import,    publish_import,
                                            import_progress, release_import, undo_import};

static int make_directory(const char *path, struct error *ret_error)
{
    char copy[PATH_MAX];
    str_copy(copy, sizeof(copy), path);
    const char *directory = dirname(copy);
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return error_set(ret_error, -errno, "%s cannot be made: %s", directory, strerror(errno));
    return 0;
}

/* The name of a file, cleaned: it is shown on terminals. */
static const char *source_name(const char *path, char name[static PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    str_copy(name, PATH_MAX, slash ? slash + 1 : path);
    for (char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return name;
}

int image_announce(struct storage *storage, struct registry_image *image, uint32_t *ret_version,
                   char ret_path[static PATH_MAX], struct error *ret_error)
{
    cleanup_free char *path = NULL;
    image->directory = storage->images;
    int r = registry_image_begin(storage->settings.registry, image, ret_version, &path, ret_error);
    if (r < 0)
        return r;
    str_copy(ret_path, PATH_MAX, path);
    /* again: another import that is undone may take the directory away in between */
    for (int tries = 0; tries == 0 || (r == -ENOENT && tries < 3); tries++) {
        r = make_directory(path, ret_error);
        if (r >= 0)
            r = file_create_tmp(path, ret_error);
    }
    if (r < 0)
        image_withdraw(storage, image->name, *ret_version, path);
    return r;
}

static int announce(struct storage *storage, const struct storage_import *what,
                    struct import_job *i, struct error *ret_error)
{
    char source[PATH_MAX];
    struct registry_image image = {.name = what->name,
                                   .source = source_name(what->path, source),
                                   .labels = what->labels,
                                   .n_labels = what->n_labels};
    str_copy(i->image.name, sizeof(i->image.name), what->name);
    int r = image_announce(storage, &image, &i->image.job.version, i->image.path, ret_error);
    i->import.to = r;
    return r;
}

int storage_image_import(struct storage *storage, const struct storage_import *what,
                         struct storage_job **ret_job, struct error *ret_error)
{
    uint64_t size;
    struct format_found found;
    cleanup_close int from = source_open(what->path, &size, ret_error);
    if (from < 0)
        return from;
    int r = format_detect(from, what->path, size, &found, ret_error);
    if (r >= 0 && found.format->kind == FORMAT_RAW)
        r = import_check_size(what->path, found.size, ret_error);
    if (r >= 0)
        r = source_check_idle(storage, from, what->path, ret_error);
    if (r < 0)
        return r;
    struct import_job *i = calloc(1, sizeof(*i));
    if (!i)
        return error_set(ret_error, -ENOMEM, "out of memory");
    i->image.job = (struct storage_job){.kind = &import_kind, .storage = storage};
    str_copy(i->from_name, sizeof(i->from_name), what->path);
    r = announce(storage, what, i, ret_error);
    if (r < 0) {
        free(i);
        return r;
    }
    i->import.from = take_fd(&from);
    i->import.from_name = i->from_name;
    i->import.to_name = i->image.path;
    i->import.from_size = size;
    *ret_job = &i->image.job;
    return 0;
}

/* --- verification --- */

struct verify_job {
    struct image_job image;
    int fd;
    uint64_t size;
    char expected[DIGEST_TEXT_SIZE]; /* "": not known */
    char found[DIGEST_TEXT_SIZE];
    struct digest digest;
};

static struct verify_job *verify_of(const struct storage_job *job)
{
    return (struct verify_job *)container_of(job, const struct verify_job, image.job);
}

static int changed(const struct verify_job *v, const char *how, struct error *ret_error)
{
    return error_set(ret_error, -EBADMSG,
                     "image '%s@%u' is not what was imported any more (%s): %s; look at the disk, "
                     "import the image again and move to that version",
                     v->image.name, v->image.job.version, how, v->image.path);
}

static int begin_verify(struct storage_job *job, struct error *ret_error)
{
    struct verify_job *v = verify_of(job);
    struct stat st;
    if (fstat(v->fd, &st) < 0 || (uint64_t)st.st_size != v->size)
        return changed(v, "its file has another size", ret_error);
    return digest_begin(&v->digest, ret_error);
}

static int step_verify(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    struct verify_job *v = verify_of(job);
    int r = digest_step(&v->digest, v->fd, v->image.path, v->size, clock_monotonic_usec() + budget,
                        ret_error);
    if (r < 0 || v->digest.done < v->size)
        return r < 0 ? r : 1;
    digest_text(&v->digest, v->found);
    if (v->expected[0] && !str_eq(v->expected, v->found))
        return changed(v, "its checksum is another", ret_error);
    return 0;
}

static int publish_verify(struct storage_job *job, struct error *ret_error)
{
    struct verify_job *v = verify_of(job);
    return v->expected[0] ? 0
                          : registry_image_record(job->storage->settings.registry, v->image.name,
                                                  v->image.job.version, v->found, ret_error);
}

static struct storage_progress verify_progress(const struct storage_job *job)
{
    const struct verify_job *v = verify_of(job);
    return (struct storage_progress){
        .stage = "verifying", .done = v->digest.done, .total = v->size};
}

static void release_verify(struct storage_job *job)
{
    struct verify_job *v = verify_of(job);
    digest_end(&v->digest);
    if (v->fd >= 0)
        close(v->fd);
    v->fd = -1;
}

static void undo_verify(struct storage_job *job, const char *why)
{
    /* it has changed nothing */
}

static const struct job_kind verify_kind = {begin_verify,    step_verify,    publish_verify,
                                            verify_progress, release_verify, undo_verify};

int image_is_missing(const char *name, uint32_t version, struct error *ret_error)
{
    if (version)
        return error_set(ret_error, -ENOENT, "there is no image '%s@%u'; see: nodisk image list",
                         name, version);
    return error_set(ret_error, -ENOENT, "there is no image '%s'; see: nodisk image list", name);
}

int storage_image_verify(struct storage *storage, const char *name, uint32_t version,
                         struct storage_job **ret_job, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_image *image = catalog_image_find(catalog, name, version);
    if (!image)
        return image_is_missing(name, version, ret_error);
    cleanup_close int fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(ret_error, -errno,
                         "image '%s@%u' cannot be opened at %s: %s; import it again", image->name,
                         image->version, image->path, strerror(errno));
    struct verify_job *v = calloc(1, sizeof(*v));
    if (!v)
        return error_set(ret_error, -ENOMEM, "out of memory");
    v->image.job = (struct storage_job){.kind = &verify_kind, .storage = storage};
    v->image.job.version = image->version;
    v->size = image->size;
    v->fd = take_fd(&fd);
    str_copy(v->image.name, sizeof(v->image.name), name);
    str_copy(v->image.path, sizeof(v->image.path), image->path);
    str_copy(v->expected, sizeof(v->expected), image->sha256 ?: "");
    *ret_job = &v->image.job;
    return 0;
}

/* --- removal --- */

static int remove_version(struct storage *storage, const char *name, uint32_t version,
                          struct error *ret_error)
{
    cleanup_free char *path = NULL;
    struct registry *registry = storage->settings.registry;
    int r = registry_image_remove_begin(registry, name, version, &path, ret_error);
    if (r >= 0)
        r = boot_file_remove(path, ret_error);
    if (r >= 0)
        r = file_remove(path, true, ret_error);
    if (r >= 0)
        r = file_sync_directory(path, ret_error);
    if (r >= 0)
        r = registry_image_remove_end(registry, name, version, ret_error);
    if (r >= 0)
        remove_directory_if_empty(path);
    return r < 0 ? r : 0;
}

static bool is_meant(const struct catalog_image *image, const char *name, uint32_t version)
{
    return str_eq(image->name, name) && (!version || image->version == version);
}

/* Of several, none is removed if one cannot be. The registry looks again, each time. */
static int check_unused(const struct catalog *catalog, const char *name, uint32_t version,
                        struct error *ret_error)
{
    size_t count;
    const struct catalog_image *images = catalog_images(catalog, &count);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < count; i++)
        if (is_meant(&images[i], name, version))
            r = image_check_unused(catalog, &images[i], ret_error);
    return r;
}

int storage_image_remove(struct storage *storage, const char *name, uint32_t version,
                         struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    size_t count, removed = 0;
    const struct catalog_image *images = catalog_images(catalog, &count);
    int r = check_unused(catalog, name, version, ret_error);
    for (size_t i = 0; r >= 0 && i < count; i++) {
        if (!is_meant(&images[i], name, version))
            continue;
        r = remove_version(storage, name, images[i].version, ret_error);
        removed++;
    }
    return r >= 0 && removed == 0 ? image_is_missing(name, version, ret_error) : r;
}
