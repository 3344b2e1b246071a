/*
 * What belongs to a boot (a rule for some boots, CHAP secrets of its own, a snapshot that its disk
 * is to be) is given to it before it is told of that: the registry writes that down first, while
 * the connection waits. So a daemon that dies has either told nobody and taken nothing, or it knows
 * afterwards which boot has it, and answers that boot as before.
 */
#include <errno.h>

#include "http/nodes_internal.h"

struct claim {
    struct registry_reply reply;
    struct registry_claim claim;
    struct http_request *request;
};

/* On the registry's thread. */
static void claim_done(struct message *message)
{
    struct claim *claim = container_of(message, struct claim, reply.message);
    http_resume(claim->request);
}

/* Secrets are of this boot if they were made for it. Those of a disk elsewhere are not ours. */
static bool needs_secrets(const struct node_http *http, const struct plan *plan, uint64_t boot_id)
{
    const struct chap_credentials *chap = plan_has_disk(plan) ? plan_chap(plan) : NULL;
    return chap && chap == plan->node->chap && chap->tag < boot_id &&
           boot_ways_of(&plan->node->ways, &http->settings.ways).chap_rotation ==
               CHAP_ROTATION_BOOT;
}

/* What this boot is still to have. */
static struct registry_claim find_claim(const struct node_http *http, const struct plan *plan)
{
    struct registry_claim claim = {.node_id = 0};
    if (!plan->node)
        return claim;
    claim.node_id = plan->node->id;
    claim.boot_id = boot_tracker_boot_id(http->settings.tracker, claim.node_id);
    claim.rule = plan->claim;
    claim.disk = plan->disk;
    if (plan->disk && plan->target.kind == BOOT_TARGET_SNAPSHOT)
        str_copy(claim.snapshot, sizeof(claim.snapshot), plan->target.name);
    claim.secrets = needs_secrets(http, plan, claim.boot_id);
    return claim;
}

static bool begin(struct node_http *http, struct http_request *request,
                  const struct registry_claim *wanted)
{
    const struct node_http_settings *settings = &http->settings;
    struct claim *claim = calloc(1, sizeof(*claim));
    if (!claim)
        return false;
    claim->reply.message.run = claim_done;
    claim->request = request;
    claim->claim = *wanted;
    if (!http_defer(request, claim, free)) {
        free(claim);
        return false;
    }
    if (registry_boot_claim(settings->registry, wanted, &claim->reply) >= 0)
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

static void tell(const struct node_http *http, const struct plan *plan,
                 const struct registry_claim *claim)
{
    const struct node_http_settings *settings = &http->settings;
    char target[BOOT_TARGET_SIZE];
    if (claim->rule && plan->source == PLAN_BY_NODE_TEMPORARY && settings->claimed) {
        const struct boot_rule *rule = &plan->node->rules->slots[BOOT_SLOT_TEMPORARY];
        settings->claimed(settings->context, plan->node->name,
                          boot_target_format(&rule->target, target), rule->times);
    }
    if (claim->secrets && settings->rotated)
        settings->rotated(settings->context, plan->node->name);
}

bool node_http_claim(struct node_http *http, struct http_request *request, struct plan *plan)
{
    cleanup_free struct claim *claim = http_take_deferred(request);
    const struct registry_claim wanted = find_claim(http, plan);
    if (!wanted.rule && !wanted.secrets && !wanted.disk) {
        if (claim && plan->node)
            tell(http, plan, &claim->claim);
        return true;
    }
    if (!claim && http->settings.registry && begin(http, request, &wanted))
        return false;
    if (claim && claim->reply.error.code < 0)
        tell_refused(http, plan, &claim->reply.error);
    plan->kind = PLAN_NO_NOTE;
    return true;
}
