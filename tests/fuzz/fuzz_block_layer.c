/*
 * What a damaged or hostile disk has in .map and .log. Input: the length of the map's beginning
 * (64 KiB at most), that, and then the log's. Checksums are put right where they would be, if the
 * first bit of the input says so, so that what is behind them is reached.
 */
#include "block/layer.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include <isa-l/crc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_SIZE  (64 * KIB)
/* Of a map and of .data: a header that says more is refused by their size. */
#define FILE_SIZE (64 * MIB)

static void mend(uint8_t *bytes, size_t size, size_t at, size_t length)
{
    if (at + length + 4 > size)
        return;
    uint32_t crc = ~crc32_iscsi(bytes + at, (int)length, ~0u);
    struct wire_writer w = wire_writer_of(bytes + at + length, 4);
    wire_put_be32(&w, crc);
}

static void mend_entries(uint8_t *bytes, size_t size, uint64_t epoch)
{
    for (size_t at = LAYER_LOG_OFFSET; at + LAYER_ENTRY_SIZE <= size; at += LAYER_ENTRY_SIZE) {
        struct wire_reader r = wire_reader_of(bytes + at, 12);
        struct layer_entry entry = {.first = wire_get_be64(&r)};
        entry.count = wire_get_be32(&r);
        layer_entry_encode(&entry, epoch, bytes + at);
    }
}

/* The lengths of what layer_format.c puts before the checksums. */
static void mend_all(uint8_t *map, size_t map_size, uint8_t *log, size_t log_size)
{
    struct layer_log_header header;
    for (uint64_t i = 0; i < 2; i++) {
        size_t at = layer_log_header_offset(i);
        mend(map, map_size, layer_header_offset(i), 8 + 4 + 4 + 8 + 8 + 48 + 4);
        mend(log, log_size, at, 8 + 4 + 8 + 32);
        if (at + LAYER_SLOT_SIZE <= log_size &&
            layer_log_header_decode(log + at, &header) == LAYER_SLOT_GOOD)
            mend_entries(log, log_size, header.epoch);
    }
}

static int make_file(const uint8_t *bytes, size_t size, uint64_t length)
{
    int fd = memfd_create("layer", MFD_CLOEXEC);
    if (fd < 0 || (size > 0 && write(fd, bytes, size) != (ssize_t)size) ||
        ftruncate(fd, (off_t)MAX(length, size)) < 0)
        abort();
    return fd;
}

static void check_layer(const struct layer *layer)
{
    assert(layer->header.size > 0 && layer->header.size <= FILE_SIZE);
    assert(layer->n_entries <= LAYER_LOG_MAX_ENTRIES);
    assert(!layer->lost || layer->header.in_use);
    assert(layer->map.n_blocks == layer_blocks(layer->header.size));
    for (uint64_t at = 0, stop = 0; at < layer->map.n_blocks; at = stop) {
        block_map_run(&layer->map, at, layer->map.n_blocks, &stop);
        assert(stop > at && stop <= layer->map.n_blocks);
    }
}

static bool load(const struct layer_files *files, struct layer *layer)
{
    static const uint8_t id[LAYER_ID_SIZE] = {1}, boot_id[LAYER_ID_SIZE] = {2};
    struct layer_expected expected = {.id = id, .boot_id = boot_id};
    struct error error = {0};
    int r = layer_load(files, "layer", &expected, layer, &error);
    assert((r == 0 && !error.text[0]) || (r < 0 && error.code == r && error.text[0]));
    assert(r == 0 || r == -EIO || r == -EINVAL || r == -ENOTSUP);
    if (r == 0)
        check_layer(layer);
    return r == 0;
}

/* It is the same after a settled end, and nothing is lost then. */
static void load_twice(const struct layer_files *files)
{
    struct layer layer, again;
    if (!load(files, &layer))
        return;
    assert(layer_sync_map(files->map, &layer.map) == 0);
    layer.header.in_use = false;
    assert(layer_write_header(files->map, &layer.header) == 0 || layer.header.sequence == 0);
    if (layer.header.sequence > 0 && load(files, &again)) {
        for (uint64_t i = 0; i < layer.map.n_blocks; i += 61)
            assert(block_map_is_set(&layer.map, i) <= block_map_is_set(&again.map, i));
        layer_free(&again);
    }
    layer_free(&layer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_reader r = wire_reader_of(data, size);
    bool mends = wire_get_u8(&r) & 1;
    uint16_t given = wire_get_be16(&r);
    size_t map_size = MIN(given, wire_reader_left(&r));
    uint8_t *map = malloc(map_size + 1);
    wire_get_copy(&r, map, map_size);
    size_t log_size = MIN(wire_reader_left(&r), MAX_SIZE);
    uint8_t *log = malloc(log_size + 1);
    wire_get_copy(&r, log, log_size);
    if (mends)
        mend_all(map, map_size, log, log_size);
    struct layer_files files = {.data = make_file(NULL, 0, FILE_SIZE),
                                .map = make_file(map, map_size, layer_map_size(FILE_SIZE)),
                                .log = make_file(log, log_size, 0)};
    load_twice(&files);
    layer_files_close(&files);
    free(map);
    free(log);
    return 0;
}
