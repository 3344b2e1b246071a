/* The space that there is, what of it is used, and what was promised: of /v1/status. */
#include "http/admin_internal.h"

#include <sys/statvfs.h>

json_t *space_to_json(struct admin *admin)
{
    const struct admin_settings *settings = &admin->settings;
    struct statvfs fs;
    if (statvfs(admin->state_directory, &fs) < 0)
        return json_null();
    json_t *space = json_pack("{s:I, s:I}", "total", (json_int_t)(fs.f_blocks * fs.f_frsize),
                              "free", (json_int_t)(fs.f_bavail * fs.f_frsize));
    json_t *more = settings->space ? settings->space(settings->context) : NULL;
    if (more)
        json_object_update(space, more);
    json_decref(more);
    return space;
}

struct usage {
    uint64_t used;      /* bytes, by volumes in the state directory... */
    uint64_t promised;  /* ...as large as this for their machines... */
    uint64_t unwritten; /* ...which may still ask for so many */
    uint64_t elsewhere; /* volumes that are not there */
};

static bool is_inside(const struct admin *admin, const char *path)
{
    size_t n = strlen(admin->state_directory);
    return strncmp(path, admin->state_directory, n) == 0 && path[n] == '/';
}

static void add_volume(struct usage *usage, const struct admin *admin,
                       const struct catalog_volume *volume)
{
    bool here = volume->kind == VOLUME_OVERLAY ||
                (volume->kind == VOLUME_FILE && is_inside(admin, volume->path));
    if (!here) {
        usage->elsewhere++;
        return;
    }
    uint64_t used = storage_volume_used(volume);
    usage->used += used;
    usage->promised += volume->size;
    if (!volume->thick && !volume->read_only)
        usage->unwritten += volume->size - MIN(used, volume->size);
}

static uint64_t used_by_images(const struct catalog *catalog)
{
    size_t count;
    uint64_t used = 0;
    const struct catalog_image *images = catalog_images(catalog, &count);
    for (size_t i = 0; i < count; i++)
        used += file_used(images[i].path);
    return used;
}

json_t *usage_to_json(const struct admin *admin, const struct catalog *catalog)
{
    size_t count;
    struct usage usage = {0};
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        add_volume(&usage, admin, &volumes[i]);
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "images", (json_int_t)used_by_images(catalog),
                     "volumes", (json_int_t)usage.used, "promised", (json_int_t)usage.promised,
                     "unwritten", (json_int_t)usage.unwritten, "elsewhere",
                     (json_int_t)usage.elsewhere);
}
