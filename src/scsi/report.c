/* What a target says of itself: LUNs, commands, pending sense (SPC-4 6.33 ff.). */
#include "scsi/command.h"

static uint32_t be32_at(const uint8_t *p)
{
    struct wire_reader r = wire_reader_of(p, 4);
    return wire_get_be32(&r);
}

/* SELECT REPORT: 0 the LUs, 1 the well-known ones (none), 2 both. */
void scsi_report_luns(struct scsi_task *task)
{
    uint8_t select = task->cdb[2];
    struct wire_writer w;
    if (select > 2) {
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
        return;
    }
    if (task->transport->luns_reported)
        task->transport->luns_reported(task);
    size_t n = select == 1 ? 0 : task->target->n_luns;
    if (!scsi_reply_begin(task, (uint32_t)(8 + 8 * n), &w))
        return;
    wire_put_be32(&w, (uint32_t)(8 * n));
    wire_put_be32(&w, 0);
    for (size_t i = 0; i < n; i++)
        wire_put_be64(&w, task->target->luns[i].lun);
    scsi_reply_end(task, &w, be32_at(task->cdb + 6));
}

static enum scsi_sense pending_sense(struct scsi_nexus *nexus)
{
    enum scsi_sense attention = scsi_nexus_take_unit_attention(nexus);
    if (!attention && nexus->lu->ejected)
        return SENSE_MEDIUM_NOT_PRESENT;
    return attention;
}

/* Fixed or, with DESC, descriptor format; for a LUN that does not exist, that is the news. */
void scsi_request_sense(struct scsi_task *task)
{
    struct scsi_sense_data data = {.code = SENSE_LUN_NOT_SUPPORTED};
    bool in_descriptors = task->cdb[1] & 0x01;
    uint8_t sense[SCSI_SENSE_MAX_SIZE];
    struct wire_writer w;
    if (task->nexus)
        data = scsi_sense_of(pending_sense(task->nexus));
    if (!scsi_reply_begin(task, sizeof(sense), &w))
        return;
    wire_put_bytes(&w, sense, scsi_sense_fill(sense, &data, in_descriptors));
    scsi_reply_end(task, &w, task->cdb[4]);
}

#define NO_TIMEOUTS_SIZE 12
enum { REPORT_ALL, REPORT_OPCODE, REPORT_SERVICE_ACTION, REPORT_EITHER };

/* A command timeouts descriptor that promises nothing. */
static void put_timeouts(struct wire_writer *w)
{
    wire_put_be16(w, NO_TIMEOUTS_SIZE - 2);
    wire_put_zeros(w, NO_TIMEOUTS_SIZE - 2);
}

static size_t count_commands(const struct scsi_lu *lu)
{
    size_t n = 0;
    for (size_t i = 0; i < scsi_n_commands; i++)
        n += scsi_command_applies(&scsi_commands[i], lu);
    return n;
}

static void report_all(struct scsi_task *task, bool timeouts, uint32_t allocation_length)
{
    const struct scsi_lu *lu = task->nexus->lu;
    size_t n = count_commands(lu);
    struct wire_writer w;
    if (!scsi_reply_begin(task, (uint32_t)(4 + n * (8 + NO_TIMEOUTS_SIZE)), &w))
        return;
    wire_put_be32(&w, (uint32_t)(n * (timeouts ? 8 + NO_TIMEOUTS_SIZE : 8)));
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        if (!scsi_command_applies(c, lu))
            continue;
        bool has_action = c->flags & SCSI_CMD_SERVICE_ACTION;
        wire_put_u8(&w, c->opcode);
        wire_put_u8(&w, 0);
        wire_put_be16(&w, c->service_action);
        wire_put_u8(&w, 0);
        wire_put_u8(&w, (uint8_t)((timeouts ? 0x02 : 0) | (has_action ? 0x01 : 0)));
        wire_put_be16(&w, (uint16_t)scsi_cdb_size(c->opcode));
        if (timeouts)
            put_timeouts(&w);
    }
    scsi_reply_end(task, &w, allocation_length);
}

/* command: NULL if there is none such. */
static void report_one(struct scsi_task *task, const struct scsi_command *command, bool timeouts,
                       uint32_t allocation_length)
{
    struct wire_writer w;
    if (!scsi_reply_begin(task, 4 + SCSI_CDB_SIZE + NO_TIMEOUTS_SIZE, &w))
        return;
    wire_put_u8(&w, 0);
    if (command) {
        unsigned size = scsi_cdb_size(command->opcode);
        wire_put_u8(&w, (uint8_t)((timeouts ? 0x80 : 0) | 0x03)); /* as the standard says */
        wire_put_be16(&w, (uint16_t)size);
        wire_put_u8(&w, command->opcode);
        wire_put_bytes(&w, command->usage, size - 1);
        if (timeouts)
            put_timeouts(&w);
    } else {
        wire_put_u8(&w, 0x01); /* not supported */
        wire_put_be16(&w, 0);
    }
    scsi_reply_end(task, &w, allocation_length);
}

static const struct scsi_command *find(const struct scsi_lu *lu, uint8_t opcode,
                                       uint16_t service_action, bool *ret_has_actions)
{
    const struct scsi_command *found = NULL;
    *ret_has_actions = false;
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        bool has_action = c->flags & SCSI_CMD_SERVICE_ACTION;
        if (c->opcode != opcode || !scsi_command_applies(c, lu))
            continue;
        *ret_has_actions |= has_action;
        if (!has_action || c->service_action == service_action)
            found = c;
    }
    return found;
}

void scsi_report_supported_operation_codes(struct scsi_task *task)
{
    uint8_t options = task->cdb[2] & 0x07;
    bool timeouts = task->cdb[2] & 0x80; /* RCTD */
    struct wire_reader r = wire_reader_of(task->cdb + 4, 2);
    uint16_t action = wire_get_be16(&r);
    uint32_t allocation_length = be32_at(task->cdb + 6);
    bool has_actions;
    const struct scsi_command *command = find(task->nexus->lu, task->cdb[3], action, &has_actions);

    if (options > REPORT_EITHER || (options == REPORT_OPCODE && has_actions) ||
        (options == REPORT_SERVICE_ACTION && command && !has_actions))
        scsi_task_check_field(task, 2); /* so that nobody thinks this service action missing */
    else if (options == REPORT_ALL)
        report_all(task, timeouts, allocation_length);
    else
        report_one(task, options == REPORT_EITHER && !has_actions && action ? NULL : command,
                   timeouts, allocation_length);
}

void scsi_report_supported_tmf(struct scsi_task *task)
{
    bool extended = task->cdb[2] & 0x80; /* REPD */
    struct wire_writer w;
    if (!scsi_reply_begin(task, 16, &w))
        return;
    /* ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET; how much follows */
    wire_put_be32(&w, 0xd8000000 | (extended ? 12 : 0));
    if (extended)
        wire_put_zeros(&w, 12);
    scsi_reply_end(task, &w, be32_at(task->cdb + 6));
}
