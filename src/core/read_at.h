/* Reads of files that a signal or a short answer does not cut off. */
#pragma once

#include "core/util.h"

#include <errno.h>

/* Bytes read: fewer only at the end of the file; a negative errno. */
static inline ssize_t read_at(int fd, void *data, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}
