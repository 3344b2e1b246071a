/*
 * The registry thread and its group commit. What is asked of it lives in nodes.c, volumes.c,
 * images.c, leases.c and boots.c.
 *
 * One pass of the thread: take everything that is in the mailbox, carry each request out inside a
 * savepoint of one transaction, build the new catalog inside that transaction (so that a failure
 * undoes everything), commit, swap the catalog in, tell everybody.
 */
#include "registry/registry.h"

#include "registry/operation.h"
#include "registry/schema.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

struct registry {
    struct registry_settings settings;
    char base_iqn[IQN_MAX_LEN + 1];
    char kernel[64];
    struct db db;
    struct mailbox mailbox;
    pthread_t thread;
    _Atomic(uint64_t) next_boot_id;

    /* of the registry thread */
    bool stopping;
    bool in_transaction;
    bool may_come_back;       /* what a COMMIT has failed to do: see overwrite() */
    struct error begin_error; /* of this batch: what is locked is waited for once, not each time */
    uint64_t generation;
    struct operation *batch, **batch_end;
};

struct stop_message {
    struct message message;
    struct registry *registry;
};

static void fail_batch(struct registry *r, const struct error *error)
{
    for (struct operation *op = r->batch; op; op = op->next)
        if (op->error.code == 0)
            op->error = *error;
}

static void roll_back(struct registry *r)
{
    struct error ignored;
    if (!sqlite3_get_autocommit(r->db.handle))
        (void)!db_exec(&r->db, "ROLLBACK", &ignored);
    r->in_transaction = false;
}

/* A COMMIT that fails may have written all that it was to write: then whoever opens the database
 * after a crash finds it done, although it was refused, and what was done since then on top of the
 * old state has lost its ground. The next transaction lies where that one does, whatever it is. */
static void overwrite(struct registry *r)
{
    struct error ignored;
    if (r->may_come_back && db_commit_nothing(&r->db, &ignored) >= 0)
        r->may_come_back = false;
}

static int begin(struct registry *r, struct error *ret_error)
{
    if (r->in_transaction)
        return 0;
    overwrite(r);
    if (r->begin_error.code == 0)
        r->in_transaction = db_exec(&r->db, "BEGIN IMMEDIATE", &r->begin_error) >= 0;
    if (!r->in_transaction)
        *ret_error = r->begin_error;
    return r->begin_error.code;
}

static int apply(struct registry *r, struct operation *op)
{
    struct error ignored;
    int code = op->reads_only ? 0 : begin(r, &op->error);
    if (code < 0 || op->reads_only)
        return code < 0 ? code : op->apply(&r->db, op, &op->error);
    code = db_exec(&r->db, "SAVEPOINT request", &op->error);
    if (code < 0)
        return code;
    code = op->apply(&r->db, op, &op->error);
    if (code < 0)
        (void)!db_exec(&r->db, "ROLLBACK TO request", &ignored);
    (void)!db_exec(&r->db, "RELEASE request", &ignored);
    return code;
}

/* A message to the registry thread: part of the batch that finish_batch() ends. */
static void run_operation(struct message *message)
{
    struct operation *op = container_of(message, struct operation, message);
    struct registry *r = op->registry;
    op->error = (struct error){0};
    op->next = NULL;
    *r->batch_end = op;
    r->batch_end = &op->next;
    int code = apply(r, op);
    if (code < 0 && op->error.code == 0)
        error_set(&op->error, code, "%s", strerror(-code));
    /* A full disk can make SQLite undo the whole transaction, and with it what came before. */
    if (r->in_transaction && sqlite3_get_autocommit(r->db.handle)) {
        r->in_transaction = false;
        fail_batch(r, &op->error);
    }
}

static bool needs_catalog(const struct operation *op)
{
    return op->changes_catalog && op->error.code == 0;
}

static bool is_named(const struct changed *changed)
{
    return (changed->volume_id || changed->node_id) && !changed->more;
}

/* What the batch has changed of the catalog. *ret_list: an array, free() it; NULL: it may be
 * anything. Returns how many changes there were. */
static size_t gather_changes(const struct registry *r, struct changed **ret_list)
{
    size_t count = 0, n = 0;
    bool named = true;
    for (const struct operation *op = r->batch; op; op = op->next) {
        if (!needs_catalog(op))
            continue;
        count++;
        named = named && is_named(&op->changed);
    }
    struct changed *list = named ? reallocarray(NULL, count + 1, sizeof(*list)) : NULL;
    for (const struct operation *op = r->batch; list && op; op = op->next)
        if (needs_catalog(op))
            list[n++] = op->changed;
    *ret_list = list;
    return count;
}

/* NULL without an error: it is as it was. */
static struct catalog *make_catalog(struct registry *r, struct error *ret_error)
{
    cleanup_free struct changed *changed = NULL;
    size_t n_changed = gather_changes(r, &changed);
    if (n_changed == 0)
        return NULL;
    if (!changed)
        return catalog_load(&r->db, r->base_iqn, r->generation + 1, ret_error);
    cleanup_catalog struct catalog *before = catalog_slot_get(r->settings.catalog);
    return catalog_load_changed(&r->db, before, changed, n_changed, ret_error);
}

/* Makes the batch durable; what it changed is in force when this returns. */
static int commit(struct registry *r, struct error *ret_error)
{
    *ret_error = (struct error){0};
    struct catalog *fresh = make_catalog(r, ret_error);
    if (!fresh && ret_error->code < 0)
        return ret_error->code;
    int code = db_exec(&r->db, "COMMIT", ret_error);
    if (code < 0) {
        catalog_unref(fresh);
        return code;
    }
    r->in_transaction = false;
    if (fresh) {
        r->generation++;
        catalog_slot_set(r->settings.catalog, fresh);
    }
    return 0;
}

static void tell(struct registry *r, struct operation *op)
{
    if (op->waiter) { /* on the stack of the one who waits: not ours any more after this */
        sem_post(op->waiter);
        return;
    }
    if (op->reply) {
        op->reply->error = op->error;
        if (op->reply->mailbox)
            mailbox_post(op->reply->mailbox, &op->reply->message);
        else
            op->reply->message.run(&op->reply->message);
    } else if (op->error.code < 0 && r->settings.lost) {
        r->settings.lost(r->settings.context, &op->error);
    }
    free(op);
}

static void finish_batch(struct registry *r)
{
    struct error error;
    if (r->in_transaction && commit(r, &error) < 0) {
        r->may_come_back = true;
        roll_back(r);
        overwrite(r);
        fail_batch(r, &error);
    }
    r->begin_error = (struct error){0};
    struct operation *op = r->batch;
    r->batch = NULL;
    r->batch_end = &r->batch;
    while (op) {
        struct operation *next = op->next;
        tell(r, op);
        op = next;
    }
}

static void *run(void *argument)
{
    struct registry *r = argument;
    struct pollfd pollfd = {.fd = r->mailbox.fd, .events = POLLIN};
    while (!r->stopping) {
        if (poll(&pollfd, 1, -1) <= 0)
            continue;
        mailbox_run(&r->mailbox);
        finish_batch(r);
    }
    return NULL;
}

static void run_stop(struct message *message)
{
    container_of(message, struct stop_message, message)->registry->stopping = true;
}

static int load_first(struct registry *r, struct error *ret_error)
{
    int64_t last_boot = 0;
    /* A boot that could not be stored may have got something all the same. */
    int code = db_lookup(&r->db,
                         "SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM boots UNION"
                         " SELECT max(boot_id) FROM boot_rules UNION"
                         " SELECT max(boot_id) FROM node_chap_age)",
                         DB_NO_VALUES, &last_boot, ret_error);
    if (code < 0)
        return code;
    last_boot = MIN(MAX(last_boot, 0), REGISTRY_MAX_BOOT_ID);
    atomic_init(&r->next_boot_id, (uint64_t)last_boot + 1);
    struct catalog *catalog = catalog_load(&r->db, r->base_iqn, ++r->generation, ret_error);
    if (!catalog)
        return ret_error->code;
    catalog_slot_set(r->settings.catalog, catalog);
    return 0;
}

static void destroy(struct registry *r)
{
    mailbox_close(&r->mailbox);
    db_close(&r->db);
    free(r);
}

static int start(struct registry *r, struct error *ret_error)
{
    int code = schema_open(&r->db, r->settings.path, ret_error);
    if (code >= 0)
        code = load_first(r, ret_error);
    if (code < 0)
        return code;
    code = mailbox_open(&r->mailbox);
    if (code >= 0)
        code = -pthread_create(&r->thread, NULL, run, r);
    if (code < 0)
        return error_set(ret_error, code, "cannot start the registry: %s", strerror(-code));
    pthread_setname_np(r->thread, "registry");
    return 0;
}

int registry_start(const struct registry_settings *settings, struct registry **ret_registry,
                   struct error *ret_error)
{
    struct registry *r = calloc(1, sizeof(*r));
    if (!r)
        return error_set(ret_error, -ENOMEM, "out of memory");
    r->settings = *settings;
    r->mailbox.fd = -1;
    r->batch_end = &r->batch;
    str_copy(r->base_iqn, sizeof(r->base_iqn), settings->base_iqn);
    str_copy(r->kernel, sizeof(r->kernel), settings->kernel ? settings->kernel : "");
    int code = start(r, ret_error);
    r->settings.kernel = r->kernel;
    r->settings.path = r->db.path;
    r->settings.base_iqn = r->base_iqn;
    if (code < 0) {
        destroy(r);
        return code;
    }
    *ret_registry = r;
    return 0;
}

void registry_stop(struct registry *r)
{
    if (!r)
        return;
    struct stop_message stop = {.message.run = run_stop, .registry = r};
    mailbox_post(&r->mailbox, &stop.message);
    pthread_join(r->thread, NULL);
    destroy(r);
}

int operation_run(struct registry *r, struct operation *op, struct error *ret_error)
{
    sem_t done;
    sem_init(&done, 0, 0);
    op->message.run = run_operation;
    op->registry = r;
    op->waiter = &done;
    op->reply = NULL;
    mailbox_post(&r->mailbox, &op->message);
    while (sem_wait(&done) < 0)
        ; /* EINTR */
    sem_destroy(&done);
    if (op->error.code < 0)
        *ret_error = op->error;
    return op->error.code;
}

void operation_post(struct registry *r, struct operation *op, struct registry_reply *reply)
{
    op->message.run = run_operation;
    op->registry = r;
    op->waiter = NULL;
    op->reply = reply;
    mailbox_post(&r->mailbox, &op->message);
}

int operation_check_address(struct registry *r, uint32_t address, struct error *ret_error)
{
    if (address == 0 || !r->settings.check_address)
        return 0;
    return r->settings.check_address(r->settings.context, address, ret_error);
}

const char *operation_kernel(const struct operation *operation)
{
    return operation->registry->kernel;
}

uint64_t registry_boot_new_id(struct registry *r)
{
    return atomic_fetch_add_explicit(&r->next_boot_id, 1, memory_order_relaxed);
}
