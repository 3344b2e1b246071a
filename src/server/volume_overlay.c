#include "server/volume_overlay.h"

#include <errno.h>

#include "core/log.h"
#include "storage/stack.h"

/* A boot that finds its disk as it was is better than none. */
static void begin_boot(const struct overlay_opening *o)
{
    enum overlay_change change = OVERLAY_NO_CHANGE;
    struct error error;
    if (registry_overlay_begin_boot(o->registry, o->volume_id, &change, &error) < 0)
        log_error("volume %s is left as it was at this boot: %s", o->name, error.text);
    else if (change != OVERLAY_NO_CHANGE)
        log_info("volume %s: %s at the boot of its node", o->name, overlay_change_name(change));
    if (change != OVERLAY_NO_CHANGE && layers_clear(o->registry, &error) < 0)
        log_error("volume %s: what it no longer needs is still there: %s", o->name, error.text);
}

/* What was acknowledged but not flushed is gone. A machine that has been running since then has it
 * in mind, and would destroy the disk by what it writes. Nothing is opened for it: that would make
 * the disk look clean. */
static int check_loss(const struct overlay_opening *o, const struct stack *stack,
                      struct error *ret_error)
{
    bool lost = false, younger = false;
    int r = overlay_is_lost(&stack->spec, &lost, ret_error);
    if (r >= 0 && lost)
        r = registry_boot_is_younger(o->registry, o->volume_id, &younger, ret_error);
    if (r < 0 || !lost || younger)
        return r;
    return error_set(ret_error, -ESTALE,
                     "the server has lost power while its machine was running, and with it what "
                     "was not flushed; restart the machine: its disk is whole");
}

static int open_stack(const struct overlay_opening *o, struct stack *stack,
                      struct block_device **ret_device, struct error *ret_error)
{
    bool lost = false;
    int r = stack->made ? 0 : stack_make(stack, o->registry, ret_error);
    if (r >= 0 && !o->boots && !stack->spec.read_only)
        r = check_loss(o, stack, ret_error);
    if (r >= 0)
        r = block_overlay_open(o->thread, &stack->spec, ret_device, &lost, ret_error);
    if (r >= 0 && lost)
        log_warning("volume %s: what was not flushed when the server lost power is gone", o->name);
    return r;
}

int volume_overlay_open(const struct overlay_opening *o, struct block_device **ret_device,
                        struct error *ret_error)
{
    if (o->boots)
        begin_boot(o);
    cleanup_stack struct stack stack = {0};
    int r = stack_find(o->catalog, o->volume_id, NULL, &stack, ret_error);
    return r < 0 ? r : open_stack(o, &stack, ret_device, ret_error);
}
