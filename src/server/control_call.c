#include "server/control_call.h"

#include <errno.h>
#include <time.h>

#define PATIENCE 10 /* seconds */

void control_call_unref(struct control_call *call)
{
    if (atomic_fetch_sub(&call->references, 1) != 1)
        return;
    sem_destroy(&call->done);
    free(call);
}

static void on_control(struct message *message)
{
    struct control_call *call = container_of(message, struct control_call, message);
    call->run(call);
    sem_post(&call->done);
    control_call_unref(call);
}

int control_call_run(struct control_call *call, struct mailbox *mailbox,
                     void (*run)(struct control_call *call), struct error *ret_error)
{
    struct timespec until;
    int r;
    call->message.run = on_control;
    call->run = run;
    atomic_init(&call->references, 2);
    sem_init(&call->done, 0, 0);
    mailbox_post(mailbox, &call->message);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    do
        r = sem_timedwait(&call->done, &until);
    while (r < 0 && errno == EINTR);
    return r == 0 ? 0
                  : error_set(ret_error, -EAGAIN,
                              "the server does not get to it, or is being stopped");
}
