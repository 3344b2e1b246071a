/*
 * An export of an NBD server.
 *
 * libnbd's state machine is driven by this thread's ring: while commands are on a connection, a
 * poll of its socket is in the ring, for what the machine waits for; without commands there is
 * none, and an idle volume costs nothing. All that a server answers is taken in the completion of
 * that poll, so that no request ever ends while a poll is in the ring: whoever sees no request
 * under way may close the device on any thread.
 *
 * A connection that is lost is made anew by a thread of its own, for as long
 * as PATIENCE; the requests that
 * have no answer wait meanwhile, and are sent again. Nobody can say which of them the old server
 * has carried out. Doing it twice changes nothing: as long as a request is not done, no order is
 * promised against others that overlap it, and whoever wants to write there after it waits for
 * done(), which comes after the second time. That holds as long as the first time does not come
 * after the second, from a server that is still at work on a connection that we have given up. So a
 * connection is given up only when its socket says that the other end is gone (its process has
 * closed it, or its host has answered no probe for a while, nbd_connect.c), never because a server
 * is slow: then it is waited for, as a slow disk is. (qemu-nbd with its one client at a time takes
 * no new one before the last request of the old one is through.)
 *
 * What the server has acknowledged but not flushed may have gone with it: a later flush would
 * succeed and mean nothing. So if there is any, the device has failed, as after a flush that
 * failed, and nothing is sent again.
 */
#include "block/nbd.h"

#include <errno.h>
#include <poll.h>

#include "block/nbd_connect.h"

/* For how long requests wait for a server that is away, before they fail. The first one after that
 * has it tried once more. */
#define PATIENCE         (30 * USEC_PER_SEC)
#define PAUSE_USEC       300000u   /* between two tries */
#define MAX_ZEROES       (1 * GIB) /* of one command */
#define ZERO_BUFFER_SIZE (64 * KIB)

enum command { COMMAND_READ, COMMAND_WRITE, COMMAND_ZERO, COMMAND_FLUSH };

/* What became of a command; in request->step beside the command itself. */
enum outcome { DONE, LOST, NO_ROOM, FAILED };
#define OUTCOME_SHIFT 4
#define COMMAND_MASK  15u

struct nbd_device {
    struct block_device device;
    struct io_thread *thread;
    struct nbd_settings settings; /* its URI is owned */
    struct nbd_export export;
    uint8_t *zeroes;           /* ZERO_BUFFER_SIZE, made when first needed */
    struct nbd_handle *handle; /* NULL: no connection */
    struct list sent;          /* requests with a command on the connection */
    struct list answered;      /* whose command has an outcome; filled by libnbd's callbacks */
    struct list held;          /* that wait for a connection */
    struct list finished;      /* request->step is the outcome; on their way to done() */
    struct io_op poll;
    unsigned polled;  /* what the poll in the ring waits for; 0: there is none */
    bool cancelling;  /* it */
    uint64_t writes;  /* acknowledged, without FUA */
    uint64_t flushed; /* of them: known to be durable */

    uint64_t away_since; /* clock_monotonic_usec(); 0: the last that we heard was an answer */
    bool hopeless;       /* away for so long that nobody waits any more */

    /* What a reconnecting thread works on; handed to it by its start, and back by `reconnected`. */
    bool connecting;
    bool again; /* not the first time since then */
    pthread_t worker;
    struct message reconnected;
    struct nbd_handle *next;
    struct nbd_export next_export;
    int result;
};

static struct nbd_device *nbd_of(struct block_device *device)
{
    return container_of(device, struct nbd_device, device);
}

static struct block_request *request_of(struct list *node)
{
    return container_of(node, struct block_request, link);
}

static void report(struct nbd_device *nbd, enum block_operation operation, int result)
{
    if (nbd->device.on_error)
        nbd->device.on_error(&nbd->device, operation, result);
}

static void fail_device(struct nbd_device *nbd, int result)
{
    if (!nbd->device.failed)
        report(nbd, BLOCK_FLUSH, result);
    nbd->device.failed = true;
}

/* --- commands --- */

static enum command command_of(const struct block_request *request)
{
    return request->step & COMMAND_MASK;
}

static enum command first_command(const struct block_request *request)
{
    static const enum command commands[] = {
        [BLOCK_READ] = COMMAND_READ,
        [BLOCK_WRITE] = COMMAND_WRITE,
        [BLOCK_WRITE_ZEROES] = COMMAND_ZERO,
        [BLOCK_FLUSH] = COMMAND_FLUSH,
    };
    return commands[request->operation];
}

/* With libnbd's lock held: says only what became of it. */
static int set_outcome(struct block_request *request, enum outcome outcome)
{
    struct nbd_device *nbd = nbd_of(request->device);
    if (outcome != LOST)
        nbd->away_since = 0;
    request->step = (uint8_t)((unsigned)command_of(request) | (unsigned)outcome << OUTCOME_SHIFT);
    list_remove(&request->link);
    list_append(&nbd->answered, &request->link);
    return 1; /* libnbd may forget it */
}

/* ENOTCONN is libnbd's word for an answer that never came; ESHUTDOWN a server's for one that it
 * has not begun, since it is about to go. */
static int answered(void *user_data, int *error)
{
    struct block_request *request = user_data;
    if (*error == 0)
        return set_outcome(request, DONE);
    if (*error == ENOTCONN || *error == ESHUTDOWN)
        return set_outcome(request, LOST);
    if (command_of(request) != COMMAND_FLUSH)
        report(nbd_of(request->device), request->operation, -*error);
    return set_outcome(request, *error == ENOSPC ? NO_ROOM : FAILED);
}

/* Bytes of the request that its next command is for. */
static uint64_t piece(const struct nbd_device *nbd, const struct block_request *request)
{
    uint64_t most = nbd->export.max_request;
    if (command_of(request) == COMMAND_ZERO)
        most = nbd->export.can_zero ? MAX_ZEROES : MIN(most, ZERO_BUFFER_SIZE);
    return MIN(request->length - request->progress, most);
}

static int64_t send_zeroes(struct nbd_device *nbd, struct block_request *request, uint32_t flags,
                           nbd_completion_callback callback)
{
    uint64_t offset = request->offset + request->progress, length = piece(nbd, request);
    if (nbd->export.can_zero)
        return nbd_aio_zero(nbd->handle, length, offset, callback,
                            flags | (nbd->device.thick ? LIBNBD_CMD_FLAG_NO_HOLE : 0));
    return nbd_aio_pwrite(nbd->handle, nbd->zeroes, length, offset, callback, flags);
}

static int64_t send_command(struct nbd_device *nbd, struct block_request *request)
{
    nbd_completion_callback callback = {.callback = answered, .user_data = request};
    uint64_t offset = request->offset + request->progress, length = piece(nbd, request);
    uint32_t fua = request->flags & BLOCK_FUA && nbd->export.can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
    switch (command_of(request)) {
    case COMMAND_READ:
        return nbd_aio_pread(nbd->handle, request->data + request->progress, length, offset,
                             callback, 0);
    case COMMAND_WRITE:
        return nbd_aio_pwrite(nbd->handle, request->data + request->progress, length, offset,
                              callback, fua);
    case COMMAND_ZERO:
        return send_zeroes(nbd, request, fua, callback);
    case COMMAND_FLUSH:
    default:
        request->progress = nbd->writes; /* that many are durable when it is answered */
        return nbd_aio_flush(nbd->handle, callback, 0);
    }
}

static bool is_gone(const struct nbd_device *nbd)
{
    return nbd_aio_is_dead(nbd->handle) || nbd_aio_is_closed(nbd->handle);
}

/* On the connection, or to wait for one. The connection may turn out to be lost. */
static void put(struct nbd_device *nbd, struct block_request *request)
{
    if (!nbd->handle) {
        list_append(&nbd->held, &request->link);
        return;
    }
    list_append(&nbd->sent, &request->link);
    if (send_command(nbd, request) < 0)
        set_outcome(request, is_gone(nbd) ? LOST : FAILED);
}

/* --- a lost connection --- */

static int check_export(const struct nbd_export *e, const struct nbd_settings *settings,
                        struct error *ret_error)
{
    bool writable = !(settings->how & BLOCK_NBD_READ_ONLY);
    const char *uri = settings->uri;
    if (e->size < settings->size)
        return error_set(ret_error, -EIO,
                         "the NBD export %.200s has only %llu of the volume's %llu bytes; see what "
                         "its server exports",
                         uri, (unsigned long long)e->size, (unsigned long long)settings->size);
    if (e->min_request > settings->block_size)
        return error_set(
            ret_error, -EINVAL,
            "the NBD export %.200s takes blocks of %llu bytes only, the volume has %u; "
            "make the volume anew",
            uri, (unsigned long long)e->min_request, settings->block_size);
    if (writable && e->read_only)
        return error_set(ret_error, -EROFS,
                         "the NBD export %.200s is read-only and the volume is not; let its server "
                         "export it writable",
                         uri);
    if (writable && !e->can_flush)
        return error_set(ret_error, -EOPNOTSUPP,
                         "the NBD server of %.200s cannot flush, so that what is written could be "
                         "lost; use a volume with --read-only",
                         uri);
    return 0;
}

static int connect_checked(const struct nbd_settings *settings, struct nbd_handle **ret_handle,
                           struct nbd_export *ret_export, struct error *ret_error)
{
    struct nbd_handle *handle = NULL;
    int r = nbd_connect(settings->uri, &handle, ret_export, ret_error);
    if (r < 0)
        return r;
    r = check_export(ret_export, settings, ret_error);
    if (r < 0)
        nbd_let_go(handle);
    else
        *ret_handle = handle;
    return r;
}

/* On a thread of its own. */
static void *reconnect(void *arg)
{
    struct nbd_device *nbd = arg;
    struct error error;
    uint64_t deadline = nbd->away_since + nbd->settings.patience;
    if (nbd->again)
        usleep(PAUSE_USEC);
    while ((nbd->result = connect_checked(&nbd->settings, &nbd->next, &nbd->next_export, &error)) <
               0 &&
           clock_monotonic_usec() < deadline)
        usleep(PAUSE_USEC);
    io_thread_post(nbd->thread, &nbd->reconnected);
    return NULL;
}

static void finish(struct nbd_device *nbd, struct block_request *request, enum outcome outcome)
{
    request->step = (uint8_t)outcome;
    list_append(&nbd->finished, &request->link);
}

static void give_up(struct nbd_device *nbd, int result)
{
    if (list_empty(&nbd->held))
        return;
    report(nbd, request_of(nbd->held.next)->operation == BLOCK_READ ? BLOCK_READ : BLOCK_WRITE,
           result);
    for (struct list *node; (node = list_pop(&nbd->held));)
        finish(nbd, request_of(node), FAILED);
}

static void start_reconnecting(struct nbd_device *nbd)
{
    if (nbd->handle || nbd->connecting || list_empty(&nbd->held))
        return;
    nbd->again = nbd->away_since != 0;
    if (!nbd->again)
        nbd->away_since = clock_monotonic_usec();
    int r = pthread_create(&nbd->worker, NULL, reconnect, nbd);
    nbd->connecting = r == 0;
    if (r != 0)
        give_up(nbd, -r);
}

/* What has no answer yet never gets one. */
static void drop_connection(struct nbd_device *nbd)
{
    nbd_close(take_ptr(nbd->handle));
    for (struct list *node; (node = list_pop(&nbd->sent));)
        set_outcome(request_of(node), LOST);
    if (nbd->writes != nbd->flushed)
        fail_device(nbd, -ECONNRESET);
    nbd->hopeless =
        nbd->device.failed ||
        (nbd->away_since && clock_monotonic_usec() - nbd->away_since > nbd->settings.patience);
}

/* --- answers --- */

/* A command was carried out: on with the request, or it is done. */
static void advance(struct nbd_device *nbd, struct block_request *request)
{
    enum command command = command_of(request);
    bool writes = command == COMMAND_WRITE || command == COMMAND_ZERO;
    bool fua = request->flags & BLOCK_FUA;
    if (command == COMMAND_FLUSH) {
        nbd->flushed = MAX(nbd->flushed, request->progress);
        finish(nbd, request, DONE);
        return;
    }
    request->progress += piece(nbd, request);
    nbd->writes += writes && !(fua && nbd->export.can_fua);
    bool complete = request->progress == request->length;
    bool flush = complete && writes && fua && !nbd->export.can_fua;
    if (flush)
        request->step = COMMAND_FLUSH;
    if (complete && !flush)
        finish(nbd, request, DONE);
    else
        put(nbd, request);
}

static void take_answer(struct nbd_device *nbd, struct block_request *request)
{
    enum outcome outcome = request->step >> OUTCOME_SHIFT;
    request->step &= COMMAND_MASK;
    if (outcome == DONE) {
        advance(nbd, request);
    } else if (outcome == LOST && !nbd->device.failed) {
        list_append(&nbd->held, &request->link);
    } else {
        if (outcome != LOST && command_of(request) == COMMAND_FLUSH)
            fail_device(nbd, -EIO);
        finish(nbd, request, outcome);
    }
}

/* --- the poll --- */

static unsigned wanted(const struct nbd_device *nbd)
{
    if (!nbd->handle || list_empty(&nbd->sent))
        return 0;
    unsigned direction = nbd_aio_get_direction(nbd->handle);
    return (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0u) |
           (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0u);
}

static void cancel_poll(struct nbd_device *nbd)
{
    if (!nbd->cancelling)
        ring_cancel(&nbd->thread->ring, &nbd->poll);
    nbd->cancelling = true;
}

static void arm_poll(struct nbd_device *nbd)
{
    unsigned events = wanted(nbd);
    if (nbd->polled && events & ~nbd->polled) {
        cancel_poll(nbd); /* it comes back */
    } else if (!nbd->polled && events) {
        struct io_uring_sqe *sqe = ring_sqe(&nbd->thread->ring);
        io_uring_prep_poll_add(sqe, nbd_aio_get_fd(nbd->handle), events);
        ring_attach(sqe, &nbd->poll);
        nbd->polled = events;
    }
}

/* A server that has told us that it goes is as good as gone, once it has answered the others. */
static bool is_lost(const struct nbd_device *nbd)
{
    return nbd->handle && (is_gone(nbd) || (list_empty(&nbd->sent) && !list_empty(&nbd->held)));
}

/* All that the device does with them is done: the last of them may be what its owner waits for to
 * close it. */
static void tell_finished(struct nbd_device *nbd)
{
    static const int results[] = {[DONE] = 0, [LOST] = -EIO, [NO_ROOM] = -ENOSPC, [FAILED] = -EIO};
    struct list finished;
    list_move(&finished, &nbd->finished);
    for (struct list *node; (node = list_pop(&finished));) {
        struct block_request *request = request_of(node);
        request->done(request, results[request->step]);
    }
}

/* False: a poll of a lost connection is in the ring. Until it is not, nothing is finished. */
static bool take_answers(struct nbd_device *nbd)
{
    while (true) {
        bool lost = is_lost(nbd);
        if (lost && nbd->polled)
            return false;
        if (lost)
            drop_connection(nbd);
        struct list *node = list_pop(&nbd->answered);
        if (!node)
            return true;
        take_answer(nbd, request_of(node));
    }
}

/* Brings everything to where it can rest, after whatever may have changed something. From here on
 * *nbd may be gone. */
static void settle(struct nbd_device *nbd)
{
    if (!take_answers(nbd)) {
        cancel_poll(nbd); /* it comes back here */
        return;
    }
    arm_poll(nbd);
    if (nbd->hopeless)
        give_up(nbd, -ENOTCONN);
    nbd->hopeless = false;
    start_reconnecting(nbd);
    tell_finished(nbd);
}

static void reconnected(struct message *message)
{
    struct nbd_device *nbd = container_of(message, struct nbd_device, reconnected);
    pthread_join(nbd->worker, NULL);
    nbd->connecting = false;
    if (nbd->result < 0) {
        give_up(nbd, nbd->result);
    } else {
        struct list waiting;
        nbd->handle = take_ptr(nbd->next);
        nbd->export = nbd->next_export;
        list_move(&waiting, &nbd->held);
        for (struct list *node; (node = list_pop(&waiting));)
            put(nbd, request_of(node));
    }
    settle(nbd);
}

/* Reading comes first: what is read may change what is to be written. */
static void notify(struct nbd_device *nbd, int32_t events)
{
    int r = 0;
    if (events & (POLLIN | POLLHUP | POLLERR))
        r = nbd_aio_notify_read(nbd->handle);
    else if (events & POLLOUT)
        r = nbd_aio_notify_write(nbd->handle);
    (void)r; /* the handle is dead then, which is looked at next */
}

static void polled(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct nbd_device *nbd = container_of(op, struct nbd_device, poll);
    nbd->polled = 0;
    nbd->cancelling = false;
    if (result > 0 && !is_gone(nbd))
        notify(nbd, result);
    settle(nbd);
}

/* --- the device --- */

static void nbd_submit(struct block_device *device, struct block_request *request)
{
    struct nbd_device *nbd = nbd_of(device);
    request->link = (struct list){0};
    request->progress = 0;
    request->step = (uint8_t)first_command(request);
    bool writes = request->operation == BLOCK_WRITE || request->operation == BLOCK_WRITE_ZEROES;
    if (device->failed || (device->read_only && writes)) {
        request->done(request, -EIO);
        return;
    }
    put(nbd, request);
    settle(nbd);
}

/* A server could say, but not without being asked. */
static bool nbd_is_allocated(struct block_device *device, uint64_t offset, uint64_t *ret_length)
{
    *ret_length = device->size - offset;
    return true;
}

static void nbd_free(struct nbd_device *nbd)
{
    free(nbd->zeroes);
    free((char *)nbd->settings.uri);
    free(nbd);
}

static void nbd_device_close(struct block_device *device)
{
    struct nbd_device *nbd = nbd_of(device);
    nbd_let_go(nbd->handle);
    nbd_free(nbd);
}

static const struct block_operations operations = {
    .submit = nbd_submit, .is_allocated = nbd_is_allocated, .close = nbd_device_close};

static struct nbd_device *nbd_new(struct io_thread *thread, const struct nbd_settings *settings)
{
    struct nbd_device *nbd = calloc(1, sizeof(*nbd));
    if (!nbd)
        return NULL;
    nbd->device = (struct block_device){.operations = &operations,
                                        .size = settings->size,
                                        .read_only = settings->how & BLOCK_NBD_READ_ONLY,
                                        .thick = settings->how & BLOCK_NBD_THICK};
    nbd->thread = thread;
    nbd->settings = *settings;
    nbd->settings.patience = settings->patience ? settings->patience : PATIENCE;
    nbd->settings.uri = strdup(settings->uri);
    nbd->poll.complete = polled;
    nbd->reconnected.run = reconnected;
    list_init(&nbd->sent);
    list_init(&nbd->answered);
    list_init(&nbd->held);
    list_init(&nbd->finished);
    nbd->zeroes = calloc(1, ZERO_BUFFER_SIZE);
    if (nbd->settings.uri && nbd->zeroes)
        return nbd;
    nbd_free(nbd);
    return NULL;
}

int block_nbd_open(struct io_thread *thread, const struct nbd_settings *settings,
                   struct block_device **ret_device, struct error *ret_error)
{
    struct nbd_device *nbd = nbd_new(thread, settings);
    if (!nbd)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = connect_checked(&nbd->settings, &nbd->handle, &nbd->export, ret_error);
    if (r < 0) {
        nbd_free(nbd);
        return r;
    }
    *ret_device = &nbd->device;
    return 0;
}
