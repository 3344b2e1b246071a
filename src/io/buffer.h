/*
 * Data buffers of one I/O thread: what is on its way between a disk and a socket.
 *
 * Sizes are rounded up to a few classes, and free buffers are kept for reuse, up to a limit and for
 * as long as they are used: buffer_pool_trim() is called now and then, so that an idle thread holds
 * next to nothing. There is a budget for all that is in use: who can
 * wait (a read, a write that still has to be asked for) waits its turn; data that arrives unasked
 * is always taken in, and the caller shrinks its windows meanwhile.
 *
 * Each session has a share: at most half of what is free at the moment. So one that holds its
 * buffers for long (a machine whose cable was pulled, a slow disk) takes a third of the budget,
 * two of them a quarter each, n of them 1/(n+2), and there is always something left for the others.
 * A share that holds nothing gets a buffer whatever the budget says: nobody waits for others for
 * ever. What is in use is so the budget, plus one buffer per session, plus what came unasked.
 */
#pragma once

#include "core/list.h"

#define BUFFER_MAX_SIZE (256 * KIB)

struct buffer_pool;

/* What one session has of the budget. Must outlive its buffers and its waiters. */
struct buffer_share {
    struct list link;    /* private: in the pool's list of those who wait */
    struct list waiters; /* private: first come first served */
    size_t used;         /* bytes */
};

struct buffer {
    struct buffer *next_free;
    struct buffer_share *share; /* that it counts for; NULL: nobody's */
    uint8_t size_class;
    uint32_t references;
    uint8_t *data; /* page-aligned */
};

/* Waits for room in the budget. Embedded in the waiting thing. */
struct buffer_waiter {
    struct list link;
    uint32_t size;
    /* Its turn has come: buffer is its own, with one reference; NULL: the system has no memory. */
    void (*ready)(struct buffer_waiter *waiter, struct buffer *buffer);
};

/* budget: bytes in use from which on buffer_get_or_wait() lets wait. NULL without memory. */
struct buffer_pool *buffer_pool_new(size_t budget);
/* Does it keep more than an idle thread should? */
bool buffer_pool_wants_trim(const struct buffer_pool *pool);
/* Gives the system back what nobody has used since the last call. */
void buffer_pool_trim(struct buffer_pool *pool);
/* All buffers must be back. */
void buffer_pool_free(struct buffer_pool *pool);

/* A buffer of at least size bytes (1..BUFFER_MAX_SIZE) with one reference, whatever the budget
 * says; NULL only if the system has no memory. Its content is undefined. */
struct buffer *buffer_get(struct buffer_pool *pool, uint32_t size);
void buffer_share_init(struct buffer_share *share);
/* Its buffers are back and its waiters called off. */
void buffer_share_clear(struct buffer_share *share);
/* The same within the share: NULL means that waiter->ready() will be called later, by
 * buffer_pool_serve(). Fill in waiter->size and ready first. */
struct buffer *buffer_get_or_wait(struct buffer_pool *pool, struct buffer_share *share,
                                  struct buffer_waiter *waiter);
/* No longer interested. No-op if it does not wait. */
void buffer_cancel_wait(struct buffer_waiter *waiter);

static inline struct buffer *buffer_ref(struct buffer *buffer)
{
    buffer->references++;
    return buffer;
}
void buffer_unref(struct buffer_pool *pool, struct buffer *buffer);

/* Lets those go on whose turn has come, one of each share in turn. Called by the thread's rounds,
 * so that ready() never runs inside somebody else's call. */
void buffer_pool_serve(struct buffer_pool *pool);
/* Buffers were given back since the last call, and somebody waits. */
bool buffer_pool_wants_serve(const struct buffer_pool *pool);

/* More than half of the budget is used: grant no more than necessary. */
bool buffer_pool_scarce(const struct buffer_pool *pool);
size_t buffer_pool_used(const struct buffer_pool *pool);
