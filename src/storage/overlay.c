/*
 * Changes of what an overlay consists of.
 *
 * A change is one transaction of the registry (registry/layers.c), while nobody has the volume
 * open; what nobody needs any more after it is removed.
 */
#include "storage/private.h"
#include "storage/stack.h"

#include <errno.h>
#include <sys/stat.h>

int overlay_find(struct storage *storage, const char *name, uint64_t *ret_id,
                 struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, name);
    if (!volume)
        return error_set(ret_error, -ENOENT, "there is no volume '%.64s'; see: nodisk volume list",
                         name);
    if (!volume->overlay)
        return registry_no_overlay(name, ret_error);
    *ret_id = volume->id;
    return 0;
}

int overlay_claim(struct storage *storage, const char *name, bool force, uint64_t *ret_id,
                  struct error *ret_error)
{
    const struct storage_settings *settings = &storage->settings;
    int r = overlay_find(storage, name, ret_id, ret_error);
    if (r >= 0 && settings->claim)
        r = settings->claim(settings->context, *ret_id, name, force, ret_error);
    if (r >= 0)
        storage_pause(storage, *ret_id);
    return r;
}

void overlay_release(struct storage *storage, uint64_t id)
{
    const struct storage_settings *settings = &storage->settings;
    storage_resume(storage, id);
    if (settings->release)
        settings->release(settings->context, id);
}

int storage_overlay_change(struct storage *storage, const char *volume, enum overlay_change change,
                           const char *argument, bool force, char kept[static NAME_MAX_LEN + 1],
                           struct error *ret_error)
{
    struct registry *registry = storage->settings.registry;
    uint64_t id = 0;
    int r = overlay_claim(storage, volume, force, &id, ret_error);
    if (r < 0)
        return r;
    r = registry_overlay_change(registry, volume, change, argument, kept, ret_error);
    overlay_release(storage, id);
    return r < 0 ? r : layers_clear(registry, ret_error);
}

struct change {
    struct storage *storage;
    uint64_t id;
    int (*make)(void *argument, bool in_use, struct error *ret_error);
    void *argument;
};

static int make_change(void *argument, bool in_use, struct error *ret_error)
{
    const struct change *c = argument;
    storage_pause(c->storage, c->id);
    int r = c->make(c->argument, in_use, ret_error);
    storage_resume(c->storage, c->id);
    return r;
}

int overlay_exchange(struct storage *storage, uint64_t id, const char *name,
                     int (*change)(void *argument, bool in_use, struct error *ret_error),
                     void *argument, struct error *ret_error)
{
    const struct storage_settings *settings = &storage->settings;
    struct change c = {storage, id, change, argument};
    return settings->exchange
               ? settings->exchange(settings->context, id, name, make_change, &c, ret_error)
               : make_change(&c, false, ret_error);
}

struct snapshot {
    struct storage *storage;
    uint64_t volume_id;
    const char *volume, *name;
};

/* The files of the new layer. */
static int make_layer(const struct snapshot *s, struct error *ret_error)
{
    cleanup_stack struct stack stack = {0};
    const struct storage_settings *settings = &s->storage->settings;
    int r = stack_find(settings->catalog, s->volume_id, NULL, &stack, ret_error);
    if (r < 0 || stack.made || stack.spec.n_layers < 2 || !stack.known[1].made)
        return r;
    return stack_make(&stack, settings->registry, ret_error);
}

/* The device was closed before, and all that was written is durable. If there is no room for the
 * new layer, whoever uses the volume goes on with the old one. Unless somebody does, its files are
 * made when it is opened. */
static int add_snapshot(void *argument, bool in_use, struct error *ret_error)
{
    const struct snapshot *s = argument;
    struct error ignored;
    struct registry *registry = s->storage->settings.registry;
    int r = registry_snapshot_add(registry, s->volume, s->name, ret_error);
    if (r < 0)
        return r;
    r = in_use ? make_layer(s, ret_error) : 0;
    if (r < 0 && registry_snapshot_take_back(registry, s->volume, s->name, &ignored) >= 0)
        (void)!layers_clear(registry, &ignored);
    return r;
}

int overlay_add_snapshot(struct storage *storage, const char *volume, const char *snapshot,
                         struct error *ret_error)
{
    struct snapshot s = {.storage = storage, .volume = volume, .name = snapshot};
    int r = overlay_find(storage, volume, &s.volume_id, ret_error);
    return r < 0 ? r : overlay_exchange(storage, s.volume_id, volume, add_snapshot, &s, ret_error);
}

/* --- snapshots that are there for a copy only --- */

void snapshot_name_temporary(char name[static NAME_MAX_LEN + 1])
{
    snprintf(name, NAME_MAX_LEN + 1, CATALOG_TEMPORARY "%0*llu", CATALOG_TEMPORARY_DIGITS,
             (unsigned long long)clock_wall_usec());
}

int storage_snapshot_add(struct storage *storage, const char *volume, const char *snapshot,
                         struct error *ret_error)
{
    if (catalog_snapshot_is_temporary(snapshot))
        return error_set(ret_error, -EINVAL,
                         "a snapshot that is called like '%s' goes when the daemon is started; "
                         "take another name",
                         snapshot);
    return overlay_add_snapshot(storage, volume, snapshot, ret_error);
}

int overlay_drop_snapshot(struct storage *storage, uint64_t id, const char *volume,
                          const char *snapshot, struct error *ret_error)
{
    struct registry *registry = storage->settings.registry;
    storage_pause(storage, id);
    int r = registry_snapshot_remove(registry, volume, snapshot, ret_error);
    if (r >= 0)
        r = layers_clear(registry, ret_error);
    storage_resume(storage, id);
    storage_tidy(storage);
    return r;
}

int storage_snapshot_remove(struct storage *storage, const char *volume, const char *snapshot,
                            struct storage_job **ret_job, struct error *ret_error)
{
    uint64_t id = 0;
    int r = overlay_find(storage, volume, &id, ret_error);
    if (r >= 0)
        r = overlay_drop_snapshot(storage, id, volume, snapshot, ret_error);
    if (r < 0)
        return r;
    *ret_job = NULL;
    r = merge_begin(storage, volume, ret_job, ret_error);
    return r == -EBUSY ? 0 : r; /* it is in use: in the background */
}

/* --- what it takes --- */

static bool is_among(const struct catalog_layer *layer, const struct catalog_layer *list,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].id == layer->id)
            return true;
    return false;
}

/* Is the layer one of the volume's own, or of a snapshot before number `n`? */
static bool is_counted(const struct catalog_overlay *o, const struct catalog_layer *layer, size_t n)
{
    bool found = is_among(layer, o->layers, o->n_layers);
    for (size_t i = 0; !found && i < n; i++)
        found = is_among(layer, o->snapshots[i].layers, o->snapshots[i].n_layers);
    return found;
}

static uint64_t layer_used(const struct catalog_layer *layer)
{
    return layer->made ? overlay_used(layer->path) : 0;
}

static uint64_t overlay_volume_used(const struct catalog_overlay *o)
{
    uint64_t used = 0;
    for (size_t i = 0; i < o->n_layers; i++)
        used += layer_used(&o->layers[i]);
    for (size_t s = 0; s < o->n_snapshots; s++)
        for (size_t i = 0; i < o->snapshots[s].n_layers; i++)
            if (!is_counted(o, &o->snapshots[s].layers[i], s))
                used += layer_used(&o->snapshots[s].layers[i]);
    return used;
}

uint64_t storage_volume_used(const struct catalog_volume *volume)
{
    struct stat st;
    if (volume->overlay)
        return overlay_volume_used(volume->overlay);
    return stat(volume->path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
}
