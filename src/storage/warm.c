#include "storage/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define BUFFER_SIZE (1 * MIB)
#define WINDOW      (256 * MIB) /* of a file, looked at at once */

uint64_t warm_limit(uint64_t configured)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (configured)
        return configured;
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 : 256 * MIB;
}

static int open_image(const char *path, struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? error_set(ret_error, -errno, "cannot open %s: %s", path, strerror(errno)) : fd;
}

/* --- reading --- */

/* A read brings in what it asks for and nothing around it (POSIX_FADV_RANDOM). */
static int start(struct warm *warm, const struct catalog_base *image, struct error *ret_error)
{
    warm->buffer = malloc(BUFFER_SIZE);
    if (!warm->buffer)
        return error_set(ret_error, -ENOMEM, "out of memory");
    warm->fd = open_image(image->path, ret_error);
    if (warm->fd < 0)
        return warm->fd;
    (void)posix_fadvise(warm->fd, 0, 0, POSIX_FADV_RANDOM);
    return 0;
}

int warm_begin(struct warm *warm, const struct catalog_base *image, uint64_t limit,
               struct error *ret_error)
{
    *warm = (struct warm){.fd = -1};
    int r = boot_file_load(image, &warm->set, ret_error);
    if (r < 0)
        return r;
    warm->threshold = boot_set_threshold(&warm->set, limit);
    warm->total = boot_set_bytes(&warm->set, warm->threshold);
    warm->full = boot_set_bytes(&warm->set, boot_set_threshold(&warm->set, UINT64_MAX));
    return start(warm, image, ret_error);
}

static int read_some(struct warm *warm, uint64_t length, struct error *ret_error)
{
    ssize_t n = pread(warm->fd, warm->buffer, MIN(length, BUFFER_SIZE), (off_t)warm->at);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0)
        return error_set(ret_error, -errno, "it cannot be read: %s", strerror(errno));
    if (n == 0)
        return error_set(ret_error, -EIO, "its file has become shorter");
    warm->at += (uint64_t)n;
    warm->done += (uint64_t)n;
    return 0;
}

int warm_step(struct warm *warm, uint64_t budget, struct error *ret_error)
{
    uint64_t until = clock_monotonic_usec() + budget, length;
    do {
        if (!boot_set_next_run(&warm->set, warm->threshold, &warm->at, &length))
            return 0;
        int r = read_some(warm, length, ret_error);
        if (r < 0)
            return r;
    } while (clock_monotonic_usec() < until);
    return 1;
}

void warm_end(struct warm *warm)
{
    boot_set_free(&warm->set);
    free(take_ptr(warm->buffer));
    if (warm->fd >= 0)
        close(warm->fd);
    warm->fd = -1;
}

/* --- looking --- */

/* How much of the file between the two is in memory. Whole pages are looked at. */
static uint64_t count_resident(int fd, uint64_t begin, uint64_t length)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), resident = 0;
    uint64_t from = begin / page * page, n_pages = (begin + length - from + page - 1) / page;
    void *map = mmap(NULL, n_pages * page, PROT_READ, MAP_SHARED, fd, (off_t)from);
    if (map == MAP_FAILED)
        return 0;
    unsigned char *pages = malloc(n_pages);
    if (pages && mincore(map, n_pages * page, pages) == 0)
        for (uint64_t i = 0; i < n_pages; i++)
            resident += pages[i] & 1;
    free(pages);
    munmap(map, n_pages * page);
    return MIN(resident * page, length);
}

static uint64_t count_set_resident(int fd, const struct boot_set *set, unsigned threshold)
{
    uint64_t resident = 0, length;
    for (uint64_t at = 0; boot_set_next_run(set, threshold, &at, &length); at += length) {
        length = MIN(length, WINDOW);
        resident += count_resident(fd, at, length);
    }
    return resident;
}

int warm_look(const struct catalog_base *image, struct warm_state *ret_state,
              struct error *ret_error)
{
    struct boot_set set;
    cleanup_close int fd = open_image(image->path, ret_error);
    if (fd < 0)
        return fd;
    int r = boot_file_load(image, &set, ret_error);
    if (r < 0)
        return r;
    unsigned threshold = boot_set_threshold(&set, UINT64_MAX);
    *ret_state = (struct warm_state){.bytes = boot_set_bytes(&set, threshold),
                                     .resident = count_set_resident(fd, &set, threshold),
                                     .boots = set.n_boots,
                                     .recorded_at = set.recorded_at};
    boot_set_free(&set);
    return 0;
}
