#include "block/overlay_transfer.h"

#include "block/sparse.h"

#include <errno.h>
#include <fcntl.h>

#define PIECE_SIZE  (8 * MIB)
#define BUFFER_SIZE (1 * MIB)

struct overlay_segment overlay_segment_in(int fd, uint64_t size, uint64_t offset, uint64_t end)
{
    if (offset >= size)
        return (struct overlay_segment){-1, end - offset};
    end = MIN(end, size);
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO) /* a hole up to the end */
        return (struct overlay_segment){-1, end - offset};
    if (data > (off_t)offset)
        return (struct overlay_segment){-1, MIN((uint64_t)data, end) - offset};
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (hole > (off_t)offset)
        end = MIN(end, (uint64_t)hole);
    return (struct overlay_segment){fd, end - offset};
}

static uint8_t *need_buffer(struct overlay_transfer *transfer)
{
    if (!transfer->buffer)
        transfer->buffer = malloc(BUFFER_SIZE);
    return transfer->buffer;
}

static ssize_t by_hand(struct overlay_transfer *transfer, int from, int to, uint64_t offset,
                       uint64_t length)
{
    uint8_t *buffer = need_buffer(transfer);
    if (!buffer)
        return -ENOMEM;
    ssize_t n = pread(from, buffer, (size_t)MIN(length, BUFFER_SIZE), (off_t)offset);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0) {
        transfer->reading_failed = true;
        return n < 0 ? -errno : -EIO; /* it has become shorter */
    }
    int r = transfer->dense ? sparse_write_all(to, buffer, (size_t)n, offset)
                            : sparse_write(to, buffer, (size_t)n, offset);
    return r < 0 ? r : n;
}

/* Errors that mean "not between these two", or that copying by hand tells whose they are. */
static bool is_final(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT;
}

ssize_t overlay_transfer_piece(struct overlay_transfer *transfer, int from, int to, uint64_t offset,
                               uint64_t length)
{
    transfer->reading_failed = false;
    if (!transfer->by_hand) {
        off64_t in = (off64_t)offset, out = in;
        ssize_t n = copy_file_range(from, &in, to, &out, (size_t)MIN(length, PIECE_SIZE), 0);
        if (n > 0)
            return n;
        if (n < 0 && errno == EINTR)
            return 0;
        if (n < 0 && is_final(errno))
            return -errno;
        transfer->by_hand = true;
    }
    return by_hand(transfer, from, to, offset, length);
}

int overlay_transfer_zeroes(struct overlay_transfer *transfer, int to, uint64_t offset,
                            uint64_t length)
{
    uint8_t *buffer = need_buffer(transfer);
    if (!buffer)
        return -ENOMEM;
    memset(buffer, 0, (size_t)MIN(length, BUFFER_SIZE));
    while (length > 0) {
        size_t n = (size_t)MIN(length, BUFFER_SIZE);
        int r = sparse_write_all(to, buffer, n, offset);
        if (r < 0)
            return r;
        offset += n;
        length -= n;
    }
    return 0;
}

void overlay_transfer_end(struct overlay_transfer *transfer)
{
    free(transfer->buffer);
    *transfer = (struct overlay_transfer){0};
}
