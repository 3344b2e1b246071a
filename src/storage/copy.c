#include "storage/copy.h"

#include "block/sparse.h"
#include "storage/space.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PIECE_SIZE  (8 * MIB)
#define BUFFER_SIZE (1 * MIB)

int copy_needed_space(int fd, uint64_t size, uint64_t *ret_bytes)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret_bytes = S_ISREG(st.st_mode) ? MIN((uint64_t)st.st_blocks * 512, size) : size;
    return 0;
}

static int check_space(const struct copy *copy, struct error *ret_error)
{
    uint64_t needed = 0;
    int r = copy_needed_space(copy->from, copy->size, &needed);
    if (r < 0)
        return error_set(ret_error, r, "%s cannot be looked at: %s", copy->from_name, strerror(-r));
    return space_check(copy->to, copy->to_name, needed, ret_error);
}

static int write_error(const struct copy *copy, int errnum, struct error *ret_error)
{
    if (errnum == ENOSPC || errnum == EDQUOT)
        return error_set(ret_error, -errnum, "no space left for %s; free some and try again",
                         copy->to_name);
    return error_set(ret_error, -errnum, "%s cannot be written: %s", copy->to_name,
                     strerror(errnum));
}

/* A clone takes the whole file: only if that is what was asked for. */
static bool clone_whole(const struct copy *copy)
{
    struct stat st;
    return fstat(copy->from, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == copy->size && ioctl(copy->to, FICLONE, copy->from) == 0;
}

int copy_begin(struct copy *copy, struct error *ret_error)
{
    copy->done = copy->data_end = 0;
    copy->by_hand = copy->thick; /* the kernel might share blocks */
    copy->buffer = NULL;
    if (copy->thick)
        return space_reserve(copy->to, copy->to_name, copy->size, ret_error);
    if (clone_whole(copy)) {
        copy->done = copy->size;
        return 0;
    }
    int r = check_space(copy, ret_error);
    if (r < 0)
        return r;
    if (ftruncate(copy->to, (off_t)copy->size) < 0)
        return write_error(copy, errno, ret_error);
    return 0;
}

static int became_shorter(const struct copy *copy, struct error *ret_error)
{
    return error_set(ret_error, -EIO, "%s became shorter while it was copied", copy->from_name);
}

/* Moves `done` to the next data and finds where that ends. Where holes cannot be told, all is
 * data. */
static int find_data(struct copy *copy, struct error *ret_error)
{
    struct stat st;
    off_t data = lseek(copy->from, (off_t)copy->done, SEEK_DATA);
    if (data < 0 && errno == ENXIO) { /* a hole up to the end, wherever that is by now */
        if (fstat(copy->from, &st) < 0 || (uint64_t)st.st_size < copy->size)
            return became_shorter(copy, ret_error);
        copy->done = copy->data_end = copy->size;
        return 0;
    }
    off_t hole = data < 0 ? -1 : lseek(copy->from, data, SEEK_HOLE);
    if (data >= 0)
        copy->done = MIN((uint64_t)data, copy->size);
    copy->data_end = hole <= data ? copy->size : MIN((uint64_t)hole, copy->size);
    return 0;
}

static int copy_by_hand(struct copy *copy, size_t size, struct error *ret_error)
{
    if (!copy->buffer && !(copy->buffer = malloc(BUFFER_SIZE)))
        return error_set(ret_error, -ENOMEM, "out of memory");
    ssize_t n = pread(copy->from, copy->buffer, MIN(size, BUFFER_SIZE), (off_t)copy->done);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0)
        return error_set(ret_error, -errno, "%s cannot be read: %s", copy->from_name,
                         strerror(errno));
    if (n == 0)
        return error_set(ret_error, -EIO, "%s became shorter while it was copied", copy->from_name);
    int r = sparse_write(copy->to, copy->buffer, (size_t)n, copy->done);
    if (r < 0)
        return write_error(copy, -r, ret_error);
    copy->done += (uint64_t)n;
    return 0;
}

/* Errors that mean "not between these two", not "the disk is broken". */
static bool is_unsupported(int errnum)
{
    return errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP ||
           errnum == EBADF || errnum == ETXTBSY || errnum == EPERM;
}

static int copy_piece(struct copy *copy, struct error *ret_error)
{
    size_t size = (size_t)MIN(copy->data_end - copy->done, PIECE_SIZE);
    if (copy->by_hand)
        return copy_by_hand(copy, size, ret_error);
    off64_t in = (off64_t)copy->done, out = in;
    ssize_t n = copy_file_range(copy->from, &in, copy->to, &out, size, 0);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n == 0 || (n < 0 && is_unsupported(errno))) {
        copy->by_hand = true;
        return 0;
    }
    if (n < 0)
        return write_error(copy, errno, ret_error);
    copy->done += (uint64_t)n;
    return 0;
}

int copy_step(struct copy *copy, uint64_t budget, struct error *ret_error)
{
    uint64_t until = clock_monotonic_usec() + budget;
    do {
        int r = copy->done == copy->data_end && copy->done < copy->size ? find_data(copy, ret_error)
                                                                        : 0;
        if (r < 0 || copy->done == copy->size)
            return r;
        uint64_t from = copy->done;
        r = copy_piece(copy, ret_error);
        if (r < 0)
            return r;
        /* begin writing it out now, so that the fsync at the end does not take minutes */
        (void)sync_file_range(copy->to, (off64_t)from, (off64_t)(copy->done - from),
                              SYNC_FILE_RANGE_WRITE);
    } while (clock_monotonic_usec() < until);
    return copy->done < copy->size;
}

void copy_end(struct copy *copy)
{
    free(copy->buffer);
    copy->buffer = NULL;
}
