#include "io/buffer.h"

#include <sys/mman.h>

static const uint32_t class_sizes[] = {4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB};
#define CLASSES ARRAY_SIZE(class_sizes)

/* Bytes of free buffers that a class keeps for the next use: while there is work, and when there
 * has been none. */
#define KEEP_PER_CLASS (8 * MIB)
#define KEEP_IDLE      (256 * KIB)

struct buffer_pool {
    size_t budget;
    size_t used;
    struct buffer *free[CLASSES];
    size_t free_bytes[CLASSES];
    size_t unused_bytes[CLASSES]; /* the least of free_bytes since the last trim */
    struct list hungry;           /* struct buffer_share: those with waiters */
    bool returned;                /* something, since buffer_pool_serve() */
};

struct buffer_pool *buffer_pool_new(size_t budget)
{
    struct buffer_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pool->budget = budget;
    list_init(&pool->hungry);
    return pool;
}

static void destroy(struct buffer *buffer)
{
    munmap(buffer->data, class_sizes[buffer->size_class]);
    free(buffer);
}

/* Free buffers of a class, so many bytes of them. */
static void give_back(struct buffer_pool *pool, size_t c, size_t bytes)
{
    for (; bytes >= class_sizes[c] && pool->free[c]; bytes -= class_sizes[c]) {
        struct buffer *buffer = pool->free[c];
        pool->free[c] = buffer->next_free;
        pool->free_bytes[c] -= class_sizes[c];
        destroy(buffer);
    }
}

void buffer_pool_free(struct buffer_pool *pool)
{
    if (!pool)
        return;
    for (size_t c = 0; c < CLASSES; c++)
        give_back(pool, c, SIZE_MAX);
    free(pool);
}

bool buffer_pool_wants_trim(const struct buffer_pool *pool)
{
    for (size_t c = 0; c < CLASSES; c++)
        if (pool->free_bytes[c] > KEEP_IDLE)
            return true;
    return false;
}

void buffer_pool_trim(struct buffer_pool *pool)
{
    for (size_t c = 0; c < CLASSES; c++) {
        size_t excess = pool->free_bytes[c] > KEEP_IDLE ? pool->free_bytes[c] - KEEP_IDLE : 0;
        give_back(pool, c, MIN(excess, pool->unused_bytes[c]));
        pool->unused_bytes[c] = pool->free_bytes[c];
    }
}

static uint8_t class_of(uint32_t size)
{
    uint8_t c = 0;
    while (class_sizes[c] < size)
        c++;
    return c;
}

static struct buffer *create(uint8_t size_class)
{
    struct buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer)
        return NULL;
    /* Straight from the kernel, so that giving it back lowers what the daemon holds. */
    buffer->data = mmap(NULL, class_sizes[size_class], PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (buffer->data == MAP_FAILED) {
        free(buffer);
        return NULL;
    }
    buffer->size_class = size_class;
    return buffer;
}

struct buffer *buffer_get(struct buffer_pool *pool, uint32_t size)
{
    uint8_t c = class_of(size);
    struct buffer *buffer = pool->free[c];
    if (buffer) {
        pool->free[c] = buffer->next_free;
        pool->free_bytes[c] -= class_sizes[c];
        pool->unused_bytes[c] = MIN(pool->unused_bytes[c], pool->free_bytes[c]);
    } else {
        buffer = create(c);
        if (!buffer)
            return NULL;
    }
    buffer->references = 1;
    buffer->share = NULL;
    pool->used += class_sizes[c];
    return buffer;
}

void buffer_share_init(struct buffer_share *share)
{
    *share = (struct buffer_share){0};
    list_init(&share->waiters);
}

void buffer_share_clear(struct buffer_share *share)
{
    list_remove(&share->link);
}

/* See the top of buffer.h. */
static bool fits(const struct buffer_pool *pool, const struct buffer_share *share, uint32_t size)
{
    size_t room = pool->used < pool->budget ? pool->budget - pool->used : 0;
    size_t bytes = class_sizes[class_of(size)];
    return share->used == 0 || (bytes <= room && share->used <= (room - bytes) / 2);
}

static struct buffer *get_for(struct buffer_pool *pool, struct buffer_share *share, uint32_t size)
{
    struct buffer *buffer = buffer_get(pool, size);
    if (buffer) {
        buffer->share = share;
        share->used += class_sizes[buffer->size_class];
    }
    return buffer;
}

struct buffer *buffer_get_or_wait(struct buffer_pool *pool, struct buffer_share *share,
                                  struct buffer_waiter *waiter)
{
    if (list_empty(&share->waiters) && fits(pool, share, waiter->size)) {
        struct buffer *buffer = get_for(pool, share, waiter->size);
        if (buffer)
            return buffer;
    }
    list_append(&share->waiters, &waiter->link);
    if (!list_linked(&share->link))
        list_append(&pool->hungry, &share->link);
    return NULL;
}

void buffer_cancel_wait(struct buffer_waiter *waiter)
{
    list_remove(&waiter->link);
}

void buffer_unref(struct buffer_pool *pool, struct buffer *buffer)
{
    if (!buffer || --buffer->references > 0)
        return;
    uint8_t c = buffer->size_class;
    pool->used -= class_sizes[c];
    pool->returned = true;
    if (buffer->share)
        buffer->share->used -= class_sizes[c];
    if (pool->free_bytes[c] + class_sizes[c] > KEEP_PER_CLASS) {
        destroy(buffer);
        return;
    }
    buffer->next_free = pool->free[c];
    pool->free[c] = buffer;
    pool->free_bytes[c] += class_sizes[c];
}

/* The first waiter of a share, if there is room for it. */
static struct buffer_waiter *next_of(const struct buffer_pool *pool, struct buffer_share *share)
{
    struct buffer_waiter *first = container_of(share->waiters.next, struct buffer_waiter, link);
    return fits(pool, share, first->size) ? first : NULL;
}

/* One for each of those who wait, in turn; false: there is nothing for anybody. */
static bool serve_round(struct buffer_pool *pool)
{
    struct list round;
    bool any = false;
    list_move(&round, &pool->hungry);
    for (struct list *node; (node = list_pop(&round));) {
        struct buffer_share *share = container_of(node, struct buffer_share, link);
        if (list_empty(&share->waiters)) /* they were called off */
            continue;
        list_append(&pool->hungry, &share->link);
        struct buffer_waiter *first = next_of(pool, share);
        if (!first)
            continue;
        any = true;
        list_remove(&first->link);
        first->ready(first, get_for(pool, share, first->size));
    }
    return any;
}

void buffer_pool_serve(struct buffer_pool *pool)
{
    pool->returned = false;
    while (serve_round(pool))
        ;
}

bool buffer_pool_wants_serve(const struct buffer_pool *pool)
{
    return pool->returned && !list_empty(&pool->hungry);
}

bool buffer_pool_scarce(const struct buffer_pool *pool)
{
    return pool->used > pool->budget / 2;
}

size_t buffer_pool_used(const struct buffer_pool *pool)
{
    return pool->used;
}
