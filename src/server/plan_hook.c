#include "server/plan_hook.h"

#include "core/log.h"
#include "server/hook_events.h"

#include <errno.h>

struct asked {
    struct hook_question question;
    struct node_http_question *node_question;
    char node[NAME_MAX_LEN + 1];
};

static int check(const struct hook_question *question, const struct hook_answer *answer,
                 struct error *ret_error)
{
    static const char *const keys[] = {"boot", "reason", NULL};
    const char *boot = hook_answer_get(answer, "boot");
    if (answer->is_script)
        return 0;
    int r = hook_answer_check_keys(answer, keys, ret_error);
    if (r >= 0 && (!boot || !str_eq(boot, "default")))
        r = error_set(ret_error, -EINVAL,
                      "answered neither a script that begins with #!ipxe, nor boot=default");
    return r;
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
    if (answer)
        tell(asked, answer);
    asked->node_question->done(asked->node_question, &say);
    free(asked);
}

static json_t *facts_of(const struct node_http_question *question)
{
    char mac[MAC_TEXT_SIZE], peer[ENDPOINT_TEXT_SIZE];
    json_t *facts = hook_facts_of_node(question->catalog, question->node);
    if (!facts)
        return NULL;
    json_object_set_new(facts, "mac", json_string(mac_format(question->mac, mac)));
    json_object_set_new(facts, "peer", json_string(endpoint_format_address(&question->peer, peer)));
    return facts;
}

bool plan_hook_ask(struct hooks *hooks, struct node_http_question *question)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    if (!asked)
        return false;
    asked->question =
        (struct hook_question){.facts = facts_of(question), .check = check, .done = done};
    asked->node_question = question;
    str_copy(asked->node, sizeof(asked->node), question->node->name);
    if (hooks_ask(hooks, &asked->question))
        return true;
    json_decref(asked->question.facts);
    free(asked);
    return false;
}
