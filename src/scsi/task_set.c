#include "scsi/task_set.h"

#include "scsi/command.h"

static struct scsi_task *task_of(struct list *node)
{
    return container_of(container_of(node, struct scsi_task_place, link), struct scsi_task, place);
}

static bool may_begin(const struct scsi_task_set *set, const struct scsi_task *task)
{
    if (task->attribute == SCSI_ATTRIBUTE_ORDERED)
        return set->n_enabled == 0;
    return set->n_heads == 0 && !set->has_ordered;
}

static void enable(struct scsi_task_set *set, struct scsi_task *task)
{
    task->place.state = TASK_ENABLED;
    set->n_enabled++;
    set->n_heads += task->attribute == SCSI_ATTRIBUTE_HEAD_OF_QUEUE;
    set->has_ordered |= task->attribute == SCSI_ATTRIBUTE_ORDERED;
}

static void wake(struct scsi_task_set *set)
{
    if (list_empty(&set->dormant))
        io_deferred_cancel(&set->serve);
    else if (may_begin(set, task_of(set->dormant.next)))
        io_thread_defer(set->thread, &set->serve);
}

/* One command at a time: it may end at once, be the last of the LU, and the LU go with it. */
static void serve(struct io_deferred *deferred)
{
    struct scsi_task_set *set = container_of(deferred, struct scsi_task_set, serve);
    if (list_empty(&set->dormant) || !may_begin(set, task_of(set->dormant.next)))
        return;
    struct scsi_task *task = task_of(list_pop(&set->dormant));
    enable(set, task);
    wake(set);
    scsi_task_enabled(task);
}

void scsi_task_set_init(struct scsi_task_set *set, struct io_thread *thread)
{
    *set = (struct scsi_task_set){.thread = thread, .serve.run = serve};
    list_init(&set->dormant);
}

bool scsi_task_set_enter(struct scsi_task_set *set, struct scsi_task *task)
{
    bool head = task->attribute == SCSI_ATTRIBUTE_HEAD_OF_QUEUE;
    if (head || (list_empty(&set->dormant) && may_begin(set, task))) {
        enable(set, task);
        return true;
    }
    task->place.state = TASK_DORMANT;
    list_append(&set->dormant, &task->place.link);
    return false;
}

void scsi_task_set_leave(struct scsi_task_set *set, struct scsi_task *task)
{
    if (task->place.state == TASK_OUTSIDE)
        return;
    if (task->place.state == TASK_DORMANT) {
        list_remove(&task->place.link);
    } else {
        set->n_enabled--;
        set->n_heads -= task->attribute == SCSI_ATTRIBUTE_HEAD_OF_QUEUE;
        set->has_ordered &= task->attribute != SCSI_ATTRIBUTE_ORDERED;
    }
    task->place.state = TASK_OUTSIDE;
    wake(set);
}
