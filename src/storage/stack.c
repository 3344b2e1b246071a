#include "storage/stack.h"

#include <errno.h>

_Static_assert(CATALOG_IDENTITY_SIZE == BLOCK_LAYER_ID_SIZE, "an identity is a layer's id");

static const struct catalog_snapshot *find_snapshot(const struct catalog_overlay *overlay,
                                                    const char *name)
{
    for (size_t i = 0; i < overlay->n_snapshots; i++)
        if (str_eq(overlay->snapshots[i].name, name))
            return &overlay->snapshots[i];
    return NULL;
}

static void fill(struct stack *stack, const struct catalog_layer *layers, size_t n_layers,
                 const struct catalog_base *base)
{
    stack->known = layers;
    stack->made = true;
    for (size_t i = 0; i < n_layers; i++) {
        stack->layers[i].path = layers[i].path;
        memcpy(stack->layers[i].id, layers[i].identity, BLOCK_LAYER_ID_SIZE);
        stack->made &= layers[i].made;
    }
    stack->spec.layers = stack->layers;
    stack->spec.n_layers = n_layers;
    stack->spec.base_path = base->path;
    stack->spec.base_size = base->size;
    memcpy(stack->spec.base_id, base->identity, BLOCK_LAYER_ID_SIZE);
}

/* The strings of the stack live in the catalog from here on. */
static int find(struct catalog *catalog, uint64_t volume_id, const char *snapshot,
                struct stack *stack, struct error *ret_error)
{
    const struct catalog_volume *volume = catalog_volume_by_id(catalog, volume_id);
    if (!volume || !volume->overlay)
        return error_set(ret_error, -ENOENT, "the volume is gone, or no overlay any more");
    const struct catalog_overlay *overlay = volume->overlay;
    stack->spec.read_only = volume->read_only;
    stack->spec.size = volume->size;
    if (!snapshot) {
        fill(stack, overlay->layers, overlay->n_layers, &overlay->base);
        return 0;
    }
    const struct catalog_snapshot *found = find_snapshot(overlay, snapshot);
    if (!found)
        return error_set(ret_error, -ENOENT,
                         "volume '%s' has no snapshot '%.64s'; see: nodisk volume snapshots %s",
                         volume->name, snapshot, volume->name);
    fill(stack, found->layers, found->n_layers, &found->base);
    stack->spec.size = found->layers[0].size;
    return 0;
}

int stack_find(struct catalog_slot *slot, uint64_t volume_id, const char *snapshot,
               struct stack *ret_stack, struct error *ret_error)
{
    *ret_stack = (struct stack){.catalog = catalog_slot_get(slot)};
    int r = overlay_boot_id(ret_stack->spec.boot_id, ret_error);
    if (r >= 0)
        r = find(ret_stack->catalog, volume_id, snapshot, ret_stack, ret_error);
    if (r < 0)
        stack_release(ret_stack);
    return r;
}

void stack_release(struct stack *stack)
{
    catalog_unref(take_ptr(stack->catalog));
}

/* Of the layer at `index`, or of what is at the bottom. */
static const uint8_t *id_below(const struct stack *stack, size_t index)
{
    return index + 1 < stack->spec.n_layers ? stack->layers[index + 1].id : stack->spec.base_id;
}

static int make(const struct stack *stack, size_t index, struct registry *registry,
                struct error *ret_error)
{
    const struct catalog_layer *layer = &stack->known[index];
    if (layer->made)
        return 0;
    int r = overlay_create(layer->path, layer->identity, id_below(stack, index), layer->size,
                           ret_error);
    return r < 0 ? r : registry_layer_made(registry, layer->id, ret_error);
}

int stack_make(struct stack *stack, struct registry *registry, struct error *ret_error)
{
    for (size_t i = stack->spec.n_layers; i-- > 0;) {
        int r = make(stack, i, registry, ret_error);
        if (r < 0)
            return r;
    }
    stack->made = true;
    return 0;
}

int layers_clear(struct registry *registry, struct error *ret_error)
{
    cleanup_free struct registry_layer *layers = NULL;
    size_t count = 0;
    int r = registry_layer_list_removing(registry, &layers, &count, ret_error);
    for (size_t i = 0; r >= 0 && i < count; i++) {
        r = overlay_remove(layers[i].path, ret_error);
        if (r >= 0)
            r = registry_layer_forget(registry, layers[i].id, ret_error);
    }
    return r;
}
