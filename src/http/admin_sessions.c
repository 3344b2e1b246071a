/* /v1/sessions and /v1/holds */
#include "http/admin_internal.h"
#include "http/body.h"

#include <errno.h>

/* False: it is told already. */
static bool read_filter(struct call *call, struct session_filter *ret_filter)
{
    struct error error;
    *ret_filter = (struct session_filter){.node = http_query(call->request, "node"),
                                          .volume = http_query(call->request, "volume")};
    if (!ret_filter->node || !ret_filter->volume)
        return true;
    error_set(&error, -EINVAL, "give either a node or a volume");
    call_reply_error(call, &error);
    return false;
}

/* The session that the path names; false: it is told already that there is none. */
static bool read_id(struct call *call, struct session_filter *ret_filter)
{
    struct error error;
    char *end;
    errno = 0;
    unsigned long long id = strtoull(call->name, &end, 10);
    *ret_filter = (struct session_filter){.id = id};
    if (call->name[0] >= '1' && call->name[0] <= '9' && !*end && errno == 0)
        return true;
    error_set(&error, -ENOENT, "there is no session '%.64s'; see: nodisk session list", call->name);
    call_reply_error(call, &error);
    return false;
}

/* A new array; NULL: it is told already why not. */
static json_t *ask(struct call *call, const struct session_filter *filter, bool in_full)
{
    const struct session_provider *p = call->admin->settings.sessions;
    struct error error;
    json_t *sessions;
    if (p->list(p->context, filter, in_full, &sessions, &error) >= 0)
        return sessions;
    call_reply_error(call, &error);
    return NULL;
}

void admin_list_sessions(struct call *call)
{
    const struct session_provider *p = call->admin->settings.sessions;
    struct session_filter filter;
    json_t *sessions = read_filter(call, &filter) ? ask(call, &filter, false) : NULL;
    if (sessions)
        call_reply(call, 200,
                   json_pack("{s:o, s:o}", "sessions", sessions, "holds", p->holds(p->context)));
}

void admin_show_session(struct call *call)
{
    struct session_filter filter;
    json_t *sessions = read_id(call, &filter) ? ask(call, &filter, true) : NULL;
    if (!sessions)
        return;
    call_reply(call, 200, json_incref(json_array_get(sessions, 0)));
    json_decref(sessions);
}

static void end(struct call *call, const struct session_filter *filter)
{
    const struct session_provider *p = call->admin->settings.sessions;
    struct error error;
    unsigned count;
    if (p->end(p->context, filter, &count, &error) < 0)
        call_reply_error(call, &error);
    else
        call_reply(call, 200, json_pack("{s:I}", "ended", (json_int_t)count));
}

void admin_end_session(struct call *call)
{
    struct session_filter filter;
    if (read_id(call, &filter))
        end(call, &filter);
}

/* Of a node or of a volume: nobody ends all of them by mistake. */
void admin_end_sessions(struct call *call)
{
    struct session_filter filter;
    struct error error;
    if (!read_filter(call, &filter))
        return;
    if (filter.node || filter.volume) {
        end(call, &filter);
        return;
    }
    error_set(&error, -EINVAL, "say whose: give a node or a volume");
    call_reply_error(call, &error);
}

/* --- /v1/holds --- */

void admin_list_holds(struct call *call)
{
    const struct session_provider *p = call->admin->settings.sessions;
    call_reply(call, 200, json_pack("{s:o}", "holds", p->holds(p->context)));
}

void admin_drain(struct call *call)
{
    const struct session_provider *p = call->admin->settings.sessions;
    cleanup_body struct body body = {0};
    struct body_hold fields;
    struct session_drain drain;
    struct error error;
    size_t size;
    const char *data = http_body(call->request, &size);
    int r = body_read_hold(data, size, &body, &fields, &error);
    if (r >= 0) {
        const struct session_filter filter = {.node = fields.node.text,
                                              .volume = fields.volume.text};
        r = p->drain(p->context, &filter, (unsigned)fields.seconds.number, &drain, &error);
    }
    if (r < 0)
        call_reply_error(call, &error);
    else
        call_reply_result(call, json_pack("{s:I, s:I}", "sessions", (json_int_t)drain.sessions,
                                          "asked", (json_int_t)drain.asked));
}

void admin_release(struct call *call)
{
    const struct session_provider *p = call->admin->settings.sessions;
    struct session_filter filter;
    struct error error;
    if (!read_filter(call, &filter))
        return;
    bool all = http_query(call->request, "all") != NULL;
    if (all + (filter.node || filter.volume) != 1)
        (void)error_set(&error, -EINVAL, "give one of 'volume', 'node' and 'all'");
    else if (p->release(p->context, &filter, &error) >= 0) {
        call_reply(call, 200, json_object());
        return;
    }
    call_reply_error(call, &error);
}
