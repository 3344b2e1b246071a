#include "block/mapping.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/thread.h"

#define PAGE_SIZE       4096
#define CHUNK_SIZE      (64 * KIB)
#define PAGES_PER_CHUNK (CHUNK_SIZE / PAGE_SIZE)

/* Which pages of a chunk were in memory, and when. */
struct chunk {
    uint16_t pages;  /* a bit each */
    uint16_t second; /* the last 16 bits; not 0: that is never */
};

struct block_mapping {
    struct list link;
    const struct io_thread *thread;
    dev_t device;
    ino_t inode;
    atomic_uint references; /* devices and views */
    int fd;
    uint64_t size;
    uint8_t *data;
    struct chunk *chunks;
};

/* All that there are: looked through when a device is opened or closed. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list mappings = {&mappings, &mappings};

static uint64_t n_chunks(uint64_t size)
{
    return (size + CHUNK_SIZE - 1) / CHUNK_SIZE;
}

static void destroy(struct block_mapping *mapping)
{
    if (mapping->data)
        munmap(mapping->data, mapping->size);
    if (mapping->fd >= 0)
        close(mapping->fd);
    free(mapping->chunks);
    free(mapping);
}

static struct block_mapping *mapping_new(struct io_thread *thread, int fd, uint64_t size)
{
    struct block_mapping *mapping = calloc(1, sizeof(*mapping));
    if (!mapping)
        return NULL;
    mapping->thread = thread;
    mapping->size = size;
    mapping->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    mapping->chunks = calloc(n_chunks(size), sizeof(*mapping->chunks));
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    mapping->data = data == MAP_FAILED ? NULL : data;
    if (mapping->fd >= 0 && mapping->chunks && mapping->data)
        return mapping;
    destroy(mapping);
    return NULL;
}

static struct block_mapping *find(const struct io_thread *thread, const struct stat *st,
                                  uint64_t size)
{
    list_for_each(node, &mappings) {
        struct block_mapping *m = container_of(node, struct block_mapping, link);
        if (m->thread == thread && m->device == st->st_dev && m->inode == st->st_ino &&
            m->size == size)
            return m;
    }
    return NULL;
}

struct block_mapping *block_mapping_open(struct io_thread *thread, int fd, uint64_t size)
{
    struct stat st;
    if (size == 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    pthread_mutex_lock(&lock);
    struct block_mapping *mapping = find(thread, &st, size);
    if (!mapping && (mapping = mapping_new(thread, fd, size))) {
        mapping->device = st.st_dev;
        mapping->inode = st.st_ino;
        list_append(&mappings, &mapping->link);
    }
    if (mapping)
        atomic_fetch_add(&mapping->references, 1);
    pthread_mutex_unlock(&lock);
    return mapping;
}

/* The last one looks again behind the lock: somebody may have found it meanwhile. */
void block_mapping_close(struct block_mapping *mapping)
{
    if (!mapping)
        return;
    pthread_mutex_lock(&lock);
    bool last = atomic_fetch_sub(&mapping->references, 1) == 1;
    if (last)
        list_remove(&mapping->link);
    pthread_mutex_unlock(&lock);
    if (last)
        destroy(mapping);
}

/* --- views --- */

static uint16_t this_second(const struct block_mapping *mapping)
{
    uint64_t now = io_thread_now((struct io_thread *)mapping->thread);
    return (uint16_t)(now / USEC_PER_SEC) | 1; /* two seconds, and never 0 */
}

static void look(const struct block_mapping *mapping, uint64_t index, uint16_t second)
{
    struct chunk *chunk = &mapping->chunks[index];
    uint64_t begin = index * CHUNK_SIZE, length = MIN(CHUNK_SIZE, mapping->size - begin);
    unsigned char there[PAGES_PER_CHUNK] = {0};
    uint16_t pages = 0;
    if (mincore(mapping->data + begin, length, there) == 0)
        for (unsigned i = 0; i < PAGES_PER_CHUNK; i++)
            pages |= (uint16_t)((there[i] & 1U) << i);
    *chunk = (struct chunk){.pages = pages, .second = second};
}

/* The pages of a chunk that a range has: a bit each. */
static uint16_t pages_of(uint64_t index, uint64_t begin, uint64_t end)
{
    uint64_t from = MAX(begin, index * CHUNK_SIZE) % CHUNK_SIZE / PAGE_SIZE;
    uint64_t last = (MIN(end, (index + 1) * CHUNK_SIZE) - 1) % CHUNK_SIZE / PAGE_SIZE;
    return (uint16_t)((0xffffU << from) & (0xffffU >> (PAGES_PER_CHUNK - 1 - last)));
}

static bool is_in_memory(const struct block_mapping *mapping, uint64_t begin, uint64_t end)
{
    uint16_t second = this_second(mapping);
    for (uint64_t i = begin / CHUNK_SIZE; i <= (end - 1) / CHUNK_SIZE; i++) {
        const struct chunk *chunk = &mapping->chunks[i];
        uint16_t wanted = pages_of(i, begin, end);
        if (chunk->second != second || (chunk->pages & wanted) != wanted)
            look(mapping, i, second);
        if ((chunk->pages & wanted) != wanted)
            return false;
    }
    return true;
}

bool block_mapping_view(struct block_mapping *mapping, uint64_t offset, uint64_t length,
                        struct block_view *ret_view)
{
    if (!is_in_memory(mapping, offset, offset + length))
        return false;
    atomic_fetch_add_explicit(&mapping->references, 1, memory_order_relaxed);
    *ret_view = (struct block_view){.data = mapping->data + offset,
                                    .mapping = mapping,
                                    .fd = mapping->fd,
                                    .offset = (off_t)offset};
    return true;
}

void block_view_release(struct block_view *view)
{
    struct block_mapping *mapping = view->mapping;
    view->mapping = NULL;
    if (!mapping)
        return;
    unsigned references = atomic_load_explicit(&mapping->references, memory_order_relaxed);
    /* Usually its device holds it, too. */
    while (references > 1)
        if (atomic_compare_exchange_weak_explicit(&mapping->references, &references, references - 1,
                                                  memory_order_release, memory_order_relaxed))
            return;
    block_mapping_close(mapping);
}
