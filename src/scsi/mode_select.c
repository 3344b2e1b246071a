/*
 * MODE SELECT (SPC-4): what a parameter list may change is in the table of mode.c, and
 * everything else in it must be as it is. The whole list is looked at before anything changes.
 */
#include "scsi/command.h"
#include "scsi/mode.h"

#define PF 0x10 /* of byte 1 of the CDB */
#define SP 0x01

struct header {
    uint8_t medium_type;
    bool is_long; /* LONGLBA */
    uint16_t descriptor_size;
};

static struct header get_header(struct wire_reader *r, bool ten)
{
    struct header header = {0};
    wire_skip(r, ten ? 2 : 1); /* MODE DATA LENGTH is reserved here */
    header.medium_type = wire_get_u8(r);
    wire_skip(r, 1); /* WP and DPOFUA: likewise */
    if (ten) {
        header.is_long = wire_get_u8(r) & 0x01;
        wire_skip(r, 1);
        header.descriptor_size = wire_get_be16(r);
    } else {
        header.descriptor_size = wire_get_u8(r);
    }
    return header;
}

/* 0 blocks mean no change and all ones as many as there are (SBC-3). */
static bool keeps_the_size(const struct scsi_lu *lu, uint64_t n_blocks, uint64_t all_ones,
                           uint32_t block_size)
{
    bool same = n_blocks == 0 || n_blocks == all_ones || n_blocks == MIN(lu->n_blocks, all_ones);
    return same && block_size == lu->block_size;
}

static enum scsi_sense check_block_descriptor(const struct scsi_lu *lu, struct wire_reader *r,
                                              const struct header *header)
{
    uint64_t n_blocks, all_ones = header->is_long ? UINT64_MAX : UINT32_MAX;
    if (header->descriptor_size == 0)
        return SENSE_NONE;
    if (header->descriptor_size != (header->is_long ? 16 : 8))
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    if (header->is_long) {
        n_blocks = wire_get_be64(r);
        wire_skip(r, 4);
    } else {
        n_blocks = wire_get_be32(r);
    }
    uint32_t block_size = wire_get_be32(r);
    if (!wire_reader_ok(r))
        return SENSE_PARAMETER_LIST_LENGTH;
    return keeps_the_size(lu, n_blocks, all_ones, block_size) ? SENSE_NONE
                                                              : SENSE_INVALID_FIELD_IN_PARAMETERS;
}

static enum scsi_sense check_page(const struct scsi_lu *lu, struct wire_reader *r,
                                  struct scsi_mode_settings *settings)
{
    uint8_t code = wire_get_u8(r); /* PS says nothing here */
    bool is_subpage = code & SCSI_MODE_SPF;
    uint8_t subpage = is_subpage ? wire_get_u8(r) : 0;
    size_t length = is_subpage ? wire_get_be16(r) : wire_get_u8(r);
    const struct scsi_mode_page *page = scsi_mode_page_find(lu, code & 0x3f, subpage);
    if (!wire_reader_ok(r))
        return SENSE_PARAMETER_LIST_LENGTH;
    if (!page || length != page->length || is_subpage != (page->subpage != 0))
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    const uint8_t *content = wire_get_bytes(r, length);
    if (!content)
        return SENSE_PARAMETER_LIST_LENGTH;
    return scsi_mode_page_read(page, lu, content, settings) ? SENSE_NONE
                                                            : SENSE_INVALID_FIELD_IN_PARAMETERS;
}

static enum scsi_sense check_list(const struct scsi_lu *lu, const struct scsi_burst *burst,
                                  bool ten, struct scsi_mode_settings *settings)
{
    struct wire_reader r = wire_reader_of(burst->buffer->data, burst->length);
    struct header header = get_header(&r, ten);
    if (!wire_reader_ok(&r))
        return SENSE_PARAMETER_LIST_LENGTH;
    if (header.medium_type)
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    enum scsi_sense sense = check_block_descriptor(lu, &r, &header);
    while (!sense && wire_reader_left(&r) > 0)
        sense = check_page(lu, &r, settings);
    return sense;
}

/* True if the medium has just become write-protected. */
static bool change(struct scsi_task *task, struct scsi_mode_settings settings)
{
    struct scsi_lu *lu = task->nexus->lu;
    struct scsi_mode_settings before = lu->mode;
    if (settings.descriptor_sense == before.descriptor_sense &&
        settings.write_protect == before.write_protect)
        return false;
    lu->mode = settings;
    scsi_lu_establish_unit_attention(lu, task->nexus, SENSE_MODE_PARAMETERS_CHANGED);
    return settings.write_protect && !before.write_protect;
}

/* What is cached goes to the medium before a write protection is confirmed (SPC-4, SWP). */
static void parameters(struct scsi_task *task, struct scsi_burst *burst)
{
    struct scsi_lu *lu = task->nexus->lu;
    struct scsi_mode_settings settings = lu->mode;
    enum scsi_sense sense = check_list(lu, burst, task->cdb[0] == SCSI_MODE_SELECT_10, &settings);
    if (sense) {
        scsi_task_check(task, sense);
        scsi_burst_finish(burst);
    } else if (change(task, settings)) {
        burst->request = (struct block_request){.operation = BLOCK_FLUSH};
        scsi_device_submit(burst);
    } else {
        scsi_burst_finish(burst);
    }
}

static void mode_select(struct scsi_task *task, uint16_t length)
{
    if (!(task->cdb[1] & PF) || task->cdb[1] & SP)
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
    else if (task->expected_out < length) /* the end of the list would be missing */
        scsi_task_check(task, SENSE_PARAMETER_LIST_LENGTH);
    else
        scsi_transfer_out(task, length, parameters);
}

void scsi_mode_select_6(struct scsi_task *task)
{
    mode_select(task, task->cdb[4]);
}

void scsi_mode_select_10(struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 7, 2);
    mode_select(task, wire_get_be16(&r));
}
