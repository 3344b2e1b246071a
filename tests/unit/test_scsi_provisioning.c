/* UNMAP, WRITE SAME, GET LBA STATUS. */
#include "scsi_commands.h"

#include <errno.h>

#define BLOCK     512
#define BLOCKS    4096
#define DISK_SIZE (BLOCKS * BLOCK)

static int setup(void **state)
{
    port = scsi_port_new(DISK_SIZE, BLOCK);
    memset(port->disk->data, 0xaa, DISK_SIZE);
    return 0;
}

/* Blocks [first, last) of the disk hold this byte, those around them do not. */
static void assert_blocks(uint32_t first, uint32_t last, uint8_t byte)
{
    const uint8_t *data = port->disk->data;
    for (size_t i = (size_t)first * BLOCK; i < (size_t)last * BLOCK; i++)
        if (data[i] != byte)
            fail_msg("block %zu has byte %02x", i / BLOCK, data[i]);
    assert_true(first == 0 || data[first * BLOCK - 1] != byte);
    assert_true(last == BLOCKS || data[last * BLOCK] != byte);
}

static void assert_untouched(void)
{
    assert_blocks(0, BLOCKS, 0xaa);
    assert_int_equal(port->disk->writes + port->disk->zeroes, 0);
}

/* --- UNMAP --- */

struct extent {
    uint64_t lba;
    uint32_t count;
};

/* A parameter list, with lengths that may be other than they should. */
struct parameters {
    uint8_t bytes[8192];
    size_t size;
};

static struct parameters make_list(const struct extent *extents, size_t count)
{
    struct parameters list = {{0}, 8 + 16 * count};
    struct wire_writer w = wire_writer_of(list.bytes, sizeof(list.bytes));
    wire_put_be16(&w, (uint16_t)(list.size - 2));
    wire_put_be16(&w, (uint16_t)(16 * count));
    wire_put_be32(&w, 0);
    for (size_t i = 0; i < count; i++) {
        wire_put_be64(&w, extents[i].lba);
        wire_put_be32(&w, extents[i].count);
        wire_put_be32(&w, 0);
    }
    assert_true(wire_writer_ok(&w));
    return list;
}

#define LIST(...)                                                                                  \
    make_list((const struct extent[]){__VA_ARGS__},                                                \
              sizeof((const struct extent[]){__VA_ARGS__}) / sizeof(struct extent))

static void unmap(struct parameters list, enum scsi_sense sense)
{
    scsi_expect(CDB(SCSI_UNMAP, 0, 0, 0, 0, 0, 0, (uint8_t)(list.size >> 8), (uint8_t)list.size),
                list.bytes, (uint32_t)list.size, 0, sense);
}

static void unmapped_blocks_read_as_zeroes(void **state)
{
    unmap(LIST({10, 5}, {100, 1}, {BLOCKS - 1, 1}), SENSE_NONE);
    assert_blocks(10, 15, 0);
    assert_blocks(100, 101, 0);
    assert_blocks(BLOCKS - 1, BLOCKS, 0);
    assert_int_equal(port->disk->zeroes, 3);
    assert_int_equal(port->disk->writes, 0);
}

static void all_of_it_at_once(void **state)
{
    unmap(LIST({0, BLOCKS}), SENSE_NONE);
    assert_blocks(0, BLOCKS, 0);
}

static void extents_of_no_blocks_are_skipped(void **state)
{
    unmap(LIST({10, 0}, {20, 1}, {BLOCKS, 0}, {30, 1}), SENSE_NONE);
    assert_blocks(20, 21, 0);
    assert_blocks(30, 31, 0);
    assert_int_equal(port->disk->zeroes, 2);
}

static void as_many_extents_as_the_limits_promise(void **state)
{
    struct extent extents[256];
    for (size_t i = 0; i < ARRAY_SIZE(extents); i++)
        extents[i] = (struct extent){2 * i, 1};
    unmap(make_list(extents, ARRAY_SIZE(extents)), SENSE_NONE);
    assert_int_equal(port->disk->zeroes, 256);
    for (uint32_t i = 0; i < 256; i++)
        assert_blocks(2 * i, 2 * i + 1, 0);
}

static void a_list_of_nothing(void **state)
{
    struct parameters none = {{0}, 0}, header = make_list(NULL, 0);
    unmap(none, SENSE_NONE);
    unmap(header, SENSE_NONE);
    assert_untouched();
}

static void nothing_is_unmapped_if_one_extent_is_wrong(void **state)
{
    unmap(LIST({0, 8}, {BLOCKS, 1}), SENSE_LBA_OUT_OF_RANGE);
    unmap(LIST({0, 8}, {BLOCKS - 1, 2}), SENSE_LBA_OUT_OF_RANGE);
    unmap(LIST({0, 8}, {UINT64_MAX, 2}), SENSE_LBA_OUT_OF_RANGE);
    unmap(LIST({0, 8}, {BLOCKS + 1, 0}), SENSE_LBA_OUT_OF_RANGE);
    unmap(LIST({UINT64_MAX / BLOCK + 2, 1}, {0, 8}), SENSE_LBA_OUT_OF_RANGE); /* wraps in bytes */
    assert_untouched();
}

static void lists_with_wrong_lengths(void **state)
{
    for (size_t size = 1; size < 8; size++) {
        struct parameters list = LIST({0, 8});
        list.size = size;
        unmap(list, SENSE_PARAMETER_LIST_LENGTH);
    }
    struct parameters list = LIST({0, 8}, {8, 8});
    list.bytes[1]++; /* says that there is a byte more than is sent */
    unmap(list, SENSE_INVALID_FIELD_IN_PARAMETERS);
    list = LIST({0, 8}, {8, 8});
    list.bytes[3]++; /* likewise, of the extents alone */
    unmap(list, SENSE_INVALID_FIELD_IN_PARAMETERS);
    assert_untouched();
}

/* SBC-4 5.35.2: what stands behind the extents, or is no whole extent, is ignored. */
static void what_is_left_over_is_ignored(void **state)
{
    struct parameters list = LIST({0, 8}, {8, 8});
    list.bytes[3] = 16 + 15;
    unmap(list, SENSE_NONE);
    assert_blocks(0, 8, 0);
    assert_int_equal(port->disk->zeroes, 1);
}

/* The initiator sends less than its CDB says. */
static void a_list_that_is_cut_is_no_list(void **state)
{
    struct parameters list = LIST({0, 8}, {8, 8});
    const uint8_t *cdb = CDB(SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40);
    for (uint32_t sent = 1; sent < list.size; sent++)
        scsi_expect(cdb, list.bytes, sent, 0,
                    sent < 8 ? SENSE_PARAMETER_LIST_LENGTH : SENSE_INVALID_FIELD_IN_PARAMETERS);
    assert_untouched();
}

static void anchors_are_not_supported(void **state)
{
    struct parameters list = LIST({0, 8});
    scsi_expect(CDB(SCSI_UNMAP, 1, 0, 0, 0, 0, 0, 0, 24), list.bytes, 24, 0,
                SENSE_INVALID_FIELD_IN_CDB);
    assert_untouched();
}

static void an_error_ends_the_list_there(void **state)
{
    port->disk->fail_with = -ENOSPC;
    port->disk->fail_after = 1;
    unmap(LIST({0, 1}, {10, 1}, {20, 1}), SENSE_NO_SPACE);
    assert_blocks(0, 1, 0);
    assert_int_equal(port->disk->zeroes, 1);
    port->disk->fail_with = -EIO;
    unmap(LIST({0, 1}), SENSE_MEDIUM_WRITE_ERROR);
}

static void an_aborted_list_stops_at_the_disk(void **state)
{
    struct parameters list = LIST({0, 1}, {10, 1}, {20, 1});
    scsi_port_begin(port, CDB(SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 56), list.bytes, 56, 0);
    assert_int_equal(port->disk->n_pending, 1);
    scsi_port_abort(port);
    assert_non_null(port->task); /* the first extent is on its way */
    memdisk_run(port->disk, false);
    assert_null(port->task);
    assert_true(port->aborted);
    assert_int_equal(port->disk->zeroes, 1);
}

/* --- WRITE SAME --- */

enum { NDOB = 0x01, UNMAP_BIT = 0x08, ANCHOR = 0x10 };

static uint8_t block[4096];

static void write_same(uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t count,
                       enum scsi_sense sense)
{
    bool no_data = opcode == SCSI_WRITE_SAME_16 && byte1 & NDOB;
    scsi_expect(cdb_range(opcode, byte1, lba, count), no_data ? NULL : block,
                no_data ? 0 : port->lu->block_size, 0, sense);
}

static const uint8_t sames[] = {SCSI_WRITE_SAME_10, SCSI_WRITE_SAME_16};

static void a_block_is_repeated(void **state)
{
    memset(block, 0x5b, sizeof(block));
    for (size_t i = 0; i < ARRAY_SIZE(sames); i++) {
        memset(port->disk->data, 0xaa, DISK_SIZE);
        port->disk->writes = 0;
        write_same(sames[i], 0, 3, 1025, SENSE_NONE); /* two buffers full of it, and one block */
        assert_blocks(3, 3 + 1025, 0x5b);
        assert_int_equal(port->disk->writes, 3);
        assert_int_equal(port->data_length, BLOCK);
    }
}

static void the_blocks_content_is_kept_in_order(void **state)
{
    for (size_t i = 0; i < BLOCK; i++)
        block[i] = (uint8_t)(i ^ i >> 8);
    write_same(SCSI_WRITE_SAME_16, 0, 1, 3, SENSE_NONE);
    for (size_t i = 1; i <= 3; i++)
        assert_memory_equal(port->disk->data + i * BLOCK, block, BLOCK);
}

static void zeroes_give_space_back(void **state)
{
    memset(block, 0, sizeof(block));
    for (size_t i = 0; i < ARRAY_SIZE(sames); i++) {
        for (int with_unmap = 0; with_unmap < 2; with_unmap++) {
            memset(port->disk->data, 0xaa, DISK_SIZE);
            write_same(sames[i], with_unmap ? UNMAP_BIT : 0, 3, 1025, SENSE_NONE);
            assert_blocks(3, 3 + 1025, 0);
        }
    }
    assert_int_equal(port->disk->zeroes, 4); /* one request for each */
    assert_int_equal(port->disk->writes, 0);
}

/* UNMAP asks to give space back; a block that is not zero must be there afterwards all the same. */
static void unmap_with_data_writes_the_data(void **state)
{
    memset(block, 0, sizeof(block));
    block[BLOCK - 1] = 1;
    write_same(SCSI_WRITE_SAME_16, UNMAP_BIT, 0, 2, SENSE_NONE);
    assert_memory_equal(port->disk->data, block, BLOCK);
    assert_memory_equal(port->disk->data + BLOCK, block, BLOCK);
    assert_int_equal(port->disk->zeroes, 0);
}

static void without_a_block_it_is_zeroes(void **state)
{
    write_same(SCSI_WRITE_SAME_16, NDOB, 7, 9, SENSE_NONE);
    assert_blocks(7, 16, 0);
    assert_int_equal(port->data_length, 0);
    memset(block, 0x11, sizeof(block));
    write_same(SCSI_WRITE_SAME_10, NDOB, 0, 1, SENSE_NONE); /* the short form has no such bit */
    assert_blocks(0, 1, 0x11);
}

/* WSNZ is set. */
static void no_blocks_are_refused(void **state)
{
    static const uint64_t places[] = {0, BLOCKS - 700, BLOCKS - 1, BLOCKS};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        write_same(SCSI_WRITE_SAME_10, 0, places[i], 0, SENSE_INVALID_FIELD_IN_CDB);
        write_same(SCSI_WRITE_SAME_16, UNMAP_BIT, places[i], 0, SENSE_INVALID_FIELD_IN_CDB);
        write_same(SCSI_WRITE_SAME_16, NDOB, places[i], 0, SENSE_INVALID_FIELD_IN_CDB);
    }
    assert_untouched();
}

/* MAXIMUM WRITE SAME LENGTH. */
static void not_more_than_the_limit_at_once(void **state)
{
    const uint64_t n_blocks = port->lu->n_blocks;
    port->lu->n_blocks = 2 * SCSI_MAX_ZERO_BYTES / BLOCK;
    write_same(SCSI_WRITE_SAME_16, NDOB, 0, SCSI_MAX_ZERO_BYTES / BLOCK + 1,
               SENSE_INVALID_FIELD_IN_CDB);
    port->lu->n_blocks = n_blocks;
    assert_untouched();
}

static void what_cannot_be_the_same(void **state)
{
    memset(block, 0x33, sizeof(block));
    for (size_t i = 0; i < ARRAY_SIZE(sames); i++) {
        write_same(sames[i], 0, BLOCKS - 1, 2, SENSE_LBA_OUT_OF_RANGE);
        write_same(sames[i], 0, BLOCKS + 1, 0, SENSE_LBA_OUT_OF_RANGE);
        write_same(sames[i], ANCHOR, 0, 1, SENSE_INVALID_FIELD_IN_CDB);
        for (uint8_t bit = 0x20; bit; bit = (uint8_t)(bit << 1))
            write_same(sames[i], bit, 0, 1, SENSE_INVALID_FIELD_IN_CDB);
        scsi_expect(cdb_range(sames[i], 0, 0, 1), block, BLOCK - 1, 0,
                    SENSE_INVALID_FIELD_IN_CDB); /* not a whole block */
    }
    write_same(SCSI_WRITE_SAME_16, 0, UINT64_MAX, 2, SENSE_LBA_OUT_OF_RANGE);
    assert_untouched();
}

static void errors_of_the_disk_are_told(void **state)
{
    memset(block, 0x44, sizeof(block));
    port->disk->fail_with = -ENOSPC;
    port->disk->fail_after = 1;
    write_same(SCSI_WRITE_SAME_16, 0, 0, 2048, SENSE_NO_SPACE);
    assert_int_equal(port->disk->writes, 1); /* and no more of it is tried */
    write_same(SCSI_WRITE_SAME_16, NDOB, 0, 1, SENSE_NO_SPACE);
    port->disk->fail_with = -EIO;
    write_same(SCSI_WRITE_SAME_16, 0, 0, 1, SENSE_MEDIUM_WRITE_ERROR);
}

static void on_a_disk_of_4096_byte_blocks(void **state)
{
    scsi_port_free(port);
    port = scsi_port_new(DISK_SIZE, 4096);
    memset(block, 0x55, sizeof(block));
    write_same(SCSI_WRITE_SAME_16, 0, 1, 100, SENSE_NONE);
    assert_blocks(8, 808, 0x55);
    unmap(LIST({3, 4}), SENSE_NONE);
    assert_blocks(24, 56, 0);
}

/* --- GET LBA STATUS --- */

static const uint8_t *lba_status_cdb(uint64_t lba, uint32_t allocation_length, uint8_t type)
{
    static uint8_t cdb[SCSI_CDB_SIZE];
    struct wire_writer w = wire_writer_of(cdb, sizeof(cdb));
    wire_put_u8(&w, SCSI_SERVICE_ACTION_IN_16);
    wire_put_u8(&w, SCSI_GET_LBA_STATUS);
    wire_put_be64(&w, lba);
    wire_put_be32(&w, allocation_length);
    wire_put_u8(&w, type);
    return cdb;
}

static const uint8_t *lba_status(uint64_t lba, uint32_t allocation_length)
{
    return scsi_fetch(lba_status_cdb(lba, allocation_length, 0), 65536);
}

struct status {
    uint64_t lba;
    uint32_t count;
    bool deallocated;
};

static void assert_status(bool rtp, const struct status *expected, size_t count)
{
    struct wire_reader r = scsi_reader();
    assert_int_equal(port->moved, 8 + 16 * count);
    assert_int_equal(wire_get_be32(&r), port->moved - 4);
    assert_int_equal(wire_get_be32(&r), rtp);
    for (size_t i = 0; i < count; i++) {
        assert_true(wire_get_be64(&r) == expected[i].lba);
        assert_int_equal(wire_get_be32(&r), expected[i].count);
        assert_int_equal(wire_get_u8(&r), expected[i].deallocated);
        assert_int_equal(wire_get_be24(&r), 0);
    }
}

#define ASSERT_STATUS(...)                                                                         \
    assert_status(false, (const struct status[]){__VA_ARGS__},                                     \
                  sizeof((const struct status[]){__VA_ARGS__}) / sizeof(struct status))
#define ASSERT_REPORTED(...)                                                                       \
    assert_status(true, (const struct status[]){__VA_ARGS__},                                      \
                  sizeof((const struct status[]){__VA_ARGS__}) / sizeof(struct status))

#define SET_EXTENTS(...)                                                                           \
    do {                                                                                           \
        static const struct memdisk_extent extents_[] = {__VA_ARGS__};                             \
        port->disk->extents = extents_;                                                            \
        port->disk->n_extents = ARRAY_SIZE(extents_);                                              \
    } while (0)

static void extents_are_listed(void **state)
{
    SET_EXTENTS({10 * BLOCK, false}, {25 * BLOCK, true}, {1000 * BLOCK, false});
    lba_status(0, 65536); /* two at a time */
    ASSERT_STATUS({0, 10, true}, {10, 15, false});
    lba_status(25, 65536);
    ASSERT_STATUS({25, 975, true}, {1000, BLOCKS - 1000, false});
    lba_status(24, 65536);
    ASSERT_STATUS({24, 1, false}, {25, 975, true});
    lba_status(BLOCKS - 1, 65536);
    ASSERT_STATUS({BLOCKS - 1, 1, false});
}

static void only_as_many_as_have_room(void **state)
{
    SET_EXTENTS({10 * BLOCK, false}, {25 * BLOCK, true}, {1000 * BLOCK, false});
    lba_status(0, 24);
    ASSERT_STATUS({0, 10, true});
    lba_status(0, 40);
    ASSERT_STATUS({0, 10, true}, {10, 15, false});
    lba_status(0, 30); /* a part of a descriptor may come */
    assert_int_equal(port->moved, 30);
    for (uint32_t room = 0; room < 24; room++) {
        lba_status(0, room);
        assert_int_equal(port->moved, room);
    }
}

static void report(uint8_t type, uint64_t lba)
{
    scsi_fetch(lba_status_cdb(lba, 65536, type), 65536);
}

enum { NOT_MAPPED = 1, MAPPED = 2, DEALLOCATED = 3, ANCHORED = 4, UNRECOVERED = 0x10 };

static void one_kind_of_extents(void **state)
{
    SET_EXTENTS({10 * BLOCK, false}, {25 * BLOCK, true}, {1000 * BLOCK, false});
    report(MAPPED, 0);
    ASSERT_REPORTED({10, 15, false}, {1000, BLOCKS - 1000, false});
    report(MAPPED, 12);
    ASSERT_REPORTED({12, 13, false}, {1000, BLOCKS - 1000, false});
    static const uint8_t not_mapped[] = {NOT_MAPPED, DEALLOCATED};
    for (size_t i = 0; i < ARRAY_SIZE(not_mapped); i++) {
        uint8_t type = not_mapped[i];
        report(type, 0);
        ASSERT_REPORTED({0, 10, true}, {25, 975, true});
        report(type, 24);
        ASSERT_REPORTED({25, 975, true});
        report(type, 1000);
        assert_status(true, NULL, 0);
    }
    for (uint64_t lba = 0; lba < BLOCKS; lba += 500) {
        report(ANCHORED, lba);
        assert_status(true, NULL, 0);
        report(UNRECOVERED, lba);
        assert_status(true, NULL, 0);
    }
    for (unsigned type = 5; type < 256; type++)
        if (type != UNRECOVERED)
            scsi_refused(lba_status_cdb(0, 255, (uint8_t)type), SENSE_INVALID_FIELD_IN_CDB);
}

/* The first descriptor may have no room at all. */
static void one_kind_of_extents_in_little_room(void **state)
{
    SET_EXTENTS({10 * BLOCK, false}, {25 * BLOCK, true}, {1000 * BLOCK, false});
    for (uint32_t room = 0; room <= 24; room++) {
        scsi_fetch(lba_status_cdb(0, room, MAPPED), 65536);
        assert_int_equal(port->moved, room);
    }
    ASSERT_REPORTED({10, 15, false});
}

/* Who looks for one in a great many of the other kind is told of those, and that it is so (RTP). */
static void one_kind_is_not_looked_for_for_long(void **state)
{
    static struct memdisk_extent extents[100];
    for (size_t i = 0; i < ARRAY_SIZE(extents); i++)
        extents[i] = (struct memdisk_extent){(i + 1) * BLOCK, true};
    port->disk->extents = extents;
    port->disk->n_extents = ARRAY_SIZE(extents);
    extents[15].allocated = false;
    report(DEALLOCATED, 0);
    ASSERT_REPORTED({15, 1, true});
    report(DEALLOCATED, 16);
    ASSERT_STATUS({16, 1, false}, {17, 1, false});
}

static void very_many_extents_are_cut(void **state)
{
    static struct memdisk_extent extents[200];
    for (size_t i = 0; i < ARRAY_SIZE(extents); i++)
        extents[i] = (struct memdisk_extent){(i + 1) * BLOCK, i % 2};
    port->disk->extents = extents;
    port->disk->n_extents = ARRAY_SIZE(extents);
    lba_status(0, 65536);
    struct wire_reader r = scsi_reader();
    assert_int_equal(wire_get_be32(&r), port->moved - 4);
    assert_true(port->moved >= 8 + 16 && port->moved < 8 + 16 * ARRAY_SIZE(extents));
    assert_int_equal((port->moved - 8) % 16, 0);
}

static void a_hole_that_is_larger_than_a_descriptor_can_tell(void **state)
{
    const uint64_t n_blocks = port->lu->n_blocks;
    SET_EXTENTS({(uint64_t)BLOCK << 33, false});
    port->lu->n_blocks = UINT64_C(1) << 33;
    lba_status(0, 65536);
    ASSERT_STATUS({0, UINT32_MAX, true}, {UINT32_MAX, UINT32_MAX, true});
    lba_status(UINT64_C(2) * UINT32_MAX, 65536);
    ASSERT_STATUS({UINT64_C(2) * UINT32_MAX, 2, true});
    port->lu->n_blocks = n_blocks;
}

static void behind_the_end_there_is_nothing(void **state)
{
    uint8_t cdb[SCSI_CDB_SIZE] = {SCSI_SERVICE_ACTION_IN_16, SCSI_GET_LBA_STATUS};
    cdb[8] = BLOCKS >> 8;
    cdb[13] = 255;
    scsi_refused(cdb, SENSE_LBA_OUT_OF_RANGE);
}

/* A block with data in any part of it is no hole, and a hole that ends inside a block ends before
 * it: who skips deallocated blocks would lose data otherwise. */
static void a_hole_that_ends_inside_a_block(void **state)
{
    scsi_port_free(port);
    port = scsi_port_new(DISK_SIZE, 4096);
    SET_EXTENTS({2 * 4096 + 512, false}, {3 * 4096, true}, {3 * 4096 + 1024, false},
                {5 * 4096 + 1, true}, {6 * 4096, false});
    lba_status(0, 65536);
    ASSERT_STATUS({0, 2, true}, {2, 1, false});
    lba_status(3, 65536);
    ASSERT_STATUS({3, 1, false}, {4, 2, false});
    lba_status(6, 65536);
    ASSERT_STATUS({6, DISK_SIZE / 4096 - 6, false});
}

/* --- thick LUs --- */

static void a_thick_lu_refuses_to_unmap(void **state)
{
    port->lu->thick = true;
    unmap(LIST({0, 8}), SENSE_INVALID_OPCODE);
    uint8_t cdb[SCSI_CDB_SIZE] = {SCSI_SERVICE_ACTION_IN_16, SCSI_GET_LBA_STATUS};
    cdb[13] = 255;
    scsi_refused(cdb, SENSE_INVALID_FIELD_IN_CDB);
    memset(block, 0, sizeof(block));
    for (size_t i = 0; i < ARRAY_SIZE(sames); i++) {
        write_same(sames[i], UNMAP_BIT, 0, 1, SENSE_INVALID_FIELD_IN_CDB);
        assert_int_equal(port->sense[15], 0xc0); /* and it is in byte 1 of the CDB: */
        assert_int_equal(port->sense[16] << 8 | port->sense[17], 1);
    }
    write_same(SCSI_WRITE_SAME_16, UNMAP_BIT | NDOB, 0, 1, SENSE_INVALID_FIELD_IN_CDB);
    assert_untouched();
}

static void a_thick_lu_is_filled_all_the_same(void **state)
{
    port->lu->thick = true;
    memset(block, 0, sizeof(block));
    write_same(SCSI_WRITE_SAME_10, 0, 3, 5, SENSE_NONE);
    write_same(SCSI_WRITE_SAME_16, NDOB, 8, 2, SENSE_NONE);
    assert_blocks(3, 10, 0);
}

#define PROVISIONING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scsi_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROVISIONING_TEST(unmapped_blocks_read_as_zeroes),
        PROVISIONING_TEST(all_of_it_at_once),
        PROVISIONING_TEST(extents_of_no_blocks_are_skipped),
        PROVISIONING_TEST(as_many_extents_as_the_limits_promise),
        PROVISIONING_TEST(a_list_of_nothing),
        PROVISIONING_TEST(nothing_is_unmapped_if_one_extent_is_wrong),
        PROVISIONING_TEST(lists_with_wrong_lengths),
        PROVISIONING_TEST(what_is_left_over_is_ignored),
        PROVISIONING_TEST(a_list_that_is_cut_is_no_list),
        PROVISIONING_TEST(anchors_are_not_supported),
        PROVISIONING_TEST(an_error_ends_the_list_there),
        PROVISIONING_TEST(an_aborted_list_stops_at_the_disk),
        PROVISIONING_TEST(a_block_is_repeated),
        PROVISIONING_TEST(the_blocks_content_is_kept_in_order),
        PROVISIONING_TEST(zeroes_give_space_back),
        PROVISIONING_TEST(unmap_with_data_writes_the_data),
        PROVISIONING_TEST(without_a_block_it_is_zeroes),
        PROVISIONING_TEST(no_blocks_are_refused),
        PROVISIONING_TEST(not_more_than_the_limit_at_once),
        PROVISIONING_TEST(what_cannot_be_the_same),
        PROVISIONING_TEST(errors_of_the_disk_are_told),
        PROVISIONING_TEST(on_a_disk_of_4096_byte_blocks),
        PROVISIONING_TEST(extents_are_listed),
        PROVISIONING_TEST(only_as_many_as_have_room),
        PROVISIONING_TEST(one_kind_of_extents),
        PROVISIONING_TEST(one_kind_of_extents_in_little_room),
        PROVISIONING_TEST(one_kind_is_not_looked_for_for_long),
        PROVISIONING_TEST(very_many_extents_are_cut),
        PROVISIONING_TEST(a_hole_that_is_larger_than_a_descriptor_can_tell),
        PROVISIONING_TEST(behind_the_end_there_is_nothing),
        PROVISIONING_TEST(a_hole_that_ends_inside_a_block),
        PROVISIONING_TEST(a_thick_lu_refuses_to_unmap),
        PROVISIONING_TEST(a_thick_lu_is_filled_all_the_same),
    };
    return RUN_TESTS(tests);
}
