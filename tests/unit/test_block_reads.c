/* The pieces of a device that were read. */
#include "test.h"

#include "block/reads.h"

#define SHIFT 16
#define PIECE (UINT64_C(1) << SHIFT)

static void assert_only(const struct block_reads *reads, uint64_t first, uint64_t end)
{
    for (uint64_t i = 0; i < reads->n_pieces; i++)
        if (block_reads_has(reads, i) != (i >= first && i < end))
            fail_msg("piece %llu", (unsigned long long)i);
}

static void test_every_piece_that_a_read_touches(void **state)
{
    static const struct {
        uint64_t offset, length, first, end;
    } rows[] = {
        {0, 1, 0, 1},
        {0, PIECE, 0, 1},
        {0, PIECE + 1, 0, 2},
        {PIECE - 1, 1, 0, 1},
        {PIECE - 1, 2, 0, 2},
        {PIECE, PIECE, 1, 2},
        {62 * PIECE + 5, 4 * PIECE, 62, 67}, /* over the end of a word */
        {128 * PIECE, 512, 128, 129},        /* the last, which is short */
        {0, 128 * PIECE + 512, 0, 129},
        {7 * PIECE, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_free struct block_reads *reads = block_reads_new(128 * PIECE + 512, SHIFT);
        assert_int_equal(reads->n_pieces, 129);
        block_reads_note(reads, rows[i].offset, rows[i].length);
        assert_only(reads, rows[i].first, rows[i].end);
    }
}

static void test_they_add_up(void **state)
{
    cleanup_free struct block_reads *reads = block_reads_new(64 * PIECE, SHIFT);
    assert_int_equal(reads->n_pieces, 64);
    for (uint64_t at = 20 * PIECE; at > 10 * PIECE; at -= PIECE / 2)
        block_reads_note(reads, at - PIECE / 2, PIECE / 2);
    assert_only(reads, 10, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_piece_that_a_read_touches),
        TEST(test_they_add_up),
    };
    return RUN_TESTS(tests);
}
