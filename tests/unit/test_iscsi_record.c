#include "test.h"

#include "iscsi/record.h"
#include "scsi/constants.h"

static void each_power_of_two_has_its_bucket(void **state)
{
    static const struct {
        uint64_t usec;
        unsigned bucket;
    } examples[] = {{0, 0},        {1, 1},        {2, 2},          {3, 2},
                    {4, 3},        {1023, 10},    {1024, 11},      {4194303, 22},
                    {4194304, 23}, {8388608, 23}, {UINT64_MAX, 23}};
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        struct iscsi_record record = {0};
        uint64_t bound = iscsi_latency_bound(examples[i].bucket);
        iscsi_record_latency(&record, examples[i].usec);
        assert_int_equal(record.latency[examples[i].bucket], 1);
        assert_true(bound == 0 || examples[i].usec < bound);
        assert_true(examples[i].bucket == 0 ||
                    examples[i].usec >= iscsi_latency_bound(examples[i].bucket - 1));
    }
    assert_int_equal(iscsi_latency_bound(ISCSI_LATENCY_BUCKETS - 1), 0);
}

static void quantiles_are_the_bounds_of_buckets(void **state)
{
    struct iscsi_record record = {0};
    assert_int_equal(iscsi_record_quantile(&record, 500), 0);
    for (unsigned i = 0; i < 98; i++)
        iscsi_record_latency(&record, 50);
    assert_int_equal(iscsi_record_quantile(&record, 500), 64);
    assert_int_equal(iscsi_record_quantile(&record, 1000), 64);
    iscsi_record_latency(&record, 3000);
    iscsi_record_latency(&record, UINT64_MAX);
    assert_int_equal(iscsi_record_quantile(&record, 980), 64);
    assert_int_equal(iscsi_record_quantile(&record, 990), 4096);
    assert_int_equal(iscsi_record_quantile(&record, 1000), 0); /* without a bound */
    record.latency[0] = UINT64_MAX / 2;
    assert_int_equal(iscsi_record_quantile(&record, 999), 1);
}

static void note(struct iscsi_record *record, uint8_t opcode, uint32_t sense)
{
    const uint8_t data[18] = {0x70, 0, (uint8_t)(sense >> 16), [12] = (uint8_t)(sense >> 8),
                              (uint8_t)sense};
    iscsi_record_sense(record, opcode, data, sizeof(data));
}

static void the_last_error_is_told_in_words(void **state)
{
    struct iscsi_record record = {0};
    char text[ISCSI_ERROR_TEXT_SIZE];
    assert_null(iscsi_record_error_text(&record, text));
    note(&record, SCSI_READ_10, SENSE_MEDIUM_READ_ERROR);
    assert_string_equal(iscsi_record_error_text(&record, text),
                        "READ(10) failed: medium error: unrecovered read error");
    assert_true(record.error_at > 0);
    iscsi_record_error(&record, "something odd came");
    assert_string_equal(iscsi_record_error_text(&record, text), "something odd came");
    note(&record, SCSI_WRITE_16, SENSE_WRITE_PROTECTED);
    assert_string_equal(iscsi_record_error_text(&record, text),
                        "WRITE(16) failed: data protect: write protected");
    assert_int_equal(record.errors, 3);
}

static void what_every_system_asks_is_no_error(void **state)
{
    static const uint32_t questions[] = {
        SENSE_NONE,       SENSE_INVALID_OPCODE,      SENSE_INVALID_FIELD_IN_CDB,
        SENSE_RESET,      SENSE_LUN_NOT_SUPPORTED,   SENSE_COMMANDS_CLEARED,
        SENSE_NEXUS_LOSS, SENSE_SAVING_NOT_SUPPORTED};
    struct iscsi_record record = {0};
    for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
        note(&record, SCSI_INQUIRY, questions[i]);
    assert_int_equal(record.errors, 0);
    note(&record, SCSI_READ_10, SENSE_LBA_OUT_OF_RANGE);
    assert_int_equal(record.errors, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_power_of_two_has_its_bucket), TEST(quantiles_are_the_bounds_of_buckets),
        TEST(the_last_error_is_told_in_words), TEST(what_every_system_asks_is_no_error)};
    return RUN_TESTS(tests);
}
