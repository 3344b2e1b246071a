/*
 * Crashes what is done to the files of a layer while no device is open on it (merging the layer
 * below, growing, settling at the end) at each change that is made to a file: once as if the daemon
 * had been killed, and some times as if power had been lost, when of what was not synchronised any
 * sectors survive. The stack must read as before each time, and do so after another try.
 *
 * Files are real ones; the calls that change them are counted, and fail once it has crashed.
 */
#include "block/layer.h"
#include "crash.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SIZE      ((uint64_t)300 * 512)
#define NEW_SIZE  ((uint64_t)433 * 512)
#define N_FILES   4 /* data and map of both layers */
#define MAX_BYTES (256 * 1024)
#define MAX_STEPS 1000

int __real_ftruncate64(int fd, off_t size);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __real_copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size,
                               unsigned flags);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size,
                               unsigned flags);

struct image {
    size_t size;
    uint8_t bytes[MAX_BYTES];
};

struct tracked {
    char path[192];
    struct image begin, durable;
};

static struct tracked tracked[N_FILES];
static unsigned steps, crash_at; /* 0: never */
static unsigned seed, points;
static char upper_path[160], lower_path[160];
static const uint8_t boot_id[LAYER_ID_SIZE] = {9}, nothing[LAYER_ID_SIZE];
static struct overlay_layer upper = {.path = upper_path, .id = {1}},
                            lower = {.path = lower_path, .id = {2}};

/* --- files --- */

static bool has_crashed(void)
{
    return crash_at && steps >= crash_at;
}

/* The next change: false, and errno: it is not made any more. */
static bool may_change(void)
{
    steps++;
    errno = EIO;
    return !has_crashed();
}

static void read_image(const char *path, struct image *image)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, image->bytes, MAX_BYTES, 0);
    if (n < 0 || n == MAX_BYTES)
        die("%s cannot be read", path);
    image->size = (size_t)n;
}

/* With its holes. */
static void write_image(const char *path, const struct image *image)
{
    static const uint8_t zeroes[LAYER_BLOCK_SIZE];
    cleanup_close int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0 || __real_ftruncate64(fd, (off_t)image->size) < 0)
        die("%s cannot be written", path);
    for (size_t at = 0, n; at < image->size; at += n) {
        n = MIN(sizeof(zeroes), image->size - at);
        if (memcmp(image->bytes + at, zeroes, n) != 0 &&
            __real_pwrite64(fd, image->bytes + at, n, (off_t)at) != (ssize_t)n)
            die("%s cannot be written", path);
    }
}

static struct tracked *tracked_of(int fd)
{
    struct stat a, b;
    for (size_t i = 0; i < N_FILES; i++)
        if (fstat(fd, &a) == 0 && stat(tracked[i].path, &b) == 0 && a.st_ino == b.st_ino)
            return &tracked[i];
    return NULL;
}

static int synchronise(int fd)
{
    if (!may_change())
        return -1;
    struct tracked *file = tracked_of(fd);
    if (file)
        read_image(file->path, &file->durable);
    return 0;
}

int __wrap_fdatasync(int fd)
{
    return synchronise(fd);
}

int __wrap_fsync(int fd)
{
    return synchronise(fd);
}

int __wrap_ftruncate64(int fd, off_t size)
{
    return may_change() ? __real_ftruncate64(fd, size) : -1;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
    return may_change() ? __real_fallocate64(fd, mode, offset, length) : -1;
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    return may_change() ? __real_pwrite64(fd, data, size, offset) : -1;
}

ssize_t __wrap_copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size,
                               unsigned flags)
{
    if (!may_change())
        return -1;
    return __real_copy_file_range(in, in_at, out, out_at, MIN(size, (size_t)8192), flags);
}

static void restore(void)
{
    for (size_t i = 0; i < N_FILES; i++) {
        write_image(tracked[i].path, &tracked[i].begin);
        tracked[i].durable = tracked[i].begin;
    }
}

/* All, nothing or some of what is not durable. */
static void lose_power(void)
{
    static struct image now;
    unsigned mode = (unsigned)rand_r(&seed) % 3;
    for (size_t i = 0; i < N_FILES; i++) {
        struct image *durable = &tracked[i].durable;
        read_image(tracked[i].path, &now);
        size_t size = now.size == durable->size || mode == 0 ? durable->size : now.size;
        for (size_t at = 0; at < size; at += 512) {
            bool survives = mode == 1 || (mode == 2 && rand_r(&seed) % 2);
            size_t n = MIN((size_t)512, size - at);
            if (survives && at < now.size)
                memcpy(durable->bytes + at, now.bytes + at, n);
            else if (at >= durable->size)
                memset(durable->bytes + at, 0, n);
        }
        durable->size = size;
        write_image(tracked[i].path, durable);
    }
}

/* --- layers --- */

static void must(int r, const struct error *error)
{
    if (r < 0)
        die("%s", error->text);
}

static int load(const struct overlay_layer *which, bool read_only, struct layer_files *files,
                struct layer *layer, struct error *error)
{
    struct layer_expected expected = {.id = which->id, .boot_id = boot_id, .read_only = read_only};
    int r = layer_files_open(which->path, read_only, files, error);
    return r < 0 ? r : layer_load(files, which->path, &expected, layer, error);
}

/* Blocks with content of their own; every third of the other ones has bytes that are nobody's. */
static void fill(const struct overlay_layer *which, uint8_t mark)
{
    struct layer_files files;
    struct layer layer;
    struct error error;
    uint8_t bytes[LAYER_BLOCK_SIZE];
    must(load(which, false, &files, &layer, &error), &error);
    for (uint64_t block = 0; block < layer.map.n_blocks; block++) {
        uint64_t at = block * LAYER_BLOCK_SIZE;
        bool is_own = rand_r(&seed) % 2, is_hole = rand_r(&seed) % 4 == 0;
        memset(bytes, is_own ? mark + (int)block : 0xff, sizeof(bytes));
        size_t n = (size_t)MIN(sizeof(bytes), layer.header.size - at);
        if ((is_own ? !is_hole : block % 3 == 0) && pwrite(files.data, bytes, n, (off_t)at) < 0)
            die("%s", strerror(errno));
        if (is_own && block_map_reserve(&layer.map, block, block + 1) == 0)
            block_map_set(&layer.map, block, block + 1);
    }
    if (layer_sync_map(files.map, &layer.map) < 0)
        die("%s", strerror(errno));
    layer_free(&layer);
    layer_files_close(&files);
}

/* What a stack reads as; -EINVAL: it does not open over that. */
static int content(bool with_lower, uint64_t size, uint8_t *ret_bytes)
{
    struct overlay_layer layers[] = {upper, lower};
    struct overlay_spec spec = {.layers = layers, .n_layers = with_lower ? 2 : 1, .size = size};
    struct error error;
    cleanup_close int fd = open(crash_database, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    struct overlay_copy copy = {.to = fd, .to_name = "copy"};
    memcpy(spec.boot_id, boot_id, LAYER_ID_SIZE);
    int r = overlay_copy_begin(&copy, &spec, &error);
    while (r >= 0 && (r = overlay_copy_step(&copy, 0, &error)) > 0)
        ;
    overlay_copy_end(&copy);
    if (r < 0 && (r != -EINVAL || with_lower))
        die("the stack does not open: %s", error.text);
    if (r >= 0 && pread(fd, ret_bytes, size, 0) != (ssize_t)size)
        die("the copy is short");
    return r;
}

/* --- what is crashed --- */

static int merge(void)
{
    struct overlay_merge m;
    struct error error;
    int r = overlay_merge_begin(&m, &upper, &lower, boot_id, &error);
    while (r >= 0 && (r = overlay_merge_step(&m, 0, &error)) > 0)
        ;
    if (r >= 0)
        r = overlay_merge_commit(&m, &error);
    overlay_merge_end(&m);
    return r;
}

static int grow(void)
{
    struct error error;
    return overlay_grow(upper_path, upper.id, NEW_SIZE, &error);
}

/* All was durable before: it stays so, and clean is what it says at the end. */
static int settle(void)
{
    struct layer_files files = LAYER_NO_FILES;
    struct layer layer;
    struct error error;
    int r = load(&upper, false, &files, &layer, &error);
    if (r >= 0) {
        layer.header.in_use = true;
        r = layer_write_header(files.map, &layer.header);
        if (r >= 0)
            layer_settle(upper_path, &layer, false);
        layer_free(&layer);
    }
    layer_files_close(&files);
    return r;
}

static void check(const uint8_t *expected, bool is_merged)
{
    static uint8_t bytes[SIZE];
    crash_at = 0;
    (void)content(true, SIZE, bytes);
    if (memcmp(bytes, expected, SIZE) != 0)
        die("the stack reads otherwise");
    int r = content(false, SIZE, bytes);
    if (r < 0 && is_merged)
        die("the upper layer does not open alone");
    if (r >= 0 && memcmp(bytes, expected, SIZE) != 0)
        die("the upper layer alone reads otherwise");
    points++;
}

static void crash_all_steps(int (*run)(void), bool merges, const uint8_t *expected)
{
    for (unsigned at = 1; at < MAX_STEPS; at++) {
        int r = 0;
        for (unsigned kind = 0; kind < 4; kind++) {
            restore();
            steps = 0;
            crash_at = at;
            r = run();
            bool through = !has_crashed();
            crash_at = 0;
            if (through && r < 0)
                die("it has failed: %s", strerror(-r));
            if (kind > 0)
                lose_power();
            check(expected, merges && through);
            if (run() < 0) /* another try */
                die("another try has failed");
            check(expected, merges);
            r = through;
        }
        if (r)
            return;
    }
    die("it has no end");
}

static void track(void)
{
    const char *const paths[] = {upper_path, lower_path}, *const suffixes[] = {"data", "map"};
    for (size_t i = 0; i < N_FILES; i++) {
        snprintf(tracked[i].path, sizeof(tracked[i].path), "%s.%s", paths[i / 2], suffixes[i % 2]);
        read_image(tracked[i].path, &tracked[i].begin);
    }
}

int main(int argc, char **argv)
{
    static uint8_t expected[SIZE];
    struct error error;
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 4;
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL);
    printf("seed %u\n", seed);
    fflush(stdout);
    (void)crash_begin(4096);
    snprintf(upper_path, sizeof(upper_path), "%s/upper", crash_directory);
    snprintf(lower_path, sizeof(lower_path), "%s/lower", crash_directory);
    for (unsigned i = 0; i < rounds; i++) {
        must(overlay_create(lower_path, lower.id, nothing, SIZE - 2 * 512, &error), &error);
        must(overlay_create(upper_path, upper.id, lower.id, SIZE, &error), &error);
        fill(&lower, 1);
        fill(&upper, 101);
        track();
        (void)content(true, SIZE, expected);
        crash_all_steps(merge, true, expected);
        crash_all_steps(grow, false, expected);
        crash_all_steps(settle, false, expected);
    }
    crash_end();
    printf("%u looks at the stack, and it was the same\n", points);
    return 0;
}
