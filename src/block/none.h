/* A device without a medium: every request fails with -EIO. For while there is no other. */
#pragma once

#include "block/block.h"

/* size: bytes. NULL: no memory. */
struct block_device *block_none_new(uint64_t size);
