/*
 * What an overlay reads as, in one file: as the next version of an image (commit), or wherever an
 * operator wants it (export).
 *
 * It is read from a snapshot, which nobody writes to any more, so that a node may go on meanwhile.
 * Without the name of one a snapshot is taken for it, and removed afterwards.
 */
#include "storage/digest.h"
#include "storage/job.h"
#include "storage/stack.h"

#include <errno.h>
#include <fcntl.h>

struct fold {
    struct storage_job job;
    char volume[NAME_MAX_LEN + 1];
    char snapshot[NAME_MAX_LEN + 1];
    bool own_snapshot;            /* it was taken for this */
    char image[NAME_MAX_LEN + 1]; /* "": an export */
    char path[PATH_MAX];
    int to;
    struct stack stack;
    struct overlay_copy copy;
    struct digest digest;
    bool copied;
    char sha256[DIGEST_TEXT_SIZE];
};

static struct fold *fold_of(const struct storage_job *job)
{
    return (struct fold *)container_of(job, const struct fold, job);
}

/* --- the job --- */

static int begin(struct storage_job *job, struct error *ret_error)
{
    struct fold *f = fold_of(job);
    f->copy = (struct overlay_copy){.to = f->to, .to_name = f->path};
    int r = overlay_copy_begin(&f->copy, &f->stack.spec, ret_error);
    return r < 0 ? r : digest_begin(&f->digest, ret_error);
}

/* The checksum follows, from the page cache. */
static int make_digest(struct fold *f, uint64_t budget, struct error *ret_error)
{
    int r = digest_step(&f->digest, f->to, f->path, f->copy.total, clock_monotonic_usec() + budget,
                        ret_error);
    if (r < 0 || f->digest.done < f->copy.total)
        return r < 0 ? r : 1;
    digest_text(&f->digest, f->sha256);
    if (fsync(f->to) < 0)
        return error_set(ret_error, -errno, "%s cannot be written: %s", f->path, strerror(errno));
    return 0;
}

static int step(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    struct fold *f = fold_of(job);
    if (f->copied)
        return make_digest(f, budget, ret_error);
    int r = overlay_copy_step(&f->copy, budget, ret_error);
    f->copied = r == 0;
    return r < 0 ? r : 1;
}

/* Its layers become one with others when the next snapshot is removed while nobody has it open. */
static void remove_own_snapshot(struct fold *f)
{
    struct registry *registry = f->job.storage->settings.registry;
    struct error ignored;
    if (f->own_snapshot &&
        registry_snapshot_remove(registry, f->volume, f->snapshot, &ignored) >= 0)
        (void)!layers_clear(registry, &ignored);
    f->own_snapshot = false;
}

static int finish_image(struct fold *f, struct error *ret_error)
{
    const struct registry_image_result result = {
        .size = f->copy.total, .sha256 = f->sha256, .format = "overlay"};
    int r = file_publish(f->to, f->path, 0444, ret_error);
    if (r < 0)
        return r;
    r = registry_image_finish(f->job.storage->settings.registry, f->image, f->job.version, &result,
                              ret_error);
    if (r < 0) {
        struct error ignored;
        file_remove(f->path, true, &ignored);
    }
    return r;
}

static int publish(struct storage_job *job, struct error *ret_error)
{
    struct fold *f = fold_of(job);
    int r =
        f->image[0] ? finish_image(f, ret_error) : file_publish(f->to, f->path, 0600, ret_error);
    if (r >= 0)
        remove_own_snapshot(f);
    return r;
}

static struct storage_progress progress(const struct storage_job *job)
{
    const struct fold *f = fold_of(job);
    return (struct storage_progress){.stage = f->copied ? "computing the checksum" : "copying",
                                     .done = f->copied ? f->digest.done : f->copy.done,
                                     .total = f->copy.total};
}

static void release(struct storage_job *job)
{
    struct fold *f = fold_of(job);
    overlay_copy_end(&f->copy);
    digest_end(&f->digest);
    stack_release(&f->stack);
    if (f->to >= 0)
        close(f->to);
    f->to = -1;
}

static void undo(struct storage_job *job, const char *why)
{
    struct fold *f = fold_of(job);
    struct error ignored;
    if (f->image[0])
        image_withdraw(job->storage, f->image, job->version, f->path);
    else
        file_remove(f->path, false, &ignored);
    remove_own_snapshot(f);
}

static const struct job_kind kind = {begin, step, publish, progress, release, undo};

/* --- beginning --- */

static int take_snapshot(struct fold *f, struct error *ret_error)
{
    snprintf(f->snapshot, sizeof(f->snapshot), "copy-%llu", (unsigned long long)clock_wall_usec());
    int r = storage_snapshot_add(f->job.storage, f->volume, f->snapshot, ret_error);
    f->own_snapshot = r >= 0;
    return r;
}

/* Nobody has opened it yet: the files of its layers are still to be made. */
static int make_layers(struct fold *f, struct error *ret_error)
{
    struct storage *storage = f->job.storage;
    uint64_t id = 0;
    int r = overlay_claim(storage, f->volume, false, &id, ret_error);
    if (r < 0)
        return r;
    r = stack_make(&f->stack, storage->settings.registry, ret_error);
    overlay_release(storage, id);
    return r;
}

/* Whoever has it open has made them. */
static int find_stack(struct fold *f, uint64_t id, struct error *ret_error)
{
    struct catalog_slot *slot = f->job.storage->settings.catalog;
    int r = stack_find(slot, id, f->snapshot, &f->stack, ret_error);
    if (r < 0 || f->stack.made)
        return r;
    r = make_layers(f, ret_error);
    if (r != -EBUSY)
        return r;
    stack_release(&f->stack);
    r = stack_find(slot, id, f->snapshot, &f->stack, ret_error);
    if (r >= 0 && !f->stack.made)
        return error_set(ret_error, -EBUSY, "volume '%s' is being opened; try again", f->volume);
    return r;
}

static int open_target(struct fold *f, const struct storage_fold *what, struct error *ret_error)
{
    struct registry_image image = {.name = what->image,
                                   .source = f->volume,
                                   .labels = what->labels,
                                   .n_labels = what->n_labels};
    if (what->image)
        return image_announce(f->job.storage, &image, &f->job.version, f->path, ret_error);
    if (what->path[0] != '/')
        return error_set(ret_error, -EINVAL, "'%s' must be an absolute path", what->path);
    if (access(what->path, F_OK) == 0)
        return error_set(ret_error, -EEXIST, "%s is there already; move it away and try again",
                         what->path);
    str_copy(f->path, sizeof(f->path), what->path);
    return file_create_tmp(f->path, ret_error);
}

static int prepare(struct fold *f, const struct storage_fold *what, struct error *ret_error)
{
    uint64_t id = 0;
    int r = overlay_find(f->job.storage, f->volume, &id, ret_error);
    if (r >= 0 && !what->snapshot)
        r = take_snapshot(f, ret_error);
    if (r >= 0)
        r = find_stack(f, id, ret_error);
    if (r >= 0)
        r = f->to = open_target(f, what, ret_error);
    return r < 0 ? r : 0;
}

int storage_overlay_fold(struct storage *storage, const struct storage_fold *what,
                         struct storage_job **ret_job, struct error *ret_error)
{
    struct fold *f = calloc(1, sizeof(*f));
    if (!f)
        return error_set(ret_error, -ENOMEM, "out of memory");
    f->job = (struct storage_job){.kind = &kind, .storage = storage};
    f->to = -1;
    str_copy(f->volume, sizeof(f->volume), what->volume);
    str_copy(f->snapshot, sizeof(f->snapshot), what->snapshot ? what->snapshot : "");
    str_copy(f->image, sizeof(f->image), what->image ? what->image : "");
    int r = prepare(f, what, ret_error);
    if (r < 0) {
        stack_release(&f->stack);
        remove_own_snapshot(f);
        free(f);
        return r;
    }
    *ret_job = &f->job;
    return 0;
}
