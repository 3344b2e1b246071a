/* EXTENDED COPY between two LUs of a target. */
#include "scsi_commands.h"

#include "copy_parameters.h"

#include <errno.h>

#define DISK_SIZE (1 * MIB)
#define BLOCKS    (DISK_SIZE / 512)

/* LUN 1; LUN 0 is the port's. */
static struct {
    struct memdisk *disk;
    struct scsi_lu *lu;
    struct scsi_nexus nexus;
} second;

static struct scsi_target_lun luns[2];
static struct copy_parameters p;

static const uint8_t first_naa[8] = {0x3b, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t second_naa[8] = {0x3c, 22, 23, 24, 25, 26, 27, 28};

static void fill(struct memdisk *disk, uint8_t seed)
{
    for (size_t i = 0; i < DISK_SIZE; i++)
        disk->data[i] = (uint8_t)(seed + i * 7 + (i >> 8) * 3 + (i >> 16));
}

static void make_second(uint32_t block_size)
{
    static const uint8_t serial[16] = {0x5c, 22, 23, 24, 25, 26, 27, 28, 29};
    second.disk = memdisk_new(DISK_SIZE);
    second.lu = scsi_lu_new(port->thread, &second.disk->device, block_size, serial);
    scsi_nexus_connect(&second.nexus, second.lu, &port->nexus.id, NULL);
    luns[0] = (struct scsi_target_lun){0, port->lu, &port->nexus};
    luns[1] = (struct scsi_target_lun){UINT64_C(1) << 48, second.lu, &second.nexus};
    port->target.luns = luns;
    port->target.n_luns = 2;
    fill(second.disk, 100);
}

static void free_second(void)
{
    scsi_nexus_disconnect(&second.nexus);
    scsi_lu_free(second.lu);
}

static int setup(void **state)
{
    scsi_set_up(state);
    make_second(512);
    fill(port->disk, 1);
    p = (struct copy_parameters){0};
    return 0;
}

static int teardown(void **state)
{
    free_second();
    return scsi_tear_down(state);
}

static const uint8_t *cdb_of(uint32_t size)
{
    static uint8_t cdb[SCSI_CDB_SIZE];
    struct wire_writer w = wire_writer_of(cdb + 10, 4);
    cdb[0] = SCSI_EXTENDED_COPY;
    wire_put_be32(&w, size);
    return cdb;
}

static void run_disks(void)
{
    while (port->task) {
        if (port->n_held > 0)
            scsi_port_move(port, true);
        unsigned done = memdisk_run(port->disk, false) + memdisk_run(second.disk, false);
        fake_thread_round(port->thread);
        assert_true(!port->task || done > 0 || port->n_held > 0);
    }
}

static void copy(enum scsi_sense sense)
{
    scsi_port_begin(port, cdb_of(p.size), p.bytes, p.size, 0);
    run_disks();
    if (scsi_port_sense(port) != sense)
        fail_msg("sense %06x instead of %06x", scsi_port_sense(port), sense);
}

/* CSCD 0 is LUN 0, CSCD 1 is LUN 1. */
static void name_both(void)
{
    p = (struct copy_parameters){0};
    copy_parameters_cscd(&p, first_naa, 512);
    copy_parameters_cscd(&p, second_naa, second.lu->block_size);
}

static void copy_blocks(uint16_t source, uint16_t destination, uint16_t count, uint64_t from,
                        uint64_t to, enum scsi_sense sense)
{
    name_both();
    copy_parameters_blocks(&p, 0, source, destination, count, from, to);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(sense);
}

static const struct scsi_copy_record *record(void)
{
    return scsi_copy_record_find(&port->nexus.copies, 9);
}

static void within_one_lu(void **state)
{
    copy_blocks(0, 0, 10, 3, 1000, SENSE_NONE);
    assert_memory_equal(port->disk->data + 1000 * 512, port->disk->data + 3 * 512, 10 * 512);
    assert_memory_not_equal(port->disk->data + 1010 * 512, port->disk->data + 13 * 512, 512);
    assert_int_equal(second.disk->reads + second.disk->writes, 0);
}

static void from_one_to_the_other_and_back(void **state)
{
    copy_blocks(0, 1, 1500, 17, 29, SENSE_NONE); /* in three pieces */
    assert_memory_equal(second.disk->data + 29 * 512, port->disk->data + 17 * 512, 1500 * 512);
    assert_int_equal(port->disk->reads, 3);
    assert_int_equal(second.disk->writes, 3);
    assert_int_equal(port->disk->writes + second.disk->reads, 0);
    assert_true(record()->state == SCSI_COPY_ENDED && record()->segments == 1);
    assert_true(record()->bytes == 1500 * 512);
    fill(second.disk, 50);
    copy_blocks(1, 0, 2, 1, BLOCKS - 2, SENSE_NONE);
    assert_memory_equal(port->disk->data + (BLOCKS - 2) * 512, second.disk->data + 512, 1024);
}

static void to_the_byte(void **state)
{
    uint8_t before = second.disk->data[5 * 512 + 6], behind = second.disk->data[5 * 512 + 7 + 1111];
    name_both();
    copy_parameters_bytes(&p, 0, 1, 1111, 2, 3, 5, 7);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_NONE);
    assert_memory_equal(second.disk->data + 5 * 512 + 7, port->disk->data + 2 * 512 + 3, 1111);
    assert_int_equal(second.disk->data[5 * 512 + 6], before);
    assert_int_equal(second.disk->data[5 * 512 + 7 + 1111], behind);
}

/* What the sense data says, in either format: which segment, and which byte of the list. */
static void assert_points(unsigned segment, unsigned field)
{
    bool fixed = (port->sense[0] & 0x7f) == 0x70;
    const uint8_t *s = port->sense;
    if (!fixed) {
        s += s[8] == 0x00 ? 8 + 12 : 8; /* behind the information */
        assert_true(s[0] == 0x01 && s[12] == 0x02);
    }
    const uint8_t *specific = fixed ? s + 8 : s + 4, *pointer = fixed ? s + 15 : s + 16;
    assert_int_equal(specific[0] << 8 | specific[1], 0); /* nobody's sense is passed on */
    assert_int_equal(specific[2] << 8 | specific[3], segment);
    assert_int_equal(pointer[0], 0x80); /* in the parameters */
    assert_int_equal(pointer[1] << 8 | pointer[2], field);
}

static void blocks_of_different_sizes(void **state)
{
    free_second();
    make_second(4096);
    copy_blocks(0, 1, 16, 8, 3, SENSE_NONE); /* 16 of 512 bytes */
    assert_memory_equal(second.disk->data + 3 * 4096, port->disk->data + 8 * 512, 16 * 512);
    copy_blocks(0, 1, 9, 8, 3, SENSE_COPY_INEXACT_SEGMENT);
    assert_points(0, 16 + 64 + 10);
    name_both();
    copy_parameters_blocks(&p, 0x02, 0, 1, 2, 0, 9); /* DC: 2 of 4096 */
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_NONE);
    assert_memory_equal(second.disk->data + 9 * 4096, port->disk->data, 2 * 4096);
}

static void one_segment_after_the_other(void **state)
{
    name_both();
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 10);
    copy_parameters_blocks(&p, 0, 0, 1, 0, 0, 11);  /* of nothing */
    copy_parameters_blocks(&p, 0, 1, 0, 1, 10, 20); /* what the first one has written */
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_NONE);
    assert_memory_equal(port->disk->data + 20 * 512, port->disk->data, 512);
    assert_true(record()->segments == 3 && record()->bytes == 1024);
}

static void done_inside_the_submission(void **state)
{
    port->disk->immediate = second.disk->immediate = true;
    copy_blocks(0, 1, 2048, 0, 0, SENSE_NONE);
    assert_memory_equal(second.disk->data, port->disk->data, DISK_SIZE);
}

static void only_what_is_to_be_kept_is_kept(void **state)
{
    name_both();
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 10);
    copy_parameters_head(&p, 9, SCSI_COPY_DISCARD);
    copy(SENSE_NONE);
    assert_null(record());
    copy_parameters_head(&p, 0, SCSI_COPY_ANONYMOUS);
    copy(SENSE_NONE);
    assert_null(scsi_copy_record_find(&port->nexus.copies, 0));
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_NONE);
    assert_int_equal(record()->state, SCSI_COPY_ENDED);
}

static void nothing_is_nothing(void **state)
{
    scsi_expect(cdb_of(0), NULL, 0, 0, SENSE_NONE);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_NONE);
    assert_true(record()->segments == 0 && record()->bytes == 0);
}

static void lists_with_wrong_lengths(void **state)
{
    name_both();
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 10);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    for (uint32_t sent = 0; sent < p.size; sent++)
        scsi_expect(cdb_of(p.size), p.bytes, sent, 0, SENSE_PARAMETER_LIST_LENGTH);
    for (uint32_t said = 1; said < p.size; said++)
        scsi_expect(cdb_of(said), p.bytes, said, 0, SENSE_PARAMETER_LIST_LENGTH);
    scsi_expect(cdb_of(SCSI_COPY_HEADER_SIZE + SCSI_COPY_MAX_LIST + 1), p.bytes, sizeof(p.bytes), 0,
                SENSE_PARAMETER_LIST_LENGTH);
    assert_int_equal(port->disk->reads + second.disk->writes, 0);
    assert_null(record());
}

static void the_field_that_is_wrong_is_told(void **state)
{
    name_both();
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 10);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    p.bytes[16 + 64] = 0x03;
    copy(SENSE_UNSUPPORTED_SEGMENT_TYPE);
    assert_int_equal(port->sense[15], 0x80); /* it is in the parameters */
    assert_int_equal(port->sense[16] << 8 | port->sense[17], 16 + 64);
    port->lu->mode.descriptor_sense = true;
    scsi_port_begin(port, cdb_of(p.size), p.bytes, p.size, 0);
    run_disks();
    assert_int_equal(port->sense[8], 0x02);
    assert_int_equal(port->sense[12], 0x80);
    assert_int_equal(port->sense[13] << 8 | port->sense[14], 16 + 64);
}

/* The blocks that are left; -1: nothing was written. */
static int residual(void)
{
    struct wire_reader r = wire_reader_of(port->sense + 3, 4);
    return port->sense[0] & 0x80 ? (int)wire_get_be32(&r) : -1;
}

static void assert_failed(enum scsi_sense sense, unsigned segments)
{
    assert_int_equal(record()->state, SCSI_COPY_FAILED);
    assert_int_equal(record()->segments, segments);
    assert_int_equal(record()->sense_size, port->sense_size);
    assert_memory_equal(record()->sense, port->sense, port->sense_size);
}

static void segments_that_cannot_be(void **state)
{
    static const struct {
        uint16_t source, destination, count;
        uint64_t from, to;
        enum scsi_sense sense;
        unsigned field; /* of the segment */
    } wrong[] = {
        {2, 0, 1, 0, 0, SENSE_COPY_TARGET_UNREACHABLE, 4},
        {0, 2, 1, 0, 0, SENSE_COPY_TARGET_UNREACHABLE, 6},
        {0, 0xc000, 1, 0, 0, SENSE_COPY_TARGET_UNREACHABLE, 6}, /* a null LU */
        {0xfffe, 1, 1, 0, 0, SENSE_COPY_TARGET_UNREACHABLE, 4},
        {0, 1, 2, BLOCKS - 1, 0, SENSE_COPY_ABORTED, 12},
        {0, 1, 2, 0, BLOCKS - 1, SENSE_COPY_ABORTED, 20},
        {0, 1, 1, BLOCKS, 0, SENSE_COPY_ABORTED, 12},
        {0, 1, 1, UINT64_MAX, 0, SENSE_COPY_ABORTED, 12},
        {0, 1, 1, 0, UINT64_MAX / 512 + 1, SENSE_COPY_ABORTED, 20}, /* wraps in bytes */
    };
    for (size_t i = 0; i < 2 * ARRAY_SIZE(wrong); i++) {
        size_t n = i / 2;
        port->lu->mode.descriptor_sense = i % 2;
        copy_blocks(wrong[n].source, wrong[n].destination, wrong[n].count, wrong[n].from,
                    wrong[n].to, wrong[n].sense);
        assert_failed(wrong[n].sense, 0);
        assert_points(0, 16 + 64 + wrong[n].field);
    }
    port->lu->mode.descriptor_sense = false;
    assert_int_equal(port->disk->reads + second.disk->writes, 0);
}

static void what_came_before_a_wrong_segment_is_copied(void **state)
{
    name_both();
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 10);
    copy_parameters_blocks(&p, 0, 0, 7, 1, 0, 11);
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 12);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_COPY_TARGET_UNREACHABLE);
    assert_failed(SENSE_COPY_TARGET_UNREACHABLE, 1);
    assert_points(1, 16 + 64 + 28 + 6);
    assert_int_equal(residual(), -1); /* of that segment */
    assert_int_equal(second.disk->writes, 1);
}

static void lus_that_are_not_there(void **state)
{
    copy_parameters_cscd(&p, first_naa, 512);
    copy_parameters_cscd(&p, (const uint8_t[8]){0x3c, 22, 23, 24, 25, 26, 27, 29}, 512);
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 0);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_COPY_DEVICE_NOT_REACHABLE);
    assert_points(0, 16 + 32);
    memcpy(p.bytes + 16 + 32 + 8, second_naa, 8);
    copy(SENSE_NONE);
    static const struct {
        uint8_t at, value;
    } other[] = {{4, 2}, {5, 1}, {5, 0x13}, {7, 7}, {7, 9}, {7, 255}};
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) { /* every part of the name counts */
        uint8_t *byte = p.bytes + 16 + 32 + other[i].at, was = *byte;
        *byte = other[i].value;
        copy(SENSE_COPY_DEVICE_NOT_REACHABLE);
        *byte = was;
    }
    p.bytes[16 + 32 + 1] = 0xe0; /* LU ID TYPE and NUL: nothing to us */
    p.bytes[16 + 32 + 3] = 77;
    copy(SENSE_NONE);
    p.bytes[16 + 32 + 30] = 0x10; /* blocks of 4096 bytes? */
    copy(SENSE_COPY_WRONG_PARAMETERS);
    assert_points(0, 16 + 32 + 29);
}

/* One of another target that nobody gave to this initiator. */
static void an_lu_of_another_target_is_not_there(void **state)
{
    port->target.n_luns = 1;
    copy_blocks(0, 1, 1, 0, 0, SENSE_COPY_DEVICE_NOT_REACHABLE);
    copy_blocks(1, 0, 1, 0, 0, SENSE_COPY_DEVICE_NOT_REACHABLE);
    assert_int_equal(second.disk->reads + second.disk->writes, 0);
}

static void what_the_disks_say(void **state)
{
    port->disk->fail_with = -EIO;
    copy_blocks(0, 1, 1, 0, 0, SENSE_COPY_DEVICE_FAILED);
    assert_failed(SENSE_COPY_DEVICE_FAILED, 0);
    assert_points(0, 16); /* the source */
    assert_int_equal(residual(), -1);
    assert_int_equal(second.disk->writes, 0);
    port->disk->fail_with = 0;
    second.disk->fail_with = -ENOSPC;
    second.disk->fail_after = 1;
    copy_blocks(0, 1, 1500, 0, 0, SENSE_COPY_DEVICE_FAILED);
    assert_true(record()->bytes == BUFFER_MAX_SIZE);
    assert_int_equal(port->disk->reads, 2); /* and no more is tried */
    assert_points(0, 16 + 32);              /* the destination */
    assert_int_equal(residual(), 1500 - BUFFER_MAX_SIZE / 512);
}

static void what_is_left_of_bytes_is_told_in_blocks(void **state)
{
    name_both();
    copy_parameters_bytes(&p, 0, 1, BUFFER_MAX_SIZE + 513, 0, 0, 0, 0);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    second.disk->fail_with = -EIO;
    second.disk->fail_after = 1;
    copy(SENSE_COPY_DEVICE_FAILED);
    assert_int_equal(residual(), 2);
}

/* SPC-4 6.4.6.1: FFFFh; it needs no name, and has none to point at. */
static void the_lu_that_is_asked(void **state)
{
    copy_parameters_blocks(&p, 0, SCSI_COPY_THIS_LU, SCSI_COPY_THIS_LU, 10, 3, 1000);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    copy(SENSE_NONE);
    assert_memory_equal(port->disk->data + 1000 * 512, port->disk->data + 3 * 512, 10 * 512);
    copy_blocks(SCSI_COPY_THIS_LU, 1, 10, 3, 7, SENSE_NONE);
    assert_memory_equal(second.disk->data + 7 * 512, port->disk->data + 3 * 512, 10 * 512);
    copy_blocks(1, SCSI_COPY_THIS_LU, 10, 100, 200, SENSE_NONE);
    assert_memory_equal(port->disk->data + 200 * 512, second.disk->data + 100 * 512, 10 * 512);
    port->disk->fail_with = -EIO;
    copy_blocks(SCSI_COPY_THIS_LU, 1, 1, 0, 0, SENSE_COPY_DEVICE_FAILED);
    assert_points(0, 16 + 64 + 4);
}

static void what_must_not_be_written_is_not(void **state)
{
    second.lu->mode.write_protect = true;
    copy_blocks(0, 1, 1, 0, 0, SENSE_COPY_DEVICE_FAILED);
    assert_int_equal(second.disk->writes, 0);
    copy_blocks(1, 0, 1, 0, 0, SENSE_NONE);
    port->lu->read_only = true; /* the LU that is asked may be read-only */
    second.lu->mode.write_protect = false;
    copy_blocks(0, 1, 1, 0, 0, SENSE_NONE);
}

static void without_a_medium(void **state)
{
    second.lu->ejected = true;
    copy_blocks(0, 1, 1, 0, 0, SENSE_COPY_DEVICE_NOT_REACHABLE);
    copy_blocks(1, 0, 1, 0, 0, SENSE_COPY_DEVICE_NOT_REACHABLE);
    assert_int_equal(second.disk->reads + second.disk->writes + port->disk->writes, 0);
}

static void reservations_of_others_are_respected(void **state)
{
    struct scsi_nexus other;
    struct scsi_nexus_id id = port->nexus.id;
    id.initiator.isid[5]++;
    scsi_nexus_connect(&other, second.lu, &id, NULL);
    second.lu->reserved_by = &other;
    copy_blocks(0, 1, 1, 0, 0, SENSE_COPY_DEVICE_FAILED);
    copy_blocks(1, 0, 1, 0, 0, SENSE_COPY_DEVICE_FAILED);
    assert_int_equal(second.disk->reads + second.disk->writes + port->disk->writes, 0);
    second.lu->reserved_by = &second.nexus; /* one's own */
    copy_blocks(0, 1, 1, 0, 0, SENSE_NONE);
    second.lu->reserved_by = NULL;
    second.lu->reservations->type = SCSI_WRITE_EXCLUSIVE; /* which lets everybody read */
    copy_blocks(0, 1, 1, 0, 0, SENSE_COPY_DEVICE_FAILED);
    copy_blocks(1, 0, 1, 0, 0, SENSE_NONE);
    second.lu->reservations->type = SCSI_EXCLUSIVE_ACCESS;
    copy_blocks(1, 0, 1, 0, 0, SENSE_COPY_DEVICE_FAILED);
    second.lu->reservations->type = 0;
    scsi_nexus_disconnect(&other);
}

static void a_write_waits_for_who_has_its_bytes(void **state)
{
    struct scsi_range_claim claim = {.begin = 5 * 512, .end = 6 * 512, .exclusive = true};
    assert_true(scsi_range_claim(&second.lu->ranges, &claim));
    name_both();
    copy_parameters_blocks(&p, 0, 0, 1, 10, 0, 0);
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
    scsi_port_begin(port, cdb_of(p.size), p.bytes, p.size, 0);
    assert_int_equal(memdisk_run(port->disk, false), 1);
    fake_thread_round(port->thread);
    assert_int_equal(second.disk->n_pending, 0);
    scsi_range_release(&second.lu->ranges, &claim);
    fake_thread_round(port->thread);
    assert_int_equal(second.disk->n_pending, 1);
    run_disks();
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
}

static void an_abort_ends_it_at_the_disk(void **state)
{
    for (int while_written = 0; while_written < 2; while_written++) {
        name_both();
        copy_parameters_blocks(&p, 0, 0, 1, 1500, 0, 0);
        copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
        second.disk->writes = 0;
        scsi_port_begin(port, cdb_of(p.size), p.bytes, p.size, 0);
        if (while_written)
            memdisk_run(port->disk, false);
        assert_int_equal(record()->state, SCSI_COPY_RUNS);
        scsi_port_abort(port);
        assert_non_null(port->task); /* a request is on its way */
        run_disks();
        assert_true(port->aborted);
        assert_int_equal(second.disk->writes, while_written);
        assert_null(record());
    }
}

static void no_more_than_a_few_at_once(void **state)
{
    struct scsi_copy_records *records = &port->nexus.copies;
    scsi_copy_record_new(records, false, 9);
    copy_blocks(0, 1, 1, 0, 0, SENSE_OPERATION_IN_PROGRESS);
    for (uint8_t i = 1; i < SCSI_MAX_COPIES; i++)
        scsi_copy_record_new(records, true, 0);
    name_both();
    copy_parameters_blocks(&p, 0, 0, 1, 1, 0, 10);
    copy_parameters_head(&p, 10, SCSI_COPY_KEEP);
    copy(SENSE_INSUFFICIENT_RESOURCES);
    assert_int_equal(second.disk->writes, 0);
    records->records[0].state = SCSI_COPY_ENDED;
    copy(SENSE_NONE);
}

#define COPY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COPY_TEST(within_one_lu),
        COPY_TEST(from_one_to_the_other_and_back),
        COPY_TEST(to_the_byte),
        COPY_TEST(blocks_of_different_sizes),
        COPY_TEST(one_segment_after_the_other),
        COPY_TEST(done_inside_the_submission),
        COPY_TEST(only_what_is_to_be_kept_is_kept),
        COPY_TEST(nothing_is_nothing),
        COPY_TEST(lists_with_wrong_lengths),
        COPY_TEST(the_field_that_is_wrong_is_told),
        COPY_TEST(segments_that_cannot_be),
        COPY_TEST(what_came_before_a_wrong_segment_is_copied),
        COPY_TEST(lus_that_are_not_there),
        COPY_TEST(an_lu_of_another_target_is_not_there),
        COPY_TEST(what_the_disks_say),
        COPY_TEST(what_is_left_of_bytes_is_told_in_blocks),
        COPY_TEST(the_lu_that_is_asked),
        COPY_TEST(what_must_not_be_written_is_not),
        COPY_TEST(without_a_medium),
        COPY_TEST(reservations_of_others_are_respected),
        COPY_TEST(a_write_waits_for_who_has_its_bytes),
        COPY_TEST(an_abort_ends_it_at_the_disk),
        COPY_TEST(no_more_than_a_few_at_once),
    };
    return RUN_TESTS(tests);
}
