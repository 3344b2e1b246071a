#include "core/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>

int mailbox_open(struct mailbox *mailbox)
{
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0)
        return -errno;
    atomic_init(&mailbox->newest, NULL);
    return 0;
}

void mailbox_close(struct mailbox *mailbox)
{
    if (mailbox->fd >= 0)
        close(mailbox->fd);
    mailbox->fd = -1;
}

void mailbox_post(struct mailbox *mailbox, struct message *message)
{
    struct message *old = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        message->next = old;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &old, message,
                                                    memory_order_release, memory_order_relaxed));
    if (!old) {
        /* Cannot fail short of 2^64 posts; EAGAIN would mean that it is readable anyway. */
        uint64_t one = 1;
        ssize_t n = write(mailbox->fd, &one, sizeof(one));
        (void)n;
    }
}

static struct message *oldest_first(struct message *newest)
{
    struct message *list = NULL;
    while (newest) {
        struct message *next = newest->next;
        newest->next = list;
        list = newest;
        newest = next;
    }
    return list;
}

size_t mailbox_run(struct mailbox *mailbox)
{
    /* Reset the descriptor before taking the list: a post in between is then seen again. */
    uint64_t count;
    ssize_t n = read(mailbox->fd, &count, sizeof(count));
    (void)n;

    struct message *list =
        oldest_first(atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire));
    size_t ran = 0;
    while (list) {
        struct message *message = list;
        list = message->next;
        message->run(message);
        ran++;
    }
    return ran;
}
