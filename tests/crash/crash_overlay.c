/*
 * Crashes an overlay whenever a request reaches one of its disks: once as if the daemon had been
 * killed, once as if power had been lost; and looks whether the real loader finds what it must.
 *
 * - A killed daemon has lost no write that it had acknowledged.
 * - A loss of power has lost none that was flushed, and is told of if it has lost any.
 * - No sector shows anything but what was written to it, or is below.
 *
 * Now and then a crash is a real one, and the next daemon goes on with what it has found. In half
 * of the rounds requests fail, are carried out in part, or a flush fails, after which it is as if
 * power had been lost.
 *
 * NODISK_POINTS=N for more crashes, NODISK_SEED=N to repeat a run.
 */
#include "history.h"
#include "sim_disk.h"

#include "block/overlay_device.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#define DEFAULT_POINTS 40000
#define SIZE           ((uint64_t)HISTORY_SECTORS * SIM_SECTOR)
#define LOG_ENTRIES    64
#define LOG_SIZE       (LAYER_LOG_OFFSET + LOG_ENTRIES * LAYER_ENTRY_SIZE)
#define BASE_FLAG      0x80000000u
#define MAX_OPS        12
#define MAX_SECTORS    40 /* of a request */

enum kind { KILLED, POWERLESS };

enum part { DATA, MAP, LOG, N_PARTS };

/* A request of the volume's user. */
struct op {
    struct block_request request;
    bool busy;
    uint64_t numbers[HISTORY_SECTORS]; /* see submit_...() */
    uint8_t bytes[MAX_SECTORS * SIM_SECTOR];
};

static unsigned seed;
static uint64_t points, real_crashes, errors, wanted_points;
static struct sim sim = {.seed = &seed};
static struct sim_disk *disks[N_PARTS], *base;
static uint64_t base_sectors; /* 0: nothing is below */
static struct block_device *volume;
static struct history history;
static struct op ops[MAX_OPS];
static uint32_t last_content;
static bool was_lost;       /* something, before the volume was opened */
static bool ignore_answers; /* of a daemon that is dead */
static uint8_t boot_id[LAYER_ID_SIZE];
static const uint8_t id[LAYER_ID_SIZE] = {7};
static uint8_t images[N_PARTS][SIZE];
static struct layer_files files = {-1, -1, -1};

__attribute__((noreturn)) PRINTF_LIKE(1, 2) static void die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

/* --- requests --- */

static struct history_sector *first_sector(const struct op *op)
{
    return &history.sectors[op->request.offset / SIM_SECTOR];
}

static uint64_t n_sectors(const struct op *op)
{
    return op->request.length / SIM_SECTOR;
}

static void check_read(const struct op *op)
{
    for (uint64_t i = 0; i < n_sectors(op); i++) {
        uint32_t content;
        uint64_t number;
        if (!sector_content(op->bytes + i * SIM_SECTOR, &content) ||
            !history_find(first_sector(op) + i, op->numbers[i], content, &number))
            die("sector %llu reads as %x", (unsigned long long)(op->request.offset / 512 + i),
                content);
    }
}

static void acknowledge(const struct op *op)
{
    for (uint64_t i = 0; i < n_sectors(op); i++) {
        struct history_sector *sector = first_sector(op) + i;
        sector->told = op->numbers[i];
        if (op->request.flags & BLOCK_FUA)
            history_flushed(sector, op->numbers[i]);
    }
}

static void acknowledge_flush(const struct op *op)
{
    for (size_t i = 0; i < HISTORY_SECTORS; i++)
        history_flushed(&history.sectors[i], op->numbers[i]);
}

static void done(struct block_request *request, int result)
{
    struct op *op = container_of(request, struct op, request);
    assert(op->busy);
    op->busy = false;
    if (ignore_answers)
        return;
    if (result < 0)
        errors++;
    else if (request->operation == BLOCK_READ)
        check_read(op);
    else if (request->operation == BLOCK_FLUSH)
        acknowledge_flush(op);
    else
        acknowledge(op);
}

static bool is_written_to(uint64_t sector)
{
    for (size_t i = 0; i < MAX_OPS; i++) {
        const struct block_request *r = &ops[i].request;
        if (ops[i].busy && (r->operation == BLOCK_WRITE || r->operation == BLOCK_WRITE_ZEROES) &&
            sector >= r->offset / SIM_SECTOR && sector < (r->offset + r->length) / SIM_SECTOR)
            return true;
    }
    return false;
}

static void submit(struct op *op)
{
    op->busy = true;
    op->request.done = done;
    op->request.data = op->bytes;
    block_submit(volume, &op->request);
}

/* Shows what was acknowledged when it was asked for, or later. */
static void submit_read(struct op *op)
{
    for (uint64_t i = 0; i < n_sectors(op); i++)
        op->numbers[i] = first_sector(op)[i].told;
    submit(op);
}

static void submit_flush(struct op *op)
{
    op->request.length = op->request.offset = 0;
    for (size_t i = 0; i < HISTORY_SECTORS; i++)
        op->numbers[i] = history.sectors[i].told;
    submit(op);
}

/* A read that is under way may still see what was there when it was asked for. */
static void forget(void)
{
    for (size_t i = 0; i < MAX_OPS; i++)
        if (ops[i].busy && ops[i].request.operation == BLOCK_READ)
            return;
    for (size_t i = 0; i < HISTORY_SECTORS; i++)
        history_compact(&history.sectors[i]);
}

/* Which of two writes to one sector at the same time is the last is not told: there are none. */
static bool may_write(const struct op *op)
{
    for (uint64_t i = 0; i < n_sectors(op); i++)
        if (is_written_to(op->request.offset / SIM_SECTOR + i) ||
            history_is_full(first_sector(op) + i))
            return false;
    return true;
}

static void submit_write(struct op *op)
{
    forget();
    if (!may_write(op))
        return;
    op->request.flags = sim_random(&sim, 12) ? 0 : BLOCK_FUA;
    for (uint64_t i = 0; i < n_sectors(op); i++) {
        uint32_t content = op->request.operation == BLOCK_WRITE ? ++last_content : 0;
        sector_fill(op->bytes + i * SIM_SECTOR, content);
        op->numbers[i] = history_add(first_sector(op) + i, content);
    }
    submit(op);
}

static void submit_something(void)
{
    static const enum block_operation operations[] = {
        BLOCK_READ,  BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE,        BLOCK_WRITE,
        BLOCK_WRITE, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_WRITE_ZEROES, BLOCK_WRITE_ZEROES,
    };
    struct op *op = &ops[sim_random(&sim, MAX_OPS)];
    if (op->busy)
        return;
    uint64_t length = 1 + sim_random(&sim, sim_random(&sim, 4) ? 10 : MAX_SECTORS);
    uint64_t first = sim_random(&sim, (unsigned)(HISTORY_SECTORS - length + 1));
    if (sim_random(&sim, 3) == 0) { /* whole blocks */
        first = first / 8 * 8;
        length = MIN((length + 7) / 8 * 8, HISTORY_SECTORS - first);
    }
    op->request = (struct block_request){
        .operation = operations[sim_random(&sim, ARRAY_SIZE(operations))],
        .offset = first * SIM_SECTOR,
        .length = length * SIM_SECTOR,
    };
    if (op->request.operation == BLOCK_READ)
        submit_read(op);
    else if (op->request.operation == BLOCK_FLUSH)
        submit_flush(op);
    else
        submit_write(op);
}

/* --- the volume --- */

static void write_file(int fd, const uint8_t *bytes, size_t size)
{
    if (ftruncate(fd, 0) < 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size)
        die("cannot write: %s", strerror(errno));
}

/* What the loader finds in the images of map and log. It may cut the log. */
static void load(struct layer *layer)
{
    struct error error;
    struct layer_expected expected = {.id = id, .boot_id = boot_id};
    write_file(files.map, images[MAP], disks[MAP]->device.size);
    write_file(files.log, images[LOG], LOG_SIZE);
    if (layer_load(&files, "layer", &expected, layer, &error) < 0)
        die("cannot be opened: %s", error.text);
}

static void open_volume(struct layer *layer)
{
    struct overlay_parts parts = {.data = &disks[DATA]->device,
                                  .map = &disks[MAP]->device,
                                  .log = &disks[LOG]->device,
                                  .below = base_sectors ? &base->device : NULL};
    for (unsigned i = 0; i < N_PARTS; i++)
        disks[i]->device.failed = false;
    volume = overlay_device_new(layer, &parts, SIZE);
    assert(volume);
    was_lost = layer->lost;
    overlay_device_set_log_limit(volume, 1 + sim_random(&sim, LOG_ENTRIES));
}

/* Nobody hears what the dead one is told. */
static void bury_volume(void)
{
    sim.error_rate = 0;
    ignore_answers = true;
    while (sim.n_queue > 0)
        sim_carry_out(&sim, 0);
    ignore_answers = false;
    block_close(volume);
    for (size_t i = 0; i < MAX_OPS; i++)
        assert(!ops[i].busy);
}

static uint32_t base_content(uint64_t sector)
{
    return sector < base_sectors ? BASE_FLAG | (uint32_t)sector : 0;
}

static void make_base(void)
{
    static const uint64_t sizes[] = {0, 200, 323, HISTORY_SECTORS};
    base_sectors = sizes[sim_random(&sim, ARRAY_SIZE(sizes))];
    if (base_sectors)
        base = sim_disk_new(&sim, base_sectors * SIM_SECTOR);
    for (uint64_t i = 0; i < base_sectors; i++)
        sector_fill(base->now + i * SIM_SECTOR, base_content(i));
    for (uint64_t i = 0; i < HISTORY_SECTORS; i++)
        history_set(&history.sectors[i], base_content(i));
}

/* An empty layer, as overlay_create() makes it. */
static void make_volume(void)
{
    struct layer layer;
    struct layer_header header = {.size = SIZE};
    memcpy(header.id, id, LAYER_ID_SIZE);
    memset(images, 0, sizeof(images));
    make_base();
    disks[DATA] = sim_disk_new(&sim, SIZE);
    disks[MAP] = sim_disk_new(&sim, layer_map_size(SIZE));
    disks[LOG] = sim_disk_new(&sim, LOG_SIZE);
    write_file(files.map, images[MAP], disks[MAP]->device.size);
    if (layer_write_header(files.map, &header) < 0 ||
        pread(files.map, images[MAP], disks[MAP]->device.size, 0) < 0)
        die("no header: %s", strerror(errno));
    for (unsigned i = 0; i < N_PARTS; i++)
        sim_disk_reset(disks[i], images[i]);
    load(&layer);
    open_volume(&layer);
}

static void remove_volume(void)
{
    bury_volume();
    for (unsigned i = 0; i < N_PARTS; i++)
        sim_disk_free(disks[i]);
    if (base_sectors)
        sim_disk_free(base);
}

/* --- crashes --- */

static bool has_failed(void)
{
    return disks[DATA]->device.failed || disks[MAP]->device.failed;
}

/* The log says that it is no kernel's. */
static bool is_worthless(void)
{
    struct layer_log_header header, newest = {0};
    for (uint64_t i = 0; i < 2; i++)
        if (layer_log_header_decode(disks[LOG]->now + layer_log_header_offset(i), &header) ==
                LAYER_SLOT_GOOD &&
            header.epoch > newest.epoch)
            newest = header;
    return newest.epoch && layer_id_is_zero(newest.boot_id);
}

/* After a flush that has failed, the page cache need not keep what the disk has not. */
static void make_images(enum kind kind)
{
    enum sim_survival all = sim_random(&sim, SIM_N_SURVIVALS);
    for (unsigned i = 0; i < N_PARTS; i++) {
        enum sim_survival survival = sim_random(&sim, 2) ? all : sim_random(&sim, SIM_N_SURVIVALS);
        if (kind == POWERLESS || (i != LOG && has_failed() && is_worthless()))
            sim_image_powerless(disks[i], survival, images[i]);
        else
            sim_image_killed(disks[i], survival, images[i]);
    }
}

/* What a sector of the volume is, by the images and the map. */
static uint32_t content_of(const struct layer *layer, uint64_t sector)
{
    uint32_t content;
    if (!block_map_is_set(&layer->map, sector / 8))
        return base_content(sector);
    if (!sector_content(images[DATA] + sector * SIM_SECTOR, &content))
        die("sector %llu is torn", (unsigned long long)sector);
    return content;
}

/* *ret_lost: something that was acknowledged is gone. */
static void check_sectors(const struct layer *layer, enum kind kind, bool *ret_lost)
{
    bool lost = false;
    for (uint64_t i = 0; i < HISTORY_SECTORS; i++) {
        const struct history_sector *sector = &history.sectors[i];
        uint64_t from = kind == POWERLESS || has_failed() ? sector->durable : sector->told;
        uint64_t number;
        uint32_t content = content_of(layer, i);
        if (!history_find(sector, from, content, &number))
            die("%s: sector %llu shows %x", kind == KILLED ? "killed" : "power was lost",
                (unsigned long long)i, content);
        lost |= number < sector->told;
    }
    *ret_lost = lost;
}

static void check(const struct layer *layer, enum kind kind)
{
    bool lost;
    check_sectors(layer, kind, &lost);
    if (lost && !layer->lost)
        die("something is lost, and nobody is told");
    bool still_told = was_lost && !overlay_of(volume)->begin.done;
    if (kind == KILLED && layer->lost && !has_failed() && !still_told)
        die("nothing is lost, but somebody is told so");
    points++;
}

/* Another kernel runs; or the one before. */
static void boot(int step)
{
    static uint32_t number = 1;
    number += (uint32_t)step;
    memcpy(boot_id, &number, sizeof(number));
}

static void crash_in_thought(enum kind kind)
{
    struct layer layer;
    boot(kind == POWERLESS);
    make_images(kind);
    load(&layer);
    check(&layer, kind);
    layer_free(&layer);
    boot(kind == POWERLESS ? -1 : 0);
}

/* What each sector shows now is what it was told to be, for the next daemon's user. */
static void take_stock(const struct layer *layer, enum kind kind)
{
    for (uint64_t i = 0; i < HISTORY_SECTORS; i++) {
        struct history_sector *sector = &history.sectors[i];
        uint32_t content = content_of(layer, i);
        if (kind == POWERLESS || history_is_full(sector))
            history_set(sector, content);
        else
            sector->told = history_add(sector, content);
    }
}

/* What was under way when it was killed may have been carried out in part: it is in the page cache,
 * and not durable. */
static void set_now(struct sim_disk *disk, const uint8_t *image)
{
    for (uint64_t at = 0; at < disk->device.size; at += SIM_SECTOR) {
        if (memcmp(disk->now + at, image + at, SIM_SECTOR) == 0)
            continue;
        struct block_request write = {.operation = BLOCK_WRITE,
                                      .offset = at,
                                      .length = SIM_SECTOR,
                                      .data = (uint8_t *)image + at,
                                      .done = done};
        struct op op = {.busy = true, .request = write};
        ignore_answers = true;
        block_submit(&disk->device, &op.request);
        sim_carry_out(&sim, sim.n_queue - 1);
        ignore_answers = false;
    }
}

/* What the dying one still does is done to disks that are thrown away. */
static void bury_aside(void)
{
    struct sim_disk kept[N_PARTS];
    for (unsigned i = 0; i < N_PARTS; i++) {
        struct sim_disk *other = sim_disk_new(&sim, disks[i]->device.size);
        kept[i] = *disks[i];
        disks[i]->now = other->now;
        disks[i]->durable = other->durable;
        disks[i]->pending = NULL;
        disks[i]->n_pending = disks[i]->room = 0;
        free(other);
    }
    bury_volume();
    for (unsigned i = 0; i < N_PARTS; i++) {
        free(disks[i]->now);
        free(disks[i]->durable);
        free(disks[i]->pending);
        *disks[i] = kept[i];
    }
}

static bool any_full(void)
{
    for (size_t i = 0; i < HISTORY_SECTORS; i++)
        if (history_is_full(&history.sectors[i]))
            return true;
    return false;
}

static void crash_for_real(void)
{
    struct layer layer;
    unsigned rate = sim.error_rate;
    /* a failed disk, or too much to remember: it is clear what there is only after this */
    enum kind kind = has_failed() || any_full() ? POWERLESS : sim_random(&sim, 2);
    boot(kind == POWERLESS);
    make_images(kind);
    load(&layer);
    check(&layer, kind);
    take_stock(&layer, kind);
    if (pread(files.log, images[LOG], LOG_SIZE, 0) != (ssize_t)LOG_SIZE)
        die("cannot read: %s", strerror(errno));
    bury_aside();
    for (unsigned i = 0; i < N_PARTS; i++) {
        if (kind == POWERLESS)
            sim_disk_reset(disks[i], images[i]);
        disks[i]->device.failed = false;
        set_now(disks[i], images[i]);
    }
    sim.error_rate = rate;
    open_volume(&layer);
    real_crashes++;
}

static void step(void)
{
    if (sim_random(&sim, 3) == 0)
        submit_something();
    if (sim.n_queue == 0)
        return;
    crash_in_thought(KILLED);
    crash_in_thought(POWERLESS);
    sim_carry_out(&sim, sim_random(&sim, sim.n_queue));
}

static void run_round(void)
{
    sim.error_rate = sim_random(&sim, 2) ? 0 : 15 + sim_random(&sim, 150);
    make_volume();
    for (unsigned i = 0; i < 1500 && points < wanted_points; i++) {
        step();
        if (sim_random(&sim, has_failed() ? 30 : 200) == 0)
            crash_for_real();
    }
    remove_volume();
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

int main(void)
{
    wanted_points = number_from("NODISK_POINTS", DEFAULT_POINTS);
    seed = (unsigned)number_from("NODISK_SEED", (uint64_t)time(NULL));
    printf("seed %u\n", seed);
    fflush(stdout);
    files.data = memfd_create("data", MFD_CLOEXEC);
    files.map = memfd_create("map", MFD_CLOEXEC);
    files.log = memfd_create("log", MFD_CLOEXEC);
    if (files.data < 0 || files.map < 0 || files.log < 0 || ftruncate(files.data, SIZE) < 0)
        die("no memory files: %s", strerror(errno));
    boot(0);
    while (points < wanted_points)
        run_round();
    layer_files_close(&files);
    printf("%llu crashes, %llu of them gone on from, %llu errors: nothing lost\n",
           (unsigned long long)points, (unsigned long long)real_crashes,
           (unsigned long long)errors);
    return 0;
}
