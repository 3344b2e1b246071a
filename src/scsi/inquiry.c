/* INQUIRY: standard data and the vital product data pages, a table (SPC-4 6.6, 7.8; SBC-4 6.6). */
#include "scsi/command.h"
#include "scsi/ports.h"

#define VENDOR   "NODISK"
#define PRODUCT  "VOLUME"
#define REVISION "1"

#define STANDARD_SIZE 96

/* What is given back or written at once: a page of the file system below. */
#define GRANULARITY_BYTES 4096

/* The NAA designator: locally assigned (3), then 60 bits of the serial. */
#define NAA_SIZE 8

/* What it says of the LU, and then of the target; either may be NULL. */
struct vpd_page {
    uint8_t code;
    void (*write)(const struct scsi_lu *lu, struct wire_writer *w);
    void (*write_target)(const struct scsi_target *target, struct wire_writer *w);
};

#define BODY_SIZE (SCSI_VPD_BODY_SIZE + SCSI_PORTS_MAX_SIZE)

static void put_hex(struct wire_writer *w, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        wire_put_u8(w, (uint8_t)digits[bytes[i] >> 4]);
        wire_put_u8(w, (uint8_t)digits[bytes[i] & 0x0f]);
    }
}

static void write_supported_pages(const struct scsi_lu *lu, struct wire_writer *w);

static void write_serial(const struct scsi_lu *lu, struct wire_writer *w)
{
    put_hex(w, lu->serial, sizeof(lu->serial));
}

void scsi_write_identification(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_u8(w, 0x01); /* binary */
    wire_put_u8(w, 0x03); /* of the LU, NAA */
    wire_put_u8(w, 0);
    wire_put_u8(w, NAA_SIZE);
    wire_put_u8(w, (uint8_t)(0x30 | (lu->serial[0] & 0x0f)));
    wire_put_bytes(w, lu->serial + 1, NAA_SIZE - 1);

    wire_put_u8(w, 0x02); /* ASCII */
    wire_put_u8(w, 0x01); /* of the LU, T10 vendor identification */
    wire_put_u8(w, 0);
    wire_put_u8(w, (uint8_t)(8 + 2 * sizeof(lu->serial)));
    wire_put_padded(w, VENDOR, 8, ' ');
    put_hex(w, lu->serial, sizeof(lu->serial));
}

static void write_extended(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_u8(w, 0);    /* no protection information */
    wire_put_u8(w, 0x07); /* HEADSUP, ORDSUP, SIMPSUP (task_set.h) */
    wire_put_u8(w, 0x01); /* V_SUP: a volatile cache */
    wire_put_u8(w, 0x01); /* LUICLR: unit attentions are cleared for each LU alone */
    wire_put_zeros(w, 5);
    wire_put_u8(w, SCSI_SENSE_MAX_SIZE);
    wire_put_zeros(w, 50);
}

/* Mode Page Policy: all pages, with their subpages, are shared by all nexuses (mode.h). */
static void write_mode_page_policy(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_u8(w, 0x3f);
    wire_put_u8(w, 0xff);
    wire_put_be16(w, 0);
}

static void put_unmap_limits(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_be32(w, (uint32_t)(SCSI_MAX_ZERO_BYTES / lu->block_size));
    wire_put_be32(w, SCSI_MAX_UNMAP_DESCRIPTORS);
    wire_put_be32(w, GRANULARITY_BYTES / lu->block_size);
    wire_put_be32(w, 0x80000000); /* UGAVALID, alignment 0 */
}

static void write_block_limits(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_u8(w, 0x01); /* WSNZ: no WRITE SAME of 0 blocks */
    wire_put_u8(w, (uint8_t)scsi_max_compare_blocks(lu));
    wire_put_be16(w, (uint16_t)(GRANULARITY_BYTES / lu->block_size));
    wire_put_be32(w, 0); /* longest transfer: no limit */
    wire_put_be32(w, 0); /* best transfer: no preference */
    wire_put_be32(w, 0);
    if (lu->thick)
        wire_put_zeros(w, 16); /* no UNMAP */
    else
        put_unmap_limits(lu, w);
    wire_put_be64(w, SCSI_MAX_ZERO_BYTES / lu->block_size);
    wire_put_zeros(w, 20);
}

static void write_characteristics(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_be16(w, 1); /* does not rotate */
    wire_put_zeros(w, 58);
}

static void write_provisioning(const struct scsi_lu *lu, struct wire_writer *w)
{
    wire_put_u8(w, scsi_threshold_exponent(lu));
    wire_put_u8(w, lu->thick ? 0x00 : 0xe4); /* LBPU, LBPWS, LBPWS10, LBPRZ */
    wire_put_u8(w, lu->thick ? 0x00 : 0x02); /* fully provisioned, or thin */
    wire_put_u8(w, 0);
}

/* In ascending order: page 00 lists them so. */
static const struct vpd_page pages[] = {
    {0x00, write_supported_pages, NULL},
    {0x80, write_serial, NULL},
    {0x83, scsi_write_identification, scsi_ports_put_designators},
    {0x86, write_extended, NULL},
    {0x87, write_mode_page_policy, NULL},
    {0x88, NULL, scsi_ports_put_page},
    {0x8f, scsi_write_third_party_copy, NULL},
    {0xb0, write_block_limits, NULL},
    {0xb1, write_characteristics, NULL},
    {0xb2, write_provisioning, NULL},
};

static void write_supported_pages(const struct scsi_lu *lu, struct wire_writer *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        wire_put_u8(w, pages[i].code);
}

static void vpd(struct scsi_task *task, const struct vpd_page *page, uint16_t allocation_length)
{
    uint8_t body[BODY_SIZE];
    struct wire_writer content = wire_writer_of(body, sizeof(body)), w;
    if (page->write)
        page->write(task->nexus->lu, &content);
    if (page->write_target)
        page->write_target(task->target, &content);
    if (!scsi_reply_begin(task, sizeof(body) + 4, &w))
        return;
    wire_put_u8(&w, 0); /* connected, block device */
    wire_put_u8(&w, page->code);
    wire_put_be16(&w, (uint16_t)wire_writer_used(&content));
    wire_put_bytes(&w, body, wire_writer_used(&content));
    scsi_reply_end(task, &w, allocation_length);
}

static void standard(struct scsi_task *task, uint16_t allocation_length)
{
    static const uint16_t versions[] = {0x00a0, 0x0960, 0x0460,
                                        0x04c0}; /* SAM-5 iSCSI SPC-4 SBC-3 */
    struct wire_writer w;
    if (!scsi_reply_begin(task, STANDARD_SIZE, &w))
        return;
    wire_put_u8(&w, task->nexus ? 0x00 : 0x7f); /* 7f: no device can be at this LUN */
    wire_put_u8(&w, task->nexus && task->nexus->lu->removable ? 0x80 : 0); /* RMB */
    wire_put_u8(&w, 0x06);                                                 /* SPC-4 */
    wire_put_u8(&w, 0x12); /* HISUP, response data format 2 */
    wire_put_u8(&w, STANDARD_SIZE - 5);
    wire_put_u8(&w, (uint8_t)(0x08 | (task->nexus ? SCSI_TPGS_IMPLICIT : 0))); /* 3PC */
    wire_put_u8(&w, 0);
    wire_put_u8(&w, 0x02); /* CMDQUE */
    wire_put_padded(&w, VENDOR, 8, ' ');
    wire_put_padded(&w, PRODUCT, 16, ' ');
    wire_put_padded(&w, REVISION, 4, ' ');
    wire_put_zeros(&w, 22);
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
        wire_put_be16(&w, versions[i]);
    wire_put_zeros(&w, wire_writer_left(&w));
    scsi_reply_end(task, &w, allocation_length);
}

static const struct vpd_page *find_page(uint8_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].code == code)
            return &pages[i];
    return NULL;
}

void scsi_inquiry(struct scsi_task *task)
{
    bool evpd = task->cdb[1] & 0x01;
    uint8_t code = task->cdb[2];
    struct wire_reader r = wire_reader_of(task->cdb + 3, 2);
    uint16_t allocation_length = wire_get_be16(&r);
    const struct vpd_page *page = evpd && task->nexus ? find_page(code) : NULL;
    if (page)
        vpd(task, page, allocation_length);
    else if (evpd || code)
        scsi_task_check(task, SENSE_INVALID_FIELD_IN_CDB);
    else
        standard(task, allocation_length);
}
