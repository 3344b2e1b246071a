/* A volume in a raw file or on a block device, through the page cache and io_uring. */
#pragma once

#include "block/block.h"

#define BLOCK_FILE_READ_ONLY 1u
#define BLOCK_FILE_THICK     2u
#define BLOCK_FILE_IMMUTABLE 4u /* nobody will ever change it: see block_view() */

/* Opens path for `thread`; may block, and may be called on another one. A block device is opened
 * exclusively (no mounted or otherwise used one). size: what the registry says, in bytes; a file or
 * device that is smaller is refused, since writes behind its end would be lost. how:
 * BLOCK_FILE_... */
int block_file_open(struct io_thread *thread, const char *path, uint64_t size, unsigned how,
                    struct block_device **ret_device, struct error *ret_error) MUST_CHECK;
