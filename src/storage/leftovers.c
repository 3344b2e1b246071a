/* What a killed daemon left half-done is cleared before anything else begins. */
#include "storage/boot_file.h"
#include "storage/private.h"
#include "storage/stack.h"

#include <dirent.h>
#include <errno.h>

static int clear_creating(struct storage *storage, const struct registry_leftover *l,
                          struct error *ret_error)
{
    int r = l->path[0] ? file_remove(l->path, true, ret_error) : 0;
    if (r < 0)
        return r;
    return registry_volume_finish(storage->settings.registry, l->name,
                                  "the server was stopped while it was being filled; remove it "
                                  "and create it again",
                                  ret_error);
}

/* Nobody was told that it is removed. If its file is still there, it is not. */
static int clear_removing(struct storage *storage, const struct registry_leftover *l,
                          struct error *ret_error)
{
    bool keep = !l->path[0] || access(l->path, F_OK) == 0;
    return registry_volume_remove_end(storage->settings.registry, l->name, keep, ret_error);
}

static int clear_image(struct storage *storage, const struct registry_leftover *l,
                       struct error *ret_error)
{
    struct registry *registry = storage->settings.registry;
    int r = boot_file_remove(l->path, ret_error);
    if (r >= 0)
        r = file_remove(l->path, true, ret_error);
    if (r < 0)
        return r;
    return l->removing ? registry_image_remove_end(registry, l->name, l->version, ret_error)
                       : registry_image_abandon(registry, l->name, l->version, ret_error);
}

static int clear_one(struct storage *storage, const struct registry_leftover *l,
                     struct error *ret_error)
{
    switch (l->what) {
    case LEFTOVER_VOLUME_CREATING:
        return clear_creating(storage, l, ret_error);
    case LEFTOVER_VOLUME_REMOVING:
        return clear_removing(storage, l, ret_error);
    case LEFTOVER_OVERLAY_REMOVING:
        return registry_volume_remove_end(storage->settings.registry, l->name, false, ret_error);
    case LEFTOVER_IMAGE:
    default:
        return clear_image(storage, l, ret_error);
    }
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && str_eq(name + n - m, suffix);
}

/* A boot set whose image went while it was being written. */
static bool is_orphan(const char *directory, const char *name)
{
    char image[PATH_MAX];
    if (!has_suffix(name, ".boot"))
        return false;
    int n = snprintf(image, sizeof(image), "%s/%.*s.raw", directory,
                     (int)(strlen(name) - strlen(".boot")), name);
    return n < PATH_MAX && access(image, F_OK) < 0 && errno == ENOENT;
}

/* Removes what nobody waits for in a directory and, if it is empty then, nothing else. */
static void clear_stray(const char *directory)
{
    DIR *d = opendir(directory);
    char path[PATH_MAX];
    for (struct dirent *entry; d && (entry = readdir(d));)
        if ((has_suffix(entry->d_name, ".raw.tmp") || has_suffix(entry->d_name, ".boot.tmp") ||
             is_orphan(directory, entry->d_name)) &&
            snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) < PATH_MAX)
            unlink(path);
    if (d)
        closedir(d);
}

static void clear_stray_images(const char *images)
{
    DIR *d = opendir(images);
    char path[PATH_MAX];
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (!name_is_object(entry->d_name) ||
            snprintf(path, sizeof(path), "%s/%s", images, entry->d_name) >= PATH_MAX)
            continue;
        clear_stray(path);
        rmdir(path); /* left empty by an import that never was */
    }
    if (d)
        closedir(d);
}

/* Of copies that were under way. */
static int clear_snapshots(struct storage *storage, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    size_t count;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    int r = 0;
    for (size_t i = 0; i < count; i++) {
        const struct catalog_overlay *o = volumes[i].overlay;
        for (size_t j = 0; o && r >= 0 && j < o->n_snapshots; j++)
            if (catalog_snapshot_is_temporary(o->snapshots[j].name))
                r = registry_snapshot_remove(storage->settings.registry, volumes[i].name,
                                             o->snapshots[j].name, ret_error);
    }
    return r;
}

int leftovers_clear(struct storage *storage, struct error *ret_error)
{
    cleanup_free struct registry_leftover *leftovers = NULL;
    size_t count = 0;
    int r = clear_snapshots(storage, ret_error);
    if (r >= 0)
        r = layers_clear(storage->settings.registry, ret_error);
    if (r >= 0)
        r = registry_list_leftovers(storage->settings.registry, &leftovers, &count, ret_error);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = clear_one(storage, &leftovers[i], ret_error);
    if (r < 0)
        return r;
    clear_stray(storage->volumes);
    clear_stray_images(storage->images);
    storage_entries_clean(storage);
    return 0;
}
