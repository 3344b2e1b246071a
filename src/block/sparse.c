#include "block/sparse.h"

#include <errno.h>

#define HOLE_SIZE ((size_t)4096)

static bool is_zero(const uint8_t *data, size_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

int sparse_write_all(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        data += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int sparse_write(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    size_t start = 0, end;
    for (size_t at = 0; at < size; at = end) {
        end = MIN(at + HOLE_SIZE, size);
        bool zero = is_zero(data + at, end - at);
        if (!zero && end < size)
            continue;
        size_t stop = zero ? at : end;
        int r = stop > start ? sparse_write_all(fd, data + start, stop - start, offset + start) : 0;
        if (r < 0)
            return r;
        start = end;
    }
    return 0;
}
