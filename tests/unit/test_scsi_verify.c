#include "scsi_commands.h"

#define BLOCK 512
#define LARGE 1500 /* blocks: three bursts */

static const uint8_t verifies[] = {SCSI_VERIFY_10, SCSI_VERIFY_12, SCSI_VERIFY_16};
static const uint8_t writes[] = {SCSI_WRITE_AND_VERIFY_10, SCSI_WRITE_AND_VERIFY_12,
                                 SCSI_WRITE_AND_VERIFY_16};
static uint8_t pattern[LARGE * BLOCK];

/* The medium holds the pattern from block 3 on. */
static int setup(void **state)
{
    int r = scsi_set_up(state);
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(1 + i * 7 + (i >> 9) * 3);
    memcpy(port->disk->data + (size_t)3 * BLOCK, pattern, sizeof(pattern));
    return r;
}

#define VERIFY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scsi_tear_down)

static void without_byte_check_nothing_is_read(void **state)
{
    port->disk->fail_with = -5;
    for (size_t i = 0; i < ARRAY_SIZE(verifies); i++)
        scsi_refused(cdb_range(verifies[i], 0, 0, 8), SENSE_NONE);
}

static void every_byte_is_compared(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(verifies); i++) {
        scsi_expect(cdb_range(verifies[i], 0x02, 3, LARGE), pattern, sizeof(pattern), 0,
                    SENSE_NONE);
        assert_int_equal(port->data_length, sizeof(pattern));
        static const size_t places[] = {0, 511, 512, BUFFER_MAX_SIZE, sizeof(pattern) - 1};
        for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
            pattern[places[p]] ^= 1;
            scsi_expect(cdb_range(verifies[i], 0x02, 3, LARGE), pattern, sizeof(pattern), 0,
                        SENSE_MISCOMPARE);
            pattern[places[p]] ^= 1;
        }
    }
    assert_int_equal(port->disk->writes, 0);
}

static void one_block_is_compared_with_each(void **state)
{
    for (size_t n = 0; n < LARGE; n++)
        memcpy(port->disk->data + (3 + n) * BLOCK, pattern, BLOCK);
    for (size_t i = 0; i < ARRAY_SIZE(verifies); i++) {
        const uint8_t *cdb = cdb_range(verifies[i], 0x06, 3, LARGE);
        scsi_expect(cdb, pattern, BLOCK, 0, SENSE_NONE);
        assert_int_equal(port->data_length, BLOCK);
        static const size_t places[] = {3 * BLOCK, (3 + LARGE) * BLOCK - 1};
        for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
            port->disk->data[places[p]] ^= 1;
            scsi_expect(cdb, pattern, BLOCK, 0, SENSE_MISCOMPARE);
            port->disk->data[places[p]] ^= 1;
        }
        scsi_expect(cdb, pattern, BLOCK - 1, 0, SENSE_INVALID_FIELD_IN_CDB);
    }
}

/* VALID, and INFORMATION is this offset in what was sent. */
static void expect_difference(size_t offset)
{
    struct wire_reader information = wire_reader_of(port->sense + 3, 4);
    assert_int_equal(scsi_port_sense(port), SENSE_MISCOMPARE);
    assert_int_equal(port->sense[0], 0xf0);
    assert_int_equal(wire_get_be32(&information), offset);
}

static void the_place_of_the_first_difference_is_told(void **state)
{
    static const size_t places[] = {0, 1, 511, 512, BUFFER_MAX_SIZE + 9, sizeof(pattern) - 2};
    for (size_t i = 0; i < ARRAY_SIZE(verifies); i++) {
        for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
            pattern[places[p]] ^= 1;
            pattern[sizeof(pattern) - 1] ^= 1;
            scsi_expect(cdb_range(verifies[i], 0x02, 3, LARGE), pattern, sizeof(pattern), 0,
                        SENSE_MISCOMPARE);
            expect_difference(places[p]);
            pattern[places[p]] ^= 1;
            pattern[sizeof(pattern) - 1] ^= 1;
        }
    }
}

/* Of one block for all, it is the place in that block. */
static void the_place_in_the_one_block_is_told(void **state)
{
    for (size_t n = 0; n < LARGE; n++)
        memcpy(port->disk->data + (3 + n) * BLOCK, pattern, BLOCK);
    static const size_t places[] = {0, 7, 5 * BLOCK + 510, LARGE * BLOCK - 1};
    for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
        port->disk->data[3 * BLOCK + places[p]] ^= 1;
        scsi_expect(cdb_range(SCSI_VERIFY_16, 0x06, 3, LARGE), pattern, BLOCK, 0, SENSE_MISCOMPARE);
        expect_difference(places[p] % BLOCK);
        port->disk->data[3 * BLOCK + places[p]] ^= 1;
    }
}

/* Compares two bursts, the second one first. */
static void begin_backwards(const uint8_t *sent)
{
    scsi_port_begin(port, cdb_range(SCSI_VERIFY_16, 0x02, 3, LARGE), sent, sizeof(pattern), 0);
    assert_int_equal(port->disk->n_pending, 2);
    memdisk_run_one(port->disk, true);
    assert_non_null(port->task); /* what is before it may differ, too */
    assert_int_equal(port->bursts, 2);
    assert_int_equal(port->disk->n_pending, 1);
}

static void the_order_of_the_disk_does_not_matter(void **state)
{
    static uint8_t sent[sizeof(pattern)];
    memcpy(sent, pattern, sizeof(sent));
    sent[BUFFER_MAX_SIZE + 7] ^= 1;
    begin_backwards(sent);
    memdisk_run(port->disk, false);
    expect_difference(BUFFER_MAX_SIZE + 7);
    assert_int_equal(port->bursts, 2);

    sent[5] ^= 1;
    begin_backwards(sent);
    memdisk_run(port->disk, false);
    expect_difference(5);

    begin_backwards(sent);
    port->disk->fail_with = -5; /* nobody knows where the first difference is */
    memdisk_run(port->disk, false);
    assert_int_equal(scsi_port_sense(port), SENSE_MEDIUM_READ_ERROR);
    port->disk->fail_with = 0;

    begin_backwards(sent);
    scsi_port_abort(port);
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_true(port->aborted);
}

/* The medium does not hold what was written to it. */
static void a_bad_medium_is_found(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
        scsi_port_begin(port, cdb_range(writes[i], 0x02, 3, 8), pattern, 8 * BLOCK, 0);
        memdisk_run_one(port->disk, false);
        port->disk->data[5 * BLOCK + 1] ^= 1;
        memdisk_run(port->disk, false);
        expect_difference(2 * BLOCK + 1);
    }
}

/* Nobody else writes between the write and the read: it would not be the medium that differs. */
static void others_wait_until_it_is_read_back(void **state)
{
    static const uint8_t theirs[BLOCK] = {1};
    struct scsi_port *other = scsi_port_new(BLOCK, BLOCK); /* a second initiator, to the same LU */
    scsi_nexus_disconnect(&other->nexus);
    scsi_port_connect(port, &other->nexus, 2);
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
        scsi_port_begin(port, cdb_range(writes[i], 0x02, 3, 8), pattern, 8 * BLOCK, 0);
        scsi_port_begin(other, cdb_range(SCSI_WRITE_10, 0, 5, 1), theirs, BLOCK, 0);
        memdisk_run_one(port->disk, false);
        fake_thread_round(port->thread);
        assert_int_equal(port->disk->n_pending, 1); /* the read */
        memdisk_run_one(port->disk, false);
        assert_null(port->task);
        assert_int_equal(scsi_port_sense(port), SENSE_NONE);
        assert_non_null(other->task);
        fake_thread_round(port->thread);
        memdisk_run(port->disk, false);
        assert_null(other->task);
        assert_memory_equal(port->disk->data + 5 * BLOCK, theirs, BLOCK);
    }
    scsi_port_free(other);
}

static void nothing_is_wrong_with_no_blocks(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(verifies); i++)
        for (uint8_t check = 0x00; check <= 0x06; check = (uint8_t)(check + 2))
            scsi_refused(cdb_range(verifies[i], check, 8, 0),
                         check == 0x04 ? SENSE_INVALID_FIELD_IN_CDB : SENSE_NONE);
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
        scsi_refused(cdb_range(writes[i], 0x02, 8, 0), SENSE_NONE);
}

static void what_is_written_is_durable_and_compared(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
        for (uint8_t check = 0x00; check <= 0x02; check = (uint8_t)(check + 2)) {
            unsigned reads = port->disk->reads, fua = port->disk->fua;
            memset(port->disk->data, 0, 1 * MIB);
            scsi_expect(cdb_range(writes[i], check, 9, LARGE), pattern, sizeof(pattern), 0,
                        SENSE_NONE);
            assert_memory_equal(port->disk->data + 9 * BLOCK, pattern, sizeof(pattern));
            assert_int_equal(port->disk->fua - fua, 3);
            assert_int_equal(port->disk->reads - reads, check ? 3 : 0);
        }
        scsi_refused(cdb_range(writes[i], 0x04, 0, 1), SENSE_INVALID_FIELD_IN_CDB);
        scsi_refused(cdb_range(writes[i], 0x06, 0, 1), SENSE_INVALID_FIELD_IN_CDB);
    }
}

static void ranges_and_protection_are_checked_first(void **state)
{
    const uint64_t end = 1 * MIB / BLOCK;
    for (size_t i = 0; i < ARRAY_SIZE(verifies); i++) {
        const uint8_t opcodes[] = {verifies[i], writes[i]};
        for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++) {
            scsi_refused(cdb_range(opcodes[o], 0x02, end, 1), SENSE_LBA_OUT_OF_RANGE);
            scsi_refused(cdb_range(opcodes[o], 0x02, end + 1, 0), SENSE_LBA_OUT_OF_RANGE);
            scsi_refused(cdb_range(opcodes[o], 0x22, 0, 1), SENSE_INVALID_FIELD_IN_CDB);
        }
    }
}

static void the_disk_may_fail(void **state)
{
    port->disk->fail_with = -5;
    scsi_expect(cdb_range(SCSI_VERIFY_10, 0x02, 3, 8), pattern, 8 * BLOCK, 0,
                SENSE_MEDIUM_READ_ERROR);
    scsi_expect(cdb_range(SCSI_VERIFY_10, 0x06, 3, 8), pattern, BLOCK, 0, SENSE_MEDIUM_READ_ERROR);
    scsi_expect(cdb_range(SCSI_WRITE_AND_VERIFY_10, 0x02, 3, 8), pattern, 8 * BLOCK, 0,
                SENSE_MEDIUM_WRITE_ERROR);
}

/* Its buffers are back at once: scsi_tear_down() looks. */
static void a_comparison_can_be_aborted(void **state)
{
    static const uint8_t checks[] = {0x02, 0x06};
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        scsi_port_begin(port, cdb_range(SCSI_VERIFY_16, checks[i], 3, LARGE), pattern,
                        checks[i] == 0x02 ? sizeof(pattern) : BLOCK, 0);
        assert_true(port->disk->n_pending > 0);
        scsi_port_abort(port);
        memdisk_run(port->disk, false);
        assert_null(port->task);
        assert_true(port->aborted);
    }
}

/* During its write, and during the read after it. */
static void a_write_with_comparison_can_be_aborted(void **state)
{
    for (unsigned done = 0; done < 2; done++) {
        scsi_port_begin(port, cdb_range(SCSI_WRITE_AND_VERIFY_16, 0x02, 3, 8), pattern, 8 * BLOCK,
                        0);
        if (done > 0)
            memdisk_run_one(port->disk, false);
        scsi_port_abort(port);
        assert_non_null(port->task);
        memdisk_run(port->disk, false);
        assert_null(port->task);
        assert_true(port->aborted);
        assert_int_equal(port->lu->ranges.exclusive, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(without_byte_check_nothing_is_read),
        VERIFY_TEST(every_byte_is_compared),
        VERIFY_TEST(one_block_is_compared_with_each),
        VERIFY_TEST(the_place_of_the_first_difference_is_told),
        VERIFY_TEST(the_place_in_the_one_block_is_told),
        VERIFY_TEST(the_order_of_the_disk_does_not_matter),
        VERIFY_TEST(a_bad_medium_is_found),
        VERIFY_TEST(others_wait_until_it_is_read_back),
        VERIFY_TEST(nothing_is_wrong_with_no_blocks),
        VERIFY_TEST(what_is_written_is_durable_and_compared),
        VERIFY_TEST(ranges_and_protection_are_checked_first),
        VERIFY_TEST(the_disk_may_fail),
        VERIFY_TEST(a_comparison_can_be_aborted),
        VERIFY_TEST(a_write_with_comparison_can_be_aborted),
    };
    return RUN_TESTS(tests);
}
