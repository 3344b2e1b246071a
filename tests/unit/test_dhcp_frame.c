#include "test.h"

#include "dhcp/frame.h"

static void the_checksum_is_that_of_rfc_1071(void **state)
{
    const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(frame_checksum(example, sizeof(example), 0), 0xffff & ~0xddf2);
    assert_int_equal(frame_checksum("\x01", 1, 0), 0xfeff); /* padded with a zero byte */
    assert_int_equal(frame_checksum(example, 0, 0x1fffe), 0x0000);
}

static void headers_and_checksums_are_right(void **state)
{
    uint8_t frame[FRAME_HEADERS_SIZE + 5];
    frame_build(frame, 0x0a000001, 67, 0x0a00000b, 68, "hello", 5);
    assert_int_equal(frame[0], 0x45);
    assert_int_equal(frame[2] << 8 | frame[3], 33);
    assert_int_equal(frame[9], 17);
    assert_int_equal(frame_checksum(frame, 20, 0), 0); /* right checksums add up to nothing */
    uint32_t pseudo = 0x0a00 + 0x0001 + 0x0a00 + 0x000b + 17 + 13;
    assert_int_equal(frame_checksum(frame + 20, 13, pseudo), 0);
    assert_memory_equal(frame + 20, "\0\x43\0\x44\0\x0d", 6);
    assert_memory_equal(frame + 28, "hello", 5);
}

static void a_udp_checksum_of_zero_is_sent_as_ones(void **state)
{
    uint8_t frame[FRAME_HEADERS_SIZE + 2];
    unsigned found = 0;
    for (unsigned value = 0; value <= 0xffff; value++) {
        const uint8_t payload[2] = {(uint8_t)(value >> 8), (uint8_t)value};
        frame_build(frame, 0x0a000001, 67, 0x0a00000b, 68, payload, 2);
        assert_false(frame[26] == 0 && frame[27] == 0);
        found += frame[26] == 0xff && frame[27] == 0xff;
    }
    assert_true(found > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_checksum_is_that_of_rfc_1071),
        TEST(headers_and_checksums_are_right),
        TEST(a_udp_checksum_of_zero_is_sent_as_ones),
    };
    return RUN_TESTS(tests);
}
