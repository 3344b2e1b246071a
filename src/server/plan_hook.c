#include "server/plan_hook.h"

#include "core/log.h"
#include "registry/plan.h"
#include "server/hook_events.h"

#include <errno.h>

struct asked {
    struct hook_question question;
    struct node_http_question *node_question;
    struct catalog_slot *catalog;
    char node[NAME_MAX_LEN + 1];
};

/* "default" is no target: NONE. */
static int find_target(const struct asked *asked, const char *boot, struct boot_target *ret_target,
                       struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(asked->catalog);
    const struct catalog_node *node = catalog_node_by_name(catalog, asked->node);
    *ret_target = (struct boot_target){.kind = BOOT_TARGET_NONE};
    if (str_eq(boot, "default"))
        return 0;
    if (boot_target_parse(boot, ret_target) < 0 && name_is_object(boot)) {
        bool entry = catalog_entry_by_name(catalog, boot);
        ret_target->kind = entry ? BOOT_TARGET_ENTRY : BOOT_TARGET_VOLUME;
        str_copy(ret_target->name, sizeof(ret_target->name), boot);
    }
    if (node && plan_can_boot(catalog, node, ret_target))
        return 0;
    return error_set(ret_error, -EINVAL,
                     "answered boot=%.64s, which is no entry (see: nodisk entry list), no volume "
                     "that it may boot, and none of default, volume, local, menu, shell, memtest, "
                     "off, scripts, snapshot:NAME",
                     boot);
}

static int check(const struct hook_question *question, const struct hook_answer *answer,
                 struct error *ret_error)
{
    static const char *const keys[] = {"boot", "reason", NULL};
    const struct asked *asked = container_of(question, const struct asked, question);
    struct boot_target target;
    const char *boot = hook_answer_get(answer, "boot");
    if (answer->is_script)
        return 0;
    int r = hook_answer_check_keys(answer, keys, ret_error);
    if (r < 0)
        return r;
    if (!boot)
        return error_set(ret_error, -EINVAL,
                         "answered neither a script that begins with #!ipxe, nor boot=TARGET");
    return find_target(asked, boot, &target, ret_error);
}

static void tell(const struct asked *asked, const struct hook_answer *answer)
{
    const char *reason = hook_answer_get(answer, "reason");
    log_write(LOG_INFO, asked->node, "boots what a hook says: %s%s%s",
              answer->is_script ? "a script of its own" : hook_answer_get(answer, "boot"),
              reason ? ", since " : "", reason ? reason : "");
}

static void done(struct hook_question *question, const struct hook_answer *answer, const char *text)
{
    struct asked *asked = container_of(question, struct asked, question);
    struct node_http_say say = {.script = answer && answer->is_script ? text : NULL};
    struct error ignored;
    const char *boot = answer ? hook_answer_get(answer, "boot") : NULL;
    if (boot && !answer->is_script && find_target(asked, boot, &say.target, &ignored) < 0)
        say.target.kind = BOOT_TARGET_NONE; /* it has gone since it was checked */
    if (answer)
        tell(asked, answer);
    asked->node_question->done(asked->node_question, &say);
    free(asked);
}

static json_t *facts_of(const struct node_http_question *question)
{
    char mac[MAC_TEXT_SIZE], peer[ENDPOINT_TEXT_SIZE], boots[BOOT_TARGET_SIZE];
    json_t *facts = hook_facts_of_node(question->catalog, question->node);
    if (!facts)
        return NULL;
    json_object_set_new(facts, "mac", json_string(mac_format(question->mac, mac)));
    json_object_set_new(facts, "peer", json_string(endpoint_format_address(&question->peer, peer)));
    json_object_set_new(facts, "boots",
                        json_string(boot_target_format(&question->plan->target, boots)));
    json_object_set_new(facts, "failures", json_integer(question->failures));
    return facts;
}

bool plan_hook_ask(struct hooks *hooks, struct catalog_slot *catalog,
                   struct node_http_question *question)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    if (!asked)
        return false;
    asked->question =
        (struct hook_question){.facts = facts_of(question), .check = check, .done = done};
    asked->catalog = catalog;
    asked->node_question = question;
    str_copy(asked->node, sizeof(asked->node), question->node->name);
    if (hooks_ask(hooks, &asked->question))
        return true;
    json_decref(asked->question.facts);
    free(asked);
    return false;
}
