#include "test.h"

#include "tftp/packet.h"

#include <errno.h>

#define REQUEST(text) text, sizeof(text) - 1

static void requests_are_read(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int result;
        const char *file;
        struct tftp_options options;
    } cases[] = {
        {REQUEST("\0\1undionly.kpxe\0octet\0"), 0, "undionly.kpxe", {0}},
        /* iPXE */
        {REQUEST("\0\1undionly.kpxe\0octet\0blksize\0"
                 "1432\0tsize\0"
                 "0\0"),
         0,
         "undionly.kpxe",
         {.blksize = 1432, .tsize = true}},
        /* OVMF */
        {REQUEST("\0\1snponly.efi\0octet\0tsize\0"
                 "0\0blksize\0"
                 "1468\0windowsize\0"
                 "4\0"),
         0,
         "snponly.efi",
         {.blksize = 1468, .tsize = true, .windowsize = 4}},
        {REQUEST("\0\1f\0OcTeT\0BLKSIZE\0"
                 "512\0TimeOut\0"
                 "3\0"),
         0,
         "f",
         {.blksize = 512, .timeout = 3}},
        {REQUEST("\0\1f\0octet\0multicast\0\0blksize\0"
                 "9\0"),
         0,
         "f",
         {.blksize = 9}},
        /* values that the RFCs do not allow are as good as absent */
        {REQUEST("\0\1f\0octet\0blksize\0"
                 "7\0timeout\0"
                 "0\0"),
         0,
         "f",
         {0}},
        {REQUEST("\0\1f\0octet\0blksize\0"
                 "65465\0timeout\0"
                 "256\0"),
         0,
         "f",
         {0}},
        {REQUEST("\0\1f\0octet\0blksize\0"
                 "65464\0timeout\0"
                 "255\0"),
         0,
         "f",
         {.blksize = 65464, .timeout = 255}},
        {REQUEST("\0\1f\0octet\0windowsize\0"
                 "0\0"),
         0,
         "f",
         {0}},
        {REQUEST("\0\1f\0octet\0windowsize\0"
                 "65536\0"),
         0,
         "f",
         {0}},
        {REQUEST("\0\1f\0octet\0blksize\0"
                 "99999999999999999999\0"),
         0,
         "f",
         {0}},
        {REQUEST("\0\1f\0octet\0blksize\0"
                 "-1\0"),
         0,
         "f",
         {0}},
        {REQUEST("\0\1f\0octet\0blksize\0"
                 "1 2\0"),
         0,
         "f",
         {0}},
        {REQUEST("\0\1f\0octet\0blksize\0\0"), 0, "f", {0}},
        /* rubbish behind the mode, as old ROMs leave it */
        {REQUEST("\0\1f\0octet\0xyz"), 0, "f", {0}},
        {REQUEST("\0\1f\0octet\0blksize\0"), 0, "f", {0}},
        /* not for us */
        {REQUEST("\0\2f\0octet\0"), -EOPNOTSUPP, NULL, {0}},
        {REQUEST(""), -EBADMSG, NULL, {0}},
        {REQUEST("\0"), -EBADMSG, NULL, {0}},
        {REQUEST("\0\1"), -EBADMSG, NULL, {0}},
        {REQUEST("\0\1f"), -EBADMSG, NULL, {0}},
        {REQUEST("\0\1f\0"), -EBADMSG, NULL, {0}},
        {REQUEST("\0\1f\0octet"), -EBADMSG, NULL, {0}},
        {REQUEST("\0\1\0octet\0"), -EBADMSG, NULL, {0}},
        {REQUEST("\0\3f\0octet\0"), -EBADMSG, NULL, {0}},
        {REQUEST("\1\1f\0octet\0"), -EBADMSG, NULL, {0}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tftp_request request = {0};
        int r = tftp_parse_request(cases[i].bytes, cases[i].size, &request);
        if (r != cases[i].result)
            fail_msg("case %zu: %d", i, r);
        if (r < 0)
            continue;
        assert_string_equal(request.file, cases[i].file);
        assert_int_equal(strcasecmp(request.mode, "octet"), 0);
        assert_int_equal(request.options.blksize, cases[i].options.blksize);
        assert_int_equal(request.options.timeout, cases[i].options.timeout);
        assert_int_equal(request.options.windowsize, cases[i].options.windowsize);
        assert_int_equal(request.options.tsize, cases[i].options.tsize);
    }
}

static void a_request_has_a_largest_size(void **state)
{
    uint8_t packet[TFTP_MAX_REQUEST + 1];
    struct tftp_request request;
    memset(packet, 'x', sizeof(packet));
    memcpy(packet, "\0\1", 2);
    packet[sizeof(packet) - 7] = '\0';
    memcpy(packet + sizeof(packet) - 6, "octet", 6);
    assert_int_equal(tftp_parse_request(packet, sizeof(packet), &request), -EBADMSG);
    memmove(packet + 3, packet + 4, sizeof(packet) - 4);
    assert_int_equal(tftp_parse_request(packet, sizeof(packet) - 1, &request), 0);
}

static void answers_are_read(void **state)
{
    struct tftp_answer answer;
    assert_int_equal(tftp_parse_answer("\0\4\x12\x34", 4, &answer), 0);
    assert_int_equal(answer.opcode, TFTP_ACK);
    assert_int_equal(answer.block, 0x1234);
    assert_int_equal(tftp_parse_answer("\0\5\0\10gone\n\0", 10, &answer), 0);
    assert_int_equal(answer.opcode, TFTP_ERROR);
    assert_int_equal(answer.code, 8);
    assert_string_equal(answer.text, "gone?");
    assert_int_equal(tftp_parse_answer("\0\5\0\0", 4, &answer), 0);
    assert_string_equal(answer.text, "");
    assert_int_equal(tftp_parse_answer("\0\5\0\0no end", 10, &answer), 0);
    assert_string_equal(answer.text, "no end");
    assert_int_equal(tftp_parse_answer("\0\4\1", 3, &answer), -EBADMSG);
    assert_int_equal(tftp_parse_answer("\0\3\0\1x", 5, &answer), -EBADMSG);
    char long_text[200] = "\0\5";
    memset(long_text + 4, 'e', sizeof(long_text) - 4);
    assert_int_equal(tftp_parse_answer(long_text, sizeof(long_text), &answer), 0);
    assert_int_equal(strlen(answer.text), sizeof(answer.text) - 1);
}

static void errors_are_written(void **state)
{
    uint8_t packet[TFTP_MAX_ERROR];
    size_t size = tftp_build_error(packet, TFTP_ERROR_NOT_FOUND, "no such file");
    assert_int_equal(size, 17);
    assert_memory_equal(packet, "\0\5\0\1no such file\0", 17);
    char text[300];
    memset(text, 't', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    size = tftp_build_error(packet, TFTP_ERROR_OTHER, text);
    assert_int_equal(size, TFTP_MAX_ERROR);
    assert_int_equal(packet[size - 1], 0);
}

static void only_agreed_options_are_acknowledged(void **state)
{
    uint8_t packet[TFTP_MAX_OACK];
    struct tftp_options options = {.blksize = 1432, .tsize = true};
    size_t size = tftp_build_oack(packet, &options, 74213);
    assert_int_equal(size, 27);
    assert_memory_equal(packet,
                        "\0\6tsize\0"
                        "74213\0blksize\0"
                        "1432\0",
                        27);
    options = (struct tftp_options){.timeout = 255, .windowsize = 64};
    size = tftp_build_oack(packet, &options, 0);
    assert_memory_equal(packet,
                        "\0\6timeout\0"
                        "255\0windowsize\0"
                        "64\0",
                        size);
    options = (struct tftp_options){65464, 255, 65535, true};
    assert_in_range(tftp_build_oack(packet, &options, UINT64_MAX), 1, TFTP_MAX_OACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_read),
        TEST(a_request_has_a_largest_size),
        TEST(answers_are_read),
        TEST(errors_are_written),
        TEST(only_agreed_options_are_acknowledged),
    };
    return RUN_TESTS(tests);
}
