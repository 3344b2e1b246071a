/* Warms the boot sets of all images that nodes have, one after the other. For one thread. */
#pragma once

#include "registry/catalog.h"

struct warm_up;

/* The images at the bottom of the nodes' disks as they are now, the newest first; limit: bytes, see
 * warm_limit(). NULL: there is nothing to do, or no memory. */
struct warm_up *warm_up_new(struct catalog_slot *catalog, uint64_t limit);
/* Goes on for a moment; false: it is through. Says in the log what it did. */
bool warm_up_step(struct warm_up *warm_up);
/* NULL: no-op. */
void warm_up_free(struct warm_up *warm_up);
