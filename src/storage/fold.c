/*
 * What a volume reads as, in one file: as the next version of an image (commit), or wherever an
 * operator wants it (export), raw or as qemu-img makes it of that.
 */
#include "storage/digest.h"
#include "storage/fold_source.h"
#include "storage/job.h"
#include "storage/qemu.h"
#include "storage/space.h"
#include "storage/unpacked.h"

#include <errno.h>
#include <fcntl.h>

struct fold_step;

struct fold {
    struct storage_job job;
    struct fold_source source;
    char image[NAME_MAX_LEN + 1]; /* "": an export */
    char path[PATH_MAX];
    bool named; /* of an export: what is not finished yet has a name */
    bool qcow2, compress;
    int to;
    int raw; /* what qemu-img reads, without a name; -1: `to` is raw, or the source is a file */
    const struct fold_step *step;
    uint64_t done, total; /* bytes, of the step */
    struct child child;
    unsigned progress; /* of qemu-img, in hundredths of a per cent */
    struct digest digest;
    char sha256[DIGEST_TEXT_SIZE];
};

/* 1: there is more; 0: fold->step is what comes next. */
struct fold_step {
    const char *stage;
    int (*run)(struct fold *f, uint64_t budget, struct error *ret_error);
};

static int run_copy(struct fold *f, uint64_t budget, struct error *ret_error);
static int run_convert(struct fold *f, uint64_t budget, struct error *ret_error);
static int run_digest(struct fold *f, uint64_t budget, struct error *ret_error);
static int run_sync(struct fold *f, uint64_t budget, struct error *ret_error);

static const struct fold_step copying = {"copying", run_copy};
static const struct fold_step converting = {"converting", run_convert};
static const struct fold_step checksum = {"computing the checksum", run_digest};
static const struct fold_step writing = {"writing it out", run_sync};

static struct fold *fold_of(const struct storage_job *job)
{
    return (struct fold *)container_of(job, const struct fold, job);
}

static void go_on_with(struct fold *f, const struct fold_step *step)
{
    f->step = step;
    f->done = 0;
    f->total = f->source.total;
}

/* --- the steps --- */

static int begin_convert(struct fold *f, struct error *ret_error)
{
    go_on_with(f, &converting);
    return qemu_make(&f->child, f->raw >= 0 ? f->raw : f->source.fd, f->total, f->compress, f->to,
                     ret_error);
}

static int run_copy(struct fold *f, uint64_t budget, struct error *ret_error)
{
    int r = fold_source_step(&f->source, budget, ret_error);
    f->done = f->source.done;
    if (r != 0)
        return r;
    if (f->qcow2)
        return begin_convert(f, ret_error);
    go_on_with(f, f->image[0] ? &checksum : &writing);
    return 0;
}

static int convert_failed(const struct fold *f, struct error *error)
{
    if (strstr(error->text, "No space left"))
        return unpacked_no_space(f->path, error);
    return error_prefix(error, "%.200s cannot be made", f->path);
}

static int run_convert(struct fold *f, uint64_t budget, struct error *ret_error)
{
    uint64_t until = clock_monotonic_usec() + budget;
    char text[1024];
    ssize_t n;
    while ((n = child_read(&f->child, text, sizeof(text), until)) > 0)
        f->progress = qemu_parse_progress(text, (size_t)n, f->progress);
    f->done = (uint64_t)((double)f->total / 10000 * f->progress);
    if (n == -EAGAIN)
        return 1;
    if (child_finish(&f->child, ret_error) < 0)
        return convert_failed(f, ret_error);
    go_on_with(f, &writing);
    return 0;
}

/* From the page cache. */
static int run_digest(struct fold *f, uint64_t budget, struct error *ret_error)
{
    int r = digest_step(&f->digest, f->to, f->path, f->total, clock_monotonic_usec() + budget,
                        ret_error);
    f->done = f->digest.done;
    if (r < 0 || f->digest.done < f->total)
        return r < 0 ? r : 1;
    digest_text(&f->digest, f->sha256);
    go_on_with(f, &writing);
    return 0;
}

static int run_sync(struct fold *f, uint64_t budget, struct error *ret_error)
{
    if (fsync(f->to) < 0)
        return error_set(ret_error, -errno, "%s cannot be written: %s", f->path, strerror(errno));
    f->done = f->total;
    f->step = NULL;
    return 0;
}

/* --- the job --- */

/* A file or device is read by qemu-img itself. */
static int begin_qcow2(struct fold *f, struct error *ret_error)
{
    int r = 0;
    if (f->source.fd < 0) {
        r = f->raw = unpacked_create(f->path, ret_error);
        if (r >= 0)
            r = fold_source_begin(&f->source, f->raw, f->path, ret_error);
    }
    /* how much smaller it gets by compressing, nobody knows */
    uint64_t needed = f->compress ? 0 : f->source.needed;
    if (r >= 0)
        r = space_check(f->to, f->path, f->raw >= 0 ? f->source.needed + needed : needed,
                        ret_error);
    if (r >= 0 && f->raw < 0)
        r = begin_convert(f, ret_error);
    return r;
}

static int begin(struct storage_job *job, struct error *ret_error)
{
    struct fold *f = fold_of(job);
    go_on_with(f, &copying);
    int r = digest_begin(&f->digest, ret_error);
    if (r < 0)
        return r;
    return f->qcow2 ? begin_qcow2(f, ret_error)
                    : fold_source_begin(&f->source, f->to, f->path, ret_error);
}

static int step(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    struct fold *f = fold_of(job);
    int r = f->step->run(f, budget, ret_error);
    return r < 0 ? r : f->step != NULL;
}

static int finish_image(struct fold *f, struct error *ret_error)
{
    const struct registry_image_result result = {
        .size = f->total, .sha256 = f->sha256, .format = "overlay"};
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

static int publish_export(const struct fold *f, struct error *ret_error)
{
    return f->named ? file_publish(f->to, f->path, 0600, ret_error)
                    : file_give_name(f->to, f->path, 0600, ret_error);
}

static int publish(struct storage_job *job, struct error *ret_error)
{
    struct fold *f = fold_of(job);
    int r = f->image[0] ? finish_image(f, ret_error) : publish_export(f, ret_error);
    if (r >= 0)
        fold_source_forget(&f->source);
    return r;
}

static struct storage_progress progress(const struct storage_job *job)
{
    const struct fold *f = fold_of(job);
    const struct fold_step *at = f->step ? f->step : &writing;
    return (struct storage_progress){.stage = at->stage, .done = f->done, .total = f->total};
}

static void close_it(int *fd)
{
    if (*fd >= 0)
        close(take_fd(fd));
}

static void release(struct storage_job *job)
{
    struct fold *f = fold_of(job);
    child_stop(&f->child);
    digest_end(&f->digest);
    fold_source_release(&f->source);
    close_it(&f->raw);
    close_it(&f->to);
}

static void undo(struct storage_job *job, const char *why)
{
    struct fold *f = fold_of(job);
    struct error ignored;
    if (f->image[0])
        image_withdraw(job->storage, f->image, job->version, f->path);
    else if (f->named)
        file_remove(f->path, false, &ignored);
    fold_source_forget(&f->source);
}

static const struct job_kind kind = {begin, step, publish, progress, release, undo};

/* --- beginning --- */

static int open_target(struct fold *f, const struct storage_fold *what, struct error *ret_error)
{
    struct registry_image image = {.name = what->image,
                                   .source = f->source.volume,
                                   .labels = what->labels,
                                   .n_labels = what->n_labels};
    if (what->image)
        return image_announce(f->job.storage, &image, &f->job.version, f->path, ret_error);
    if (what->path[0] != '/')
        return error_set(ret_error, -EINVAL, "'%s' must be an absolute path", what->path);
    if (access(what->path, F_OK) == 0)
        return error_set(ret_error, -EEXIST, "%s is there already; move it away and try again",
                         what->path);
    if (!str_copy(f->path, sizeof(f->path), what->path))
        return error_set(ret_error, -ENAMETOOLONG, "the path is longer than %d bytes", PATH_MAX);
    int fd = file_create_nameless(f->path, ret_error);
    f->named = fd == -EOPNOTSUPP;
    return f->named ? file_create_tmp(f->path, ret_error) : fd;
}

static int read_format(struct fold *f, const struct storage_fold *what, struct error *ret_error)
{
    f->qcow2 = what->format && str_eq(what->format, "qcow2");
    f->compress = what->compress;
    if (what->format && !f->qcow2 && !str_eq(what->format, "raw"))
        return error_set(ret_error, -EINVAL, "'%.64s' is no format of an export: raw or qcow2",
                         what->format);
    if (f->compress && !f->qcow2)
        return error_set(ret_error, -EINVAL, "only a qcow2 can be compressed");
    return 0;
}

static int prepare(struct fold *f, const struct storage_fold *what, struct error *ret_error)
{
    int r = read_format(f, what, ret_error);
    if (r >= 0)
        r = fold_source_prepare(&f->source, f->job.storage, what->volume, what->snapshot,
                                ret_error);
    if (r >= 0)
        r = f->to = open_target(f, what, ret_error);
    return r < 0 ? r : 0;
}

int storage_volume_fold(struct storage *storage, const struct storage_fold *what,
                        struct storage_job **ret_job, struct error *ret_error)
{
    struct fold *f = calloc(1, sizeof(*f));
    if (!f)
        return error_set(ret_error, -ENOMEM, "out of memory");
    f->job = (struct storage_job){.kind = &kind, .storage = storage};
    f->source = (struct fold_source){.storage = storage, .fd = -1};
    f->to = f->raw = -1;
    str_copy(f->image, sizeof(f->image), what->image ? what->image : "");
    int r = prepare(f, what, ret_error);
    if (r < 0) {
        fold_source_release(&f->source);
        fold_source_forget(&f->source);
        free(f);
        return r;
    }
    *ret_job = &f->job;
    return 0;
}
