#include "registry/plan.h"

static enum plan_kind kind_of(const struct catalog_volume *volume)
{
    switch (volume->state) {
    case VOLUME_READY:
        return PLAN_VOLUME;
    case VOLUME_CREATING:
        return PLAN_PREPARING;
    case VOLUME_REMOVING:
        return PLAN_NO_VOLUME;
    default:
        return PLAN_FAILED;
    }
}

struct plan plan_for_mac(const struct catalog *catalog, struct mac_address mac)
{
    struct plan plan = {.kind = PLAN_UNKNOWN};
    plan.node = catalog_node_by_mac(catalog, mac);
    if (!plan.node)
        return plan;
    plan.volume = catalog_volume_by_id(catalog, plan.node->volume_id);
    plan.kind = plan.volume ? kind_of(plan.volume) : PLAN_NO_VOLUME;
    return plan;
}

/* A node proves itself to us by its own secrets, and elsewhere by those that are asked for there.
 */
const struct chap_credentials *plan_chap(const struct plan *plan)
{
    if (plan->volume && plan->volume->elsewhere)
        return plan->volume->chap;
    return plan->node ? plan->node->chap : NULL;
}
