/*
 * A file that never changes, mapped: what is sent of it needs no reading and no buffer.
 *
 * The memory is the page cache's own, shared by all volumes over one image and by all threads, and
 * the kernel says what stays in it. Nothing here is ever touched by this process itself: the bytes
 * are only handed to the kernel to be sent (sendmsg, sendfile). So a file that somebody has made
 * shorter under us is an error of that send (EFAULT) and no SIGBUS.
 *
 * What is not in memory would make the sender wait for the disk. So only pages are given out that
 * were there when we last looked (mincore), in this second; all others are to be read. A page that
 * the kernel takes back within that second, although it was just used, is waited for.
 *
 * A mapping belongs to one I/O thread, and to one file, however many devices read that. It is there
 * until the last of them is closed and the last of its bytes has left.
 *
 * Cost of a view: none, once a second and 64 KiB one mincore(); memory: 4 bytes for each 64 KiB.
 */
#pragma once

#include "core/util.h"

#include <sys/types.h>

struct io_thread;
struct block_mapping;

/* Bytes of a mapped file. Holds the mapping until block_view_release(). */
struct block_view {
    const uint8_t *data; /* for the kernel only, see above */
    struct block_mapping *mapping;
    int fd; /* of the file, and where in it: for sendfile(); the mapping's */
    off_t offset;
};

/* For a device of this thread; any thread may call it. size: bytes that are there. NULL: it cannot
 * be mapped (no memory, not a file): then everything is read. */
struct block_mapping *block_mapping_open(struct io_thread *thread, int fd, uint64_t size);
/* The device is closed; NULL: nothing. Any thread may call it. */
void block_mapping_close(struct block_mapping *mapping);

/* On the thread. offset + length is within the file, length is not 0. False: not all of it is in
 * memory. */
bool block_mapping_view(struct block_mapping *mapping, uint64_t offset, uint64_t length,
                        struct block_view *ret_view);
/* Any number of times; on the thread. */
void block_view_release(struct block_view *view);
