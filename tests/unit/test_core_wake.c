#include "test.h"

#include "core/wake.h"

#include <errno.h>

static const struct mac_address mac = {{0x52, 0x54, 0, 0x12, 0x34, 0x56}};

static void a_packet_has_the_mac_sixteen_times(void **state)
{
    static const struct wake_password none;
    uint8_t packet[WAKE_PACKET_MAX];
    assert_int_equal(wake_packet_build(packet, mac, &none), 102);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(packet[i], 0xff);
    for (size_t i = 0; i < 16; i++)
        assert_memory_equal(packet + 6 + 6 * i, mac.bytes, 6);
}

static void a_password_follows(void **state)
{
    struct wake_password password;
    uint8_t packet[WAKE_PACKET_MAX];
    assert_int_equal(wake_password_parse("00:FF:0a-", &password), -EINVAL);
    assert_int_equal(wake_password_parse("00:FF:0a:0b:0c:0d", &password), 0);
    assert_int_equal(wake_packet_build(packet, mac, &password), 108);
    assert_memory_equal(packet + 102, "\x00\xff\x0a\x0b\x0c\x0d", 6);
}

static void passwords_are_read_and_written(void **state)
{
    static const char *const wrong[] = {
        "",
        ":",
        "00",
        "00:11:22:33:44",
        "00:11:22:33:44:5",
        "00:11:22:33:44:55:",
        "00:11:22:33:44:55:66",
        "00:11:22-33:44:55",
        "0g:11:22:33:44:55",
        "00.11.22.33.44.55",
        "001122334455",
        "none",
    };
    struct wake_password password = {0};
    char text[MAC_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        if (wake_password_parse(wrong[i], &password) != -EINVAL || password.given)
            fail_msg("'%s' was taken", wrong[i]);
    assert_int_equal(wake_password_parse("ff-00-00-00-00-01", &password), 0);
    assert_true(password.given);
    assert_string_equal(wake_password_format(&password, text), "ff:00:00:00:00:01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_packet_has_the_mac_sixteen_times),
        TEST(a_password_follows),
        TEST(passwords_are_read_and_written),
    };
    return RUN_TESTS(tests);
}
