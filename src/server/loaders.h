/*
 * The directory of the boot loaders: a look at whether those that DHCP names are there at all, and
 * the files for those who fetch them over HTTP. (The TFTP server has opened the directory itself.)
 */
#pragma once

#include "server/config.h"

struct loaders;

/* NULL without memory. */
struct loaders *loaders_new(void);
void loaders_free(struct loaders *loaders);

/* Are loaders anybody's concern? Not if somebody else hands out addresses and there are none. */
bool loaders_are_needed(const struct config *config);

/*
 * Serves from the directory of this configuration from now on. An error, and nothing has changed,
 * if the directory or the BIOS loader of a subnet is missing; a missing one for other machines,
 * which not every rack has, is told as a warning.
 */
int loaders_set(struct loaders *loaders, const struct config *config,
                struct error *ret_error) MUST_CHECK;

/* Where they are, as it was configured. Any thread. */
void loaders_directory(struct loaders *loaders, char buffer[static PATH_MAX]);

/* As directory_open_file(). Any thread. */
int loaders_open_file(struct loaders *loaders, const char *name, int *ret_fd,
                      uint64_t *ret_size) MUST_CHECK;
