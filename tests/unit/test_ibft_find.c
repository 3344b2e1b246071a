#include "ibft_tables.h"

static void in_memory(size_t size, const size_t *places, size_t n_places, size_t broken,
                      bool expected, size_t expected_at)
{
    const struct ibft ibft = ibft_table();
    struct table_bytes table = ibft_bytes(&ibft);
    cleanup_free uint8_t *memory = calloc(1, size);
    size_t at = 1, length = 1;
    assert_non_null(memory);
    for (size_t i = 0; i < n_places; i++) {
        memcpy(memory + places[i], table.bytes, table.size);
        memory[places[i] + 100] ^= i < broken ? 1 : 0;
    }
    assert_int_equal(ibft_find(memory, size, &at, &length), expected);
    assert_int_equal(at, expected ? expected_at : 1);
    assert_int_equal(length, expected ? table.size : 1);
}

static void the_right_one_is_found(void **state)
{
    const size_t low = 512 * 1024, mega = 1024 * 1024;
    in_memory(low, (size_t[]){0x1e620}, 1, 0, true, 0x1e620);
    in_memory(mega, (size_t[]){0x9e620}, 1, 0, true, 0x9e620);
    in_memory(mega, (size_t[]){0x9e628}, 1, 0, false, 0); /* on no boundary of 16 bytes */
    in_memory(mega, (size_t[]){0xa1000}, 1, 0, false, 0); /* video memory */
    in_memory(mega, (size_t[]){0xa1000, 0xc0000}, 2, 0, true, 0xc0000);
    in_memory(4 * mega, (size_t[]){3 * mega}, 1, 0, true, 3 * mega);
    /* one with a wrong checksum is better than none */
    in_memory(mega, (size_t[]){0x90000, 0x98000}, 2, 1, true, 0x98000);
    in_memory(mega, (size_t[]){0x90000, 0x98000}, 2, 2, true, 0x90000);
    in_memory(low, NULL, 0, 0, false, 0);
}

static void one_that_reaches_over_the_end_is_none(void **state)
{
    const struct ibft ibft = ibft_table();
    struct table_bytes table = ibft_bytes(&ibft);
    size_t at, length;
    for (size_t size = 0; size < table.size; size++) {
        cleanup_free uint8_t *memory = malloc(size ? size : 1);
        assert_non_null(memory);
        memcpy(memory, table.bytes, size);
        assert_false(ibft_find(memory, size, &at, &length));
    }
}

/* Every 64 bytes something that could be a table of 64 KiB, whose checksum is wrong. */
static void memory_full_of_tables_is_not_added_up_for_ever(void **state)
{
    const size_t size = 512 * KIB, real = 400 * KIB;
    const struct ibft ibft = ibft_table();
    struct table_bytes table = ibft_bytes(&ibft);
    cleanup_free uint8_t *memory = calloc(1, size);
    size_t at = 1, length = 1;
    assert_non_null(memory);
    memcpy(memory + real, table.bytes, table.size);
    assert_true(ibft_find(memory, size, &at, &length));
    assert_int_equal(at, real);
    for (size_t i = 0; i < 300 * KIB; i += 64) {
        memcpy(memory + i, table.bytes, 64);
        memory[i + 4] = memory[i + 5] = 0xff;
    }
    assert_true(ibft_find(memory, size, &at, &length));
    assert_int_equal(at, 0); /* not the right one, which is behind too many others */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_right_one_is_found),
        TEST(memory_full_of_tables_is_not_added_up_for_ever),
        TEST(one_that_reaches_over_the_end_is_none),
    };
    return RUN_TESTS(tests);
}
