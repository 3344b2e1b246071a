/*
 * cpio archives as the kernel unpacks them (newc; Documentation/driver-api/early-userspace/
 * buffer-format.rst): several of them one behind the other, zeros between them.
 *
 * The input may be hostile: names and files that are kept are limited, and so are steps.
 */
#pragma once

#include "core/util.h"

#define CPIO_MAX_NAME    4096
#define CPIO_MAX_ENTRIES 200000
/* What is unpacked, at most. */
#define CPIO_MAX_BYTES   ((uint64_t)2 * GIB)
/* Zeros between two archives, at most: some tools fill up to a block of theirs. */
#define CPIO_MAX_ZEROS   ((uint64_t)16 * MIB)
/* A file that is handed out whole is not larger. */
#define CPIO_MAX_KEPT    65536

struct cpio_source {
    /* Reads at most size bytes. 0 at the end; negative errno. */
    ssize_t (*read)(void *context, void *buffer, size_t size);
    void *context;
    uint64_t position; /* of what was taken; begins at 0, as do the others */
    size_t begin, end; /* of what was read and not taken yet */
    char buffer[16384];
};

struct cpio_entry {
    const char *name; /* no leading "/" or "./" */
    uint32_t mode;    /* with its type */
    uint64_t size;
    const char *data; /* of a file or link that is wanted; a 0 behind it. NULL: not kept */
};

struct cpio_visitor {
    bool (*wants)(void *context, const char *name); /* its data, too */
    void (*entry)(void *context, const struct cpio_entry *entry);
    void *context;
};

/* Reads archives to the end of the source, or to something that is none; the source itself may be
 * read further. ret_at: where that begins,
 * or where the source ends. 1: it ended; 0: something else begins there. -EBADMSG: an archive is
 * cut off or damaged; -E2BIG: more than one can believe; or as read() fails. */
int cpio_read(struct cpio_source *source, const struct cpio_visitor *visitor,
              uint64_t *ret_at) MUST_CHECK;
