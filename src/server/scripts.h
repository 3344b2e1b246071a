/* The directory of the operator's own scripts. What is in it is served as it is at that moment:
 * nothing is kept, and a directory that is made later is found. */
#pragma once

#include "server/config.h"

struct scripts;

/* NULL without memory. */
struct scripts *scripts_new(void);
void scripts_free(struct scripts *scripts);

/* Serves from the directory of this configuration from now on. */
void scripts_set(struct scripts *scripts, const struct config *config);
/* Where they are, as it was configured. Any thread. */
void scripts_directory(struct scripts *scripts, char buffer[static PATH_MAX]);

/* As directory_open_file(); -ENOENT also without the directory. Any thread. */
int scripts_open_file(struct scripts *scripts, const char *name, int *ret_fd,
                      uint64_t *ret_size) MUST_CHECK;
