#include "test.h"

#include "iscsi/negotiate.h"

#include <errno.h>

static void pairs_are_taken_apart(void **state)
{
    char text[] = "A=1\0\0B=\0C=x=y\0";
    size_t cursor = 0;
    const char *key, *value;
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 1);
    assert_string_equal(key, "A");
    assert_string_equal(value, "1");
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 1);
    assert_string_equal(key, "B");
    assert_string_equal(value, "");
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 1);
    assert_string_equal(value, "x=y");
    assert_int_equal(iscsi_text_next(text, sizeof(text) - 1, &cursor, &key, &value), 0);
}

static void what_is_no_pair_is_refused(void **state)
{
    static const char *const bad[] = {
        "novalue", "=x", "a123456789012345678901234567890123456789012345678901234567890123=x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[128];
        size_t cursor = 0;
        const char *key, *value;
        str_copy(text, sizeof(text), bad[i]);
        assert_int_equal(iscsi_text_next(text, strlen(text), &cursor, &key, &value), -EINVAL);
    }
}

static void numbers(void **state)
{
    uint32_t n;
    assert_int_equal(iscsi_text_number("262144", &n), 0);
    assert_int_equal(n, 262144);
    assert_int_equal(iscsi_text_number("0x1F", &n), 0);
    assert_int_equal(n, 31);
    assert_int_equal(iscsi_text_number("4294967295", &n), 0);
    static const char *const bad[] = {"", "-1", " 1", "1 ", "0x", "4294967296", "1.5", "0xg", "+1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(iscsi_text_number(bad[i], &n), -EINVAL);
}

struct example {
    const char *key, *value, *answer; /* answer NULL: none is given */
    enum iscsi_negotiation result;
};

static void check(const struct example *examples, size_t count, bool discovery)
{
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        struct iscsi_parameters parameters;
        char buffer[256] = "", expected[256] = "";
        struct iscsi_text answer = {.data = buffer, .size = sizeof(buffer)};
        iscsi_parameters_init(&parameters);
        assert_int_equal(iscsi_negotiate(&parameters, e->key, e->value, discovery, &answer),
                         e->result);
        if (e->answer)
            snprintf(expected, sizeof(expected), "%s=%s", e->key, e->answer);
        assert_string_equal(buffer, expected);
    }
}

static void every_key_has_its_result_function(void **state)
{
    static const struct example examples[] = {
        {"HeaderDigest", "CRC32C,None", "CRC32C"},
        {"HeaderDigest", "None,CRC32C", "None"},
        {"DataDigest", "X,CRC32C", "CRC32C"},
        {"DataDigest", "X", "Reject", NEGOTIATION_INVALID},
        {"MaxConnections", "8", "1"},
        {"MaxConnections", "0", "Reject", NEGOTIATION_INVALID},
        {"InitialR2T", "Yes", "Yes"},
        {"InitialR2T", "No", "No"},
        {"InitialR2T", "yes", "Reject", NEGOTIATION_INVALID},
        {"ImmediateData", "Yes", "Yes"},
        {"ImmediateData", "No", "No"},
        {"MaxRecvDataSegmentLength", "8192", NULL},
        {"MaxRecvDataSegmentLength", "511", "Reject", NEGOTIATION_INVALID},
        {"MaxRecvDataSegmentLength", "16777216", "Reject", NEGOTIATION_INVALID},
        {"MaxBurstLength", "262144", "262144"},
        {"MaxBurstLength", "16777215", "16776192"},
        {"FirstBurstLength", "0x10000", "65536"},
        {"FirstBurstLength", "1048576", "262144"},
        {"DefaultTime2Wait", "2", "2"},
        {"DefaultTime2Retain", "20", "0"},
        {"DefaultTime2Retain", "3601", "Reject", NEGOTIATION_INVALID},
        {"MaxOutstandingR2T", "1", "1"},
        {"MaxOutstandingR2T", "100", "8"},
        {"DataPDUInOrder", "No", "Yes"},
        {"DataSequenceInOrder", "No", "Yes"},
        {"ErrorRecoveryLevel", "2", "0"},
        {"IFMarker", "No", "Reject"},
        {"OFMarkInt", "2048~8192", "Reject"},
        {"TaskReporting", "ResponseFence,RFC3720", "RFC3720"},
        {"TaskReporting", "FastAbort", "Reject", NEGOTIATION_INVALID},
        {"X-org.example.Colour", "red", NULL, NEGOTIATION_UNKNOWN},
    };
    check(examples, ARRAY_SIZE(examples), false);
}

static void what_concerns_only_disks_is_irrelevant_in_discovery(void **state)
{
    static const struct example examples[] = {
        {"InitialR2T", "No", "Irrelevant"},
        {"MaxBurstLength", "262144", "Irrelevant"},
        {"HeaderDigest", "None", "None"},
        {"MaxRecvDataSegmentLength", "8192", NULL},
    };
    check(examples, ARRAY_SIZE(examples), true);
}

static void the_first_burst_fits_the_burst(void **state)
{
    struct iscsi_parameters parameters;
    iscsi_parameters_init(&parameters);
    parameters.max_burst_length = 512;
    iscsi_parameters_finish(&parameters);
    assert_int_equal(parameters.first_burst_length, 512);
}

static void an_answer_that_does_not_fit_is_noticed(void **state)
{
    char buffer[8];
    struct iscsi_text text = {.data = buffer, .size = sizeof(buffer)};
    iscsi_text_add(&text, "Key", "val");
    assert_false(text.overflow);
    iscsi_text_add(&text, "K", "");
    assert_true(text.overflow);
    assert_int_equal(text.used, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pairs_are_taken_apart),
        TEST(what_is_no_pair_is_refused),
        TEST(numbers),
        TEST(every_key_has_its_result_function),
        TEST(what_concerns_only_disks_is_irrelevant_in_discovery),
        TEST(the_first_burst_fits_the_burst),
        TEST(an_answer_that_does_not_fit_is_noticed),
    };
    return RUN_TESTS(tests);
}
