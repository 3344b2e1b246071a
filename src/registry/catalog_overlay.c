#include "registry/catalog_overlay.h"

#include <errno.h>

static const char *const change_names[] = {
    [OVERLAY_RESET] = "reset",
    [OVERLAY_ROLLBACK] = "rollback",
    [OVERLAY_REBASE] = "rebase",
};

const char *overlay_change_name(enum overlay_change change)
{
    return change_names[change];
}

int overlay_change_parse(const char *name, enum overlay_change *ret_change)
{
    if (!name) {
        *ret_change = OVERLAY_NO_CHANGE;
        return 0;
    }
    for (size_t i = OVERLAY_RESET; i < ARRAY_SIZE(change_names); i++) {
        if (str_eq(change_names[i], name)) {
            *ret_change = (enum overlay_change)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* False: no memory. NULL stays NULL. */
static bool copy_text(struct arena *arena, const char *text, const char **ret_copy)
{
    *ret_copy = arena_strdup(arena, text);
    return !text || *ret_copy;
}

static bool copy_base(struct arena *arena, const struct catalog_base *base,
                      struct catalog_base *ret_copy)
{
    *ret_copy = *base;
    return copy_text(arena, base->image, &ret_copy->image) &&
           copy_text(arena, base->path, &ret_copy->path);
}

static bool copy_layers(struct arena *arena, const struct catalog_layer *layers, size_t count,
                        const struct catalog_layer **ret_copy)
{
    struct catalog_layer *copy = arena_alloc(arena, (count + 1) * sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = layers[i];
        if (!copy_text(arena, layers[i].path, &copy[i].path))
            return false;
    }
    *ret_copy = copy;
    return copy != NULL;
}

static bool copy_snapshots(struct arena *arena, const struct catalog_overlay *overlay,
                           const struct catalog_snapshot **ret_copy)
{
    size_t count = overlay->n_snapshots;
    struct catalog_snapshot *copy = arena_alloc(arena, (count + 1) * sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        const struct catalog_snapshot *from = &overlay->snapshots[i];
        copy[i] = *from;
        if (!copy_text(arena, from->name, &copy[i].name) ||
            !copy_layers(arena, from->layers, from->n_layers, &copy[i].layers) ||
            !copy_base(arena, &from->base, &copy[i].base))
            return false;
    }
    *ret_copy = copy;
    return copy != NULL;
}

/* False: no memory. */
static bool copy_trial(struct arena *arena, const struct catalog_trial *trial,
                       const struct catalog_trial **ret_copy)
{
    struct catalog_trial *copy = trial ? arena_alloc(arena, sizeof(*copy)) : NULL;
    *ret_copy = copy;
    if (!copy)
        return !trial;
    *copy = *trial;
    return copy_text(arena, trial->snapshot, &copy->snapshot) &&
           copy_text(arena, trial->running, &copy->running) &&
           copy_text(arena, trial->kept, &copy->kept);
}

const struct catalog_snapshot *catalog_overlay_snapshot(const struct catalog_overlay *overlay,
                                                        const char *name)
{
    for (size_t i = 0; i < overlay->n_snapshots; i++)
        if (str_eq(overlay->snapshots[i].name, name))
            return &overlay->snapshots[i];
    return NULL;
}

bool catalog_snapshot_is_temporary(const char *name)
{
    static const char prefix[] = CATALOG_TEMPORARY;
    const char *digits = name + strlen(prefix);
    return str_has_prefix(name, prefix) && strlen(digits) == CATALOG_TEMPORARY_DIGITS &&
           strspn(digits, "0123456789") == CATALOG_TEMPORARY_DIGITS;
}

const struct catalog_overlay *catalog_overlay_copy(struct arena *arena,
                                                   const struct catalog_overlay *overlay)
{
    struct catalog_overlay *copy = arena_alloc(arena, sizeof(*copy));
    if (!copy)
        return NULL;
    *copy = *overlay;
    bool ok = copy_layers(arena, overlay->layers, overlay->n_layers, &copy->layers) &&
              copy_base(arena, &overlay->base, &copy->base) &&
              copy_snapshots(arena, overlay, &copy->snapshots) &&
              copy_text(arena, overlay->staged_argument, &copy->staged_argument) &&
              copy_trial(arena, overlay->trial, &copy->trial);
    return ok ? copy : NULL;
}
