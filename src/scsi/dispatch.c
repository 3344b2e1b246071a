/* From a CDB to its handler: the table of all commands, and what holds for each of them. */
#include "scsi/command.h"
#include "scsi/ports.h"

#define SA   SCSI_CMD_SERVICE_ACTION
#define ANY  SCSI_CMD_ANY_LUN
#define NOUA SCSI_CMD_SKIPS_UA
#define W    SCSI_CMD_WRITES
#define THIN SCSI_CMD_THIN
#define NOM  SCSI_CMD_NO_MEDIUM
#define CH   SCSI_CMD_CHANGES_LU

#define IN  SCSI_PERSISTENT_RESERVE_IN
#define OUT SCSI_PERSISTENT_RESERVE_OUT

/* access */
#define NONE  0
#define READ  SCSI_PASSES_WRITE_EXCLUSIVE
#define READY (SCSI_PASSES_WRITE_EXCLUSIVE | SCSI_PASSES_EXCLUSIVE_ACCESS)
#define ALL   (READY | SCSI_PASSES_RESERVE_6)
#define PR    (READY | SCSI_NOT_BESIDE_RESERVE_6)

#define NACA 0x04 /* of the control byte */

#define F2 0xff, 0xff
#define F4 F2, F2
#define F8 F4, F4

/* In the order of opcodes. */
const struct scsi_command scsi_commands[] = {
    {SCSI_TEST_UNIT_READY, 0, 0, READY, scsi_test_unit_ready, {0, 0, 0, 0, 0x04}},
    {SCSI_REQUEST_SENSE, 0, ANY | NOUA, ALL, scsi_request_sense, {0x01, 0, 0, 0xff, 0x04}},
    {SCSI_READ_6, 0, 0, READ, scsi_read, {0x1f, F2, 0xff, 0x04}},
    {SCSI_WRITE_6, 0, W, NONE, scsi_write, {0x1f, F2, 0xff, 0x04}},
    {SCSI_INQUIRY, 0, ANY | NOUA, ALL, scsi_inquiry, {0x01, 0xff, F2, 0x04}},
    {SCSI_MODE_SELECT_6, 0, NOM, NONE, scsi_mode_select_6, {0x11, 0, 0, 0xff, 0x04}},
    {SCSI_RESERVE_6, 0, NOM | CH, NONE, scsi_reserve_6, {0x1f, 0, 0, 0, 0x04}},
    {SCSI_RELEASE_6, 0, NOM | CH, ALL, scsi_release_6, {0x1f, 0, 0, 0, 0x04}},
    {SCSI_MODE_SENSE_6, 0, NOM, READ, scsi_mode_sense_6, {0x08, 0xff, F2, 0x04}},
    {SCSI_START_STOP_UNIT,
     0,
     NOM,
     NONE,
     scsi_start_stop_unit,
     {0x01, 0, 0x0f, 0xf7, 0x04},
     {0xf1, 0x01}},
    {SCSI_SEND_DIAGNOSTIC, 0, NOM, NONE, scsi_send_diagnostic, {0xe4, 0, F2, 0x04}},
    {SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL,
     0,
     NOM,
     NONE,
     scsi_prevent_allow,
     {0, 0, 0, 0x03, 0x04},
     {0x03, 0}},
    {SCSI_READ_CAPACITY_10, 0, 0, ALL, scsi_read_capacity_10, {0, F4, 0, 0, 0x01, 0x04}},
    {SCSI_READ_10, 0, 0, READ, scsi_read, {0xf8, F4, 0x1f, F2, 0x04}},
    {SCSI_WRITE_10, 0, W, NONE, scsi_write, {0xf8, F4, 0x1f, F2, 0x04}},
    {SCSI_WRITE_AND_VERIFY_10, 0, W, NONE, scsi_write_and_verify, {0xf6, F4, 0x1f, F2, 0x04}},
    {SCSI_VERIFY_10, 0, 0, READ, scsi_verify, {0xf6, F4, 0x1f, F2, 0x04}},
    {SCSI_PRE_FETCH_10, 0, 0, READ, scsi_pre_fetch, {0x02, F4, 0x1f, F2, 0x04}},
    {SCSI_SYNCHRONIZE_CACHE_10, 0, 0, NONE, scsi_synchronize_cache, {0x06, F4, 0x1f, F2, 0x04}},
    {SCSI_READ_DEFECT_DATA_10,
     0,
     0,
     READ,
     scsi_read_defect_data_10,
     {0, 0x1f, 0, 0, 0, 0, F2, 0x04}},
    {SCSI_WRITE_SAME_10, 0, W, NONE, scsi_write_same, {0xf8, F4, 0x1f, F2, 0x04}},
    {SCSI_UNMAP, 0, W | THIN, NONE, scsi_unmap, {0x01, 0, 0, 0, 0, 0x1f, F2, 0x04}},
    {SCSI_LOG_SENSE, 0, NOM, READY, scsi_log_sense, {0x01, 0x3f, 0xff, 0, F2, F2, 0x04}},
    {SCSI_MODE_SELECT_10, 0, NOM, NONE, scsi_mode_select_10, {0x11, 0, 0, 0, 0, 0, F2, 0x04}},
    {SCSI_MODE_SENSE_10, 0, NOM, READ, scsi_mode_sense_10, {0x18, 0xff, 0xff, 0, 0, 0, F2, 0x04}},
    {IN, SCSI_READ_KEYS, SA | NOM, PR, scsi_read_keys, {0x1f, 0, 0, 0, 0, 0, F2, 0x04}},
    {IN,
     SCSI_READ_RESERVATION,
     SA | NOM,
     PR,
     scsi_read_reservation,
     {0x1f, 0, 0, 0, 0, 0, F2, 0x04}},
    {IN,
     SCSI_REPORT_CAPABILITIES,
     SA | NOM,
     PR,
     scsi_report_capabilities,
     {0x1f, 0, 0, 0, 0, 0, F2, 0x04}},
    {IN,
     SCSI_READ_FULL_STATUS,
     SA | NOM,
     PR,
     scsi_read_full_status,
     {0x1f, 0, 0, 0, 0, 0, F2, 0x04}},
    {OUT, SCSI_REGISTER, SA | NOM | CH, PR, scsi_persistent_reserve_out, {0x1f, 0, 0, 0, F4, 0x04}},
    {OUT,
     SCSI_RESERVE,
     SA | NOM | CH,
     PR,
     scsi_persistent_reserve_out,
     {0x1f, 0xff, 0, 0, F4, 0x04}},
    {OUT,
     SCSI_RELEASE,
     SA | NOM | CH,
     PR,
     scsi_persistent_reserve_out,
     {0x1f, 0xff, 0, 0, F4, 0x04}},
    {OUT, SCSI_CLEAR, SA | NOM | CH, PR, scsi_persistent_reserve_out, {0x1f, 0, 0, 0, F4, 0x04}},
    {OUT,
     SCSI_PREEMPT,
     SA | NOM | CH,
     PR,
     scsi_persistent_reserve_out,
     {0x1f, 0xff, 0, 0, F4, 0x04}},
    {OUT,
     SCSI_PREEMPT_AND_ABORT,
     SA | NOM | CH,
     PR,
     scsi_persistent_reserve_out,
     {0x1f, 0xff, 0, 0, F4, 0x04}},
    {OUT,
     SCSI_REGISTER_AND_IGNORE_EXISTING_KEY,
     SA | NOM | CH,
     PR,
     scsi_persistent_reserve_out,
     {0x1f, 0, 0, 0, F4, 0x04}},
    {OUT,
     SCSI_REGISTER_AND_MOVE,
     SA | NOM | CH,
     PR,
     scsi_persistent_reserve_out,
     {0x1f, 0, 0, 0, F4, 0x04}},
    {SCSI_EXTENDED_COPY,
     SCSI_EXTENDED_COPY_LID1,
     SA | NOM | CH,
     NONE,
     scsi_extended_copy,
     {0x1f, 0, 0, 0, 0, 0, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_RECEIVE_COPY_RESULTS,
     SCSI_COPY_STATUS,
     SA | NOM,
     NONE,
     scsi_receive_copy_status,
     {0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_RECEIVE_COPY_RESULTS,
     SCSI_COPY_RECEIVE_DATA,
     SA | NOM,
     NONE,
     scsi_receive_copy_data,
     {0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_RECEIVE_COPY_RESULTS,
     SCSI_COPY_OPERATING_PARAMETERS,
     SA | NOM,
     NONE,
     scsi_receive_copy_parameters,
     {0x1f, 0, 0, 0, 0, 0, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_RECEIVE_COPY_RESULTS,
     SCSI_COPY_FAILED_SEGMENT_DETAILS,
     SA | NOM,
     NONE,
     scsi_receive_copy_failure,
     {0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_READ_16, 0, 0, READ, scsi_read, {0xf8, F8, F4, 0x1f, 0x04}},
    {SCSI_COMPARE_AND_WRITE,
     0,
     W,
     NONE,
     scsi_compare_and_write,
     {0xf8, F8, 0, 0, 0, 0xff, 0x1f, 0x04}},
    {SCSI_WRITE_16, 0, W, NONE, scsi_write, {0xf8, F8, F4, 0x1f, 0x04}},
    {SCSI_ORWRITE_16, 0, W, NONE, scsi_orwrite, {0xf8, F8, F4, 0x1f, 0x04}},
    {SCSI_WRITE_AND_VERIFY_16, 0, W, NONE, scsi_write_and_verify, {0xf6, F8, F4, 0x1f, 0x04}},
    {SCSI_VERIFY_16, 0, 0, READ, scsi_verify, {0xf6, F8, F4, 0x1f, 0x04}},
    {SCSI_PRE_FETCH_16, 0, 0, READ, scsi_pre_fetch, {0x02, F8, F4, 0x1f, 0x04}},
    {SCSI_SYNCHRONIZE_CACHE_16, 0, 0, NONE, scsi_synchronize_cache, {0x06, F8, F4, 0x1f, 0x04}},
    {SCSI_WRITE_SAME_16, 0, W, NONE, scsi_write_same, {0xf9, F8, F4, 0x1f, 0x04}},
    {SCSI_SERVICE_ACTION_IN_16,
     SCSI_READ_CAPACITY_16,
     SA,
     ALL,
     scsi_read_capacity_16,
     {0x1f, F8, F4, 0x01, 0x04}},
    {SCSI_SERVICE_ACTION_IN_16,
     SCSI_GET_LBA_STATUS,
     SA | THIN,
     READ,
     scsi_get_lba_status,
     {0x1f, F8, F4, 0xff, 0x04}},
    {SCSI_REPORT_LUNS, 0, ANY | NOUA, ALL, scsi_report_luns, {0, 0xff, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_MAINTENANCE_IN,
     SCSI_REPORT_TARGET_PORT_GROUPS,
     SA | NOM,
     READY,
     scsi_report_target_port_groups,
     {0xff, 0, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_MAINTENANCE_IN,
     SCSI_REPORT_SUPPORTED_OPERATION_CODES,
     SA | NOM,
     READ,
     scsi_report_supported_operation_codes,
     {0x1f, 0x87, 0xff, F2, F4, 0, 0x04}},
    {SCSI_MAINTENANCE_IN,
     SCSI_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS,
     SA | NOM,
     READ,
     scsi_report_supported_tmf,
     {0x1f, 0x80, 0, 0, 0, F4, 0, 0x04}},
    {SCSI_READ_12, 0, 0, READ, scsi_read, {0xf8, F4, F4, 0x1f, 0x04}},
    {SCSI_WRITE_12, 0, W, NONE, scsi_write, {0xf8, F4, F4, 0x1f, 0x04}},
    {SCSI_WRITE_AND_VERIFY_12, 0, W, NONE, scsi_write_and_verify, {0xf6, F4, F4, 0x1f, 0x04}},
    {SCSI_VERIFY_12, 0, 0, READ, scsi_verify, {0xf6, F4, F4, 0x1f, 0x04}},
    {SCSI_READ_DEFECT_DATA_12,
     0,
     0,
     READ,
     scsi_read_defect_data_12,
     {0x1f, 0, 0, 0, 0, F4, 0, 0x04}},
};

const size_t scsi_n_commands = ARRAY_SIZE(scsi_commands);

unsigned scsi_cdb_size(uint8_t opcode)
{
    static const uint8_t by_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};
    return by_group[opcode >> 5];
}

struct scsi_range scsi_cdb_range(const uint8_t *cdb)
{
    struct wire_reader r = wire_reader_of(cdb + 1, SCSI_CDB_SIZE - 1);
    struct scsi_range range = {0};
    switch (scsi_cdb_size(cdb[0])) {
    case 6:
        range.lba = wire_get_be24(&r) & 0x1fffff;
        range.count = wire_get_u8(&r);
        if (range.count == 0)
            range.count = 256; /* SBC-4 5.10: only in the 6-byte form */
        break;
    case 10:
        wire_skip(&r, 1);
        range.lba = wire_get_be32(&r);
        wire_skip(&r, 1);
        range.count = wire_get_be16(&r);
        break;
    case 12:
        wire_skip(&r, 1);
        range.lba = wire_get_be32(&r);
        range.count = wire_get_be32(&r);
        break;
    default:
        wire_skip(&r, 1);
        range.lba = wire_get_be64(&r);
        range.count = wire_get_be32(&r);
        break;
    }
    return range;
}

/* The first one with this opcode or a higher one: the table is in that order. */
static size_t first_with(uint8_t opcode)
{
    size_t begin = 0, end = scsi_n_commands;
    while (begin < end) {
        size_t middle = (begin + end) / 2;
        if (scsi_commands[middle].opcode < opcode)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* lu: that has it, or NULL. */
static const struct scsi_command *find_command(const uint8_t *cdb, const struct scsi_lu *lu)
{
    for (size_t i = first_with(cdb[0]); i < scsi_n_commands && scsi_commands[i].opcode == cdb[0];
         i++) {
        const struct scsi_command *c = &scsi_commands[i];
        if (scsi_command_applies(c, lu) &&
            (!(c->flags & SCSI_CMD_SERVICE_ACTION) || c->service_action == (cdb[1] & 0x1f)))
            return c;
    }
    return NULL;
}

bool scsi_cdb_writes(const uint8_t cdb[static SCSI_CDB_SIZE])
{
    const struct scsi_command *command = find_command(cdb, NULL);
    return command && command->flags & (SCSI_CMD_WRITES | SCSI_CMD_CHANGES_LU);
}

static bool knows_opcode(uint8_t opcode, const struct scsi_lu *lu)
{
    for (size_t i = first_with(opcode); i < scsi_n_commands && scsi_commands[i].opcode == opcode;
         i++)
        if (scsi_command_applies(&scsi_commands[i], lu))
            return true;
    return false;
}

static const struct scsi_lu *lu_of(const struct scsi_task *task)
{
    return task->nexus ? task->nexus->lu : NULL;
}

bool scsi_nexus_is_kept_out(const struct scsi_nexus *nexus, uint8_t access)
{
    const struct scsi_nexus *reserved_by = nexus->lu->reserved_by;
    enum scsi_reservation_type type = nexus->lu->reservations->type;
    if (reserved_by && (access & SCSI_NOT_BESIDE_RESERVE_6))
        return true;
    if (reserved_by && reserved_by != nexus)
        return !(access & SCSI_PASSES_RESERVE_6);
    if (!type || nexus->holds || (nexus->registered && scsi_reservation_is_of_registrants(type)))
        return false;
    return !(access & (scsi_reservation_is_for_writes(type) ? SCSI_PASSES_WRITE_EXCLUSIVE
                                                            : SCSI_PASSES_EXCLUSIVE_ACCESS));
}

/* Does a reservation keep this nexus from running this command? */
static bool conflicts(const struct scsi_task *task)
{
    const struct scsi_command *command = task->command;
    bool passes_all = command->passes_if.mask &&
                      (task->cdb[4] & command->passes_if.mask) == command->passes_if.value;
    return scsi_nexus_is_kept_out(task->nexus, command->access | (passes_all ? ALL : 0));
}

/* What stands in the way of running this command at all; SENSE_NONE: nothing. */
static enum scsi_sense obstacle(const struct scsi_task *task)
{
    const struct scsi_command *command = task->command;
    const struct scsi_lu *lu = lu_of(task);
    if (!task->nexus && !(command && command->flags & SCSI_CMD_ANY_LUN))
        return SENSE_LUN_NOT_SUPPORTED;
    if (task->nexus && !(command && command->flags & SCSI_CMD_SKIPS_UA)) {
        enum scsi_sense attention = scsi_nexus_take_unit_attention(task->nexus);
        if (attention)
            return attention;
    }
    if (!command)
        return knows_opcode(task->cdb[0], lu) ? SENSE_INVALID_FIELD_IN_CDB : SENSE_INVALID_OPCODE;
    if (lu && lu->ejected && !(command->flags & (SCSI_CMD_NO_MEDIUM | SCSI_CMD_ANY_LUN)))
        return SENSE_MEDIUM_NOT_PRESENT;
    if (command->flags & SCSI_CMD_WRITES && lu && scsi_lu_is_protected(lu))
        return SENSE_WRITE_PROTECTED;
    return SENSE_NONE;
}

/* A conflict is told before anything but a reset or a lost nexus (SAM-5 5.3.3). */
static bool conflict_comes_first(const struct scsi_task *task, enum scsi_sense *ret_attention)
{
    *ret_attention = SENSE_NONE;
    if (!task->nexus || !task->command || !conflicts(task))
        return false;
    *ret_attention = scsi_nexus_take_reset_attention(task->nexus);
    return !*ret_attention;
}

/* Auto contingent allegiance, which nothing here has (NORMACA is 0): SAM-5 5.3.1. */
static bool asks_for_aca(const struct scsi_task *task)
{
    return task->cdb[scsi_cdb_size(task->cdb[0]) - 1] & NACA;
}

void scsi_task_enabled(struct scsi_task *task)
{
    const struct scsi_lu *lu = lu_of(task);
    enum scsi_sense sense;
    task->descriptor_sense = task->nexus && lu->mode.descriptor_sense;
    if (conflict_comes_first(task, &sense)) {
        scsi_task_conflict(task);
        return;
    }
    if (!sense)
        sense = obstacle(task);
    if (sense)
        scsi_task_check(task, sense);
    else if (asks_for_aca(task))
        scsi_task_check_field(task, (uint8_t)(scsi_cdb_size(task->cdb[0]) - 1));
    else
        task->command->handler(task);
}

void scsi_task_start(struct scsi_task *task)
{
    const struct scsi_lu *lu = lu_of(task);
    task->command = find_command(task->cdb, lu);
    task->descriptor_sense = task->nexus && lu->mode.descriptor_sense;
    if (task->attribute > SCSI_ATTRIBUTE_HEAD_OF_QUEUE)
        scsi_task_check(task, SENSE_INVALID_MESSAGE); /* ACA, or none that there is */
    else if (!task->nexus || scsi_task_set_enter(&task->nexus->lu->tasks, task))
        scsi_task_enabled(task);
}
