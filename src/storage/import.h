/*
 * Fills a new file with the disk that is in another one, whatever format that has, and computes its
 * checksum, a bounded piece at a time.
 *
 * A raw disk is copied (storage/copy.h), what is packed comes out of a program's pipe, and what
 * qemu-img knows is converted by it; a disk image inside a packed file is unpacked into a file
 * without a name first. The checksum follows the writing where that goes in order, from the page
 * cache; behind qemu-img the finished file is read.
 */
#pragma once

#include "storage/child.h"
#include "storage/copy.h"
#include "storage/digest.h"
#include "storage/format.h"

struct import_step;

struct import {
    /* set by the caller */
    int from, to;                    /* not owned; `to` is a new, empty file */
    const char *from_name, *to_name; /* for messages */
    uint64_t from_size;              /* of the file or device */

    /* may be read by the caller */
    const char *stage;    /* what is being done: "converting" */
    uint64_t done, total; /* of that, in bytes */
    char format[24];      /* "qcow2", "raw", "qcow2 in xz" */
    uint64_t size;        /* of the disk, when it is finished */
    char sha256[DIGEST_TEXT_SIZE];

    /* private */
    bool begun;
    const struct import_step *step;
    struct format_found found;
    struct copy copy;
    struct child child;
    struct digest digest;
    int unpacked;    /* the file without a name, or -1 */
    int into;        /* where the unpacked bytes go: `to`, or that; -1: not known yet */
    uint64_t filled; /* bytes of `to` from its beginning that will not change any more */
    uint64_t limit;  /* no disk is larger: the whole file system */
    uint8_t *buffer;
    size_t n_buffer;
    uint64_t n_unpacked;
    int convert_from; /* what qemu-img reads: `from`, or `unpacked` */
    const struct format *convert_format;
    unsigned progress; /* of qemu-img, in hundredths of a per cent */
};

/* A raw disk, called `name` in messages, has this many bytes: -EINVAL if it cannot. */
int import_check_size(const char *name, uint64_t size, struct error *ret_error) MUST_CHECK;

/* Zeroed but for what the caller sets. */
int import_begin(struct import *import, struct error *ret_error) MUST_CHECK;
/* Works for about `budget` microseconds, or up to the end of a stage. 1: there is more to do; 0:
 * `to` is complete (not yet durable), and size, format and sha256 are what it is. */
int import_step(struct import *import, uint64_t budget, struct error *ret_error) MUST_CHECK;
/* Ends whatever is under way; the descriptors of the caller stay open. One that was not begun is
 * fine. */
void import_end(struct import *import);
