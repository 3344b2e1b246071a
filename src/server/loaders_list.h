/*
 * How the boot loaders of the subnets are, for `nodisk loaders list`: which are there, what they
 * are as far as their files tell, and what to do about those that no machine boots with.
 */
#pragma once

#include "server/loaders.h"

#include <jansson.h>

/* Looks at each of them, now; may wait for the disk. needs_https: one without HTTPS boots no node.
 * A new object; NULL without memory. */
json_t *loaders_to_json(struct loaders *loaders, const struct subnet *subnets, size_t count,
                        bool needs_https);
