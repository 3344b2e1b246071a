#include "server/volume_reader.h"

#include <errno.h>
#include <semaphore.h>

#include "server/targets_internal.h"

struct storage_reader {
    struct io_thread *thread;
    struct block_device *device;
    struct block_request request;
    struct message message;
    int result;
    sem_t done;
};

static struct storage_reader *reader_of(struct block_request *request)
{
    return container_of(request, struct storage_reader, request);
}

static void done(struct block_request *request, int result)
{
    struct storage_reader *reader = reader_of(request);
    reader->result = result;
    sem_post(&reader->done);
}

static void submit(struct message *message)
{
    struct storage_reader *reader = container_of(message, struct storage_reader, message);
    block_submit(reader->device, &reader->request);
}

static int open_device(const struct targets *targets, uint64_t volume_id,
                       struct storage_reader *reader, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(targets->catalog);
    const struct catalog_volume *volume = catalog_volume_by_id(catalog, volume_id);
    if (!volume)
        return error_set(ret_error, -ENOENT, "the volume is gone");
    const struct volume_spec spec = {.id = volume->id,
                                     .kind = volume->kind,
                                     .path = volume->path,
                                     .target = "",
                                     .size = volume->size,
                                     .block_size = volume->block_size,
                                     .read_only = true};
    return volume_device_open(reader->thread, &spec, &reader->device, ret_error);
}

int volume_reader_open(struct targets *targets, uint64_t volume_id,
                       struct storage_reader **ret_reader, struct error *ret_error)
{
    struct storage_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return error_set(ret_error, -ENOMEM, "out of memory");
    reader->thread = targets->threads[volume_id % targets->n_threads];
    int r = open_device(targets, volume_id, reader, ret_error);
    if (r < 0) {
        free(reader);
        return r;
    }
    sem_init(&reader->done, 0, 0);
    *ret_reader = reader;
    return 0;
}

int volume_reader_read(struct storage_reader *reader, uint64_t offset, uint8_t *data, size_t size)
{
    reader->request = (struct block_request){
        .operation = BLOCK_READ, .offset = offset, .length = size, .data = data, .done = done};
    reader->message.run = submit;
    io_thread_post(reader->thread, &reader->message);
    while (sem_wait(&reader->done) < 0)
        ; /* EINTR */
    return reader->result;
}

void volume_reader_close(struct storage_reader *reader)
{
    block_close(reader->device);
    sem_destroy(&reader->done);
    free(reader);
}
