/* Writing to files that read as zeroes already, where zeroes stay holes. */
#pragma once

#include "core/util.h"

/* All of it, whatever pwrite() takes at once. 0 or a negative errno. */
int sparse_write_all(int fd, const uint8_t *data, size_t size, uint64_t offset) MUST_CHECK;
/* Runs of blocks of 4 KiB that are not all zeroes; the file must read as zeroes elsewhere already.
 */
int sparse_write(int fd, const uint8_t *data, size_t size, uint64_t offset) MUST_CHECK;
