#include "scsi_commands.h"

#include "scsi/ports.h"

static void inquire(uint8_t evpd, uint8_t page, uint16_t allocation_length)
{
    scsi_fetch(CDB(SCSI_INQUIRY, evpd, page, (uint8_t)(allocation_length >> 8),
                   (uint8_t)allocation_length),
               65535);
}

/* A VPD page whole; its body's size. */
static uint16_t fetch_page(uint8_t page)
{
    inquire(1, page, 1024);
    struct wire_reader r = scsi_reader();
    assert_int_equal(wire_get_u8(&r), 0x00); /* a block device that is there */
    assert_int_equal(wire_get_u8(&r), page);
    uint16_t size = wire_get_be16(&r);
    assert_int_equal(wire_reader_left(&r), size);
    assert_int_equal(port->data_length, size + 4);
    return size;
}

static uint32_t be32(size_t at)
{
    struct wire_reader r = scsi_reader();
    wire_skip(&r, at);
    return wire_get_be32(&r);
}

static uint64_t be64(size_t at)
{
    return (uint64_t)be32(at) << 32 | be32(at + 4);
}

static void standard_data(void **state)
{
    inquire(0, 0, 255);
    const uint8_t *d = port->in;
    assert_int_equal(port->moved, 96);
    assert_int_equal(d[0], 0x00);
    assert_int_equal(d[1], 0x00); /* not removable */
    assert_int_equal(d[2], 0x06); /* SPC-4 */
    assert_int_equal(d[3] & 0x0f, 2);
    assert_int_equal(d[4], 96 - 5);
    assert_int_equal(d[5], 0x18);        /* TPGS: implicit asymmetric access; 3PC */
    assert_int_equal(d[7] & 0x02, 0x02); /* commands are queued */
    assert_memory_equal(d + 8, "NODISK  VOLUME          1   ", 28);
    static const uint8_t versions[] = {0x00, 0xa0, 0x09, 0x60, 0x04, 0x60, 0x04, 0xc0};
    assert_memory_equal(d + 58, versions, sizeof(versions));
    for (size_t i = 66; i < 96; i++)
        assert_int_equal(d[i], 0);
}

static void no_lun(void **state)
{
    port->no_such_lun = true;
    inquire(0, 0, 96);
    assert_int_equal(port->moved, 96);
    assert_int_equal(port->in[0], 0x7f);
    assert_int_equal(port->in[5], 0x08);
    scsi_refused(CDB(SCSI_INQUIRY, 1, 0x00, 0, 96), SENSE_INVALID_FIELD_IN_CDB);
}

static void page_00_lists_the_pages_that_there_are(void **state)
{
    uint8_t list[256];
    uint16_t count = fetch_page(0x00);
    memcpy(list, port->in + 4, count);
    assert_true(count >= 7);
    for (unsigned page = 0, i = 0; page < 256; page++) {
        if (i < count && list[i] == page) { /* ascending order, or one would be left over */
            fetch_page((uint8_t)page);
            i++;
        } else {
            scsi_refused(CDB(SCSI_INQUIRY, 1, (uint8_t)page, 1, 0), SENSE_INVALID_FIELD_IN_CDB);
        }
        assert_true(page < 255 || i == count);
    }
}

static void a_page_code_needs_evpd(void **state)
{
    scsi_refused(CDB(SCSI_INQUIRY, 0, 0x80, 0, 96), SENSE_INVALID_FIELD_IN_CDB);
}

static void the_serial_number_is_the_volumes(void **state)
{
    assert_int_equal(fetch_page(0x80), 32);
    assert_memory_equal(port->in + 4, "ab02030405060708090a0b0c0d0e0ffe", 32);
}

static void the_designators_identify_the_volume(void **state)
{
    fetch_page(0x83);
    const uint8_t *d = port->in + 4;
    static const uint8_t naa[] = {0x01, 0x03, 0, 8, 0x3b, 2, 3, 4, 5, 6, 7, 8};
    assert_memory_equal(d, naa, sizeof(naa)); /* binary, NAA 3: locally assigned */
    d += sizeof(naa);
    static const uint8_t head[] = {0x02, 0x01, 0, 40};
    assert_memory_equal(d, head, sizeof(head)); /* ASCII, T10 vendor identification */
    assert_memory_equal(d + 4, "NODISK  ab02030405060708090a0b0c0d0e0ffe", 40);
}

/* Page 83h goes on with what test_scsi_ports.c looks at. */
static void the_target_is_named_behind_the_volume(void **state)
{
    uint8_t expected[SCSI_PORTS_MAX_SIZE];
    struct wire_writer w = wire_writer_of(expected, sizeof(expected));
    scsi_ports_put_designators(&port->target, &w);
    assert_int_equal(fetch_page(0x83), 56 + wire_writer_used(&w));
    assert_memory_equal(port->in + 4 + 56, expected, wire_writer_used(&w));
    w = wire_writer_of(expected, sizeof(expected));
    scsi_ports_put_page(&port->target, &w);
    assert_int_equal(fetch_page(0x88), wire_writer_used(&w));
    assert_memory_equal(port->in + 4, expected, wire_writer_used(&w));
}

static void assert_zeroes(unsigned from, unsigned to)
{
    for (; from < to; from++)
        assert_int_equal(port->in[from], 0);
}

static void extended_inquiry(void **state)
{
    assert_int_equal(fetch_page(0x86), 60);
    assert_int_equal(port->in[4], 0);
    assert_int_equal(port->in[5], 0x07); /* head of queue, ordered, simple */
    assert_int_equal(port->in[6], 0x01); /* a volatile cache */
    assert_int_equal(port->in[7], 0x01); /* unit attentions are each LU's own */
    assert_zeroes(8, 13);
    assert_int_equal(port->in[13], SCSI_SENSE_MAX_SIZE);
    assert_zeroes(14, 64);
}

static void mode_page_policy(void **state)
{
    static const uint8_t expected[] = {0x3f, 0xff, 0x00, 0x00}; /* all of them: shared */
    assert_int_equal(fetch_page(0x87), sizeof(expected));
    assert_memory_equal(port->in + 4, expected, sizeof(expected));
}

static void block_limits(void **state)
{
    for (unsigned size = 512; size <= 4096; size += 4096 - 512) {
        port->lu->block_size = size;
        assert_int_equal(fetch_page(0xb0), 0x3c);
        assert_int_equal(port->in[4], 0x01);                   /* WSNZ: no WRITE SAME of 0 blocks */
        assert_int_equal(port->in[5], size == 512 ? 255 : 32); /* COMPARE AND WRITE */
        assert_int_equal(be32(4) & 0xffff, 4096 / size);
        assert_zeroes(8, 20); /* a command may move any number of blocks */
        assert_true(be32(20) == 512 * MIB / size);
        assert_int_equal(be32(24), 256);
        assert_int_equal(be32(28), 4096 / size);
        assert_true(be32(32) == 0x80000000); /* UNMAP is aligned at LBA 0 */
        assert_true(be64(36) == 512 * MIB / size);
        assert_zeroes(44, 64);
    }
    port->lu->block_size = 512;
}

static void characteristics_and_provisioning(void **state)
{
    assert_int_equal(fetch_page(0xb1), 0x3c);
    assert_int_equal(port->in[4] << 8 | port->in[5], 1); /* does not rotate */
    assert_zeroes(6, 64);
    assert_int_equal(fetch_page(0xb2), 4);
    assert_int_equal(port->in[4], 0);    /* no thresholds */
    assert_int_equal(port->in[5], 0xe4); /* UNMAP, both WRITE SAMEs; zeroes afterwards */
    assert_int_equal(port->in[6], 2);    /* thin */
    assert_int_equal(port->in[7], 0);
}

static void a_threshold_is_announced(void **state)
{
    static const struct scsi_space space = {.total = 100 * MIB};
    scsi_lu_set_space(port->lu, &space);
    assert_int_equal(fetch_page(0xb2), 4);
    assert_int_equal(port->in[4], 11); /* sets of 2^11 blocks */
    assert_int_equal(port->in[5], 0xe4);
    assert_int_equal(port->in[6], 2);
}

/* It has all of its space and gives none back: nothing is said of UNMAP. */
static void a_thick_lu_says_nothing_of_unmap(void **state)
{
    port->lu->thick = true;
    assert_int_equal(fetch_page(0xb0), 0x3c);
    assert_int_equal(port->in[5], 255); /* the other limits are as they were */
    assert_int_equal(be32(4) & 0xffff, 8);
    assert_zeroes(20, 36);
    assert_true(be64(36) == 512 * MIB / 512);
    assert_int_equal(fetch_page(0xb2), 4);
    assert_zeroes(4, 8); /* fully provisioned */
}

/* What does not fit is cut; lengths inside still tell of the whole. */
static void the_allocation_length_cuts(void **state)
{
    static const struct {
        uint8_t evpd, page;
        uint16_t size;
    } pages[] = {{0, 0, 96},     {1, 0x00, 14}, {1, 0x80, 36},
                 {1, 0x83, 156}, {1, 0x88, 60}, {1, 0xb0, 64}};
    static uint8_t whole[256];
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        inquire(pages[i].evpd, pages[i].page, 65535);
        assert_int_equal(port->moved, pages[i].size);
        memcpy(whole, port->in, pages[i].size);
        for (uint16_t cut = 0; cut <= pages[i].size; cut++) {
            inquire(pages[i].evpd, pages[i].page, cut);
            assert_int_equal(port->moved, cut);
            assert_int_equal(port->data_length, cut);
            assert_memory_equal(port->in, whole, cut);
        }
    }
}

/* The initiator takes less than it asks for: the residual tells. */
static void the_initiators_room_cuts_too(void **state)
{
    scsi_fetch(CDB(SCSI_INQUIRY, 0, 0, 0, 96), 36);
    assert_int_equal(port->moved, 36);
    assert_int_equal(port->data_length, 96);
    scsi_fetch(CDB(SCSI_INQUIRY, 0, 0, 0, 96), 0);
    assert_int_equal(port->moved, 0);
    assert_int_equal(port->data_length, 96);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(standard_data),
        SCSI_TEST(no_lun),
        SCSI_TEST(page_00_lists_the_pages_that_there_are),
        SCSI_TEST(a_page_code_needs_evpd),
        SCSI_TEST(the_serial_number_is_the_volumes),
        SCSI_TEST(the_designators_identify_the_volume),
        SCSI_TEST(the_target_is_named_behind_the_volume),
        SCSI_TEST(extended_inquiry),
        SCSI_TEST(mode_page_policy),
        SCSI_TEST(block_limits),
        SCSI_TEST(characteristics_and_provisioning),
        SCSI_TEST(a_threshold_is_announced),
        SCSI_TEST(a_thick_lu_says_nothing_of_unmap),
        SCSI_TEST(the_allocation_length_cuts),
        SCSI_TEST(the_initiators_room_cuts_too),
    };
    return RUN_TESTS(tests);
}
