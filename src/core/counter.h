/*
 * A number that the threads which see something happen count up, and any thread may read.
 *
 * Each is exact; several read one after the other are of slightly different moments.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

static inline void counter_add(struct counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

/* For counters of what is there now. */
static inline void counter_subtract(struct counter *counter, uint64_t n)
{
    atomic_fetch_sub_explicit(&counter->value, n, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}
