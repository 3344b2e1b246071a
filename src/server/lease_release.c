/*
 * The request is on the heap and belongs to both threads: one that stops does not run its mailbox
 * in time, and who waits then goes away first.
 */
#include "server/lease_release.h"

#include <errno.h>
#include <semaphore.h>

#define PATIENCE 10 /* seconds */
#define MAX_MACS 16

struct request {
    struct message message;
    atomic_uint references;
    sem_t done;
    struct dhcp_glue *const *glue;
    struct dhcp_release release;
    struct mac_address macs[MAX_MACS];
    struct error error;
};

static void unref(struct request *request)
{
    if (atomic_fetch_sub(&request->references, 1) != 1)
        return;
    sem_destroy(&request->done);
    free(request);
}

static void on_control(struct message *message)
{
    struct request *request = container_of(message, struct request, message);
    if (*request->glue)
        (void)!dhcp_glue_release(*request->glue, &request->release, &request->error);
    else
        (void)error_set(&request->error, -EAGAIN, "the server is being stopped");
    sem_post(&request->done);
    unref(request);
}

static int fill(struct request *request, const struct catalog *catalog, const char *what,
                struct error *ret_error)
{
    const struct catalog_node *node = catalog_node_by_name(catalog, what);
    if (ipv4_parse(what, &request->release.address) == 0)
        return 0;
    if (!node)
        return error_set(ret_error, -ENOENT,
                         "'%.64s' is neither an address nor a node; see: nodisk lease list", what);
    request->release.macs = request->macs;
    request->release.n_macs = MIN(node->n_macs, (size_t)MAX_MACS);
    memcpy(request->macs, node->macs, request->release.n_macs * sizeof(*node->macs));
    return 0;
}

static int wait_for(struct request *request, struct error *ret_error)
{
    struct timespec until;
    int r;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    do
        r = sem_timedwait(&request->done, &until);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_set(ret_error, -EAGAIN, "the server does not get to it, or is being stopped");
    if (request->error.code)
        *ret_error = request->error;
    return request->error.code;
}

int lease_release_run(struct mailbox *mailbox, struct dhcp_glue *const *glue,
                      const struct catalog *catalog, const char *what, struct error *ret_error)
{
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = fill(request, catalog, what, ret_error);
    if (r < 0) {
        free(request);
        return r;
    }
    request->message.run = on_control;
    request->glue = glue;
    atomic_init(&request->references, 2);
    sem_init(&request->done, 0, 0);
    mailbox_post(mailbox, &request->message);
    r = wait_for(request, ret_error);
    unref(request);
    return r;
}
