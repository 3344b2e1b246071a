/*
 * Reads the boot set of an image version, so that it is in the page cache when nodes want it.
 */
#pragma once

#include "storage/boot_file.h"

/* What is known of a version's boot set. */
struct warm_state {
    uint64_t bytes;       /* that belong to it */
    uint64_t resident;    /* of those, in memory now */
    unsigned boots;       /* that were recorded, at most BOOT_SET_BOOTS; 0: nothing is known */
    uint64_t recorded_at; /* the latest, usec since 1970 */
};

struct warm {
    /* may be read by the caller */
    uint64_t done;  /* bytes */
    uint64_t total; /* bytes: the boot set, or as much of it as there is room for */
    uint64_t full;  /* bytes of the boot set */

    /* private */
    struct boot_set set;
    unsigned threshold;
    uint64_t at;
    int fd;
    uint8_t *buffer;
};

/* How much memory may be used for it, bytes; configured: 0 is a quarter of all that there is. */
uint64_t warm_limit(uint64_t configured);

/* limit: bytes. -ENOENT: no boot was recorded. The image is not needed afterwards. */
int warm_begin(struct warm *warm, const struct catalog_base *image, uint64_t limit,
               struct error *ret_error) MUST_CHECK;
/* Works for about `budget` microseconds. 1: there is more to do; 0: all of it was read. */
int warm_step(struct warm *warm, uint64_t budget, struct error *ret_error) MUST_CHECK;
/* Also after a failed begin. */
void warm_end(struct warm *warm);

/* -ENOENT: no boot was recorded. */
int warm_look(const struct catalog_base *image, struct warm_state *ret_state,
              struct error *ret_error) MUST_CHECK;
