#include "server/sessions.h"

#include <errno.h>

#include "iscsi/target.h"
#include "server/open_volumes.h"
#include "server/session_match.h"

/* What somebody wants to see. Each thread adds to a list of its own. */
struct question {
    struct session_match match;
    bool *failed;                /* of each thread: no memory */
    struct session_copy **lists; /* likewise, the last one first */
};

/* Puts three texts behind one another, and where each begins. */
static bool copy_texts(struct session_copy *copy, const struct iscsi_login_identity *identity)
{
    size_t initiator = strlen(identity->initiator) + 1, target = strlen(identity->target) + 1;
    size_t alias = strlen(identity->alias) + 1;
    copy->texts = malloc(initiator + target + alias);
    if (!copy->texts)
        return false;
    copy->initiator = memcpy(copy->texts, identity->initiator, initiator);
    copy->target = memcpy(copy->texts + initiator, identity->target, target);
    copy->alias = memcpy(copy->texts + initiator + target, identity->alias, alias);
    return true;
}

static void copy_numbers(struct session_copy *copy, const struct iscsi_session *session)
{
    const struct iscsi_login_identity *identity = &session->identity;
    copy->id = session->roster.id;
    copy->discovery = identity->discovery;
    copy->volume_id = session->target ? open_volumes_id(session->target) : 0;
    copy->peer = session->conn->peer;
    copy->portal = session->conn->local;
    memcpy(copy->isid, identity->isid, sizeof(copy->isid));
    copy->tsih = session->tsih;
    copy->cid = identity->cid;
    copy->traits = session->traits;
    copy->parameters = session->parameters;
    copy->record = session->record;
    copy->under_way = session->n_tasks;
}

static struct session_copy *copy_session(const struct iscsi_session *session)
{
    size_t n_luns = session->scsi ? session->scsi->n_luns : 0;
    struct session_copy *copy = calloc(1, sizeof(*copy) + n_luns * sizeof(copy->luns[0]));
    if (!copy || !copy_texts(copy, &session->identity)) {
        free(copy);
        return NULL;
    }
    copy_numbers(copy, session);
    for (size_t i = 1; i < n_luns; i++) {
        const struct iscsi_lun *lun =
            iscsi_luns_find(session->conn->luns, iscsi_lun_number(session->scsi->luns[i].lun));
        if (lun)
            copy->luns[copy->n_luns++] = (struct session_lun){lun->number, lun->volume_id};
    }
    return copy;
}

/* On the session's thread. */
static void visit(void *context, unsigned thread, struct iscsi_session *session)
{
    struct question *q = context;
    if (!session_match_is(&q->match, session))
        return;
    struct session_copy *copy = copy_session(session);
    if (!copy) {
        q->failed[thread] = true;
        return;
    }
    copy->next = q->lists[thread];
    q->lists[thread] = copy;
}

static int by_id(const void *a, const void *b)
{
    const struct session_copy *const *x = a, *const *y = b;
    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

/* All lists as one array, ordered; free() it. NULL: no memory. */
static struct session_copy **sort_copies(const struct question *q, unsigned n_threads,
                                         size_t *ret_count)
{
    size_t n = 0;
    for (unsigned i = 0; i < n_threads; i++)
        for (const struct session_copy *c = q->lists[i]; c; c = c->next)
            n++;
    struct session_copy **all = calloc(n + 1, sizeof(struct session_copy *));
    if (!all)
        return NULL;
    n = 0;
    for (unsigned i = 0; i < n_threads; i++)
        for (struct session_copy *c = q->lists[i]; c; c = c->next)
            all[n++] = c;
    qsort(all, n, sizeof(struct session_copy *), by_id);
    *ret_count = n;
    return all;
}

static json_t *to_json(const struct question *q, unsigned n_threads, bool in_full)
{
    size_t n;
    cleanup_free struct session_copy **all = sort_copies(q, n_threads, &n);
    json_t *list = all ? json_array() : NULL;
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, session_to_json(q->match.catalog, all[i], in_full)) < 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static void free_copies(struct session_copy *copy)
{
    while (copy) {
        struct session_copy *next = copy->next;
        free(copy->texts);
        free(copy);
        copy = next;
    }
}

/* What the threads have found, as an array. */
static int ask(struct sessions *sessions, struct question *q, bool in_full, json_t **ret_sessions,
               struct error *ret_error)
{
    unsigned n = iscsi_roster_threads(sessions->roster);
    json_t *list = NULL;
    q->failed = calloc(n, sizeof(*q->failed));
    q->lists = calloc(n, sizeof(struct session_copy *));
    bool ok = q->failed && q->lists && iscsi_roster_visit(sessions->roster, visit, q) >= 0;
    for (unsigned i = 0; ok && i < n; i++)
        ok = !q->failed[i];
    if (ok)
        list = to_json(q, n, in_full);
    for (unsigned i = 0; q->lists && i < n; i++)
        free_copies(q->lists[i]);
    free(q->failed);
    free(q->lists);
    if (!list)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *ret_sessions = list;
    return 0;
}

static int list_sessions(void *context, const struct session_filter *filter, bool in_full,
                         json_t **ret_sessions, struct error *ret_error)
{
    struct sessions *sessions = context;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(sessions->catalog);
    struct question q = {0};
    int r = session_match_read(filter, catalog, &q.match, ret_error);
    if (r >= 0)
        r = ask(sessions, &q, in_full, ret_sessions, ret_error);
    if (r < 0 || !filter->id || json_array_size(*ret_sessions) > 0)
        return r;
    json_decref(*ret_sessions);
    return sessions_none(filter->id, ret_error);
}

int sessions_none(uint64_t id, struct error *ret_error)
{
    return error_set(ret_error, -ENOENT,
                     "there is no session %llu (any more); see: nodisk session list",
                     (unsigned long long)id);
}

struct session_provider sessions_provider(struct sessions *sessions)
{
    return (struct session_provider){.list = list_sessions,
                                     .end = sessions_end,
                                     .drain = sessions_drain,
                                     .release = sessions_release,
                                     .attach = sessions_attach,
                                     .holds = sessions_holds,
                                     .context = sessions};
}
