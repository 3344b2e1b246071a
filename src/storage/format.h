/* What a file is: a raw disk, a disk image of another format, a compressed one, or none of these.
 */
#pragma once

#include "core/error.h"

enum format_kind {
    FORMAT_RAW,
    FORMAT_QEMU,   /* qemu-img reads it */
    FORMAT_PACKED, /* a program unpacks it; what is in it must be looked at then */
};

struct format {
    enum format_kind kind;
    const char *name;    /* "raw", "qcow2", "gz", ... */
    const char *driver;  /* FORMAT_QEMU: qemu's name of it */
    bool layered;        /* FORMAT_QEMU: qemu would open another file that it names as its base */
    const char *unpack;  /* FORMAT_PACKED: the program; `unpack -dc` */
    const char *package; /* of that program */
};

struct format_found {
    const struct format *format;
    uint64_t size; /* FORMAT_RAW: bytes of the disk, from the file's beginning on */
};

/* Looks at the beginning and the end of fd, called `path` in messages, of `size` bytes. Anything
 * unknown is raw. -EINVAL and a sentence: it is of a kind that is no disk, or says by its header
 * that a part of it is in another file. */
int format_detect(int fd, const char *path, uint64_t size, struct format_found *ret_found,
                  struct error *ret_error) MUST_CHECK;

/* For disks that are used where they are. -EINVAL and a sentence with the command to convert it if
 * it is not raw. */
int format_check_raw(int fd, const char *path, struct error *ret_error) MUST_CHECK;

/* --- pure, for tests and the fuzzer --- */

#define FORMAT_HEAD_SIZE 512
#define FORMAT_TAIL_SIZE 512

/* The same of what was read. tail: the last FORMAT_TAIL_SIZE bytes, or NULL. */
int format_detect_in(const uint8_t *head, size_t n_head, const uint8_t *tail, const char *path,
                     uint64_t size, struct format_found *ret_found,
                     struct error *ret_error) MUST_CHECK;
