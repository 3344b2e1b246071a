/*
 * Crashes the making and the removal of a layer's files at each change that they make: once as if
 * the daemon had been killed, and some times as if power had been lost. Then of what was not
 * synchronised any sectors survive, and of the names that were given or taken since the directory
 * was, any are there.
 *
 * Whatever is left, another try makes an empty layer; and one that was made, or removed, stays so
 * when power is lost the moment after.
 */
#include "block/layer.h"
#include "crash.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SIZE      ((uint64_t)300 * 512)
#define N_FILES   3
#define MAX_BYTES (256 * 1024)
#define MAX_STEPS 100

int __real_open64(const char *path, int flags, ...);
int __real_unlink(const char *path);
int __real_ftruncate64(int fd, off_t size);
int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_unlink(const char *path);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);

struct image {
    size_t size; /* 0: nothing */
    uint8_t bytes[MAX_BYTES];
};

/* What a name stands for on the disk. */
struct tracked {
    char path[192];
    bool is_named; /* durably... */
    struct image named;
    struct image synced; /* of the file that has the name now, what is durable */
};

static const char *const suffixes[N_FILES] = {"data", "log", "map"};
static struct tracked tracked[N_FILES];
static unsigned steps, crash_at; /* 0: never */
static unsigned seed, points;
static char layer_path_[160];
static const uint8_t boot_id[LAYER_ID_SIZE] = {9}, other_id[LAYER_ID_SIZE] = {8};
static const uint8_t id[LAYER_ID_SIZE] = {1}, below_id[LAYER_ID_SIZE] = {2};

/* --- files --- */

static bool has_crashed(void)
{
    return crash_at && steps >= crash_at;
}

static bool may_change(void)
{
    steps++;
    errno = EIO;
    return !has_crashed();
}

/* False: there is none of that name. */
static bool read_image(const char *path, struct image *image)
{
    *image = (struct image){0};
    cleanup_close int fd = __real_open64(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat st;
    ssize_t n = pread(fd, image->bytes, MAX_BYTES, 0);
    if (n < 0 || fstat(fd, &st) < 0)
        die("%s cannot be read", path);
    image->size = (size_t)MIN(st.st_size, MAX_BYTES); /* the end of the log is a hole */
    return true;
}

static void write_image(const char *path, const struct image *image)
{
    __real_unlink(path);
    cleanup_close int fd = __real_open64(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || __real_pwrite64(fd, image->bytes, image->size, 0) != (ssize_t)image->size)
        die("%s cannot be written", path);
}

static struct tracked *tracked_of(const struct stat *st)
{
    struct stat other;
    for (size_t i = 0; i < N_FILES; i++)
        if (stat(tracked[i].path, &other) == 0 && st->st_ino == other.st_ino)
            return &tracked[i];
    return NULL;
}

/* The names are durable, with what is durable of their files. */
static void synchronise_names(void)
{
    for (size_t i = 0; i < N_FILES; i++) {
        tracked[i].is_named = access(tracked[i].path, F_OK) == 0;
        tracked[i].named = tracked[i].synced;
    }
}

static int synchronise(int fd)
{
    struct stat st;
    if (!may_change())
        return -1;
    struct tracked *file = fstat(fd, &st) < 0 ? NULL : tracked_of(&st);
    if (S_ISDIR(st.st_mode)) {
        synchronise_names();
    } else if (file) {
        (void)!read_image(file->path, &file->synced);
        if (file->is_named && file->named.size)
            file->named = file->synced;
    }
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

int __wrap_open64(const char *path, int flags, ...)
{
    bool creates = flags & O_CREAT;
    if (creates && !may_change())
        return -1;
    return __real_open64(path, flags, 0600);
}

static void forget_synced(const char *path)
{
    for (size_t i = 0; i < N_FILES; i++)
        if (str_eq(tracked[i].path, path))
            tracked[i].synced = (struct image){0};
}

int __wrap_unlink(const char *path)
{
    if (!may_change())
        return -1;
    forget_synced(path);
    return __real_unlink(path);
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

static bool toss(void)
{
    return rand_r(&seed) % 2;
}

/* Sectors of `now` into what is durable; mode 0: none, 1: all, 2: some. */
static void mix(struct image *durable, const struct image *now, unsigned mode)
{
    if (mode == 1 || (mode == 2 && toss()))
        durable->size = now->size;
    for (size_t at = 0; at < durable->size; at += 512)
        if (mode == 1 || (mode == 2 && toss()))
            memcpy(durable->bytes + at, now->bytes + at, 512);
}

/* What the name stands for afterwards: the file that it durably stood for, or the one of now. */
static void lose_power_of(struct tracked *file, unsigned mode)
{
    static struct image now, left;
    bool is_there = read_image(file->path, &now);
    bool has_changed =
        is_there != file->is_named || memcmp(&file->named, &file->synced, sizeof(file->named)) != 0;
    bool takes_now = !has_changed || mode == 1 || (mode == 2 && toss());
    bool is_left = takes_now ? is_there : file->is_named;
    left = takes_now ? file->synced : file->named;
    if (takes_now && is_there)
        mix(&left, &now, mode);
    __real_unlink(file->path);
    if (is_left)
        write_image(file->path, &left);
}

static void lose_power(void)
{
    unsigned mode = (unsigned)rand_r(&seed) % 3;
    for (size_t i = 0; i < N_FILES; i++)
        lose_power_of(&tracked[i], mode);
}

/* What is there now is durable. */
static void settle_disk(void)
{
    for (size_t i = 0; i < N_FILES; i++) {
        tracked[i].is_named = read_image(tracked[i].path, &tracked[i].synced);
        tracked[i].named = tracked[i].synced;
    }
}

/* --- what is there at first --- */

static void clear_disk(void)
{
    for (size_t i = 0; i < N_FILES; i++)
        __real_unlink(tracked[i].path);
}

/* Files of another layer, full of what is not to be seen. */
static void leave_others(void)
{
    static struct image image;
    struct error error;
    if (overlay_create(layer_path_, other_id, below_id, SIZE, &error) < 0)
        die("%s", error.text);
    (void)!read_image(tracked[0].path, &image);
    memset(image.bytes, 0xee, image.size);
    write_image(tracked[0].path, &image);
}

static void leave_nothing(void)
{
}

/* --- what must be true --- */

static void check_empty(void)
{
    struct layer layer;
    struct error error;
    struct layer_files files;
    static struct image data;
    struct layer_expected expected = {
        .id = id, .below_id = below_id, .size = SIZE, .boot_id = boot_id};
    int r = layer_files_open(layer_path_, false, &files, &error);
    if (r >= 0)
        r = layer_load(&files, layer_path_, &expected, &layer, &error);
    if (r < 0)
        die("it cannot be opened: %s", error.text);
    uint64_t stop;
    if (layer.lost || layer.header.in_use ||
        block_map_run(&layer.map, 0, layer.map.n_blocks, &stop) || stop < layer.map.n_blocks)
        die("it is not empty");
    (void)!read_image(tracked[0].path, &data);
    for (size_t i = 0; i < data.size; i++)
        if (data.bytes[i])
            die("byte %zu of it is not zero", i);
    layer_free(&layer);
    layer_files_close(&files);
    points++;
}

static void check_gone(void)
{
    for (size_t i = 0; i < N_FILES; i++)
        if (access(tracked[i].path, F_OK) == 0)
            die("%s has come back", tracked[i].path);
    points++;
}

static int create(void)
{
    struct error error;
    return overlay_create(layer_path_, id, below_id, SIZE, &error);
}

static int take_away(void)
{
    struct error error;
    return overlay_remove(layer_path_, &error);
}

/* True: it came to its end before the step. */
static bool crash(int (*run)(void), void (*check)(void), void (*leave)(void), unsigned at,
                  bool powerless)
{
    clear_disk();
    leave();
    settle_disk();
    steps = 0;
    crash_at = at;
    int r = run();
    bool through = !has_crashed();
    crash_at = 0;
    if (through && r < 0)
        die("it has failed: %s", strerror(-r));
    if (powerless)
        lose_power();
    if (through)
        check();
    if (powerless)
        settle_disk();
    if (run() < 0)
        die("another try has failed");
    check();
    lose_power();
    check();
    return through;
}

static void crash_all_steps(int (*run)(void), void (*check)(void), void (*leave)(void))
{
    bool through = false;
    for (unsigned at = 1; !through; at++) {
        if (at == MAX_STEPS)
            die("it has no end");
        for (unsigned kind = 0; kind < 8; kind++)
            through = crash(run, check, leave, at, kind > 0);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? (unsigned)atoi(argv[1]) : (unsigned)time(NULL);
    printf("seed %u\n", seed);
    fflush(stdout);
    (void)crash_begin(4096);
    snprintf(layer_path_, sizeof(layer_path_), "%s/layer", crash_directory);
    for (size_t i = 0; i < N_FILES; i++)
        snprintf(tracked[i].path, sizeof(tracked[i].path), "%s.%s", layer_path_, suffixes[i]);
    crash_all_steps(create, check_empty, leave_nothing);
    crash_all_steps(create, check_empty, leave_others);
    crash_all_steps(take_away, check_gone, leave_others);
    crash_end();
    printf("%u looks at the layer, and it was as it must be\n", points);
    return 0;
}
