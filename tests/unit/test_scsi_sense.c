#include "scsi_commands.h"

static const struct scsi_sense_data plain = {.code = SENSE_INVALID_FIELD_IN_CDB};
static const struct scsi_sense_data informed = {
    .code = SENSE_MISCOMPARE, .has_information = true, .information = 0x01020304};

static const struct scsi_sense_data pointed = {.code = SENSE_INVALID_FIELD_IN_CDB, .cdb_field = 2};
static const struct scsi_sense_data full = {.code = SENSE_INVALID_FIELD_IN_CDB,
                                            .has_information = true,
                                            .information = 0x01020304,
                                            .cdb_field = 15};

static const struct scsi_sense_data copied = {.code = SENSE_COPY_DEVICE_FAILED,
                                              .has_information = true,
                                              .information = 0x01020304,
                                              .in_parameters = true,
                                              .parameter_field = 0x130,
                                              .has_segment = true,
                                              .segment = 0x0506};

static void assert_sense(const struct scsi_sense_data *data, bool in_descriptors,
                         const uint8_t *expected, size_t size)
{
    uint8_t sense[SCSI_SENSE_MAX_SIZE];
    memset(sense, 0xff, sizeof(sense));
    assert_int_equal(scsi_sense_fill(sense, data, in_descriptors), size);
    assert_memory_equal(sense, expected, size);
}

static void in_fixed_format(void **state)
{
    static const uint8_t short_of_it[SCSI_SENSE_SIZE] = {0x70, 0, 0x05, 0, 0, 0,   0,
                                                         10,   0, 0,    0, 0, 0x24};
    static const uint8_t all_of_it[SCSI_SENSE_SIZE] = {0xf0, 0, 0x0e, 1, 2, 3,   4,
                                                       10,   0, 0,    0, 0, 0x1d};
    assert_sense(&plain, false, short_of_it, sizeof(short_of_it));
    static const uint8_t with_field[SCSI_SENSE_SIZE] = {0x70, 0, 0x05, 0,    0, 0, 0,    10, 0,
                                                        0,    0, 0,    0x24, 0, 0, 0xc0, 0,  2};
    assert_sense(&informed, false, all_of_it, sizeof(all_of_it));
    assert_sense(&pointed, false, with_field, sizeof(with_field));
    static const uint8_t of_a_copy[SCSI_SENSE_SIZE] = {0xf0, 0, 0x0a, 1,    2, 3, 4,    10, 0,
                                                       0,    5, 6,    0x0d, 1, 0, 0x80, 1,  0x30};
    assert_sense(&copied, false, of_a_copy, sizeof(of_a_copy));
}

static void in_descriptor_format(void **state)
{
    static const uint8_t short_of_it[] = {0x72, 0x05, 0x24, 0, 0, 0, 0, 0};
    static const uint8_t all_of_it[] = {0x72, 0x0e, 0x1d, 0, 0, 0, 0, 12, 0, 10,
                                        0x80, 0,    0,    0, 0, 0, 1, 2,  3, 4};
    assert_sense(&plain, true, short_of_it, sizeof(short_of_it));
    static const uint8_t with_field[] = {0x72, 0x05, 0x24, 0, 0,    0, 0, 8,
                                         2,    6,    0,    0, 0xc0, 0, 2, 0};
    static const uint8_t with_both[] = {0x72, 0x05, 0x24, 0, 0, 0, 0, 20, 0, 10, 0x80, 0, 0,  0,
                                        0,    0,    1,    2, 3, 4, 2, 6,  0, 0,  0xc0, 0, 15, 0};
    assert_sense(&informed, true, all_of_it, sizeof(all_of_it));
    assert_sense(&pointed, true, with_field, sizeof(with_field));
    assert_sense(&full, true, with_both, sizeof(with_both));
    static const uint8_t of_a_copy[SCSI_SENSE_MAX_SIZE] = {
        0x72, 0x0a, 0x0d, 1, 0, 0, 0, 32, 0, 10, 0x80, 0, 0, 0, 0, 0, 1,    2, 3,   4,
        1,    10,   0,    0, 0, 0, 5, 6,  0, 0,  0,    0, 2, 6, 0, 0, 0x80, 1, 0x30};
    assert_sense(&copied, true, of_a_copy, sizeof(of_a_copy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_fixed_format),
        TEST(in_descriptor_format),
    };
    return RUN_TESTS(tests);
}
