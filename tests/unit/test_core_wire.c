#include "test.h"

#include "core/wire.h"

static void reads_big_endian(void **state)
{
    const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    struct wire_reader r = wire_reader_of(data, sizeof(data));
    assert_int_equal(wire_get_u8(&r), 1);
    assert_int_equal(wire_get_be16(&r), 0x0203);
    assert_int_equal(wire_get_be24(&r), 0x040506);
    assert_int_equal(wire_get_be32(&r), 0x0708090a);
    assert_true(wire_get_be64(&r) == 0x0b0c0d0e0f101112);
    assert_true(wire_reader_ok(&r));
    assert_int_equal(wire_reader_left(&r), 0);
}

static void reads_little_endian(void **state)
{
    const uint8_t data[] = {1, 2, 3, 4, 5, 0xf6, 7, 8, 9, 10, 11, 12, 13, 0xfe};
    struct wire_reader r = wire_reader_of(data, sizeof(data));
    assert_int_equal(wire_get_le16(&r), 0x0201);
    assert_true(wire_get_le32(&r) == 0xf6050403);
    assert_true(wire_get_le64(&r) == 0xfe0d0c0b0a090807);
    assert_true(wire_reader_ok(&r));
    assert_int_equal(wire_get_le16(&r), 0);
    assert_false(wire_reader_ok(&r));
}

static void reading_over_the_end_fails_for_good(void **state)
{
    const uint8_t data[] = {1, 2, 3};
    struct wire_reader r = wire_reader_of(data, sizeof(data));
    assert_int_equal(wire_get_be32(&r), 0);
    assert_false(wire_reader_ok(&r));
    assert_int_equal(wire_get_u8(&r), 0); /* although a byte would be there */
    uint8_t copy[2] = {9, 9};
    wire_get_copy(&r, copy, sizeof(copy));
    assert_int_equal(copy[0], 0);
}

static void a_sub_reader_ends_where_it_was_told(void **state)
{
    const uint8_t data[] = {1, 2, 3, 4};
    struct wire_reader r = wire_reader_of(data, sizeof(data));
    struct wire_reader sub = wire_get_sub(&r, 2);
    assert_int_equal(wire_get_be16(&sub), 0x0102);
    assert_int_equal(wire_get_u8(&sub), 0);
    assert_false(wire_reader_ok(&sub));
    assert_int_equal(wire_get_be16(&r), 0x0304);
    sub = wire_get_sub(&r, 1);
    assert_false(wire_reader_ok(&sub));
    assert_false(wire_reader_ok(&r));
}

static void writes_what_it_reads(void **state)
{
    uint8_t data[24];
    struct wire_writer w = wire_writer_of(data, sizeof(data));
    wire_put_u8(&w, 1);
    wire_put_be16(&w, 0x0203);
    wire_put_be24(&w, 0x040506);
    wire_put_be32(&w, 0x0708090a);
    wire_put_be64(&w, 0x0b0c0d0e0f101112);
    wire_put_padded(&w, "ab", 4, ' ');
    assert_true(wire_writer_ok(&w));
    assert_int_equal(wire_writer_used(&w), 22);
    assert_memory_equal(data,
                        "\x1\x2\x3\x4\x5\x6\x7\x8\x9\xa\xb\xc\xd\xe\xf\x10\x11\x12"
                        "ab  ",
                        22);
}

static void writes_little_endian(void **state)
{
    uint8_t data[6];
    struct wire_writer w = wire_writer_of(data, sizeof(data));
    wire_put_le16(&w, 0x0201);
    wire_put_le32(&w, 0x06050403);
    wire_put_le16(&w, 0x0807); /* there is no room for it */
    assert_false(wire_writer_ok(&w));
    assert_memory_equal(data, "\x1\x2\x3\x4\x5\x6", 6);
}

static void writing_over_the_end_changes_nothing(void **state)
{
    uint8_t data[4] = {7, 7, 7, 7};
    struct wire_writer w = wire_writer_of(data, 3);
    wire_put_be32(&w, 0);
    wire_put_u8(&w, 1);
    assert_false(wire_writer_ok(&w));
    assert_int_equal(wire_writer_used(&w), 0);
    assert_memory_equal(data, "\x7\x7\x7\x7", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_big_endian),
        TEST(reads_little_endian),
        TEST(reading_over_the_end_fails_for_good),
        TEST(a_sub_reader_ends_where_it_was_told),
        TEST(writes_what_it_reads),
        TEST(writes_little_endian),
        TEST(writing_over_the_end_changes_nothing),
    };
    return RUN_TESTS(tests);
}
