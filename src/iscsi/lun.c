#include "iscsi/lun.h"

#include "iscsi/target.h"

struct iscsi_luns *iscsi_luns_new(struct io_thread *thread, size_t n)
{
    struct iscsi_luns *luns = calloc(1, sizeof(*luns));
    if (!luns)
        return NULL;
    luns->thread = thread;
    luns->n = n;
    luns->luns = calloc(n, sizeof(*luns->luns));
    luns->list = calloc(n + 1, sizeof(*luns->list));
    if (!luns->luns || !luns->list) {
        free(luns->luns);
        free(luns->list);
        free(luns);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        luns->luns[i].luns = luns;
        list_init(&luns->luns[i].tasks);
    }
    return luns;
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
    lun->message.run = run;
    io_thread_post(lun->thread, &lun->message);
}

/* --- connecting --- */

static void list_connected(struct iscsi_luns *luns)
{
    size_t n = 1; /* the first is LUN 0 */
    for (size_t i = 0; i < luns->n; i++)
        if (luns->luns[i].connected)
            luns->list[n++] = (struct scsi_target_lun){.lun = (uint64_t)luns->luns[i].number << 48,
                                                       .lu = luns->luns[i].nexus.lu,
                                                       .nexus = &luns->luns[i].nexus};
    luns->scsi =
        (struct scsi_target){.name = luns->identity.target, .luns = luns->list, .n_luns = n};
}

static void was_connected(struct message *message)
{
    struct iscsi_luns *luns = lun_of(message)->luns;
    if (--luns->n_pending > 0)
        return;
    list_connected(luns);
    luns->connected(luns);
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
        list_append(&target->remotes, &lun->link);
        buffer_share_init(&lun->share);
        struct scsi_nexus_id id = iscsi_nexus_id(&lun->luns->identity);
        scsi_nexus_connect(&lun->nexus, target->lun0.lu, &id, &iscsi_lun_nexus_operations);
        lun->connected = true;
    }
    answer(lun, was_connected);
}

static void open_there(struct message *message)
{
    struct iscsi_lun *lun = lun_of(message);
    lun->request.done = opened;
    lun->luns->open(lun);
}

void iscsi_luns_connect(struct iscsi_luns *luns)
{
    luns->n_pending = (unsigned)luns->n;
    for (size_t i = 0; i < luns->n; i++)
        ask(&luns->luns[i], open_there);
}

void iscsi_luns_set_first(struct iscsi_luns *luns, struct scsi_lu *lu, struct scsi_nexus *nexus)
{
    luns->list[0] = (struct scsi_target_lun){.lun = 0, .lu = lu, .nexus = nexus};
}

/* --- disconnecting --- */

static void lose_there(struct message *message)
{
    scsi_nexus_lose(&container_of(message, struct iscsi_lun, lose)->nexus);
}

void iscsi_luns_lose(struct iscsi_luns *luns)
{
    for (size_t i = 0; luns && i < luns->n; i++) {
        struct iscsi_lun *lun = &luns->luns[i];
        if (!lun->connected || lun->lost)
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
    luns->freed(luns);
    free(luns->luns);
    free(luns->list);
    free(luns);
    released(context);
}

static void was_disconnected(struct message *message)
{
    struct iscsi_luns *luns = lun_of(message)->luns;
    if (--luns->n_pending == 0)
        free_luns(luns);
}

static void disconnect_there(struct message *message)
{
    struct iscsi_lun *lun = lun_of(message);
    struct iscsi_target *target = lun->target;
    scsi_nexus_disconnect(&lun->nexus);
    buffer_share_clear(&lun->share);
    list_remove(&lun->link);
    answer(lun, was_disconnected); /* behind whatever was posted before */
    iscsi_target_session_ended(target);
}

void iscsi_luns_release(struct iscsi_luns *luns, void (*released)(void *context), void *context)
{
    luns->released = released;
    luns->released_context = context;
    luns->n_pending = 1;
    for (size_t i = 0; i < luns->n; i++) {
        if (!luns->luns[i].connected)
            continue;
        luns->n_pending++;
        ask(&luns->luns[i], disconnect_there);
    }
    if (--luns->n_pending == 0)
        free_luns(luns);
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
    for (size_t i = 0; luns && i < luns->n; i++)
        if ((int)luns->luns[i].number == number && luns->luns[i].connected)
            return &luns->luns[i];
    return NULL;
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
