/*
 * A rule for some boots is given to a boot before that is told of it: the registry writes that down
 * first, while the connection waits. So a daemon that dies has either told nobody and taken
 * nothing, or it knows afterwards which boot has it, and answers that boot as before. The same
 * holds for a boot whose disk is to be a snapshot of it.
 */
#include <errno.h>

#include "http/nodes_internal.h"

struct claim {
    struct registry_reply reply;
    struct http_request *request;
};

/* On the registry's thread. */
static void claim_done(struct message *message)
{
    struct claim *claim = container_of(message, struct claim, reply.message);
    http_resume(claim->request);
}

static bool begin(struct node_http *http, struct http_request *request, const struct plan *plan)
{
    const struct node_http_settings *settings = &http->settings;
    struct claim *claim = calloc(1, sizeof(*claim));
    if (!claim)
        return false;
    claim->reply.message.run = claim_done;
    claim->request = request;
    if (!http_defer(request, claim, free)) {
        free(claim);
        return false;
    }
    struct registry_claim what = {
        .node_id = plan->node->id,
        .boot_id = boot_tracker_boot_id(settings->tracker, plan->node->id),
        .rule = plan->claim,
        .disk = plan->disk,
    };
    if (plan->disk && plan->target.kind == BOOT_TARGET_SNAPSHOT)
        str_copy(what.snapshot, sizeof(what.snapshot), plan->target.name);
    if (registry_boot_claim(settings->registry, &what, &claim->reply) >= 0)
        return true;
    (void)error_set(&claim->reply.error, -ENOMEM, "out of memory");
    http_resume(request);
    return true;
}

static void tell_refused(const struct node_http *http, const struct plan *plan,
                         const struct error *error)
{
    char target[BOOT_TARGET_SIZE];
    if (http->settings.refused)
        http->settings.refused(http->settings.context, plan->node->name,
                               boot_target_format(&plan->target, target), error);
}

static void tell(const struct node_http *http, const struct plan *plan)
{
    char target[BOOT_TARGET_SIZE];
    const struct boot_rule *rule = &plan->node->rules->slots[BOOT_SLOT_TEMPORARY];
    if (http->settings.claimed)
        http->settings.claimed(http->settings.context, plan->node->name,
                               boot_target_format(&rule->target, target), rule->times);
}

bool node_http_claim(struct node_http *http, struct http_request *request, struct plan *plan)
{
    struct claim *claim = http_take_deferred(request);
    bool asked = claim != NULL;
    struct error error = {.code = 0};
    if (claim && claim->reply.error.code < 0)
        error = claim->reply.error;
    free(claim);
    if (!plan->claim && !plan->disk) {
        if (asked && plan->source == PLAN_BY_NODE_TEMPORARY && plan->node)
            tell(http, plan);
        return true;
    }
    if (!asked && http->settings.registry && begin(http, request, plan))
        return false;
    if (error.code < 0)
        tell_refused(http, plan, &error);
    plan->kind = PLAN_NO_NOTE;
    return true;
}
