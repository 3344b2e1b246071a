#include "test.h"

#include "scsi/constants.h"
#include "scsi/words.h"

static void opcodes(void **state)
{
    char text[SCSI_WORDS_SIZE];
    assert_string_equal(scsi_opcode_words(SCSI_READ_16, text), "READ(16)");
    assert_string_equal(scsi_opcode_words(SCSI_TEST_UNIT_READY, text), "TEST UNIT READY");
    assert_string_equal(scsi_opcode_words(0xc1, text), "command c1h");
}

static void sense(void **state)
{
    char text[SCSI_WORDS_SIZE];
    assert_string_equal(scsi_sense_words(SENSE_MEDIUM_READ_ERROR, text),
                        "medium error: unrecovered read error");
    assert_string_equal(scsi_sense_words(SENSE_NO_SPACE, text),
                        "data protect: space allocation failed write protect");
    assert_string_equal(scsi_sense_words(0x0f0102, text), "completed: 01h/02h");
    assert_string_equal(scsi_sense_words(0xffffffff, text), "completed: ffh/ffh");
}

static void sense_data_of_both_formats(void **state)
{
    const uint8_t fixed[18] = {0xf0, 0, 0x03, [12] = 0x11, [13] = 0x05};
    const uint8_t descriptors[8] = {0x72, 0x0b, 0x47, 0x05};
    assert_int_equal(scsi_sense_code(fixed, sizeof(fixed)), 0x031105);
    assert_int_equal(scsi_sense_code(descriptors, sizeof(descriptors)),
                     SENSE_PROTOCOL_SERVICE_CRC_ERROR);
    for (size_t size = 0; size < 14; size++)
        assert_int_equal(scsi_sense_code(fixed, size), SENSE_NONE);
    for (size_t size = 0; size < 4; size++)
        assert_int_equal(scsi_sense_code(descriptors, size), SENSE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(opcodes), TEST(sense),
                                       TEST(sense_data_of_both_formats)};
    return RUN_TESTS(tests);
}
