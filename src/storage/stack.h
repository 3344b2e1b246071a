/*
 * From an overlay in the catalog to its files on disk.
 *
 * The registry says which layers there are; their files are made when they are first needed, which
 * is why a volume that nobody has used yet costs no space and no time.
 */
#pragma once

#include "block/overlay.h"
#include "registry/registry.h"

struct stack {
    struct overlay_spec spec; /* its strings live in the catalog */
    struct overlay_layer layers[REGISTRY_MAX_LAYERS];
    const struct catalog_layer *known; /* the same layers */
    bool made;                         /* all files are there */
    struct catalog *catalog;           /* that it was found in */
};

/* What a volume, or a snapshot of it (or NULL), consists of now. -ENOENT: it is gone, or no
 * overlay; or there is no such snapshot. stack_release() it. */
int stack_find(struct catalog_slot *slot, uint64_t volume_id, const char *snapshot,
               struct stack *ret_stack, struct error *ret_error) MUST_CHECK;
/* Makes the files of its new layers, and tells the registry. Whoever calls it sees to it that
 * nobody else does for the same volume, and that nobody has it open. */
int stack_make(struct stack *stack, struct registry *registry, struct error *ret_error) MUST_CHECK;
void stack_release(struct stack *stack);
#define cleanup_stack __attribute__((cleanup(stack_release)))

/* Removes the files of all layers that are not needed any more. */
int layers_clear(struct registry *registry, struct error *ret_error) MUST_CHECK;
