#include "iscsi/record.h"

#include "scsi/constants.h"

uint64_t iscsi_latency_bound(unsigned bucket)
{
    return bucket < ISCSI_LATENCY_BUCKETS - 1 ? UINT64_C(1) << bucket : 0;
}

uint64_t iscsi_record_quantile(const struct iscsi_record *record, unsigned thousandths)
{
    uint64_t all = 0, below = 0;
    for (size_t i = 0; i < ISCSI_LATENCY_BUCKETS; i++)
        all += record->latency[i];
    uint64_t wanted = all / 1000 * thousandths + (all % 1000 * thousandths + 999) / 1000;
    for (unsigned i = 0; all > 0 && i < ISCSI_LATENCY_BUCKETS; i++) {
        below += record->latency[i];
        if (below >= wanted)
            return iscsi_latency_bound(i);
    }
    return 0;
}

void iscsi_record_error(struct iscsi_record *record, const char *what)
{
    record->errors++;
    record->error = what;
    record->error_at = clock_wall_usec();
}

/* Linux asks every disk for pages, commands and LUNs that this one does not have. */
static bool is_fault(uint32_t sense)
{
    static const uint32_t questions[] = {SENSE_INVALID_OPCODE, SENSE_INVALID_FIELD_IN_CDB,
                                         SENSE_LUN_NOT_SUPPORTED, SENSE_SAVING_NOT_SUPPORTED};
    for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
        if (sense == questions[i])
            return false;
    return sense != SENSE_NONE && sense >> 16 != SENSE_RESET >> 16; /* unit attention */
}

void iscsi_record_sense(struct iscsi_record *record, uint8_t opcode, const uint8_t *sense,
                        size_t size)
{
    uint32_t code = scsi_sense_code(sense, size);
    if (!is_fault(code))
        return;
    iscsi_record_error(record, NULL);
    record->error_sense = code;
    record->error_opcode = opcode;
}

const char *iscsi_record_error_text(const struct iscsi_record *record,
                                    char text[static ISCSI_ERROR_TEXT_SIZE])
{
    char opcode[SCSI_WORDS_SIZE], sense[SCSI_WORDS_SIZE];
    if (record->errors == 0)
        return NULL;
    if (record->error)
        str_copy(text, ISCSI_ERROR_TEXT_SIZE, record->error);
    else
        snprintf(text, ISCSI_ERROR_TEXT_SIZE, "%s failed: %s",
                 scsi_opcode_words(record->error_opcode, opcode),
                 scsi_sense_words(record->error_sense, sense));
    return text;
}
