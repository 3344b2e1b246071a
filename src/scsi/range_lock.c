#include "scsi/range_lock.h"

static bool excludes(const struct scsi_range_claim *a, const struct scsi_range_claim *b)
{
    return (a->exclusive || b->exclusive) && a->begin < b->end && b->begin < a->end;
}

/* Does one of this list, before the claim itself if that is in it, stand in its way? */
static bool is_excluded_by(const struct list *list, const struct scsi_range_claim *claim)
{
    for (const struct list *node = list->next; node != list && node != &claim->link;
         node = node->next)
        if (excludes(container_of(node, struct scsi_range_claim, link), claim))
            return true;
    return false;
}

static bool must_wait(const struct scsi_range_lock *lock, const struct scsi_range_claim *claim)
{
    return lock->exclusive > 0 && /* ordinary writes look no further */
           (is_excluded_by(&lock->held, claim) || is_excluded_by(&lock->waiting, claim));
}

static struct scsi_range_claim *first_servable(struct scsi_range_lock *lock)
{
    list_for_each(node, &lock->waiting) {
        struct scsi_range_claim *claim = container_of(node, struct scsi_range_claim, link);
        if (!must_wait(lock, claim))
            return claim;
    }
    return NULL;
}

static void wake(struct scsi_range_lock *lock)
{
    if (list_empty(&lock->waiting))
        io_deferred_cancel(&lock->serve);
    else
        io_thread_defer(lock->thread, &lock->serve);
}

/* One claim at a time: ready() may end the last task of the LU, and the LU with it. */
static void serve(struct io_deferred *deferred)
{
    struct scsi_range_lock *lock = container_of(deferred, struct scsi_range_lock, serve);
    struct scsi_range_claim *claim = first_servable(lock);
    if (!claim)
        return;
    list_remove(&claim->link);
    list_append(&lock->held, &claim->link);
    wake(lock);
    claim->ready(claim);
}

void scsi_range_lock_init(struct scsi_range_lock *lock, struct io_thread *thread)
{
    *lock = (struct scsi_range_lock){.thread = thread, .serve.run = serve};
    list_init(&lock->held);
    list_init(&lock->waiting);
}

bool scsi_range_claim(struct scsi_range_lock *lock, struct scsi_range_claim *claim)
{
    lock->exclusive += claim->exclusive;
    bool waits = must_wait(lock, claim);
    list_append(waits ? &lock->waiting : &lock->held, &claim->link);
    return !waits;
}

void scsi_range_release(struct scsi_range_lock *lock, struct scsi_range_claim *claim)
{
    if (!scsi_range_claimed(claim))
        return;
    list_remove(&claim->link);
    lock->exclusive -= claim->exclusive;
    wake(lock);
}
