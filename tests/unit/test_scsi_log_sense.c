#include "scsi_commands.h"

static const uint8_t *fetch(uint8_t page, uint8_t subpage, size_t allocation_length)
{
    return scsi_fetch(CDB(SCSI_LOG_SENSE, 0, page, subpage, [8] = (uint8_t)allocation_length), 256);
}

static void assert_page(uint8_t page, uint8_t subpage, const uint8_t *expected, size_t size)
{
    assert_memory_equal(fetch(page, subpage, 255), expected, size);
    assert_int_equal(port->moved, size);
    assert_int_equal(port->data_length, size);
    for (size_t room = 0; room < size; room++) { /* the length inside tells of the whole */
        assert_memory_equal(fetch(page, subpage, room), expected, room);
        assert_int_equal(port->moved, room);
    }
}

#define ASSERT_PAGE(page, subpage, ...)                                                            \
    assert_page(page, subpage, (const uint8_t[]){__VA_ARGS__},                                     \
                sizeof((const uint8_t[]){__VA_ARGS__}))

static void the_pages_that_there_are(void **state)
{
    ASSERT_PAGE(0x00, 0x00, 0x00, 0x00, 0, 2, 0x00, 0x2f);
    ASSERT_PAGE(0x00, 0xff, 0x40, 0xff, 0, 6, 0x00, 0x00, 0x00, 0xff, 0x2f, 0x00);
}

static void each_listed_page_is_there_and_no_other(void **state)
{
    uint8_t list[256];
    fetch(0x00, 0xff, 255);
    memcpy(list, port->in, port->moved);
    unsigned listed = list[3] / 2, found = 0;
    for (unsigned page = 0; page < 0x40; page++) {
        for (unsigned subpage = 0; subpage < 256; subpage++) {
            const uint8_t *entry = list + 4 + (size_t)2 * found;
            if (found < listed && entry[0] == page && entry[1] == subpage) {
                fetch((uint8_t)page, (uint8_t)subpage, 255);
                assert_int_equal(port->in[0] & 0x3f, page);
                assert_int_equal(port->in[0] & 0x40, subpage ? 0x40 : 0);
                assert_int_equal(port->in[1], subpage);
                found++;
            } else {
                scsi_refused(CDB(SCSI_LOG_SENSE, 0, (uint8_t)page, (uint8_t)subpage, [8] = 255),
                             SENSE_INVALID_FIELD_IN_CDB);
            }
        }
    }
    assert_int_equal(found, listed);
}

static void no_failure_is_on_its_way(void **state)
{
    ASSERT_PAGE(0x2f, 0x00, 0x2f, 0x00, 0, 8, 0, 0, 0x03, 4, 0, 0, 0xff, 0);
}

static const struct scsi_space space = {
    .total = 100 * MIB + 4096, .available = 30 * MIB - 1, .threshold = 10 * MIB};

static void the_space_that_there_is_in_threshold_sets(void **state)
{
    scsi_lu_set_space(port->lu, &space);
    ASSERT_PAGE(0x00, 0x00, 0x00, 0x00, 0, 3, 0x00, 0x0c, 0x2f);
    ASSERT_PAGE(0x00, 0xff, 0x40, 0xff, 0, 8, 0x00, 0x00, 0x00, 0xff, 0x0c, 0x00, 0x2f, 0x00);
    each_listed_page_is_there_and_no_other(state);
    ASSERT_PAGE(0x0c, 0x00, 0x0c, 0x00, 0, 24, 0, 1, 0x03, 8, 0, 0, 0, 29, 0x02, 0, 0, 0, 0, 2,
                0x03, 8, 0, 0, 0, 70, 0x02, 0, 0, 0);
    scsi_fetch(CDB(SCSI_LOG_SENSE, 0, 0x0c, [6] = 1, [8] = 255), 256);
    assert_int_equal(port->moved, 28);
    static const uint8_t used[] = {0x0c, 0, 0, 12, 0, 2, 0x03, 8, 0, 0, 0, 70, 0x02, 0, 0, 0};
    assert_memory_equal(scsi_fetch(CDB(SCSI_LOG_SENSE, 0, 0x0c, [6] = 2, [8] = 255), 256), used,
                        sizeof(used));
    assert_int_equal(port->moved, sizeof(used));
    scsi_refused(CDB(SCSI_LOG_SENSE, 0, 0x0c, [6] = 3, [8] = 255), SENSE_INVALID_FIELD_IN_CDB);
    scsi_refused(CDB(SCSI_LOG_SENSE, 0, 0x00, [6] = 1, [8] = 255), SENSE_INVALID_FIELD_IN_CDB);
}

static void the_page_control_says_nothing(void **state)
{
    for (uint8_t control = 0; control < 4; control++) {
        fetch((uint8_t)(control << 6 | 0x2f), 0, 255);
        assert_int_equal(port->moved, 12);
        assert_int_equal(port->in[0], 0x2f);
    }
}

static void refused(const uint8_t *cdb, unsigned field)
{
    scsi_refused(cdb, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(port->sense[15], 0xc0);
    assert_int_equal(port->sense[16] << 8 | port->sense[17], field);
}

static void what_is_refused(void **state)
{
    refused(CDB(SCSI_LOG_SENSE, 0x01, 0x2f, [8] = 255), 1); /* nothing is saved */
    refused(CDB(SCSI_LOG_SENSE, 0, 0x0d, [8] = 255), 2);    /* no temperature */
    refused(CDB(SCSI_LOG_SENSE, 0, 0x2f, 0x01, [8] = 255), 3);
    refused(CDB(SCSI_LOG_SENSE, 0, 0x2f, [6] = 1, [8] = 255), 5);
    refused(CDB(SCSI_LOG_SENSE, 0, 0x2f, [5] = 1, [8] = 255), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(the_pages_that_there_are), SCSI_TEST(each_listed_page_is_there_and_no_other),
        SCSI_TEST(no_failure_is_on_its_way), SCSI_TEST(the_page_control_says_nothing),
        SCSI_TEST(what_is_refused),          SCSI_TEST(the_space_that_there_is_in_threshold_sets),
    };
    return RUN_TESTS(tests);
}
