/*
 * Reads a volume that nobody uses, whatever holds its bytes, for a thread that waits for it: not
 * for I/O threads.
 */
#pragma once

#include "server/targets.h"

struct storage_reader;

/* Blocks. free it by volume_reader_close(). */
int volume_reader_open(struct targets *targets, uint64_t volume_id,
                       struct storage_reader **ret_reader, struct error *ret_error) MUST_CHECK;
/* At most BUFFER_MAX_SIZE bytes; within the volume. 0 or a negative errno. */
int volume_reader_read(struct storage_reader *reader, uint64_t offset, uint8_t *data,
                       size_t size) MUST_CHECK;
void volume_reader_close(struct storage_reader *reader);
