#include "scsi_commands.h"

#define BLOCK     512
#define BLOCKS    4096
#define DISK_SIZE (BLOCKS * BLOCK)

static uint8_t pattern[DISK_SIZE];

static int setup(void **state)
{
    port = scsi_port_new(DISK_SIZE, BLOCK);
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(1 + i * 7 + (i >> 9) * 3);
    return 0;
}

static const uint8_t reads[] = {SCSI_READ_6, SCSI_READ_10, SCSI_READ_12, SCSI_READ_16};
static const uint8_t writes[] = {SCSI_WRITE_6, SCSI_WRITE_10, SCSI_WRITE_12, SCSI_WRITE_16};
static const uint8_t verifies[] = {SCSI_VERIFY_10, SCSI_VERIFY_12, SCSI_VERIFY_16};
static const uint8_t flushes[] = {SCSI_SYNCHRONIZE_CACHE_10, SCSI_SYNCHRONIZE_CACHE_16};

static void read_blocks(uint8_t opcode, uint64_t lba, uint32_t count, enum scsi_sense sense)
{
    scsi_expect(cdb_range(opcode, 0, lba, count), NULL, 0, SCSI_PORT_ROOM, sense);
}

static void write_blocks(uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t count,
                         enum scsi_sense sense)
{
    scsi_expect(cdb_range(opcode, byte1, lba, count), pattern, count * BLOCK, 0, sense);
}

static void every_form_reads(void **state)
{
    memcpy(port->disk->data, pattern, sizeof(pattern));
    for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
        read_blocks(reads[i], 0x321, 17, SENSE_NONE);
        assert_int_equal(port->moved, 17 * BLOCK);
        assert_int_equal(port->data_length, 17 * BLOCK);
        assert_memory_equal(port->in, pattern + 0x321 * BLOCK, 17 * BLOCK);
        read_blocks(reads[i], BLOCKS - 1, 1, SENSE_NONE);
        assert_memory_equal(port->in, pattern + DISK_SIZE - BLOCK, BLOCK);
    }
}

static void every_form_writes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
        memset(port->disk->data, 0, DISK_SIZE);
        write_blocks(writes[i], 0, 0x321, 17, SENSE_NONE);
        assert_int_equal(port->data_length, 17 * BLOCK);
        assert_int_equal(port->disk->data[0x321 * BLOCK - 1], 0);
        assert_memory_equal(port->disk->data + 0x321 * BLOCK, pattern, 17 * BLOCK);
        assert_int_equal(port->disk->data[(0x321 + 17) * BLOCK], 0);
        write_blocks(writes[i], 0, BLOCKS - 1, 1, SENSE_NONE);
        assert_memory_equal(port->disk->data + DISK_SIZE - BLOCK, pattern, BLOCK);
    }
    assert_int_equal(port->disk->fua, 0);
}

static void every_form_writes_through_if_asked(void **state)
{
    for (size_t i = 1; i < ARRAY_SIZE(writes); i++)
        write_blocks(writes[i], 0x08, 0, 1, SENSE_NONE);
    assert_int_equal(port->disk->fua, 3);
    write_blocks(SCSI_WRITE_6, 0, 0x080000, 0, SENSE_LBA_OUT_OF_RANGE); /* bit 3 is of the LBA */
    assert_int_equal(port->disk->fua, 3);
}

/* Which bytes of the CDB hold the LBA and the length: each alone has to matter. */
static void every_byte_of_an_address_counts(void **state)
{
    static const struct {
        uint8_t opcode, first, last; /* bytes of the LBA */
    } forms[] = {
        {SCSI_READ_6, 1, 3}, {SCSI_READ_10, 2, 5}, {SCSI_READ_12, 2, 5}, {SCSI_READ_16, 2, 9}};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        for (uint8_t at = forms[i].first; at <= forms[i].last; at++) {
            uint8_t cdb[SCSI_CDB_SIZE];
            memcpy(cdb, cdb_range(forms[i].opcode, 0, 0, 1), sizeof(cdb));
            cdb[at] |= 0x10;
            scsi_expect(cdb, NULL, 0, BLOCK,
                        at == forms[i].last ? SENSE_NONE : SENSE_LBA_OUT_OF_RANGE);
        }
    }
    read_blocks(SCSI_READ_12, 0, 0x01000000, SENSE_LBA_OUT_OF_RANGE);
    read_blocks(SCSI_READ_16, 0, 0x01000000, SENSE_LBA_OUT_OF_RANGE);
}

static void the_end_of_the_disk(void **state)
{
    const struct {
        const uint8_t *opcodes;
        size_t count;
    } groups[] = {{reads, ARRAY_SIZE(reads)},
                  {writes, ARRAY_SIZE(writes)},
                  {verifies, ARRAY_SIZE(verifies)},
                  {flushes, ARRAY_SIZE(flushes)}};
    for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
        for (size_t i = 0; i < groups[g].count; i++) {
            uint8_t opcode = groups[g].opcodes[i];
            scsi_refused(cdb_range(opcode, 0, BLOCKS, 1), SENSE_LBA_OUT_OF_RANGE);
            scsi_refused(cdb_range(opcode, 0, BLOCKS - 1, 2), SENSE_LBA_OUT_OF_RANGE);
            if (scsi_cdb_size(opcode) == 6)
                continue;
            scsi_refused(cdb_range(opcode, 0, BLOCKS + 1, 0), SENSE_LBA_OUT_OF_RANGE);
            scsi_refused(cdb_range(opcode, 0, UINT64_MAX, 2), SENSE_LBA_OUT_OF_RANGE);
            scsi_refused(cdb_range(opcode, 0, BLOCKS, 0), SENSE_NONE); /* nothing, there */
        }
    }
    assert_int_equal(port->disk->reads + port->disk->writes, 0);
}

static void no_blocks_are_256_in_the_short_form_alone(void **state)
{
    memcpy(port->disk->data, pattern, sizeof(pattern));
    read_blocks(SCSI_READ_6, 0x100, 0, SENSE_NONE);
    assert_int_equal(port->moved, 256 * BLOCK);
    assert_memory_equal(port->in, pattern + 0x100 * BLOCK, 256 * BLOCK);
    scsi_refused(cdb_range(SCSI_READ_6, 0, BLOCKS - 255, 0), SENSE_LBA_OUT_OF_RANGE);
    for (size_t i = 1; i < ARRAY_SIZE(reads); i++) {
        read_blocks(reads[i], 0x100, 0, SENSE_NONE);
        assert_int_equal(port->moved, 0);
    }
}

static void protection_information_is_refused(void **state)
{
    for (uint8_t bits = 0x20; bits; bits = (uint8_t)(bits << 1)) {
        for (size_t i = 1; i < ARRAY_SIZE(reads); i++) {
            scsi_refused(cdb_range(reads[i], bits, 0, 1), SENSE_INVALID_FIELD_IN_CDB);
            write_blocks(writes[i], bits, 0, 1, SENSE_INVALID_FIELD_IN_CDB);
            scsi_refused(cdb_range(verifies[i - 1], bits, 0, 1), SENSE_INVALID_FIELD_IN_CDB);
        }
    }
    assert_int_equal(port->disk->writes, 0);
}

static void a_disk_of_4096_byte_blocks(void **state)
{
    scsi_port_free(port);
    port = scsi_port_new(DISK_SIZE, 4096);
    memcpy(port->disk->data, pattern, sizeof(pattern));
    read_blocks(SCSI_READ_10, 3, 2, SENSE_NONE);
    assert_int_equal(port->moved, 8192);
    assert_memory_equal(port->in, pattern + 3 * 4096, 8192);
    read_blocks(SCSI_READ_10, DISK_SIZE / 4096, 1, SENSE_LBA_OUT_OF_RANGE);
}

static void flush_waits_for_the_disk(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(flushes); i++) {
        scsi_port_begin(port, cdb_range(flushes[i], 0x02, 5, 6), NULL, 0, 0); /* IMMED, too */
        assert_non_null(port->task);
        assert_int_equal(port->disk->n_pending, 1);
        memdisk_run(port->disk, false);
        assert_null(port->task);
        assert_int_equal(scsi_port_sense(port), SENSE_NONE);
        assert_int_equal(port->disk->flushes, i + 1);
    }
    port->disk->fail_with = -5;
    scsi_refused(CDB(SCSI_SYNCHRONIZE_CACHE_10), SENSE_MEDIUM_WRITE_ERROR);
}

/* GOOD, whatever the range and IMMED: nothing is promised to be in a cache. */
static void pre_fetch_reads_nothing(void **state)
{
    static const uint8_t forms[] = {SCSI_PRE_FETCH_10, SCSI_PRE_FETCH_16};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        for (uint8_t immed = 0; immed <= 0x02; immed += 0x02) {
            scsi_refused(cdb_range(forms[i], immed, 0, 0), SENSE_NONE); /* to the end */
            scsi_refused(cdb_range(forms[i], immed, 0, BLOCKS), SENSE_NONE);
            scsi_refused(cdb_range(forms[i], immed, BLOCKS - 1, 1), SENSE_NONE);
            scsi_refused(cdb_range(forms[i], immed, BLOCKS - 1, 2), SENSE_LBA_OUT_OF_RANGE);
            scsi_refused(cdb_range(forms[i], immed, BLOCKS, 1), SENSE_LBA_OUT_OF_RANGE);
            scsi_refused(cdb_range(forms[i], immed, BLOCKS + 1, 0), SENSE_LBA_OUT_OF_RANGE);
        }
    }
    scsi_refused(cdb_range(SCSI_PRE_FETCH_16, 0, UINT64_MAX, 2), SENSE_LBA_OUT_OF_RANGE);
    assert_int_equal(port->disk->reads, 0);
}

static void commands_that_do_nothing(void **state)
{
    port->disk->fail_with = -5;
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_NONE);
    for (uint8_t start = 0; start < 2; start++)
        scsi_refused(CDB(SCSI_START_STOP_UNIT, 0, 0, 0, start), SENSE_NONE);
}

static void the_self_test(void **state)
{
    enum { PF = 0x10, SELFTEST = 0x04, DEVOFFL = 0x02, UNITOFFL = 0x01 };
    static const uint8_t list[4];
    scsi_refused(CDB(SCSI_SEND_DIAGNOSTIC), SENSE_NONE);
    scsi_refused(CDB(SCSI_SEND_DIAGNOSTIC, SELFTEST), SENSE_NONE);
    scsi_refused(CDB(SCSI_SEND_DIAGNOSTIC, PF | SELFTEST | DEVOFFL | UNITOFFL), SENSE_NONE);
    for (unsigned code = 1; code < 8; code++) { /* in the background, extended, to be aborted */
        scsi_refused(CDB(SCSI_SEND_DIAGNOSTIC, (uint8_t)(code << 5)), SENSE_INVALID_FIELD_IN_CDB);
        scsi_refused(CDB(SCSI_SEND_DIAGNOSTIC, (uint8_t)(code << 5 | SELFTEST)),
                     SENSE_INVALID_FIELD_IN_CDB);
    }
    for (uint8_t at = 3; at <= 4; at++) {
        uint8_t cdb[SCSI_CDB_SIZE] = {SCSI_SEND_DIAGNOSTIC, PF};
        cdb[at] = sizeof(list);
        scsi_expect(cdb, list, sizeof(list), 0, SENSE_INVALID_FIELD_IN_CDB);
        assert_int_equal(port->moved, 0);
    }
}

static void a_device_that_has_failed_fails_the_self_test(void **state)
{
    port->disk->device.failed = true;
    scsi_refused(CDB(SCSI_SEND_DIAGNOSTIC, 0x04), SENSE_SELF_TEST_FAILED);
    scsi_refused(CDB(SCSI_SEND_DIAGNOSTIC), SENSE_NONE); /* no test was asked for */
}

/* --- capacity --- */

static void capacity_in_the_short_form(void **state)
{
    static const uint8_t expected[8] = {0, 0, 0x0f, 0xff, 0, 0, 2, 0};
    static const uint8_t too_large[8] = {0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0};
    assert_memory_equal(scsi_fetch(CDB(SCSI_READ_CAPACITY_10), 8), expected, 8);
    assert_int_equal(port->moved, 8);
    port->lu->n_blocks = UINT64_C(1) << 32; /* the last LBA is the largest that there is */
    assert_memory_equal(scsi_fetch(CDB(SCSI_READ_CAPACITY_10), 8), too_large, 8);
    port->lu->n_blocks += 5;
    assert_memory_equal(scsi_fetch(CDB(SCSI_READ_CAPACITY_10), 8), too_large, 8);
    for (uint8_t at = 2; at <= 5; at++) { /* an LBA makes sense with PMI alone */
        uint8_t cdb[SCSI_CDB_SIZE] = {SCSI_READ_CAPACITY_10};
        cdb[at] = 1;
        scsi_refused(cdb, SENSE_INVALID_FIELD_IN_CDB);
        cdb[8] = 1;
        scsi_fetch(cdb, 8);
    }
}

static const uint8_t *capacity_16(uint32_t allocation_length)
{
    return scsi_fetch(CDB(SCSI_SERVICE_ACTION_IN_16, SCSI_READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0,
                          (uint8_t)(allocation_length >> 24), 0, 0, (uint8_t)allocation_length),
                      4096);
}

static void capacity_in_the_long_form(void **state)
{
    static const uint8_t expected[32] = {0, 0, 0, 0, 0,    0,    0x0f, 0xff,
                                         0, 0, 2, 0, 0x00, 0x03, 0xc0, 0x00};
    assert_memory_equal(capacity_16(255), expected, sizeof(expected));
    assert_int_equal(port->moved, 32);
    for (uint8_t cut = 0; cut < 32; cut++) {
        assert_memory_equal(capacity_16(cut), expected, cut);
        assert_int_equal(port->moved, cut);
    }
    capacity_16(0xff000000);
    assert_int_equal(port->moved, 32);
    port->lu->n_blocks = 0x0102030405060708;
    static const uint8_t large[8] = {1, 2, 3, 4, 5, 6, 7, 7};
    assert_memory_equal(capacity_16(32), large, sizeof(large));
}

static void a_thick_lu_is_not_thin(void **state)
{
    port->lu->thick = true;
    const uint8_t *d = capacity_16(32);
    assert_int_equal(d[13], 0x03);
    assert_int_equal(d[14] << 8 | d[15], 0); /* neither LBPME nor LBPRZ */
}

static void capacity_of_4096_byte_blocks(void **state)
{
    scsi_port_free(port);
    port = scsi_port_new(DISK_SIZE, 4096);
    const uint8_t *d = capacity_16(32);
    assert_int_equal(d[10] << 8 | d[11], 4096);
    assert_int_equal(d[6] << 8 | d[7], DISK_SIZE / 4096 - 1);
    assert_int_equal(d[13], 0); /* a physical block is a logical one */
}

/* --- defects --- */

static const uint8_t *defects(bool twelve, uint8_t options, uint8_t length)
{
    return twelve
               ? scsi_fetch(CDB(SCSI_READ_DEFECT_DATA_12, options, 0, 0, 0, 0, 0, 0, 0, length),
                            4096)
               : scsi_fetch(CDB(SCSI_READ_DEFECT_DATA_10, 0, options, 0, 0, 0, 0, 0, length), 4096);
}

static void no_block_is_defective(void **state)
{
    static const uint8_t nothing[8];
    for (int twelve = 0; twelve < 2; twelve++) {
        for (uint8_t options = 0; options < 0x20; options++) { /* lists, format */
            if ((options & 0x07) > 5)
                continue;
            const uint8_t *d = defects(twelve, options, 255);
            assert_int_equal(port->moved, twelve ? 8 : 4);
            assert_int_equal(d[0], 0);
            assert_int_equal(d[1], options); /* which lists and format it is */
            assert_memory_equal(d + 2, nothing, port->moved - 2);
        }
        for (uint8_t cut = 0; cut < 4; cut++) {
            defects(twelve, 0x18, cut);
            assert_int_equal(port->moved, cut);
        }
        for (uint8_t format = 6; format < 8; format++)
            scsi_refused(twelve ? CDB(SCSI_READ_DEFECT_DATA_12, format, 0, 0, 0, 0, 0, 0, 0, 8)
                                : CDB(SCSI_READ_DEFECT_DATA_10, 0, format, 0, 0, 0, 0, 0, 8),
                         SENSE_INVALID_FIELD_IN_CDB);
    }
    scsi_fetch(CDB(SCSI_READ_DEFECT_DATA_10, 0, 0, 0, 0, 0, 0, 1, 0), 4096);
    assert_int_equal(port->moved, 4);
    scsi_fetch(CDB(SCSI_READ_DEFECT_DATA_12, 0, 0, 0, 0, 0, 1, 0, 0, 0), 4096);
    assert_int_equal(port->moved, 8);
    scsi_fetch(CDB(SCSI_READ_DEFECT_DATA_12, 0, 0, 0, 0, 7, 0, 0, 0, 8), 4096); /* from the 8th */
    assert_int_equal(port->moved, 8);
}

#define COMMAND_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scsi_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(every_form_reads),
        COMMAND_TEST(every_form_writes),
        COMMAND_TEST(every_form_writes_through_if_asked),
        COMMAND_TEST(every_byte_of_an_address_counts),
        COMMAND_TEST(the_end_of_the_disk),
        COMMAND_TEST(no_blocks_are_256_in_the_short_form_alone),
        COMMAND_TEST(protection_information_is_refused),
        COMMAND_TEST(a_disk_of_4096_byte_blocks),
        COMMAND_TEST(flush_waits_for_the_disk),
        COMMAND_TEST(pre_fetch_reads_nothing),
        COMMAND_TEST(commands_that_do_nothing),
        COMMAND_TEST(the_self_test),
        COMMAND_TEST(a_device_that_has_failed_fails_the_self_test),
        COMMAND_TEST(capacity_in_the_short_form),
        COMMAND_TEST(capacity_in_the_long_form),
        COMMAND_TEST(a_thick_lu_is_not_thin),
        COMMAND_TEST(capacity_of_4096_byte_blocks),
        COMMAND_TEST(no_block_is_defective),
    };
    return RUN_TESTS(tests);
}
