/* Room on disk for a file, asked for before it is needed. */
#pragma once

#include "core/error.h"

/* Has the file system of fd, a file called `name` in messages, room for this many bytes more?
 * -ENOSPC with the figures if not. */
int space_check(int fd, const char *name, uint64_t needed, struct error *ret_error) MUST_CHECK;
/* Gives the first `size` bytes of the file space of their own, which it shares with no other file;
 * makes it that long if it is shorter. What is in it stays; holes read as zeroes as before.
 * -ENOTSUP: the file system cannot. */
int space_reserve(int fd, const char *name, uint64_t size, struct error *ret_error) MUST_CHECK;
