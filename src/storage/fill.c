/* The job that fills a volume with a copy of an image. */
#include "storage/copy.h"
#include "storage/job.h"

#include <errno.h>
#include <fcntl.h>

struct fill {
    struct storage_job job;
    char volume[NAME_MAX_LEN + 1];
    char path[PATH_MAX];
    char from_name[PATH_MAX];
    struct copy copy;
};

static int begin(struct storage_job *job, struct error *ret_error)
{
    struct fill *fill = container_of(job, struct fill, job);
    return copy_begin(&fill->copy, ret_error);
}

static int step(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    struct fill *fill = container_of(job, struct fill, job);
    int r = copy_step(&fill->copy, budget, ret_error);
    if (r != 0)
        return r;
    if (fsync(fill->copy.to) < 0)
        return error_set(ret_error, -errno, "%s cannot be written: %s", fill->path,
                         strerror(errno));
    return 0;
}

static int publish(struct storage_job *job, struct error *ret_error)
{
    struct fill *fill = container_of(job, struct fill, job);
    int r = file_publish(fill->copy.to, fill->path, 0600, ret_error);
    if (r < 0)
        return r;
    r = registry_volume_finish(job->storage->settings.registry, fill->volume, NULL, ret_error);
    if (r < 0) {
        struct error ignored;
        file_remove(fill->path, true, &ignored);
    }
    return r;
}

static struct storage_progress progress(const struct storage_job *job)
{
    const struct fill *fill = container_of(job, const struct fill, job);
    return (struct storage_progress){
        .stage = "copying", .done = fill->copy.done, .total = fill->copy.size};
}

static void release(struct storage_job *job)
{
    struct fill *fill = container_of(job, struct fill, job);
    copy_end(&fill->copy);
    if (fill->copy.from >= 0)
        close(fill->copy.from);
    if (fill->copy.to >= 0)
        close(fill->copy.to);
    fill->copy.from = fill->copy.to = -1;
}

/* `why` ends up with a node that has it. */
static void undo(struct storage_job *job, const char *why)
{
    struct fill *fill = container_of(job, struct fill, job);
    struct error ignored;
    file_remove(fill->path, false, &ignored);
    (void)!registry_volume_finish(job->storage->settings.registry, fill->volume, why, &ignored);
}

static const struct job_kind kind = {begin, step, publish, progress, release, undo};

int fill_begin(struct storage *storage, int from, const char *from_name, const char *path,
               const char *volume, bool thick, struct storage_job **ret_job,
               struct error *ret_error)
{
    cleanup_close int source = from;
    struct error ignored;
    int to = file_create_tmp(path, ret_error);
    struct fill *fill = to < 0 ? NULL : calloc(1, sizeof(*fill));
    if (!fill) {
        int r = to < 0 ? to : error_set(ret_error, -ENOMEM, "out of memory");
        if (to >= 0)
            close(to);
        file_remove(path, false, &ignored);
        (void)!registry_volume_finish(storage->settings.registry, volume, ret_error->text,
                                      &ignored);
        return r;
    }
    off_t size = lseek(from, 0, SEEK_END); /* right for block devices, too */
    fill->job = (struct storage_job){.kind = &kind, .storage = storage};
    str_copy(fill->volume, sizeof(fill->volume), volume);
    str_copy(fill->path, sizeof(fill->path), path);
    str_copy(fill->from_name, sizeof(fill->from_name), from_name);
    fill->copy = (struct copy){.from = take_fd(&source),
                               .to = to,
                               .from_name = fill->from_name,
                               .to_name = fill->path,
                               .size = size < 0 ? 0 : (uint64_t)size,
                               .thick = thick};
    *ret_job = &fill->job;
    return 0;
}
