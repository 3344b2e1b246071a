/*
 * What nodes read of an image version while they boot: its boot set.
 *
 * Of the last BOOT_SET_BOOTS boots that were recorded it is known of each piece of the image which
 * of them have read it. A piece belongs to the set if two of them have: what one node did once (a
 * check of all files, a copy of the disk) is none, and what newer boots do not read is forgotten.
 * When there is no room for all of it, the pieces that most boots have read come first.
 *
 * Pure; boot_file.h keeps it on disk.
 */
#pragma once

#include "block/reads.h"
#include "core/error.h"

#define BOOT_SET_BOOTS         8
#define BOOT_SET_IDENTITY_SIZE 16
#define BOOT_SET_MAX_PIECES    (UINT64_C(1) << 20)
#define BOOT_SET_HEADER_SIZE   60
#define BOOT_SET_MAX_FILE      (BOOT_SET_HEADER_SIZE + BOOT_SET_MAX_PIECES) /* bytes */

struct boot_set {
    uint8_t identity[BOOT_SET_IDENTITY_SIZE]; /* of the image version */
    uint64_t size;                            /* of the image, bytes */
    uint64_t recorded_at;                     /* the latest boot, usec since 1970 */
    unsigned n_boots;                         /* that are known of */
    uint64_t n_pieces;
    uint8_t *pieces; /* for each of them, a bit for each boot that read it; the latest is bit 0 */
};

/* A piece of an image of this size has 1 << this bytes: 64 KiB, more in very large ones. */
unsigned boot_set_shift(uint64_t size);

/* No boots yet. -ENOMEM; -EINVAL: no image is that large. */
int boot_set_init(struct boot_set *ret_set, const uint8_t identity[static BOOT_SET_IDENTITY_SIZE],
                  uint64_t size) MUST_CHECK;
/* A zeroed one is fine. */
void boot_set_free(struct boot_set *set);

/* One more boot; what it read was noted with boot_set_shift(). at: usec since 1970. */
void boot_set_add(struct boot_set *set, const struct block_reads *reads, uint64_t at);

/* By how many boots a piece must have been read, so that all such pieces together, which belong to
 * the set, have at most `limit` bytes. (Perhaps by more than there are: then none fits.) */
unsigned boot_set_threshold(const struct boot_set *set, uint64_t limit);
/* Bytes of the pieces that at least so many boots have read. */
uint64_t boot_set_bytes(const struct boot_set *set, unsigned threshold);
/* The first run of such pieces at or behind the byte *offset, where it begins, and its length in
 * bytes. False: there is none. */
bool boot_set_next_run(const struct boot_set *set, unsigned threshold, uint64_t *offset,
                       uint64_t *ret_length);

/* --- as it is stored --- */

static inline size_t boot_set_encoded_size(const struct boot_set *set)
{
    return BOOT_SET_HEADER_SIZE + (size_t)set->n_pieces;
}
void boot_set_encode(const struct boot_set *set, uint8_t *bytes);
/* -EBADMSG: it is damaged, or not that of this image; -ENOTSUP: a newer nodisk wrote it. */
int boot_set_decode(const uint8_t *bytes, size_t n_bytes,
                    const uint8_t identity[static BOOT_SET_IDENTITY_SIZE], uint64_t size,
                    struct boot_set *ret_set, struct error *ret_error) MUST_CHECK;
