/*
 * LOG SENSE and its pages, a table (SPC-4 6.7, 7.3).
 *
 * All values are those of now: none can be set, saved or reset, so there is no LOG SELECT.
 */
#include "scsi/command.h"

#define PAGE_HEADER_SIZE 4
#define BODY_SIZE        64

#define SPF 0x40 /* subpage format */
#define SP  0x01 /* of byte 1 of the CDB: save */

#define ALL_SUBPAGES 0xff

/* Parameter control byte: a binary list. */
#define BINARY_LIST 0x03

struct log_page {
    uint8_t code, subpage;
    void (*write)(const struct scsi_lu *lu, struct wire_writer *w);
    bool (*applies)(const struct scsi_lu *lu); /* NULL: to every LU */
    bool has_parameters;                       /* else it is a list */
};

static void write_supported_pages(const struct scsi_lu *lu, struct wire_writer *w);
static void write_supported_subpages(const struct scsi_lu *lu, struct wire_writer *w);

/* What a REQUEST SENSE would tell of a failure that is on its way: there is no way to know of one
 * (mode page 1Ch says the same). A device that has failed says so with each command. */
static void write_exceptions(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_be16(w, 0x0000);
    wire_put_u8(w, BINARY_LIST);
    wire_put_u8(w, 4);
    wire_put_be16(w, 0);  /* no additional sense code */
    wire_put_u8(w, 0xff); /* no temperature is known */
    wire_put_u8(w, 0);
}

#define SHARED 0x02 /* scope: not dedicated to any LU */

static void put_resource(struct wire_writer *w, uint16_t code, uint32_t sets)
{
    wire_put_be16(w, code);
    wire_put_u8(w, BINARY_LIST);
    wire_put_u8(w, 8);
    wire_put_be32(w, sets);
    wire_put_u8(w, SHARED);
    wire_put_zeros(w, 3);
}

/* Of the file system, in threshold sets (SBC-4 6.4.5). */
static void write_provisioning(const struct scsi_lu *lu, struct wire_writer *w)
{
    put_resource(w, 0x0001, scsi_space_available(lu));
    put_resource(w, 0x0002, scsi_space_used(lu));
}

/* In ascending order: they are listed so. */
static const struct log_page pages[] = {
    {0x00, 0x00, write_supported_pages, NULL, false},
    {0x00, ALL_SUBPAGES, write_supported_subpages, NULL, false},
    {0x0c, 0x00, write_provisioning, scsi_lu_has_threshold, true},
    {0x2f, 0x00, write_exceptions, NULL, true},
};

static bool applies(const struct log_page *page, const struct scsi_lu *lu)
{
    return !page->applies || page->applies(lu);
}

static void write_supported_pages(const struct scsi_lu *lu, struct wire_writer *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].subpage == 0 && applies(&pages[i], lu))
            wire_put_u8(w, pages[i].code);
}

static void write_supported_subpages(const struct scsi_lu *lu, struct wire_writer *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        if (!applies(&pages[i], lu))
            continue;
        wire_put_u8(w, pages[i].code);
        wire_put_u8(w, pages[i].subpage);
    }
}

static const struct log_page *find_page(const struct scsi_lu *lu, uint8_t code, uint8_t subpage)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].code == code && pages[i].subpage == subpage && applies(&pages[i], lu))
            return &pages[i];
    return NULL;
}

/* How many bytes come before the first parameter with this code or a higher one. */
static size_t count_before(const uint8_t *body, size_t size, uint16_t code)
{
    struct wire_reader r = wire_reader_of(body, size);
    while (wire_reader_left(&r) > 0) {
        size_t at = size - wire_reader_left(&r);
        if (wire_get_be16(&r) >= code)
            return at;
        wire_skip(&r, 1);
        wire_skip(&r, wire_get_u8(&r));
    }
    return size;
}

static void send_page(struct scsi_task *task, const struct log_page *page, uint16_t first_parameter,
                      uint16_t allocation_length)
{
    uint8_t body[BODY_SIZE];
    struct wire_writer content = wire_writer_of(body, sizeof(body)), w;
    page->write(task->nexus->lu, &content);
    size_t size = wire_writer_used(&content);
    size_t skipped = page->has_parameters ? count_before(body, size, first_parameter) : 0;
    if (first_parameter && (!page->has_parameters || skipped == size)) {
        scsi_task_check_field(task, 5);
        return;
    }
    if (!scsi_reply_begin(task, PAGE_HEADER_SIZE + sizeof(body), &w))
        return;
    wire_put_u8(&w, (uint8_t)((page->subpage ? SPF : 0) | page->code));
    wire_put_u8(&w, page->subpage);
    wire_put_be16(&w, (uint16_t)(size - skipped));
    wire_put_bytes(&w, body + skipped, size - skipped);
    scsi_reply_end(task, &w, allocation_length);
}

/* The page control field says nothing about lists, nor about what is of now. */
void scsi_log_sense(struct scsi_task *task)
{
    struct wire_reader cdb = wire_reader_of(task->cdb + 5, 4);
    uint16_t parameter_pointer = wire_get_be16(&cdb);
    const struct scsi_lu *lu = task->nexus->lu;
    const struct log_page *page = find_page(lu, task->cdb[2] & 0x3f, task->cdb[3]);
    if (task->cdb[1] & SP)
        scsi_task_check_field(task, 1);
    else if (!page)
        scsi_task_check_field(task, find_page(lu, task->cdb[2] & 0x3f, 0) ? 3 : 2);
    else
        send_page(task, page, parameter_pointer, wire_get_be16(&cdb));
}
