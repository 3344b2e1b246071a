#include "scsi/words.h"

#include "scsi/constants.h"

struct word {
    uint32_t number;
    const char *word;
};

static const struct word opcodes[] = {
    {SCSI_TEST_UNIT_READY, "TEST UNIT READY"},
    {SCSI_REQUEST_SENSE, "REQUEST SENSE"},
    {SCSI_READ_6, "READ(6)"},
    {SCSI_WRITE_6, "WRITE(6)"},
    {SCSI_INQUIRY, "INQUIRY"},
    {SCSI_MODE_SELECT_6, "MODE SELECT(6)"},
    {SCSI_RESERVE_6, "RESERVE(6)"},
    {SCSI_RELEASE_6, "RELEASE(6)"},
    {SCSI_MODE_SENSE_6, "MODE SENSE(6)"},
    {SCSI_START_STOP_UNIT, "START STOP UNIT"},
    {SCSI_SEND_DIAGNOSTIC, "SEND DIAGNOSTIC"},
    {SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, "PREVENT ALLOW MEDIUM REMOVAL"},
    {SCSI_READ_CAPACITY_10, "READ CAPACITY(10)"},
    {SCSI_READ_10, "READ(10)"},
    {SCSI_WRITE_10, "WRITE(10)"},
    {SCSI_WRITE_AND_VERIFY_10, "WRITE AND VERIFY(10)"},
    {SCSI_VERIFY_10, "VERIFY(10)"},
    {SCSI_PRE_FETCH_10, "PRE-FETCH(10)"},
    {SCSI_SYNCHRONIZE_CACHE_10, "SYNCHRONIZE CACHE(10)"},
    {SCSI_READ_DEFECT_DATA_10, "READ DEFECT DATA(10)"},
    {SCSI_WRITE_SAME_10, "WRITE SAME(10)"},
    {SCSI_UNMAP, "UNMAP"},
    {SCSI_LOG_SENSE, "LOG SENSE"},
    {SCSI_MODE_SELECT_10, "MODE SELECT(10)"},
    {SCSI_MODE_SENSE_10, "MODE SENSE(10)"},
    {SCSI_PERSISTENT_RESERVE_IN, "PERSISTENT RESERVE IN"},
    {SCSI_PERSISTENT_RESERVE_OUT, "PERSISTENT RESERVE OUT"},
    {SCSI_READ_16, "READ(16)"},
    {SCSI_COMPARE_AND_WRITE, "COMPARE AND WRITE"},
    {SCSI_WRITE_16, "WRITE(16)"},
    {SCSI_ORWRITE_16, "ORWRITE(16)"},
    {SCSI_WRITE_AND_VERIFY_16, "WRITE AND VERIFY(16)"},
    {SCSI_VERIFY_16, "VERIFY(16)"},
    {SCSI_PRE_FETCH_16, "PRE-FETCH(16)"},
    {SCSI_SYNCHRONIZE_CACHE_16, "SYNCHRONIZE CACHE(16)"},
    {SCSI_WRITE_SAME_16, "WRITE SAME(16)"},
    {SCSI_SERVICE_ACTION_IN_16, "SERVICE ACTION IN(16)"},
    {SCSI_REPORT_LUNS, "REPORT LUNS"},
    {SCSI_MAINTENANCE_IN, "MAINTENANCE IN"},
    {SCSI_READ_12, "READ(12)"},
    {SCSI_WRITE_12, "WRITE(12)"},
    {SCSI_WRITE_AND_VERIFY_12, "WRITE AND VERIFY(12)"},
    {SCSI_VERIFY_12, "VERIFY(12)"},
    {SCSI_READ_DEFECT_DATA_12, "READ DEFECT DATA(12)"},
};

/* SPC-4 4.5.6. */
static const char *const keys[16] = {
    "no sense",       "recovered error", "not ready",      "medium error",
    "hardware error", "illegal request", "unit attention", "data protect",
    "blank check",    "vendor specific", "copy aborted",   "aborted command",
    "reserved",       "volume overflow", "miscompare",     "completed",
};

/* Of SPC-4 annex F, what this target sends. */
static const struct word codes[] = {
    {SENSE_MEDIUM_READ_ERROR, "unrecovered read error"},
    {SENSE_MEDIUM_WRITE_ERROR, "write error"},
    {SENSE_SELF_TEST_FAILED, "logical unit failed self-test"},
    {SENSE_INTERNAL_FAILURE, "internal target failure"},
    {SENSE_PARAMETER_LIST_LENGTH, "parameter list length error"},
    {SENSE_INVALID_OPCODE, "invalid command operation code"},
    {SENSE_LBA_OUT_OF_RANGE, "logical block address out of range"},
    {SENSE_INVALID_FIELD_IN_CDB, "invalid field in CDB"},
    {SENSE_LUN_NOT_SUPPORTED, "logical unit not supported"},
    {SENSE_INVALID_FIELD_IN_PARAMETERS, "invalid field in parameter list"},
    {SENSE_INVALID_RELEASE, "invalid release of persistent reservation"},
    {SENSE_INSUFFICIENT_REGISTRATION_RESOURCES, "insufficient registration resources"},
    {SENSE_SAVING_NOT_SUPPORTED, "saving parameters not supported"},
    {SENSE_INVALID_MESSAGE, "invalid message error"},
    {SENSE_CAPACITY_CHANGED, "capacity data has changed"},
    {SENSE_REPORTED_LUNS_CHANGED, "reported LUNs data has changed"},
    {SENSE_WRITE_PROTECTED, "write protected"},
    {SENSE_NO_SPACE, "space allocation failed write protect"},
    {SENSE_UNEXPECTED_UNSOLICITED_DATA, "write error - unexpected unsolicited data"},
    {SENSE_INCORRECT_AMOUNT_OF_DATA, "write error - not enough unsolicited data"},
    {SENSE_PROTOCOL_SERVICE_CRC_ERROR, "protocol service CRC error"},
    {SENSE_MISCOMPARE, "miscompare during verify operation"},
};

static const char *find(const struct word *words, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].number == number)
            return words[i].word;
    return NULL;
}

const char *scsi_opcode_words(uint8_t opcode, char text[static SCSI_WORDS_SIZE])
{
    const char *word = find(opcodes, ARRAY_SIZE(opcodes), opcode);
    if (word)
        str_copy(text, SCSI_WORDS_SIZE, word);
    else
        snprintf(text, SCSI_WORDS_SIZE, "command %02xh", opcode);
    return text;
}

const char *scsi_sense_words(uint32_t sense, char text[static SCSI_WORDS_SIZE])
{
    const char *key = keys[sense >> 16 & 0x0f];
    const char *code = find(codes, ARRAY_SIZE(codes), sense);
    if (code)
        snprintf(text, SCSI_WORDS_SIZE, "%s: %s", key, code);
    else
        snprintf(text, SCSI_WORDS_SIZE, "%s: %02xh/%02xh", key, sense >> 8 & 0xff, sense & 0xff);
    return text;
}

uint32_t scsi_sense_code(const uint8_t *sense, size_t size)
{
    size_t key = 2, code = 12; /* in fixed format */
    if (size == 0)
        return SENSE_NONE;
    if ((sense[0] & 0x7f) >= 0x72) { /* in descriptor format */
        key = 1;
        code = 2;
    }
    if (size < code + 2)
        return SENSE_NONE;
    return (uint32_t)(sense[key] & 0x0f) << 16 | (uint32_t)sense[code] << 8 | sense[code + 1];
}
