#include "test.h"

#include "iscsi/negotiate.h"

static struct iscsi_parameters parameters;
static char answer_bytes[256];

/* Negotiates a further key; the answer, as text, is in answer_bytes. */
static enum iscsi_negotiation negotiate_next(bool discovery, const char *key, const char *value)
{
    struct iscsi_text answer = {.data = answer_bytes, .size = sizeof(answer_bytes)};
    memset(answer_bytes, 0, sizeof(answer_bytes));
    enum iscsi_negotiation result = iscsi_negotiate(&parameters, key, value, discovery, &answer);
    assert_false(answer.overflow);
    return result;
}

/* The same, from the defaults on. */
static enum iscsi_negotiation negotiate_in(bool discovery, const char *key, const char *value)
{
    iscsi_parameters_init(&parameters);
    return negotiate_next(discovery, key, value);
}

static enum iscsi_negotiation negotiate(const char *key, const char *value)
{
    return negotiate_in(false, key, value);
}

struct example {
    const char *key, *value, *answer; /* answer NULL: none is given */
    enum iscsi_negotiation result;
};

static void check(const struct example *examples, size_t count, bool discovery)
{
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        char expected[256] = "";
        if (negotiate_in(discovery, e->key, e->value) != e->result)
            fail_msg("%s=%s", e->key, e->value);
        if (e->answer)
            snprintf(expected, sizeof(expected), "%s=%s", e->key, e->answer);
        assert_string_equal(answer_bytes, expected);
    }
}

static void every_key_has_its_result_function(void **state)
{
    static const struct example examples[] = {
        {"HeaderDigest", "CRC32C,None", "CRC32C"},
        {"HeaderDigest", "None,CRC32C", "None"},
        {"HeaderDigest", "None", "None"},
        {"DataDigest", "X,CRC32C", "CRC32C"},
        {"DataDigest", "CRC32CX,XNone,None", "None"},
        {"DataDigest", "X", "Reject", NEGOTIATION_INVALID},
        {"DataDigest", "", "Reject", NEGOTIATION_INVALID},
        {"MaxConnections", "8", "1"},
        {"InitialR2T", "Yes", "Yes"},
        {"InitialR2T", "No", "No"},
        {"ImmediateData", "Yes", "Yes"},
        {"ImmediateData", "No", "No"},
        {"MaxRecvDataSegmentLength", "8192", NULL},
        {"MaxBurstLength", "262144", "262144"},
        {"MaxBurstLength", "16777215", "16776192"},
        {"FirstBurstLength", "0x10000", "65536"},
        {"FirstBurstLength", "1048576", "262144"},
        {"DefaultTime2Wait", "2", "2"},
        {"DefaultTime2Retain", "20", "0"},
        {"MaxOutstandingR2T", "1", "1"},
        {"MaxOutstandingR2T", "100", "8"},
        {"DataPDUInOrder", "No", "Yes"},
        {"DataPDUInOrder", "Yes", "Yes"},
        {"DataSequenceInOrder", "No", "Yes"},
        {"ErrorRecoveryLevel", "2", "0"},
        {"TaskReporting", "ResponseFence,RFC3720", "RFC3720"},
        {"TaskReporting", "FastAbort", "Reject", NEGOTIATION_INVALID},
        {"TaskReporting", "RFC37200", "Reject", NEGOTIATION_INVALID},
        {"iSCSIProtocolLevel", "1", "1"},
        {"iSCSIProtocolLevel", "2", "1"},
        {"iSCSIProtocolLevel", "0", "0"},
        {"iSCSIProtocolLevel", "32", "Reject", NEGOTIATION_INVALID},
    };
    check(examples, ARRAY_SIZE(examples), false);
}

static void no_key_is_negotiated_twice(void **state)
{
    char room[64];
    struct iscsi_text answer = {.data = room, .size = sizeof(room)};
    assert_int_equal(negotiate("MaxBurstLength", "1024"), NEGOTIATION_DONE);
    assert_int_equal(iscsi_negotiate(&parameters, "MaxBurstLength", "2048", false, &answer),
                     NEGOTIATION_TWICE);
    assert_int_equal(answer.used, 0);
    assert_int_equal(parameters.max_burst_length, 1024);
    assert_int_equal(iscsi_negotiate(&parameters, "FirstBurstLength", "512", false, &answer),
                     NEGOTIATION_DONE);
}

static void a_number_is_no_longer_than_a_simple_value(void **state)
{
    char text[300];
    snprintf(text, sizeof(text), "%0*u", ISCSI_VALUE_MAX, 1024);
    assert_int_equal(negotiate("MaxBurstLength", text), NEGOTIATION_DONE);
    snprintf(text, sizeof(text), "%0*u", ISCSI_VALUE_MAX + 1, 1024);
    assert_int_equal(negotiate("MaxBurstLength", text), NEGOTIATION_INVALID);
}

static void the_keys_of_the_standard(void **state)
{
    assert_true(iscsi_key_is_standard("TargetAlias"));
    assert_true(iscsi_key_is_standard("OFMarkInt"));
    assert_false(iscsi_key_is_standard("X-org.example.Colour"));
}

static void a_boolean_is_yes_or_no(void **state)
{
    static const char *const keys[] = {"InitialR2T", "ImmediateData", "DataPDUInOrder",
                                       "DataSequenceInOrder"};
    static const char *const wrong[] = {"", "yes", "no", "1", "Yes,No", "Yes ", "true"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        for (size_t k = 0; k < ARRAY_SIZE(wrong); k++)
            check(&(struct example){keys[i], wrong[k], "Reject", NEGOTIATION_INVALID}, 1, false);
}

static void every_number_has_its_range(void **state)
{
    static const struct {
        const char *key;
        uint32_t min, max;
    } ranges[] = {
        {"MaxConnections", 1, 65535},      {"MaxRecvDataSegmentLength", 512, 16777215},
        {"MaxBurstLength", 512, 16777215}, {"FirstBurstLength", 512, 16777215},
        {"DefaultTime2Wait", 0, 3600},     {"DefaultTime2Retain", 0, 3600},
        {"MaxOutstandingR2T", 1, 65535},   {"ErrorRecoveryLevel", 0, 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        const uint32_t inside[] = {ranges[i].min, ranges[i].max};
        const uint64_t outside[] = {ranges[i].min - UINT64_C(1), ranges[i].max + UINT64_C(1)};
        char text[32];
        for (size_t k = 0; k < 2; k++) {
            snprintf(text, sizeof(text), "%u", inside[k]);
            assert_int_equal(negotiate(ranges[i].key, text), NEGOTIATION_DONE);
            snprintf(text, sizeof(text), "%llu", (unsigned long long)outside[k]);
            if (k == 1 || ranges[i].min > 0)
                check(&(struct example){ranges[i].key, text, "Reject", NEGOTIATION_INVALID}, 1,
                      false);
        }
        check(&(struct example){ranges[i].key, "many", "Reject", NEGOTIATION_INVALID}, 1, false);
        check(&(struct example){ranges[i].key, "-1", "Reject", NEGOTIATION_INVALID}, 1, false);
    }
}

static void obsolete_keys_are_rejected_but_no_mistake(void **state)
{
    static const struct example examples[] = {
        {"IFMarker", "No", "Reject"},
        {"OFMarker", "Yes", "Reject"},
        {"IFMarkInt", "2048~8192", "Reject"},
        {"OFMarkInt", "2048~8192", "Reject"},
    };
    check(examples, ARRAY_SIZE(examples), false);
    check(examples, ARRAY_SIZE(examples), true);
}

static void other_keys_are_left_to_the_caller(void **state)
{
    static const struct example examples[] = {
        {"X-org.example.Colour", "red", NULL, NEGOTIATION_UNKNOWN},
        {"headerdigest", "None", NULL, NEGOTIATION_UNKNOWN},
        {"TargetName", "x", NULL, NEGOTIATION_UNKNOWN},
        {"", "", NULL, NEGOTIATION_UNKNOWN},
    };
    check(examples, ARRAY_SIZE(examples), false);
    check(examples, ARRAY_SIZE(examples), true);
}

static void what_concerns_only_disks_is_irrelevant_in_discovery(void **state)
{
    static const struct example examples[] = {
        {"MaxConnections", "8", "Irrelevant"},
        {"InitialR2T", "No", "Irrelevant"},
        {"ImmediateData", "nonsense", "Irrelevant"},
        {"MaxBurstLength", "262144", "Irrelevant"},
        {"FirstBurstLength", "262144", "Irrelevant"},
        {"MaxOutstandingR2T", "1", "Irrelevant"},
        {"DataPDUInOrder", "Yes", "Irrelevant"},
        {"DataSequenceInOrder", "Yes", "Irrelevant"},
        {"HeaderDigest", "None", "None"},
        {"DefaultTime2Wait", "2", "2"},
        {"DefaultTime2Retain", "20", "0"},
        {"ErrorRecoveryLevel", "0", "0"},
        {"MaxRecvDataSegmentLength", "8192", NULL},
    };
    check(examples, ARRAY_SIZE(examples), true);
    iscsi_parameters_init(&parameters);
    struct iscsi_parameters defaults = parameters;
    negotiate_in(true, "MaxBurstLength", "512");
    parameters.negotiated = 0; /* which keys were taken is remembered */
    assert_memory_equal(&parameters, &defaults, sizeof(defaults));
}

/* --- what was agreed is what holds --- */

static void the_defaults_are_those_of_the_standard(void **state)
{
    iscsi_parameters_init(&parameters);
    assert_false(parameters.header_digest);
    assert_false(parameters.data_digest);
    assert_true(parameters.initial_r2t);
    assert_true(parameters.immediate_data);
    assert_true(parameters.data_pdu_in_order);
    assert_true(parameters.data_sequence_in_order);
    assert_int_equal(parameters.max_connections, 1);
    assert_int_equal(parameters.max_burst_length, 262144);
    assert_int_equal(parameters.first_burst_length, 65536);
    assert_int_equal(parameters.max_send_segment_length, 8192);
    assert_int_equal(parameters.default_time2wait, 2);
    assert_int_equal(parameters.default_time2retain, 20);
    assert_int_equal(parameters.max_outstanding_r2t, 1);
    assert_int_equal(parameters.error_recovery_level, 0);
}

static void each_key_changes_its_own_parameter(void **state)
{
    negotiate("HeaderDigest", "CRC32C");
    assert_true(parameters.header_digest && !parameters.data_digest);
    negotiate("DataDigest", "CRC32C");
    assert_true(parameters.data_digest && !parameters.header_digest);
    negotiate("InitialR2T", "No");
    assert_true(!parameters.initial_r2t && parameters.immediate_data);
    negotiate("ImmediateData", "No");
    assert_true(!parameters.immediate_data && parameters.initial_r2t);
    negotiate("DataPDUInOrder", "No");
    assert_true(parameters.data_pdu_in_order);
    negotiate("MaxRecvDataSegmentLength", "65536");
    assert_int_equal(parameters.max_send_segment_length, 65536);
    negotiate("MaxBurstLength", "1048576");
    assert_int_equal(parameters.max_burst_length, 1048576);
    negotiate("FirstBurstLength", "131072");
    assert_int_equal(parameters.first_burst_length, 131072);
    negotiate("DefaultTime2Wait", "9");
    assert_int_equal(parameters.default_time2wait, 9);
    negotiate("DefaultTime2Retain", "9");
    assert_int_equal(parameters.default_time2retain, 0);
    negotiate("MaxOutstandingR2T", "5");
    assert_int_equal(parameters.max_outstanding_r2t, 5);
}

static void what_is_rejected_changes_nothing(void **state)
{
    iscsi_parameters_init(&parameters);
    struct iscsi_parameters defaults = parameters;
    static const struct example wrong[] = {
        {"HeaderDigest", "X"},
        {"InitialR2T", "maybe"},
        {"MaxBurstLength", "1"},
        {"MaxOutstandingR2T", "0"},
        {"IFMarker", "Yes"},
        {"TaskReporting", "FastAbort"},
        {"MaxRecvDataSegmentLength", "17000000"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        negotiate(wrong[i].key, wrong[i].value);
        parameters.negotiated = 0; /* which keys were taken is remembered */
        assert_memory_equal(&parameters, &defaults, sizeof(defaults));
    }
}

static void the_first_burst_fits_the_burst(void **state)
{
    negotiate("MaxBurstLength", "65536");
    negotiate_next(false, "FirstBurstLength", "262144");
    assert_string_equal(answer_bytes, "FirstBurstLength=65536");
    assert_int_equal(parameters.first_burst_length, 65536);
}

/* In this order the answer to the first has left when the second is known. */
static void a_first_burst_that_was_agreed_holds(void **state)
{
    negotiate("FirstBurstLength", "131072");
    negotiate_next(false, "MaxBurstLength", "65536");
    assert_int_equal(parameters.first_burst_length, 131072);
    assert_int_equal(parameters.max_burst_length, 65536);
}

static void note(void *context, const char *key, const char *value)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 1024 - used, "%s=%s ", key, value);
}

static void what_was_agreed_can_be_listed(void **state)
{
    char normal[1024] = "", discovery[1024] = "";
    assert_int_equal(negotiate("HeaderDigest", "CRC32C"), NEGOTIATION_DONE);
    assert_int_equal(negotiate_next(false, "MaxBurstLength", "4096"), NEGOTIATION_DONE);
    assert_int_equal(negotiate_next(false, "IFMarker", "No"), NEGOTIATION_DONE);
    iscsi_parameters_list(&parameters, false, note, normal);
    assert_non_null(strstr(normal, "HeaderDigest=CRC32C DataDigest=None "));
    assert_non_null(strstr(normal, " InitialR2T=Yes ImmediateData=Yes "));
    assert_non_null(strstr(normal, " MaxBurstLength=4096 "));
    assert_null(strstr(normal, "Marker"));
    assert_null(strstr(normal, "TaskReporting"));
    iscsi_parameters_list(&parameters, true, note, discovery);
    assert_non_null(strstr(discovery, "HeaderDigest=CRC32C "));
    assert_null(strstr(discovery, "MaxBurstLength"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_agreed_can_be_listed),
        TEST(every_key_has_its_result_function),
        TEST(a_boolean_is_yes_or_no),
        TEST(no_key_is_negotiated_twice),
        TEST(a_number_is_no_longer_than_a_simple_value),
        TEST(the_keys_of_the_standard),
        TEST(every_number_has_its_range),
        TEST(obsolete_keys_are_rejected_but_no_mistake),
        TEST(other_keys_are_left_to_the_caller),
        TEST(what_concerns_only_disks_is_irrelevant_in_discovery),
        TEST(the_defaults_are_those_of_the_standard),
        TEST(each_key_changes_its_own_parameter),
        TEST(what_is_rejected_changes_nothing),
        TEST(the_first_burst_fits_the_burst),
        TEST(a_first_burst_that_was_agreed_holds),
    };
    return RUN_TESTS(tests);
}
