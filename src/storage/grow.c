/*
 * Growth of a volume. Its files get longer first, then the registry knows of it: what is behind the
 * size that the registry has is nobody's.
 */
#include "storage/private.h"
#include "storage/space.h"
#include "storage/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct growth {
    struct storage *storage;
    const char *volume;
    uint64_t id, size;
    bool thick;
    char path[PATH_MAX]; /* of a raw file; "": an overlay */
};

static int grow_file(const struct growth *g, struct error *ret_error)
{
    struct stat st;
    cleanup_close int fd = open(g->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(ret_error, -errno, "%s cannot be opened: %s", g->path, strerror(errno));
    if (g->thick)
        return space_reserve(fd, g->path, g->size, ret_error);
    if ((uint64_t)st.st_size < g->size && ftruncate(fd, (off_t)g->size) < 0)
        return error_set(ret_error, -errno, "%s cannot be made larger: %s", g->path,
                         strerror(errno));
    if (fsync(fd) < 0)
        return error_set(ret_error, -errno, "%s cannot be written: %s", g->path, strerror(errno));
    return 0;
}

static int grow_overlay(const struct growth *g, struct error *ret_error)
{
    struct registry *registry = g->storage->settings.registry;
    cleanup_stack struct stack stack = {0};
    int r = stack_find(g->storage->settings.catalog, g->id, NULL, &stack, ret_error);
    if (r >= 0 && !stack.made)
        r = stack_make(&stack, registry, ret_error);
    return r < 0 ? r : overlay_grow(stack.layers[0].path, stack.layers[0].id, g->size, ret_error);
}

static int grow(void *argument, bool in_use, struct error *ret_error)
{
    const struct growth *g = argument;
    int r = g->path[0] ? grow_file(g, ret_error) : grow_overlay(g, ret_error);
    if (r < 0)
        return r;
    return registry_volume_grow(g->storage->settings.registry, g->volume, g->size, ret_error);
}

static int check(const struct catalog_volume *v, const char *name, uint64_t size,
                 struct error *ret_error)
{
    if (!v)
        return error_set(ret_error, -ENOENT, "there is no volume '%.64s'; see: nodisk volume list",
                         name);
    if (v->state != VOLUME_READY)
        return error_set(ret_error, -EBUSY, "volume '%s' is not ready; see: nodisk volume show %s",
                         name, name);
    if (v->kind != VOLUME_OVERLAY && v->kind != VOLUME_FILE)
        return error_set(ret_error, -EOPNOTSUPP,
                         "volume '%s' is as large as what it is made of (%s); nodisk cannot make "
                         "that larger",
                         name, v->path);
    if (size < v->size)
        return error_set(ret_error, -EINVAL,
                         "volume '%s' has %llu bytes, and what is behind the new size would be "
                         "lost; a volume only grows",
                         name, (unsigned long long)v->size);
    if (size % v->block_size || size > STORAGE_MAX_SIZE)
        return error_set(ret_error, -EINVAL, "the size must be a multiple of %u bytes",
                         v->block_size);
    return 0;
}

int storage_volume_grow(struct storage *storage, const char *name, uint64_t size,
                        struct error *ret_error)
{
    struct growth g = {.storage = storage, .volume = name, .size = size};
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_volume *v = catalog_volume_by_name(catalog, name);
    int r = check(v, name, size, ret_error);
    if (r < 0)
        return r;
    g.id = v->id;
    g.thick = v->thick;
    if (v->kind == VOLUME_FILE)
        str_copy(g.path, sizeof(g.path), v->path);
    return overlay_exchange(storage, v->id, name, grow, &g, ret_error);
}
