/* Where bytes go that come out of a program, without knowing how many there will be. */
#pragma once

#include "core/error.h"

/* A file without a name beside `beside`, which goes when it is closed. */
int unpacked_create(const char *beside, struct error *ret_error) MUST_CHECK;
/* Writes data to fd at `offset`, zeroes as holes. `name` is for messages. -EFBIG: it would pass
 * `limit`; -ENOSPC, also while there is a little left, which the volumes on that file system need.
 */
int unpacked_write(int fd, const char *name, const uint8_t *data, size_t size, uint64_t offset,
                   uint64_t limit, struct error *ret_error) MUST_CHECK;
/* "no space left for NAME"; returns -ENOSPC. */
int unpacked_no_space(const char *name, struct error *ret_error);
