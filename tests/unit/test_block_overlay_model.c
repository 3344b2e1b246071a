/*
 * Everything that can be done with a stack of layers, at random, against plain arrays.
 *
 * NODISK_STEPS=N for more or fewer steps, NODISK_SEED=N to repeat a run.
 */
#include "overlay_lab.h"

#include "block/overlay_device.h"

#define DEFAULT_STEPS 30000
#define BASE_SIZE     (640 * KIB + 1536)
#define FIRST_SIZE    (1 * MIB + 512)
#define MAX_SIZE      (3 * MIB)
#define MAX_LAYERS    5
#define MAX_BURST     8

struct content {
    uint64_t size;
    uint8_t bytes[MAX_SIZE];
};

static struct overlay_lab lab;
static unsigned seed;
static struct content now;                /* of the volume */
static struct content frozen[MAX_LAYERS]; /* what the stack is below the layer of that number */
static uint8_t buffer[MAX_SIZE];
static struct block_device *dead[4]; /* of daemons that were killed */
static unsigned n_dead;

static uint64_t random_below(uint64_t n)
{
    return (((uint64_t)rand_r(&seed) << 24) ^ (uint64_t)rand_r(&seed)) % n;
}

static uint8_t base_byte(uint64_t offset)
{
    return (offset >> 14) % 3 == 1 ? 0 : (uint8_t)(1 + offset / 512 * 5 + offset % 253);
}

/* --- checks --- */

static void assert_same(const uint8_t *bytes, uint64_t offset, uint64_t length)
{
    if (memcmp(bytes, now.bytes + offset, length) == 0)
        return;
    uint64_t i = 0;
    while (bytes[i] == now.bytes[offset + i])
        i++;
    fail_msg("byte %llu is %02x, not %02x", (unsigned long long)(offset + i), bytes[i],
             now.bytes[offset + i]);
}

static void check_range(uint64_t offset, uint64_t length)
{
    assert_int_equal(overlay_lab_read(&lab, offset, length, buffer), 0);
    assert_same(buffer, offset, length);
}

static void check_all(void)
{
    for (uint64_t at = 0, n; at < now.size; at += n) {
        n = MIN(now.size - at, BUFFER_MAX_SIZE);
        check_range(at, n);
    }
}

/* --- requests --- */

struct range {
    uint64_t offset, length;
};

/* Mostly small, often aligned. */
static struct range random_range(uint64_t max)
{
    static const uint64_t units[] = {512, 512, 4096};
    uint64_t unit = units[random_below(ARRAY_SIZE(units))];
    uint64_t sectors = now.size / unit;
    uint64_t length = random_below(8) ? 1 + random_below(12) : 1 + random_below(max / unit);
    length = MIN(length, sectors);
    return (struct range){random_below(sectors - length + 1) * unit, length * unit};
}

static void step_read(void)
{
    struct range r = random_range(BUFFER_MAX_SIZE);
    check_range(r.offset, r.length);
}

static bool overlap(struct range a, struct range b)
{
    return a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}

static struct overlay_lab_request random_change(struct range r, uint8_t *bytes)
{
    bool zeroes = random_below(4) == 0;
    unsigned flags = random_below(400) ? 0 : BLOCK_FUA;
    uint8_t first = (uint8_t)random_below(256);
    for (uint64_t i = 0; i < r.length; i++)
        bytes[i] = zeroes ? 0 : (uint8_t)(first + i / 512 * 7 + i);
    return overlay_lab_request(&lab, zeroes ? BLOCK_WRITE_ZEROES : BLOCK_WRITE, r.offset, r.length,
                               bytes, flags);
}

struct burst {
    struct overlay_lab_request requests[MAX_BURST];
    struct range ranges[MAX_BURST];
    unsigned n;
};

static void submit_burst(void *context)
{
    struct burst *burst = context;
    for (unsigned i = 0; i < burst->n; i++)
        overlay_lab_submit(&burst->requests[i]);
}

/* A few at once, in ranges that do not overlap, but often in the same blocks. */
static void step_change(void)
{
    static struct burst burst;
    uint64_t near = random_range(4096).offset;
    unsigned wanted = random_below(3) ? 1 : MAX_BURST;
    burst.n = 0;
    for (unsigned i = 0; i < wanted; i++) {
        struct range r = random_range(wanted > 1 ? 16384 : BUFFER_MAX_SIZE);
        uint64_t beside = near + random_below(32) * 512;
        if (wanted > 1 && random_below(4))
            r.offset = MIN(beside, now.size - r.length);
        bool free = true;
        for (unsigned j = 0; j < burst.n; j++)
            free &= !overlap(r, burst.ranges[j]);
        if (!free)
            continue;
        burst.ranges[burst.n] = r;
        burst.requests[burst.n] = random_change(r, now.bytes + r.offset);
        burst.n++;
    }
    thread_call(lab.thread, submit_burst, &burst);
    for (unsigned i = 0; i < burst.n; i++) {
        bell_wait(&burst.requests[i].done, 1);
        assert_int_equal(burst.requests[i].result, 0);
    }
}

static void step_flush(void)
{
    overlay_lab_flush(&lab);
}

/* What is said to have no space reads as zeroes. */
static void step_look_for_holes(void)
{
    uint64_t offset = random_below(now.size / 512) * 512, length = 0;
    bool allocated = lab.device->operations->is_allocated(lab.device, offset, &length);
    assert_true(length > 0 && length <= now.size - offset);
    for (uint64_t i = 0; !allocated && i < length; i++)
        if (now.bytes[offset + i])
            fail_msg("byte %llu is %02x, in a hole", (unsigned long long)(offset + i),
                     now.bytes[offset + i]);
}

/* --- opening and closing --- */

static void open_again(void)
{
    overlay_lab_open(&lab);
    assert_false(lab.lost);
    if (random_below(2)) /* so small that it is full now and then */
        overlay_device_set_log_limit(lab.device, 1 + random_below(200));
}

static void bury(void)
{
    while (n_dead > 0) {
        struct block_device *device = dead[--n_dead];
        free((char *)take_ptr(overlay_of(device)->parts.path)); /* the dead do not write */
        block_close(device);
    }
}

static void step_reopen(void)
{
    overlay_lab_close(&lab);
    if (random_below(2))
        overlay_lab_reboot(&lab);
    open_again();
}

static void step_kill(void)
{
    if (n_dead == ARRAY_SIZE(dead))
        bury();
    dead[n_dead++] = take_ptr(lab.device);
    open_again();
    if (random_below(10) == 0)
        check_all();
}

/* --- layers --- */

static void push(void)
{
    unsigned n = (unsigned)lab.spec.n_layers;
    memmove(frozen + 1, frozen, n * sizeof(frozen[0]));
    frozen[0] = now;
    overlay_lab_push(&lab, now.size);
}

static void remove_layer(size_t i)
{
    overlay_lab_must(overlay_remove(lab.paths[i], &lab.error), &lab.error);
    size_t gone = i > 0 ? i - 1 : 0; /* what it was from this layer on */
    memmove(frozen + gone, frozen + gone + 1, (MAX_LAYERS - 1 - gone) * sizeof(frozen[0]));
    overlay_lab_forget(&lab, i);
}

static void step_freeze(void)
{
    if (lab.spec.n_layers == MAX_LAYERS - 1)
        return;
    overlay_lab_close(&lab);
    push();
    open_again();
}

/* Back to what it was when the layer below was frozen. */
static void step_drop(void)
{
    if (lab.spec.n_layers < 2)
        return;
    overlay_lab_close(&lab);
    now = frozen[0];
    remove_layer(0);
    push();
    open_again();
    check_all();
}

static void step_grow(void)
{
    if (now.size == MAX_SIZE || random_below(4))
        return;
    uint64_t size = now.size + (1 + random_below(64)) * 512;
    size = MIN(size, MAX_SIZE);
    overlay_lab_close(&lab);
    overlay_lab_must(overlay_grow(lab.paths[0], lab.layers[0].id, size, &lab.error), &lab.error);
    if (random_below(2)) { /* the registry has not heard of it yet */
        open_again();
        check_all();
        overlay_lab_close(&lab);
    }
    memset(now.bytes + now.size, 0, size - now.size);
    lab.spec.size = now.size = size;
    open_again();
}

static int merge_steps(struct overlay_merge *merge, size_t i, bool to_the_end)
{
    int r = overlay_merge_begin(merge, &lab.layers[i], &lab.layers[i + 1], lab.spec.boot_id,
                                &lab.error);
    overlay_lab_must(r, &lab.error);
    do {
        r = overlay_merge_step(merge, 0, &lab.error);
        overlay_lab_must(r, &lab.error);
    } while (r > 0 && (to_the_end || random_below(20)));
    return r;
}

/* A layer goes into the one above it; at times not at the first try. */
static void step_merge(void)
{
    struct overlay_merge merge;
    if (lab.spec.n_layers < 2)
        return;
    size_t i = random_below(lab.spec.n_layers - 1);
    overlay_lab_close(&lab);
    if (random_below(2)) {
        (void)merge_steps(&merge, i, false);
        overlay_merge_end(&merge);
        open_again();
        check_all();
        if (i == 0)
            step_change();
        overlay_lab_close(&lab);
    }
    assert_int_equal(merge_steps(&merge, i, true), 0);
    assert_int_equal(merge.done, merge.total);
    overlay_lab_must(overlay_merge_commit(&merge, &lab.error), &lab.error);
    overlay_merge_end(&merge);
    if (random_below(2)) { /* the registry has not heard of it yet */
        open_again();
        check_all();
        if (i == 0)
            step_change();
        overlay_lab_close(&lab);
    }
    remove_layer(i + 1);
    open_again();
    check_all();
}

static void step_copy(void)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/copy", lab.directory);
    overlay_lab_close(&lab);
    cleanup_close int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    struct overlay_copy copy = {.to = fd, .to_name = "copy"};
    int r = overlay_copy_begin(&copy, &lab.spec, &lab.error);
    overlay_lab_must(r, &lab.error);
    while ((r = overlay_copy_step(&copy, 0, &lab.error)) > 0)
        ;
    overlay_lab_must(r, &lab.error);
    assert_int_equal(copy.done, now.size);
    overlay_copy_end(&copy);
    assert_int_equal(lseek(fd, 0, SEEK_END), now.size);
    assert_int_equal(pread(fd, buffer, now.size, 0), (ssize_t)now.size);
    assert_same(buffer, 0, now.size);
    open_again();
}

/* --- */

static const struct {
    void (*step)(void);
    unsigned weight;
} steps[] = {
    {step_read, 4000}, {step_change, 5000}, {step_look_for_holes, 600},
    {step_flush, 40},  {step_kill, 60},     {step_reopen, 12},
    {step_freeze, 12}, {step_drop, 5},      {step_grow, 20},
    {step_merge, 10},  {step_copy, 6},
};

static void random_step(void)
{
    unsigned total = 0, i = 0;
    for (size_t j = 0; j < ARRAY_SIZE(steps); j++)
        total += steps[j].weight;
    uint64_t chosen = random_below(total);
    for (; chosen >= steps[i].weight; i++)
        chosen -= steps[i].weight;
    steps[i].step();
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void run(bool with_base, uint64_t n)
{
    overlay_lab_make(&lab);
    now = (struct content){.size = FIRST_SIZE};
    if (with_base) {
        overlay_lab_make_base(&lab, BASE_SIZE, base_byte);
        for (size_t i = 0; i < BASE_SIZE; i++)
            now.bytes[i] = base_byte(i);
    }
    overlay_lab_push(&lab, FIRST_SIZE);
    open_again();
    for (uint64_t i = 0; i < n; i++)
        random_step();
    check_all();
    step_reopen();
    check_all();
    overlay_lab_close(&lab);
    bury();
    overlay_lab_remove(&lab);
}

static void a_stack_is_like_an_array(void **state)
{
    uint64_t n = number_from("NODISK_STEPS", DEFAULT_STEPS);
    seed = (unsigned)number_from("NODISK_SEED", (uint64_t)time(NULL));
    fprintf(stderr, "seed %u\n", seed);
    run(true, n / 2);
    run(false, n / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(a_stack_is_like_an_array)};
    return RUN_TESTS(tests);
}
