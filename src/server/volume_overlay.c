#include "server/volume_overlay.h"

#include <errno.h>

#include "core/log.h"
#include "storage/stack.h"

static void tell_begun(const char *name, const struct registry_overlay_begun *begun)
{
    if (begun->trial_ended)
        log_info("volume %s is again what it was before it was booted from a snapshot", name);
    if (begun->trial_begun)
        log_info("volume %s is its snapshot %s for this boot; what it was is the snapshot %s, and "
                 "comes back at the next one",
                 name, begun->snapshot, begun->kept);
    if (begun->change != OVERLAY_NO_CHANGE)
        log_info("volume %s: %s at the boot of its node", name, overlay_change_name(begun->change));
}

/* Is its disk a snapshot for one boot, or to be one at this boot? */
static bool has_trial(const struct overlay_opening *o)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(o->catalog);
    const struct catalog_volume *volume = catalog_volume_by_id(catalog, o->volume_id);
    return volume && volume->overlay && volume->overlay->trial;
}

/* A boot that finds its disk as it was is better than none. But not one that finds a snapshot in
 * place of its disk, or the other way round: what is written to that goes. */
static int begin_boot(const struct overlay_opening *o, struct error *ret_error)
{
    struct registry_overlay_begun begun = {.change = OVERLAY_NO_CHANGE};
    struct error error;
    int r = registry_overlay_begin_boot(o->registry, o->volume_id, &begun, &error);
    if (r < 0 && has_trial(o))
        return error_set(ret_error, r, "it cannot be made what it is to be at this boot: %s",
                         error.text);
    if (r < 0)
        log_error("volume %s is left as it was at this boot: %s", o->name, error.text);
    tell_begun(o->name, &begun);
    if ((begun.change != OVERLAY_NO_CHANGE || begun.trial_begun || begun.trial_ended) &&
        layers_clear(o->registry, &error) < 0)
        log_error("volume %s: what it no longer needs is still there: %s", o->name, error.text);
    return 0;
}

/* A machine that has been running since before power was lost, or since before its disk was
 * changed, has another disk in mind than there is, and would destroy this one by what it writes.
 * Nothing is opened for it: that would make the disk look clean. */
static int check_age(const struct overlay_opening *o, const struct stack *stack,
                     struct error *ret_error)
{
    struct registry_boot_age age;
    bool lost = false;
    int r = registry_boot_find_age(o->registry, o->volume_id, &age, ret_error);
    if (r >= 0)
        r = overlay_is_lost(&stack->spec, &lost, ret_error);
    if (r < 0)
        return r;
    if (!age.after_change)
        return error_set(ret_error, -ESTALE,
                         "it was reset, rolled back or rebased while its machine was running; "
                         "restart the machine: it boots from what its disk is now");
    if (lost && !age.after_loss)
        return error_set(ret_error, -ESTALE,
                         "the server has lost power while its machine was running, and with it "
                         "what was not flushed; restart the machine: its disk is whole");
    return 0;
}

static int open_stack(const struct overlay_opening *o, struct stack *stack,
                      struct block_device **ret_device, struct error *ret_error)
{
    bool lost = false;
    int r = stack->made ? 0 : stack_make(stack, o->registry, ret_error);
    if (r >= 0 && !o->boots && !stack->spec.read_only)
        r = check_age(o, stack, ret_error);
    if (r >= 0)
        r = block_overlay_open(o->thread, &stack->spec, ret_device, &lost, ret_error);
    if (r >= 0 && lost)
        log_warning("volume %s: what was not flushed when the server lost power is gone", o->name);
    return r;
}

static int open_now(const struct overlay_opening *o, struct block_device **ret_device,
                    struct error *ret_error)
{
    cleanup_stack struct stack stack = {0};
    int r = o->boots ? begin_boot(o, ret_error) : 0;
    if (r >= 0)
        r = stack_find(o->catalog, o->volume_id, NULL, &stack, ret_error);
    return r < 0 ? r : open_stack(o, &stack, ret_device, ret_error);
}

int volume_overlay_open(const struct overlay_opening *o, struct block_device **ret_device,
                        struct error *ret_error)
{
    storage_pause(o->storage, o->volume_id);
    int r = open_now(o, ret_device, ret_error);
    storage_resume(o->storage, o->volume_id);
    return r;
}
