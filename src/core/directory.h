/*
 * The directory that files are served from. Nothing outside it can be reached: not by "..", not by
 * a link that leads out, not by an absolute path.
 */
#pragma once

#include "core/error.h"
#include "core/util.h"

#include <limits.h>

/* The directory, opened; keep the descriptor for directory_open_file(). */
int directory_open(const char *path, int *ret_fd, struct error *ret_error) MUST_CHECK;

/* Opens a regular file for reading by the name that a client gave: backslashes are slashes, and
 * leading ones do not count. -ENOENT, -EXDEV (leads out of the directory), -EISDIR (or anything
 * else that is no regular file), -EACCES, -ENAMETOOLONG, ... */
int directory_open_file(int directory, const char *name, int *ret_fd,
                        uint64_t *ret_size) MUST_CHECK;

/* The same name as it stands in the directory, fit for messages: a control character, which no
 * loader's name has, becomes '?'. */
void directory_clean_name(const char *name, char buffer[static PATH_MAX]);
