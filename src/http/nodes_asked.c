/*
 * Somebody else may have a say in what a node boots: the connection waits for him, and no thread.
 */
#include "http/nodes_internal.h"

struct asked {
    struct node_http_question question;
    struct http_request *request;
    struct node_http_say say;
    char *script; /* that say points to */
};

static void asked_free(void *kept)
{
    struct asked *asked = kept;
    free(asked->script);
    free(asked);
}

static void done(struct node_http_question *question, const struct node_http_say *say)
{
    struct asked *asked = container_of(question, struct asked, question);
    asked->say = *say;
    asked->script = say->script ? strdup(say->script) : NULL;
    asked->say.script = asked->script;
    http_resume(asked->request);
}

/* A node that is told to wait, or to ask as somebody else, is not to boot anything yet. */
static bool is_decided(const struct plan *plan)
{
    return plan->node && plan->kind != PLAN_ADOPTED && plan->kind != PLAN_TELL;
}

bool node_http_ask(struct node_http *http, struct http_request *request,
                   const struct catalog *catalog, const struct plan *plan, struct mac_address mac,
                   const struct endpoint *peer)
{
    const struct node_http_settings *settings = &http->settings;
    static const struct node_http_say nothing;
    if (http_kept(request) || !settings->ask || !is_decided(plan) ||
        !settings->would_ask(settings->context))
        return false;
    struct asked *asked = calloc(1, sizeof(*asked));
    if (!asked)
        return false;
    asked->request = request;
    asked->question = (struct node_http_question){
        .catalog = catalog,
        .node = plan->node,
        .plan = plan,
        .failures = boot_tracker_failures(settings->tracker, plan->node->id),
        .mac = mac,
        .peer = *peer,
        .done = done};
    http_keep(request, asked, asked_free);
    if (!http_defer(request, NULL, NULL))
        return false;
    if (!settings->ask(settings->context, &asked->question))
        done(&asked->question, &nothing);
    return true;
}

const struct node_http_say *node_http_said(const struct http_request *request)
{
    static const struct node_http_say nothing;
    const struct asked *asked = http_kept(request);
    return asked ? &asked->say : &nothing;
}
