/* /v1/sessions */
#include "http/admin_internal.h"

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
    json_t *sessions = NULL;
    if (!p)
        error_set(&error, -ENOENT, "there are no sessions here");
    if (p && p->list(p->context, filter, in_full, &sessions, &error) >= 0)
        return sessions;
    call_reply_error(call, &error);
    return NULL;
}

void admin_list_sessions(struct call *call)
{
    struct session_filter filter;
    json_t *sessions = read_filter(call, &filter) ? ask(call, &filter, false) : NULL;
    if (sessions)
        call_reply(call, 200, json_pack("{s:o}", "sessions", sessions));
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
