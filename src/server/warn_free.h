/* How much of a file system should stay free: `warn-free` of the configuration. Pure. */
#pragma once

#include "core/util.h"

/* One of them; both 0: nobody is warned. */
struct warn_free {
    unsigned percent; /* of the file system */
    uint64_t bytes;
};

#define WARN_FREE_DEFAULT ((struct warn_free){.percent = 10})

/* "10%", "20G", or "0". -EINVAL: it is none of these. */
int warn_free_parse(const char *text, struct warn_free *ret_warn) MUST_CHECK;
/* In bytes, of a file system with so many. */
uint64_t warn_free_threshold(const struct warn_free *warn, uint64_t total);
/* The threshold from now on, if it was `before` and would be `fresh`: the size of some file systems
 * goes up and down with what others use, and a tenth more or less is none of anybody's business. */
uint64_t warn_free_follow(uint64_t before, uint64_t fresh);
/* Is there less than should be? If there was, only a tenth more than the threshold ends it, so that
 * nobody is warned again and again. */
bool warn_free_is_low(bool was_low, uint64_t available, uint64_t threshold);
