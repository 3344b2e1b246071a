/* A job that reads what nodes read of an image version at boot, so that it is in memory. */
#include "storage/job.h"
#include "storage/warm.h"

#include <errno.h>

struct warm_job {
    struct storage_job job;
    struct warm warm;
};

static struct warm_job *warm_of(const struct storage_job *job)
{
    return (struct warm_job *)container_of(job, const struct warm_job, job);
}

static int begin(struct storage_job *job, struct error *ret_error)
{
    return 0; /* it was begun by whoever made it, who could still be told that there is nothing */
}

static int step(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    return warm_step(&warm_of(job)->warm, budget, ret_error);
}

static int publish(struct storage_job *job, struct error *ret_error)
{
    return 0;
}

static struct storage_progress progress(const struct storage_job *job)
{
    const struct warm *warm = &warm_of(job)->warm;
    return (struct storage_progress){.stage = "warming", .done = warm->done, .total = warm->total};
}

static void release(struct storage_job *job)
{
    warm_end(&warm_of(job)->warm);
}

static void undo(struct storage_job *job, const char *why)
{
    /* what is in memory may stay there */
}

static const struct job_kind kind = {begin, step, publish, progress, release, undo};

static int begin_warming(struct storage *storage, const struct catalog_image *image,
                         struct warm *warm, struct error *ret_error)
{
    const struct catalog_base base = boot_file_image(image);
    int r = warm_begin(warm, &base, warm_limit(storage->settings.warm_limit), ret_error);
    if (r != -ENOENT)
        return r;
    return error_set(ret_error, r,
                     "no boot from image '%s@%u' was recorded yet; let a node boot from it first",
                     image->name, image->version);
}

int storage_image_warm(struct storage *storage, const char *name, uint32_t version,
                       struct storage_job **ret_job, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_image *image = catalog_image_find(catalog, name, version);
    if (!image)
        return image_is_missing(name, version, ret_error);
    struct warm_job *w = calloc(1, sizeof(*w));
    if (!w)
        return error_set(ret_error, -ENOMEM, "out of memory");
    w->job = (struct storage_job){.kind = &kind, .storage = storage, .version = image->version};
    int r = begin_warming(storage, image, &w->warm, ret_error);
    if (r < 0) {
        warm_end(&w->warm);
        free(w);
        return r;
    }
    *ret_job = &w->job;
    return 0;
}
