/* The map against a plain array. */
#include "test.h"

#include "block/block_map.h"

#include <errno.h>

/* Over two chunks and a bit. */
#define BLOCKS (2 * BLOCK_MAP_CHUNK_BLOCKS + 77)

struct lab {
    struct block_map map;
    bool set[BLOCKS], dirty[BLOCKS], on_disk[BLOCKS];
    unsigned seed;
};

static int setup(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    lab->seed = 1;
    *state = lab;
    return block_map_init(&lab->map, BLOCKS);
}

static int teardown(void **state)
{
    struct lab *lab = *state;
    block_map_free(&lab->map);
    free(lab);
    return 0;
}

static uint64_t random_below(struct lab *lab, uint64_t n)
{
    return (((uint64_t)rand_r(&lab->seed) << 20) ^ (uint64_t)rand_r(&lab->seed)) % n;
}

static void set(struct lab *lab, uint64_t first, uint64_t end)
{
    assert_int_equal(block_map_reserve(&lab->map, first, end), 0);
    block_map_set(&lab->map, first, end);
    for (uint64_t i = first; i < end; i++) {
        lab->dirty[i] |= !lab->set[i];
        lab->set[i] = true;
    }
}

static void assert_run(struct lab *lab, uint64_t first, uint64_t end)
{
    uint64_t stop = 0, expected = first;
    while (expected < end && lab->set[expected] == lab->set[first])
        expected++;
    bool is_set = block_map_run(&lab->map, first, end, &stop);
    if (is_set != lab->set[first] || stop != expected)
        fail_msg("%llu to %llu: %d up to %llu, not %llu", (unsigned long long)first,
                 (unsigned long long)end, is_set, (unsigned long long)stop,
                 (unsigned long long)expected);
}

static void assert_whole(struct lab *lab)
{
    for (uint64_t at = 0, stop = 0; at < BLOCKS; at = stop) {
        assert_run(lab, at, BLOCKS);
        block_map_run(&lab->map, at, BLOCKS, &stop);
    }
}

static void an_empty_map_is_clear_and_takes_nothing(void **state)
{
    struct lab *lab = *state;
    assert_whole(lab);
    assert_false(block_map_is_dirty(&lab->map));
    for (size_t i = 0; i < lab->map.n_chunks; i++)
        assert_null(lab->map.chunks[i]);
}

static void runs_are_found_wherever_they_begin_and_end(void **state)
{
    struct lab *lab = *state;
    static const uint64_t places[] = {0,
                                      1,
                                      63,
                                      64,
                                      65,
                                      BLOCK_MAP_CHUNK_BLOCKS - 1,
                                      BLOCK_MAP_CHUNK_BLOCKS,
                                      2 * BLOCK_MAP_CHUNK_BLOCKS,
                                      BLOCKS - 1,
                                      BLOCKS};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        for (size_t j = i + 1; j < ARRAY_SIZE(places); j++)
            assert_run(lab, places[i], places[j]);
    set(lab, 63, BLOCK_MAP_CHUNK_BLOCKS + 1);
    set(lab, BLOCKS - 1, BLOCKS);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        for (size_t j = i + 1; j < ARRAY_SIZE(places); j++)
            assert_run(lab, places[i], places[j]);
    assert_true(block_map_all_set(&lab->map, 63, BLOCK_MAP_CHUNK_BLOCKS + 1));
    assert_false(block_map_all_set(&lab->map, 62, BLOCK_MAP_CHUNK_BLOCKS + 1));
    assert_false(block_map_all_set(&lab->map, 63, BLOCK_MAP_CHUNK_BLOCKS + 2));
}

/* What a round has written is on the disk; bits are never taken back. */
static void write_page(struct lab *lab, size_t chunk)
{
    uint8_t page[BLOCK_MAP_PAGE_SIZE];
    block_map_page(&lab->map, chunk, page);
    for (uint64_t i = 0; i < BLOCK_MAP_CHUNK_BLOCKS; i++) {
        uint64_t block = chunk * BLOCK_MAP_CHUNK_BLOCKS + i;
        bool bit = page[i / 8] >> i % 8 & 1;
        if (block >= BLOCKS) {
            assert_false(bit);
            continue;
        }
        assert_int_equal(bit, lab->set[block] && !lab->dirty[block]);
        assert_true(bit || !lab->on_disk[block]);
        lab->on_disk[block] = bit;
    }
}

static void set_some(struct lab *lab)
{
    uint64_t first = random_below(lab, BLOCKS);
    set(lab, first, first + 1 + random_below(lab, MIN(BLOCKS - first, (uint64_t)200)));
}

/* Bits that come while the round is under way are not of it. */
static void run_round(struct lab *lab, bool fails)
{
    block_map_begin_sync(&lab->map);
    memset(lab->dirty, 0, sizeof(lab->dirty));
    for (size_t chunk; (chunk = block_map_next_sync(&lab->map, 0)) < lab->map.n_chunks;) {
        bool before[BLOCKS];
        set_some(lab);
        memcpy(before, lab->on_disk, sizeof(before));
        write_page(lab, chunk);
        if (!fails)
            continue;
        memcpy(lab->on_disk, before, sizeof(before));
        block_map_abort_sync(&lab->map, chunk, 1);
        for (uint64_t i = 0; i < BLOCKS; i++)
            lab->dirty[i] |= lab->set[i]; /* at most */
        break;
    }
    assert_int_equal(lab->map.n_syncing, 0);
}

static void assert_all_on_disk(struct lab *lab)
{
    while (block_map_is_dirty(&lab->map)) {
        block_map_begin_sync(&lab->map);
        memset(lab->dirty, 0, sizeof(lab->dirty));
        for (size_t chunk; (chunk = block_map_next_sync(&lab->map, 0)) < lab->map.n_chunks;)
            write_page(lab, chunk);
    }
    assert_memory_equal(lab->set, lab->on_disk, sizeof(lab->set));
}

static void rounds_write_what_was_set_before_them(void **state)
{
    struct lab *lab = *state;
    for (unsigned i = 0; i < 60; i++) {
        set_some(lab);
        run_round(lab, false);
        if (i % 8 == 0)
            block_map_trim(&lab->map);
        assert_whole(lab);
    }
    assert_all_on_disk(lab);
}

static void what_a_round_could_not_write_is_of_the_next(void **state)
{
    struct lab *lab = *state;
    for (unsigned i = 0; i < 20; i++) {
        set_some(lab);
        run_round(lab, true);
        assert_true(block_map_is_dirty(&lab->map));
        assert_all_on_disk(lab);
    }
}

static void what_is_loaded_is_set_and_not_dirty(void **state)
{
    struct lab *lab = *state;
    uint8_t page[BLOCK_MAP_PAGE_SIZE];
    memset(page, 0xff, sizeof(page));
    assert_int_equal(block_map_load(&lab->map, 2, page), 0); /* most of it behind the end */
    page[0] = 0x02;
    memset(page + 1, 0, sizeof(page) - 1);
    assert_int_equal(block_map_load(&lab->map, 0, page), 0);
    assert_false(block_map_is_dirty(&lab->map));
    for (uint64_t i = 2 * BLOCK_MAP_CHUNK_BLOCKS; i < BLOCKS; i++)
        lab->set[i] = true;
    lab->set[1] = true;
    assert_whole(lab);
    set(lab, 0, 3);
    memcpy(lab->on_disk, lab->set, sizeof(lab->set));
    lab->on_disk[0] = lab->on_disk[2] = false;
    assert_all_on_disk(lab);
}

#define MAP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAP_TEST(an_empty_map_is_clear_and_takes_nothing),
        MAP_TEST(runs_are_found_wherever_they_begin_and_end),
        MAP_TEST(rounds_write_what_was_set_before_them),
        MAP_TEST(what_a_round_could_not_write_is_of_the_next),
        MAP_TEST(what_is_loaded_is_set_and_not_dirty),
    };
    return RUN_TESTS(tests);
}
