#include "server/disk_reads.h"

#include <errno.h>

#include "server/targets_internal.h"

struct pending_read {
    struct open_volumes_read read;
    struct message message;
    struct targets *targets;
    struct io_thread *thread;
    struct node_disk_read *client;
};

static void done(struct open_volumes_read *read, int result)
{
    struct pending_read *p = container_of(read, struct pending_read, read);
    struct node_disk_read *client = p->client;
    free(p);
    client->done(client, result);
}

static void start(struct message *message)
{
    struct pending_read *p = container_of(message, struct pending_read, message);
    open_volumes_read(p->targets->volumes, p->thread, &p->read);
}

void disk_reads_submit(struct targets *targets, struct node_disk_read *client)
{
    struct pending_read *p = calloc(1, sizeof(*p));
    if (!p) {
        client->done(client, -ENOMEM);
        return;
    }
    p->read = (struct open_volumes_read){.volume_id = client->volume_id,
                                         .offset = client->offset,
                                         .size = client->size,
                                         .data = client->data,
                                         .done = done};
    p->message.run = start;
    p->targets = targets;
    p->thread = targets->threads[client->volume_id % targets->n_threads];
    p->client = client;
    io_thread_post(p->thread, &p->message);
}
