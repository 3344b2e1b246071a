#include "iscsi/lun.h"

#include <errno.h>

#include "iscsi/target.h"

/* Which LUNs there are, once and for all. */
struct iscsi_lun_list {
    struct iscsi_lun_list *older;
    struct scsi_target scsi;
    struct scsi_target_lun entries[];
};

struct iscsi_luns *iscsi_luns_new(struct io_thread *thread)
{
    struct iscsi_luns *luns = calloc(1, sizeof(*luns));
    if (!luns)
        return NULL;
    luns->thread = thread;
    list_init(&luns->all);
    return luns;
}

struct iscsi_lun *iscsi_luns_add(struct iscsi_luns *luns, unsigned number, struct io_thread *thread,
                                 uint64_t volume_id, const void *volume)
{
    struct iscsi_lun *lun = calloc(1, sizeof(*lun));
    if (!lun)
        return NULL;
    lun->luns = luns;
    lun->number = number;
    lun->thread = thread;
    lun->volume_id = volume_id;
    lun->volume = volume;
    list_init(&lun->tasks);
    list_append(&luns->all, &lun->link);
    return lun;
}

static struct iscsi_lun *of_all(struct list *node)
{
    return container_of(node, struct iscsi_lun, link);
}

static struct iscsi_lun *lun_of(struct message *message)
{
    return container_of(message, struct iscsi_lun, message);
}

static void answer(struct iscsi_lun *lun, void (*run)(struct message *message))
{
    lun->message.run = run;
    io_thread_post(lun->luns->thread, &lun->message);
}

static void ask(struct iscsi_lun *lun, void (*run)(struct message *message))
{
    lun->luns->n_pending++;
    lun->message.run = run;
    io_thread_post(lun->thread, &lun->message);
}

static void let_go(struct iscsi_lun *lun)
{
    list_remove(&lun->link);
    lun->luns->let_go(lun);
    free(lun);
}

/* --- which LUNs the session has --- */

static size_t count_connected(const struct iscsi_luns *luns)
{
    size_t n = 0;
    for (size_t i = 0; i < ISCSI_LUNS; i++)
        n += luns->by_number[i] != NULL;
    return n;
}

static void fill(struct iscsi_lun_list *list, const struct iscsi_luns *luns,
                 struct iscsi_session *session)
{
    size_t n = 0;
    list->entries[n++] = (struct scsi_target_lun){
        .lun = 0, .lu = session->target->lun0.lu, .nexus = &session->nexus};
    for (size_t i = 0; i < ISCSI_LUNS; i++) {
        struct iscsi_lun *lun = luns->by_number[i];
        if (lun)
            list->entries[n++] = (struct scsi_target_lun){
                .lun = (uint64_t)i << 48, .lu = lun->target->lun0.lu, .nexus = &lun->nexus};
    }
    list->scsi =
        (struct scsi_target){.name = luns->identity.target, .luns = list->entries, .n_luns = n};
}

int iscsi_luns_begin(struct iscsi_luns *luns, struct iscsi_session *session)
{
    size_t n = 1 + count_connected(luns);
    struct iscsi_lun_list *list = calloc(1, sizeof(*list) + n * sizeof(list->entries[0]));
    if (!list)
        return -ENOMEM;
    fill(list, luns, session);
    list->older = luns->list;
    luns->list = list;
    session->scsi = &list->scsi;
    return 0;
}

static void free_lists(struct iscsi_luns *luns)
{
    for (struct iscsi_lun_list *list; (list = luns->list);) {
        luns->list = list->older;
        free(list);
    }
}

/* --- telling that there are others --- */

static void tell_nexus(struct scsi_nexus *nexus, bool changed)
{
    if (changed)
        scsi_nexus_establish_unit_attention(nexus, SENSE_REPORTED_LUNS_CHANGED);
    else
        scsi_nexus_clear_unit_attention(nexus, SENSE_REPORTED_LUNS_CHANGED);
}

static void tell_there(struct message *message)
{
    struct iscsi_lun *lun = container_of(message, struct iscsi_lun, news);
    atomic_store(&lun->telling, false); /* first: what is new from now on is posted again */
    tell_nexus(&lun->nexus, atomic_load(&lun->luns_changed));
}

/* Ahead of every command that comes from now on. What was posted and has not come there is
 * overtaken by this. */
static void tell_lun(struct iscsi_lun *lun, bool changed)
{
    atomic_store(&lun->luns_changed, changed);
    if (lun->thread == lun->luns->thread) {
        tell_nexus(&lun->nexus, changed);
    } else if (!atomic_exchange(&lun->telling, true)) {
        lun->news.run = tell_there;
        io_thread_post(lun->thread, &lun->news);
    }
}

/* but: not this one; or NULL. */
static void tell_all(struct iscsi_luns *luns, struct iscsi_session *session,
                     const struct iscsi_lun *but, bool changed)
{
    tell_nexus(&session->nexus, changed);
    for (size_t i = 0; i < ISCSI_LUNS; i++)
        if (luns->by_number[i] && luns->by_number[i] != but)
            tell_lun(luns->by_number[i], changed);
}

void iscsi_luns_reported(struct iscsi_session *session, const struct scsi_target *list)
{
    struct iscsi_luns *luns = session->conn->luns;
    if (luns && list == session->scsi) /* else it is no news any more */
        tell_all(luns, session, NULL, false);
}

/* --- connecting --- */

static void connect_lun(struct iscsi_lun *lun)
{
    lun->connected = true;
    lun->luns->by_number[lun->number] = lun;
}

static void is_opened(struct iscsi_lun *lun)
{
    lun->luns->opened(lun);
    lun->volume = NULL;
    if (!lun->target)
        let_go(lun);
}

static void was_connected(struct message *message)
{
    struct iscsi_lun *lun = lun_of(message);
    struct iscsi_luns *luns = lun->luns;
    if (lun->target)
        connect_lun(lun);
    is_opened(lun);
    if (--luns->n_pending == 0)
        luns->connected(luns);
}

static void opened(struct iscsi_target_request *request, struct iscsi_target *target,
                   const char *reason);

static void open_there(struct message *message)
{
    struct iscsi_lun *lun = lun_of(message);
    lun->request.done = opened;
    lun->luns->open(lun);
}

void iscsi_luns_connect(struct iscsi_luns *luns)
{
    luns->n_pending = 1; /* until all are asked */
    list_for_each(node, &luns->all)
        ask(of_all(node), open_there);
    if (--luns->n_pending == 0)
        luns->connected(luns);
}

/* --- disconnecting --- */

static void lose_there(struct message *message)
{
    scsi_nexus_lose(&container_of(message, struct iscsi_lun, lose)->nexus);
}

void iscsi_luns_lose(struct iscsi_luns *luns)
{
    for (size_t i = 0; luns && i < ISCSI_LUNS; i++) {
        struct iscsi_lun *lun = luns->by_number[i];
        if (!lun || lun->lost)
            continue;
        lun->lost = true;
        lun->lose.run = lose_there;
        io_thread_post(lun->thread, &lun->lose); /* before what disconnects it */
    }
}

static void free_luns(struct iscsi_luns *luns)
{
    void (*released)(void *context) = luns->released;
    void *context = luns->released_context;
    list_for_each(node, &luns->all)
        let_go(of_all(node));
    luns->freed(luns);
    free_lists(luns);
    free(luns);
    released(context);
}

/* One message less is under way. */
static void has_come_back(struct iscsi_luns *luns)
{
    if (--luns->n_pending == 0 && luns->released)
        free_luns(luns);
}

static void was_disconnected(struct message *message)
{
    has_come_back(lun_of(message)->luns);
}

static void disconnect_there(struct message *message)
{
    struct iscsi_lun *lun = lun_of(message);
    struct iscsi_target *target = lun->target;
    scsi_nexus_disconnect(&lun->nexus);
    buffer_share_clear(&lun->share);
    list_remove(&lun->remote_link);
    answer(lun, was_disconnected); /* behind whatever was posted before */
    iscsi_target_session_ended(target);
}

void iscsi_luns_release(struct iscsi_luns *luns, void (*released)(void *context), void *context)
{
    luns->released = released;
    luns->released_context = context;
    luns->n_pending++; /* until all are asked */
    for (size_t i = 0; i < ISCSI_LUNS; i++)
        if (luns->by_number[i])
            ask(luns->by_number[i], disconnect_there);
    has_come_back(luns);
}

/* --- attaching to a session that has begun --- */

/* The initiator will see everything when it logs in again. */
static void join_session(struct iscsi_lun *lun)
{
    struct iscsi_luns *luns = lun->luns;
    struct iscsi_session *session = luns->conn->session;
    connect_lun(lun);
    if (iscsi_luns_begin(luns, session) < 0)
        iscsi_conn_close(luns->conn, "out of memory");
    else
        tell_all(luns, session, lun, true);
}

static void was_attached(struct message *message)
{
    struct iscsi_lun *lun = lun_of(message);
    struct iscsi_luns *luns = lun->luns;
    bool late = luns->released != NULL; /* the session has ended meanwhile */
    if (late)
        lun->reason = "its session has ended";
    else if (lun->target)
        join_session(lun);
    if (late && lun->target)
        ask(lun, disconnect_there);
    is_opened(lun);
    has_come_back(luns);
}

static void opened(struct iscsi_target_request *request, struct iscsi_target *target,
                   const char *reason)
{
    struct iscsi_lun *lun = container_of(request, struct iscsi_lun, request);
    lun->reason = reason;
    if (target && iscsi_target_has_rival(target, &lun->luns->identity))
        lun->reason = "it is in use from another address";
    else if (target) {
        lun->target = target;
        list_append(&target->remotes, &lun->remote_link);
        buffer_share_init(&lun->share);
        struct scsi_nexus_id id = iscsi_nexus_id(&lun->luns->identity);
        scsi_nexus_connect(&lun->nexus, target->lun0.lu, &id, &iscsi_lun_nexus_operations);
    }
    answer(lun, lun->attached ? was_attached : was_connected);
}

void iscsi_luns_attach(struct iscsi_lun *lun)
{
    lun->attached = true;
    ask(lun, open_there);
}

/* --- numbers --- */

int iscsi_lun_number(uint64_t wire)
{
    unsigned method = (unsigned)(wire >> 62);
    if (method > 1 || wire << 16 != 0 || (method == 0 && wire >> 56 != 0))
        return -1; /* of several levels, or of a bus that is not there */
    return (int)(wire >> 48 & 0x3fff);
}

struct iscsi_lun *iscsi_luns_find(struct iscsi_luns *luns, int number)
{
    return luns && number > 0 && number < ISCSI_LUNS ? luns->by_number[number] : NULL;
}

/* --- what the LU's thread asks of the session's --- */

static void evict_here(struct message *message)
{
    struct iscsi_lun *lun = container_of(message, struct iscsi_lun, evict);
    if (lun->luns->conn)
        iscsi_conn_close(lun->luns->conn, lun->evict_reason);
}

void iscsi_lun_evict(struct iscsi_lun *lun, const char *reason)
{
    if (lun->evicting)
        return;
    lun->evicting = true;
    lun->evict_reason = reason;
    lun->evict.run = evict_here;
    io_thread_post(lun->luns->thread, &lun->evict);
}

static void clear_here(struct message *message)
{
    struct iscsi_lun *lun = container_of(message, struct iscsi_lun, clear);
    atomic_store(&lun->clearing, false); /* first: what comes from now on is posted again */
    if (lun->luns->conn && lun->luns->conn->session)
        iscsi_session_cancel_cleared(lun->luns->conn->session, lun);
}

void iscsi_lun_clear(struct iscsi_lun *lun)
{
    if (atomic_exchange(&lun->clearing, true))
        return;
    lun->clear.run = clear_here;
    io_thread_post(lun->luns->thread, &lun->clear);
}
