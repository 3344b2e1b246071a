/* Images: import and removal. */
#include "storage/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static int make_directory(struct storage *storage, const char *name, struct error *ret_error)
{
    char path[PATH_MAX + NAME_MAX_LEN + 2];
    snprintf(path, sizeof(path), "%s/%s", storage->images, name);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_set(ret_error, -errno, "%s cannot be made: %s", path, strerror(errno));
    return 0;
}

static void remove_directory_if_empty(struct storage *storage, const char *name)
{
    char path[PATH_MAX + NAME_MAX_LEN + 2];
    snprintf(path, sizeof(path), "%s/%s", storage->images, name);
    rmdir(path);
}

int storage_image_import(struct storage *storage, const char *path, const char *name,
                         struct storage_job **ret_job, struct error *ret_error)
{
    uint64_t size;
    uint32_t version;
    cleanup_free char *target = NULL;
    cleanup_close int from = source_open(path, &size, ret_error);
    if (from < 0)
        return from;
    int r = source_check_idle(storage, from, path, ret_error);
    if (r < 0)
        return r;
    r = registry_image_begin(storage->settings.registry, name, storage->images, &version, &target,
                             ret_error);
    if (r < 0)
        return r;
    r = make_directory(storage, name, ret_error);
    if (r < 0) {
        struct error ignored;
        (void)!registry_image_abandon(storage->settings.registry, name, version, &ignored);
        return r;
    }
    return job_begin(storage, take_fd(&from), path, target, NULL, name, version, ret_job,
                     ret_error);
}

static int remove_version(struct storage *storage, const char *name, uint32_t version,
                          struct error *ret_error)
{
    cleanup_free char *path = NULL;
    struct registry *registry = storage->settings.registry;
    int r = registry_image_remove_begin(registry, name, version, &path, ret_error);
    if (r >= 0)
        r = file_remove(path, true, ret_error);
    if (r >= 0)
        r = file_sync_directory(path, ret_error);
    if (r >= 0)
        r = registry_image_remove_end(registry, name, version, ret_error);
    return r < 0 ? r : 0;
}

int storage_image_remove(struct storage *storage, const char *name, uint32_t version,
                         struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    size_t count, removed = 0;
    int r = 0;
    const struct catalog_image *images = catalog_images(catalog, &count);
    for (size_t i = 0; r >= 0 && i < count; i++) {
        if (!str_eq(images[i].name, name) || (version && images[i].version != version))
            continue;
        r = remove_version(storage, name, images[i].version, ret_error);
        removed++;
    }
    if (r >= 0 && removed == 0 && version == 0)
        return error_set(ret_error, -ENOENT, "there is no image '%s'; see: nodisk image list",
                         name);
    if (r >= 0 && removed == 0)
        return error_set(ret_error, -ENOENT, "there is no image '%s@%u'; see: nodisk image list",
                         name, version);
    if (r >= 0)
        remove_directory_if_empty(storage, name);
    return r;
}
