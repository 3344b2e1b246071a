/* The SHA-256 of a file that is read in order, while it grows or when it is whole. Holes are hashed
 * as the zeroes that they are, without being read. */
#pragma once

#include "core/error.h"

#include <nettle/sha2.h>

#define DIGEST_TEXT_SIZE (2 * SHA256_DIGEST_SIZE + 1)

struct digest {
    uint64_t done; /* bytes from the beginning */

    /* private */
    struct sha256_ctx hash;
    uint8_t *buffer;
    uint64_t data_end; /* of the stretch of data that `done` is in */
};

int digest_begin(struct digest *digest, struct error *ret_error) MUST_CHECK;
/* Goes on to byte `end` of fd, called `name` in messages, or until the time is `until`
 * (clock_monotonic_usec). What lies before `end` must not change any more. */
int digest_step(struct digest *digest, int fd, const char *name, uint64_t end, uint64_t until,
                struct error *ret_error) MUST_CHECK;
/* What was hashed, hexadecimal; the hash begins anew. */
void digest_hash_text(struct sha256_ctx *hash, char text[static DIGEST_TEXT_SIZE]);
/* The digest of all that was done, hexadecimal. Once. */
void digest_text(struct digest *digest, char text[static DIGEST_TEXT_SIZE]);
/* Frees what digest_begin() took; a zeroed one is fine. */
void digest_end(struct digest *digest);
