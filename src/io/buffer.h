/*
 * Data buffers of one I/O thread: what is on its way between a disk and a socket.
 *
 * Sizes are rounded up to a few classes, and free buffers are kept for reuse up to a small limit,
 * so that an idle thread holds next to nothing. There is a budget for all that is in use: who can
 * wait (a read, a write that still has to be asked for) waits its turn, first come first served;
 * data that arrives unasked is always taken in, and the caller shrinks its windows meanwhile.
 */
#pragma once

#include "core/list.h"

#define BUFFER_MAX_SIZE (256 * KIB)

struct buffer_pool;

struct buffer {
    struct buffer *next_free;
    uint8_t size_class;
    uint32_t references;
    uint8_t *data; /* page-aligned */
};

/* Waits for room in the budget. Embedded in the waiting thing. */
struct buffer_waiter {
    struct list link;
    uint32_t size;
    void (*ready)(struct buffer_waiter *waiter);
};

/* budget: bytes in use from which on buffer_get_or_wait() lets wait. NULL without memory. */
struct buffer_pool *buffer_pool_new(size_t budget);
/* All buffers must be back. */
void buffer_pool_free(struct buffer_pool *pool);

/* A buffer of at least size bytes (1..BUFFER_MAX_SIZE) with one reference, whatever the budget
 * says; NULL only if the system has no memory. Its content is undefined. */
struct buffer *buffer_get(struct buffer_pool *pool, uint32_t size);
/* The same within the budget: NULL means that waiter->ready() will be called later, by
 * buffer_pool_serve(), when its turn has come; ready() then calls buffer_get(). Fill in
 * waiter->size and ready first. */
struct buffer *buffer_get_or_wait(struct buffer_pool *pool, struct buffer_waiter *waiter);
/* No longer interested. No-op if it does not wait. */
void buffer_cancel_wait(struct buffer_waiter *waiter);

static inline struct buffer *buffer_ref(struct buffer *buffer)
{
    buffer->references++;
    return buffer;
}
void buffer_unref(struct buffer_pool *pool, struct buffer *buffer);

/* Lets those go on whose turn has come. Called once per round of the thread, so that ready()
 * never runs inside somebody else's call. */
void buffer_pool_serve(struct buffer_pool *pool);

/* Half of the budget is used: grant no more than necessary. */
bool buffer_pool_scarce(const struct buffer_pool *pool);
size_t buffer_pool_used(const struct buffer_pool *pool);
