/* The mode pages, a table (SPC-4 7.5, SBC-4 6.5), and MODE SENSE. Nothing can be saved. */
#include "scsi/mode.h"

#include "scsi/command.h"

#define ALL_PAGES    0x3f
#define ALL_SUBPAGES 0xff

enum page_control { PC_CURRENT, PC_CHANGEABLE, PC_DEFAULT, PC_SAVED };

#define CONTROL_PAGE 0x0a
/* of the control page, from byte 2 on */
#define D_SENSE_BYTE 0
#define D_SENSE      0x04
#define SWP_BYTE     2
#define SWP          0x08

/* of the Logical Block Provisioning page, from byte 4 on: its threshold descriptor */
#define THRESHOLD_BYTE       (SCSI_THRESHOLD_DESCRIPTOR - 4)
#define THRESHOLD_ENABLED    0x80 /* type 000b: in sets; arming 000b: decreasing */
#define THRESHOLD_COUNT_BYTE (THRESHOLD_BYTE + 4)

static void fill_control(const struct scsi_lu *lu, const struct scsi_mode_settings *settings,
                         uint8_t *content)
{
    content[D_SENSE_BYTE] |= settings->descriptor_sense ? D_SENSE : 0;
    content[SWP_BYTE] |= settings->write_protect ? SWP : 0;
}

static void fill_threshold(const struct scsi_lu *lu, const struct scsi_mode_settings *settings,
                           uint8_t *content)
{
    struct wire_writer count = wire_writer_of(content + THRESHOLD_COUNT_BYTE, 4);
    uint32_t threshold = scsi_threshold(lu);
    content[THRESHOLD_BYTE] = threshold ? THRESHOLD_ENABLED : 0;
    wire_put_be32(&count, threshold);
}

/* By code and subpage: they are listed so. */
static const struct scsi_mode_page pages[] = {
    /* read-write error recovery: LBPERE (a threshold that is reached is told) */
    {.code = 0x01, .length = 10, .defaults = {[5] = 0x80}, .applies = scsi_lu_has_threshold},
    /* caching: WCE (a SYNCHRONIZE CACHE really flushes) */
    {.code = 0x08, .length = 18, .defaults = {0x04}},
    /* control: one task set for all nexuses (TST 000b), unrestricted reordering of SIMPLE tasks
     * (QAM 0001b; Linux orders by flushes), an error ends no other task (QERR 00b): see task_set.h
     */
    {.code = CONTROL_PAGE,
     .length = 10,
     .defaults = {0, 0x10},
     .changeable = {[D_SENSE_BYTE] = D_SENSE, [SWP_BYTE] = SWP},
     .fill = fill_control},
    /* informational exceptions: none are reported */
    {.code = 0x1c, .length = 10, .defaults = {0x08}},
    /* logical block provisioning: every nexus is told (SITUA 0b) of one threshold, of the available
     * LBA mapping resources (01h) */
    {.code = 0x1c,
     .subpage = 0x02,
     .length = 20,
     .defaults = {[THRESHOLD_BYTE + 1] = 0x01},
     .fill = fill_threshold,
     .applies = scsi_lu_has_threshold},
};

static bool applies(const struct scsi_mode_page *page, const struct scsi_lu *lu)
{
    return !page->applies || page->applies(lu);
}

const struct scsi_mode_page *scsi_mode_page_find(const struct scsi_lu *lu, uint8_t code,
                                                 uint8_t subpage)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].code == code && pages[i].subpage == subpage && applies(&pages[i], lu))
            return &pages[i];
    return NULL;
}

void scsi_mode_page_write(const struct scsi_mode_page *page, const struct scsi_lu *lu,
                          const struct scsi_mode_settings *settings,
                          uint8_t ret_content[static SCSI_MODE_PAGE_SIZE])
{
    memcpy(ret_content, page->defaults, sizeof(page->defaults));
    if (page->fill)
        page->fill(lu, settings, ret_content);
}

bool scsi_mode_page_read(const struct scsi_mode_page *page, const struct scsi_lu *lu,
                         const uint8_t *content, struct scsi_mode_settings *settings)
{
    uint8_t now[SCSI_MODE_PAGE_SIZE];
    scsi_mode_page_write(page, lu, settings, now);
    for (size_t i = 0; i < page->length; i++)
        if ((content[i] ^ now[i]) & ~page->changeable[i])
            return false;
    if (page->code == CONTROL_PAGE) {
        settings->descriptor_sense = content[D_SENSE_BYTE] & D_SENSE;
        settings->write_protect = content[SWP_BYTE] & SWP;
    }
    return true;
}

static void put_page(struct wire_writer *w, const struct scsi_mode_page *page,
                     const struct scsi_lu *lu, enum page_control control)
{
    uint8_t content[SCSI_MODE_PAGE_SIZE];
    if (control == PC_CHANGEABLE)
        memcpy(content, page->changeable, sizeof(content));
    else
        scsi_mode_page_write(
            page, lu, control == PC_CURRENT ? &lu->mode : &(struct scsi_mode_settings){0}, content);
    if (page->subpage) {
        wire_put_u8(w, SCSI_MODE_SPF | page->code);
        wire_put_u8(w, page->subpage);
        wire_put_be16(w, page->length);
    } else {
        wire_put_u8(w, page->code);
        wire_put_u8(w, page->length);
    }
    wire_put_bytes(w, content, page->length);
}

/* The pages asked for; false if there is no such page. */
static bool put_pages(struct wire_writer *w, const struct scsi_lu *lu, uint8_t code,
                      uint8_t subpage, enum page_control control)
{
    bool found = false;
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        const struct scsi_mode_page *page = &pages[i];
        if ((code != ALL_PAGES && code != page->code) ||
            (subpage != ALL_SUBPAGES && subpage != page->subpage) || !applies(page, lu))
            continue;
        put_page(w, page, lu, control);
        found = true;
    }
    return found;
}

/* Block descriptor, short (8 bytes) or long (16 bytes) form. */
static void put_block_descriptor(struct wire_writer *w, const struct scsi_lu *lu, bool is_long)
{
    if (is_long) {
        wire_put_be64(w, lu->n_blocks);
        wire_put_be32(w, 0);
        wire_put_be32(w, lu->block_size);
    } else {
        wire_put_be32(w, (uint32_t)MIN(lu->n_blocks, UINT32_MAX));
        wire_put_be32(w, lu->block_size);
    }
}

static void mode_sense(struct scsi_task *task, bool ten, uint16_t allocation_length)
{
    const struct scsi_lu *lu = task->nexus->lu;
    bool has_descriptor = !(task->cdb[1] & 0x08); /* DBD */
    bool is_long = ten && task->cdb[1] & 0x10;    /* LLBAA */
    uint8_t descriptor_size = !has_descriptor ? 0 : is_long ? 16 : 8;
    enum page_control control = task->cdb[2] >> 6;
    uint8_t body[128];
    struct wire_writer content = wire_writer_of(body, sizeof(body)), w;

    if (control == PC_SAVED) {
        scsi_task_check(task, SENSE_SAVING_NOT_SUPPORTED);
        return;
    }
    if (has_descriptor)
        put_block_descriptor(&content, lu, is_long);
    if (!put_pages(&content, lu, task->cdb[2] & 0x3f, task->cdb[3], control)) {
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
        return;
    }
    size_t size = wire_writer_used(&content);
    uint8_t device_specific =
        (uint8_t)((scsi_lu_is_protected(lu) ? 0x80 : 0) | 0x10); /* WP, DPOFUA */
    if (!scsi_reply_begin(task, 256, &w))
        return;
    if (ten) {
        wire_put_be16(&w, (uint16_t)(6 + size));
        wire_put_u8(&w, 0);
        wire_put_u8(&w, device_specific);
        wire_put_u8(&w, is_long ? 0x01 : 0);
        wire_put_u8(&w, 0);
        wire_put_be16(&w, descriptor_size);
    } else {
        wire_put_u8(&w, (uint8_t)(3 + size));
        wire_put_u8(&w, 0);
        wire_put_u8(&w, device_specific);
        wire_put_u8(&w, descriptor_size);
    }
    wire_put_bytes(&w, body, size);
    scsi_reply_end(task, &w, allocation_length);
}

void scsi_mode_sense_6(struct scsi_task *task)
{
    mode_sense(task, false, task->cdb[4]);
}

void scsi_mode_sense_10(struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 7, 2);
    mode_sense(task, true, wire_get_be16(&r));
}
