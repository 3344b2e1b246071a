/*
 * An overlay beside a raw file: requests on a real I/O thread, 32 at a time, in the page cache.
 * Prints what each does in the same run, by turns, the median of several, and the ratio.
 *
 * usage: bench_overlay DIRECTORY
 */
#include "thread_call.h"

#include "block/file.h"
#include "block/overlay.h"

#include <fcntl.h>

#define SIZE   (512 * MIB)
#define DEPTH  32
#define ROUNDS 7

struct work {
    const char *name;
    enum block_operation operation;
    uint64_t length; /* of a request */
    bool random;
    uint64_t count;
};

static const struct work works[] = {
    {"4 KiB random read", BLOCK_READ, 4096, true, 200000},
    {"4 KiB random write", BLOCK_WRITE, 4096, true, 60000},
    {"256 KiB sequential read", BLOCK_READ, 256 * KIB, false, 4096},
    {"256 KiB sequential write", BLOCK_WRITE, 256 * KIB, false, 2048},
};

struct slot {
    struct run *run;
    struct block_request request;
    uint8_t data[256 * KIB];
};

struct run {
    struct block_device *device;
    const struct work *work;
    uint64_t submitted, finished;
    unsigned seed;
    struct bell ended;
    struct slot *slots;
};

static void must(int r, const struct error *error)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

static void submit_next(struct slot *slot);

static void done(struct block_request *request, int result)
{
    struct slot *slot = container_of(request, struct slot, request);
    struct run *run = slot->run;
    must(result, &(struct error){.text = "a request has failed"});
    if (++run->finished == run->work->count)
        bell_ring(&run->ended);
    else
        submit_next(slot);
}

static void submit_next(struct slot *slot)
{
    struct run *run = slot->run;
    const struct work *work = run->work;
    uint64_t n = run->submitted, places = SIZE / work->length;
    if (n == work->count)
        return;
    run->submitted++;
    if (work->random)
        n = (uint64_t)rand_r(&run->seed);
    slot->request = (struct block_request){.operation = work->operation,
                                           .offset = n % places * work->length,
                                           .length = work->length,
                                           .data = slot->data,
                                           .done = done};
    block_submit(run->device, &slot->request);
}

static void begin(void *context)
{
    struct run *run = context;
    for (unsigned i = 0; i < DEPTH; i++)
        submit_next(&run->slots[i]);
}

/* Requests per second. */
static double measure(struct io_thread *thread, struct block_device *device,
                      const struct work *work, struct slot *slots)
{
    struct run run = {.device = device, .work = work, .seed = 1, .ended = BELL_NEW, .slots = slots};
    for (unsigned i = 0; i < DEPTH; i++)
        slots[i].run = &run;
    uint64_t start = clock_monotonic_usec();
    thread_call(thread, begin, &run);
    bell_wait(&run.ended, 1);
    return (double)work->count * USEC_PER_SEC / (double)(clock_monotonic_usec() - start);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void compare_devices(struct io_thread *thread, const char *what,
                            struct block_device *devices[2], const struct work *work,
                            struct slot *slots)
{
    double rates[2][ROUNDS], ratios[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned j = 0; j < 2; j++) { /* who is first takes turns, too */
            unsigned which = (i + j) % 2;
            rates[which][i] = measure(thread, devices[which], work, slots);
        }
        ratios[i] = rates[1][i] / rates[0][i];
    }
    qsort(rates[0], ROUNDS, sizeof(double), compare);
    qsort(rates[1], ROUNDS, sizeof(double), compare);
    qsort(ratios, ROUNDS, sizeof(double), compare);
    printf("%-25s %-28s %9.0f %9.0f   %.2f\n", work->name, what, rates[0][ROUNDS / 2],
           rates[1][ROUNDS / 2], ratios[ROUNDS / 2]);
    fflush(stdout);
}

struct noting {
    struct block_device *device;
    struct block_reads *reads; /* NULL: what is read is not noted */
};

static void set_noting(void *context)
{
    const struct noting *noting = context;
    block_overlay_note_base_reads(noting->device, noting->reads);
}

static double measure_noting(struct io_thread *thread, struct noting noting,
                             const struct work *work, struct slot *slots)
{
    thread_call(thread, set_noting, &noting);
    double rate = measure(thread, noting.device, work, slots);
    noting.reads = NULL;
    thread_call(thread, set_noting, &noting);
    return rate;
}

/* What it costs that a boot is recorded. */
static void compare_recording(struct io_thread *thread, struct block_device *overlay,
                              const struct work *work, struct slot *slots)
{
    cleanup_free struct block_reads *reads = block_reads_new(SIZE, 16);
    double rates[2][ROUNDS], ratios[ROUNDS];
    if (!reads)
        exit(1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned j = 0; j < 2; j++) {
            unsigned which = (i + j) % 2;
            struct noting noting = {overlay, which ? reads : NULL};
            rates[which][i] = measure_noting(thread, noting, work, slots);
        }
        ratios[i] = rates[1][i] / rates[0][i];
    }
    qsort(rates[0], ROUNDS, sizeof(double), compare);
    qsort(rates[1], ROUNDS, sizeof(double), compare);
    qsort(ratios, ROUNDS, sizeof(double), compare);
    printf("%-25s %-28s %9.0f %9.0f   %.2f\n", work->name, "of an overlay: not, recorded",
           rates[0][ROUNDS / 2], rates[1][ROUNDS / 2], ratios[ROUNDS / 2]);
    fflush(stdout);
}

/* Once only: afterwards the blocks are in the layer. */
static void compare_first_writes(struct io_thread *thread, struct block_device *devices[2],
                                 struct slot *slots)
{
    double raw = measure(thread, devices[0], &works[1], slots);
    double overlay = measure(thread, devices[1], &works[1], slots);
    printf("%-25s %-28s %9.0f %9.0f   %.2f\n", works[1].name, "of blocks for the first time", raw,
           overlay, overlay / raw);
}

static void fill(struct io_thread *thread, struct block_device *device, struct slot *slots)
{
    static const struct work all = {"", BLOCK_WRITE, 256 * KIB, false, SIZE / (256 * KIB)};
    (void)measure(thread, device, &all, slots);
}

struct pair {
    char raw[256], image[256], layer[256];
    struct block_device *devices[2]; /* a raw file, an overlay over an image of its size */
};

static void make_raw(const char *path)
{
    cleanup_close int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, SIZE) < 0)
        must(-1, &(struct error){.text = "cannot make a file"});
}

static void open_pair(struct io_thread *thread, const char *directory, struct pair *pair,
                      struct slot *slots)
{
    static const uint8_t id[BLOCK_LAYER_ID_SIZE] = {1}, image_id[BLOCK_LAYER_ID_SIZE] = {2};
    struct overlay_layer layers[] = {{.path = pair->layer}};
    struct overlay_spec spec = {
        .layers = layers, .n_layers = 1, .base_path = pair->image, .base_size = SIZE, .size = SIZE};
    struct error error;
    bool lost;
    snprintf(pair->raw, sizeof(pair->raw), "%s/bench.raw", directory);
    snprintf(pair->image, sizeof(pair->image), "%s/bench.image", directory);
    snprintf(pair->layer, sizeof(pair->layer), "%s/bench-layer", directory);
    make_raw(pair->raw);
    make_raw(pair->image);
    memcpy(layers[0].id, id, sizeof(id));
    memcpy(spec.base_id, image_id, sizeof(image_id));
    must(block_file_open(thread, pair->image, SIZE, 0, &pair->devices[0], &error), &error);
    fill(thread, pair->devices[0], slots);
    block_close(pair->devices[0]);
    must(overlay_boot_id(spec.boot_id, &error), &error);
    must(overlay_create(pair->layer, id, image_id, SIZE, &error), &error);
    must(block_file_open(thread, pair->raw, SIZE, 0, &pair->devices[0], &error), &error);
    must(block_overlay_open(thread, &spec, &pair->devices[1], &lost, &error), &error);
}

static void close_pair(struct pair *pair)
{
    struct error error;
    block_close(pair->devices[0]);
    block_close(pair->devices[1]);
    unlink(pair->raw);
    unlink(pair->image);
    must(overlay_remove(pair->layer, &error), &error);
}

int main(int argc, char **argv)
{
    struct pair pair;
    struct io_thread *thread = NULL;
    struct error error;
    const char *directory = argc > 1 ? argv[1] : "/tmp";
    cleanup_free struct slot *slots = calloc(DEPTH, sizeof(*slots));
    if (!slots)
        return 1;
    must(io_thread_start(0, 8 * MIB, &thread, &error), &error);
    printf("%-54s %9s %9s   %s\n", "", "raw", "overlay", "ratio");
    open_pair(thread, directory, &pair, slots);
    compare_first_writes(thread, pair.devices, slots);
    close_pair(&pair);
    open_pair(thread, directory, &pair, slots);
    fill(thread, pair.devices[0], slots);
    compare_devices(thread, "from the image below", pair.devices, &works[0], slots);
    compare_devices(thread, "from the image below", pair.devices, &works[2], slots);
    compare_recording(thread, pair.devices[1], &works[0], slots);
    fill(thread, pair.devices[1], slots);
    for (size_t i = 0; i < ARRAY_SIZE(works); i++)
        compare_devices(thread, "of blocks in the layer", pair.devices, &works[i], slots);
    close_pair(&pair);
    io_thread_stop(thread);
    return 0;
}
