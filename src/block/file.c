/*
 * Raw files and block devices.
 *
 * Everything goes through the page cache: a thousand nodes reading the same blocks cost one copy,
 * and a write that is done is safe from our own death. io_uring completes reads of cached pages
 * inside the submission; what has to wait for the disk waits in the kernel, never in this thread.
 *
 * Short transfers are continued where they stopped. Space is given back by punching holes, which
 * for block devices means "zero it, discard it if that gives zeroes". A thick volume keeps its
 * space and has zeroes written.
 *
 * A flush or a hole holds a kernel worker until the disk is through with it, and those are shared
 * with the writes to all other files. So there is one of each under way for a file at a time:
 * holes wait for each other, and flushes that come while one is under way share the next. (It is
 * also the only sound way to flush: the kernel tells of lost writes once, to one of several.)
 */
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#define ZERO_BUFFER_SIZE (64 * KIB)

struct file_device {
    struct block_device device;
    struct io_thread *thread;
    int fd;
    bool writes_wait;      /* for a worker always, see always_waits() */
    bool can_punch;        /* not if it is thick; else until the file system says that it cannot */
    uint8_t *zeroes;       /* ZERO_BUFFER_SIZE, made when first needed */
    struct list zeroing;   /* requests that zero; the first one is in the ring */
    struct list flushing;  /* those whose flush is in the ring */
    struct list unflushed; /* those that came later, for the next flush */
    struct io_op flush_op;
    struct block_mapping *mapping; /* of what never changes; else NULL */
};

static struct file_device *file_of(struct block_device *device)
{
    return container_of(device, struct file_device, device);
}

static void report(struct file_device *file, enum block_operation operation, int result)
{
    if (file->device.on_error)
        file->device.on_error(&file->device, operation, result);
}

/* The system below has failed it. */
static void fail(struct file_device *file, struct block_request *request, int result)
{
    report(file, request->operation, result);
    request->done(request, result == -ENOSPC || result == -EDQUOT ? -ENOSPC : -EIO);
}

/* What the ring is doing for a request (request->step). */
enum step {
    STEP_READ,
    STEP_WRITE,
    STEP_PUNCH,
    STEP_ZERO, /* writes zeroes, where holes cannot be punched */
};

static void submit(struct file_device *file, struct block_request *request, enum step step)
{
    struct io_uring_sqe *sqe = ring_sqe(&file->thread->ring);
    uint64_t offset = request->offset + request->progress;
    uint64_t left = request->length - request->progress;
    request->step = step;
    switch (step) {
    case STEP_READ:
        io_uring_prep_read(sqe, file->fd, request->data + request->progress, (unsigned)left,
                           offset);
        break;
    case STEP_WRITE:
        io_uring_prep_write(sqe, file->fd, request->data + request->progress, (unsigned)left,
                            offset);
        break;
    case STEP_PUNCH:
        io_uring_prep_fallocate(sqe, file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)offset, (off_t)left);
        break;
    case STEP_ZERO:
        io_uring_prep_write(sqe, file->fd, file->zeroes, (unsigned)MIN(left, ZERO_BUFFER_SIZE),
                            offset);
        break;
    }
    if (file->writes_wait && (step == STEP_WRITE || step == STEP_ZERO))
        sqe->flags |= IOSQE_ASYNC;
    ring_attach(sqe, &request->op);
}

/* What is in the page cache is read here and now, without the ring: as many bytes as are there. */
static void read_cached(struct file_device *file, struct block_request *request)
{
    struct iovec place = {.iov_base = request->data, .iov_len = request->length};
    ssize_t n = preadv2(file->fd, &place, 1, (off_t)request->offset, RWF_NOWAIT);
    if (n > 0)
        request->progress = (uint64_t)n;
}

/* --- flushes --- */

static void submit_flush(struct file_device *file)
{
    struct io_uring_sqe *sqe = ring_sqe(&file->thread->ring);
    io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
    ring_attach(sqe, &file->flush_op);
}

static void finish_all(struct list *requests, int result)
{
    for (struct list *node; (node = list_pop(requests));) {
        struct block_request *request = container_of(node, struct block_request, link);
        request->done(request, result);
    }
}

/* Everything that waits for a flush, if none is under way. */
static void start_flush(struct file_device *file)
{
    if (!list_empty(&file->flushing) || list_empty(&file->unflushed))
        return;
    list_move(&file->flushing, &file->unflushed);
    submit_flush(file);
}

static void flushed(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct file_device *file = container_of(op, struct file_device, flush_op);
    struct list done;
    if (result == -EINTR || result == -EAGAIN) {
        submit_flush(file);
        return;
    }
    list_move(&done, &file->flushing);
    if (result < 0) {
        file->device.failed = true;
        report(file, BLOCK_FLUSH, result);
        while (!list_empty(&file->unflushed))
            list_append(&done, list_pop(&file->unflushed));
    }
    start_flush(file);
    finish_all(&done, result < 0 ? -EIO : 0);
}

/* FUA is a flush of the whole file after the write: more than asked for, never less. */
static void want_flush(struct file_device *file, struct block_request *request)
{
    if (file->device.failed) {
        request->done(request, -EIO);
        return;
    }
    list_append(&file->unflushed, &request->link);
    start_flush(file);
}

/* --- reads, writes, holes --- */

static enum step zero_step(const struct file_device *file)
{
    return file->can_punch ? STEP_PUNCH : STEP_ZERO;
}

static void want_zeroing(struct file_device *file, struct block_request *request)
{
    bool first = list_empty(&file->zeroing);
    list_append(&file->zeroing, &request->link);
    if (first)
        submit(file, request, zero_step(file));
}

/* Before it is finished: the next one's turn. */
static void leave_zeroing(struct file_device *file, struct block_request *request)
{
    if (request->operation != BLOCK_WRITE_ZEROES)
        return;
    list_remove(&request->link);
    if (!list_empty(&file->zeroing))
        submit(file, container_of(file->zeroing.next, struct block_request, link), zero_step(file));
}

/* No holes (the file system has none, or the volume keeps its space): zeroes are written, for this
 * request and all that come. */
static bool fall_back_to_writing_zeroes(struct file_device *file)
{
    if (!file->zeroes)
        file->zeroes = calloc(1, ZERO_BUFFER_SIZE);
    file->can_punch = false;
    return file->zeroes != NULL;
}

static void data_step_done(struct file_device *file, struct block_request *request, int32_t result)
{
    bool punched = request->step == STEP_PUNCH;
    if (!punched && result == 0 && request->length > 0) {
        leave_zeroing(file, request);
        fail(file, request, -ENODATA); /* end of file: somebody made it shorter under us */
        return;
    }
    request->progress = punched ? request->length : request->progress + (uint64_t)result;
    if (request->progress < request->length) {
        submit(file, request, request->step);
        return;
    }
    leave_zeroing(file, request);
    if (request->flags & BLOCK_FUA)
        want_flush(file, request);
    else
        request->done(request, 0);
}

static void completed(struct io_op *op, int32_t result, uint32_t cqe_flags)
{
    struct block_request *request = container_of(op, struct block_request, op);
    struct file_device *file = file_of(request->device);
    if (result == -EINTR || result == -EAGAIN) {
        submit(file, request, request->step);
    } else if (request->step == STEP_PUNCH && result == -EOPNOTSUPP &&
               fall_back_to_writing_zeroes(file)) {
        submit(file, request, STEP_ZERO);
    } else if (result < 0) {
        leave_zeroing(file, request);
        fail(file, request, result);
    } else {
        data_step_done(file, request, result);
    }
}

static void file_submit(struct block_device *device, struct block_request *request)
{
    struct file_device *file = file_of(device);
    request->op.complete = completed;
    request->link = (struct list){0};
    request->progress = 0;
    if (device->failed) {
        request->done(request, -EIO);
        return;
    }
    switch (request->operation) {
    case BLOCK_READ:
        if (device->reads)
            block_reads_note(device->reads, request->offset, request->length);
        read_cached(file, request);
        if (request->progress == request->length)
            request->done(request, 0);
        else
            submit(file, request, STEP_READ);
        break;
    case BLOCK_WRITE:
        submit(file, request, STEP_WRITE);
        break;
    case BLOCK_WRITE_ZEROES:
        want_zeroing(file, request);
        break;
    case BLOCK_FLUSH:
        want_flush(file, request);
        break;
    }
}

static bool file_view(struct block_device *device, uint64_t offset, uint64_t length,
                      struct block_view *ret_view)
{
    const struct file_device *file = file_of(device);
    if (!file->mapping || device->failed ||
        !block_mapping_view(file->mapping, offset, length, ret_view))
        return false;
    if (device->reads)
        block_reads_note(device->reads, offset, length);
    return true;
}

static void file_close(struct block_device *device)
{
    struct file_device *file = file_of(device);
    block_mapping_close(file->mapping);
    close(file->fd);
    free(file->zeroes);
    free(file);
}

/* What cannot say where its holes are (a block device) has none. */
static bool file_is_allocated(struct block_device *device, uint64_t offset, uint64_t *ret_length)
{
    const struct file_device *file = file_of(device);
    off_t data = lseek(file->fd, (off_t)offset, SEEK_DATA);
    bool hole = data > (off_t)offset || (data < 0 && errno == ENXIO);
    off_t end = hole ? data : lseek(file->fd, (off_t)offset, SEEK_HOLE);
    if (end <= (off_t)offset || (uint64_t)end > device->size)
        end = (off_t)device->size;
    *ret_length = (uint64_t)end - offset;
    return !hole;
}

static const struct block_operations operations = {
    .submit = file_submit,
    .is_allocated = file_is_allocated,
    .view = file_view,
    .close = file_close,
};

static int actual_size(int fd, const struct stat *st, uint64_t *ret_size)
{
    if (S_ISREG(st->st_mode)) {
        *ret_size = (uint64_t)st->st_size;
        return 0;
    }
    return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
}

static int check(int fd, const char *path, uint64_t size, struct error *ret_error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set(ret_error, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(ret_error, -EINVAL, "%s is neither a file nor a block device", path);
    uint64_t actual;
    int r = actual_size(fd, &st, &actual);
    if (r < 0)
        return error_set(ret_error, r, "cannot find the size of %s: %s", path, strerror(-r));
    if (actual < size)
        return error_set(ret_error, -EIO,
                         "%s has only %llu of the volume's %llu bytes; restore it from a backup",
                         path, (unsigned long long)actual, (unsigned long long)size);
    return 0;
}

static int open_path(const char *path, bool read_only)
{
    struct stat st;
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode) && !read_only)
        flags |= O_EXCL;
    int fd = open(path, flags);
    return fd < 0 ? -errno : fd;
}

/* Of the file systems, only these write to the page cache without waiting, if there is no need to;
 * with all others the kernel tries in vain and has a worker do it. It is told to do so at once. */
static bool always_waits(int fd)
{
    struct stat st;
    struct statfs fs;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fstatfs(fd, &fs) == 0 &&
           fs.f_type != XFS_SUPER_MAGIC && fs.f_type != BTRFS_SUPER_MAGIC;
}

static struct file_device *file_new(struct io_thread *thread, uint64_t size, unsigned how)
{
    struct file_device *file = calloc(1, sizeof(*file));
    if (!file)
        return NULL;
    file->device = (struct block_device){.operations = &operations,
                                         .size = size,
                                         .read_only = how & BLOCK_FILE_READ_ONLY,
                                         .thick = how & BLOCK_FILE_THICK};
    file->thread = thread;
    file->can_punch = true;
    file->flush_op.complete = flushed;
    list_init(&file->zeroing);
    list_init(&file->flushing);
    list_init(&file->unflushed);
    if (!file->device.thick || fall_back_to_writing_zeroes(file))
        return file;
    free(file);
    return NULL;
}

int block_file_open(struct io_thread *thread, const char *path, uint64_t size, unsigned how,
                    struct block_device **ret_device, struct error *ret_error)
{
    bool read_only = how & BLOCK_FILE_READ_ONLY;
    cleanup_close int fd = open_path(path, read_only);
    if (fd == -EBUSY)
        return error_set(ret_error, fd, "%s is mounted or used by another program", path);
    if (fd < 0)
        return error_set(ret_error, fd, "cannot open %s: %s", path, strerror(-fd));
    int r = check(fd, path, size, ret_error);
    if (r < 0)
        return r;
    struct file_device *file = file_new(thread, size, how);
    if (!file)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (how & BLOCK_FILE_IMMUTABLE)
        file->mapping = block_mapping_open(thread, fd, size);
    file->writes_wait = !read_only && always_waits(fd);
    file->fd = take_fd(&fd);
    *ret_device = &file->device;
    return 0;
}
