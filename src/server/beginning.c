#include "server/beginning.h"

/* Between logins whose sessions may not have begun yet. */
#define AT_ONCE     (5 * USEC_PER_SEC)
/* Between logins of firmware that is at work. */
#define WHILE_ALIVE (60 * USEC_PER_SEC)

static bool has_source(const struct beginning *b, const struct endpoint *source)
{
    for (size_t i = 0; i < b->n_sources; i++)
        if (endpoint_same_host(&b->sources[i], source))
            return true;
    return false;
}

static bool add_source(struct beginning *b, const struct endpoint *source)
{
    if (has_source(b, source))
        return true;
    if (b->n_sources == ARRAY_SIZE(b->sources))
        return false;
    b->sources[b->n_sources++] = *source;
    return true;
}

/* Has its firmware sessions that are alive, none of them from here, and has no system come? */
static bool is_at_work(const struct catalog *catalog, const struct iscsi_target *target,
                       const struct iscsi_login_identity *login)
{
    bool found = false;
    if (!target)
        return false;
    list_for_each(node, &target->sessions) {
        const struct iscsi_session *session = container_of(node, struct iscsi_session, link);
        if (session->conn->state != ISCSI_CONN_FULL ||
            !same_node(catalog, &session->identity, login))
            continue;
        if (!session->traits.firmware ||
            endpoint_same_host(&session->identity.source, &login->source))
            return false;
        found = true;
    }
    return found;
}

static bool is_of_it(const struct beginning *b, const struct catalog *catalog,
                     const struct iscsi_target *target, const struct iscsi_login_identity *login,
                     uint64_t now)
{
    if (b->n_sources == 0 || !catalog || !same_node(catalog, &b->first, login))
        return false;
    return (now - b->at < AT_ONCE && !has_source(b, &login->source)) ||
           (now - b->at < WHILE_ALIVE && is_at_work(catalog, target, login));
}

bool beginning_login(struct beginning *b, const struct catalog *catalog,
                     const struct iscsi_target *target, const struct iscsi_login_identity *login,
                     uint64_t now)
{
    bool begins = !is_of_it(b, catalog, target, login, now) || !add_source(b, &login->source);
    if (begins)
        *b = (struct beginning){.first = *login, .sources = {login->source}, .n_sources = 1};
    b->at = now;
    return begins;
}
