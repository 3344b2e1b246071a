#include "scsi_commands.h"

static const uint8_t caching[] = {0x08, 18, 0x04, 0, 0, 0, 0, 0, 0, 0,
                                  0,    0,  0,    0, 0, 0, 0, 0, 0, 0};
static const uint8_t control[] = {0x0a, 10, 0x00, 0x10, 0, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t exceptions[] = {0x1c, 10, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0};

enum { CURRENT = 0x00, CHANGEABLE = 0x40, DEFAULT = 0x80, SAVED = 0xc0 };
enum { DBD = 0x08, LLBAA = 0x10 };

static const uint8_t *sense_6(uint8_t flags, uint8_t page, uint8_t subpage)
{
    return scsi_fetch(CDB(SCSI_MODE_SENSE_6, flags, page, subpage, 255), 255);
}

static const uint8_t *sense_10(uint8_t flags, uint8_t page)
{
    return scsi_fetch(CDB(SCSI_MODE_SENSE_10, flags, page, 0, 0, 0, 0, 2, 0), 512);
}

static void the_header_of_the_short_form(void **state)
{
    static const uint8_t descriptor[] = {0, 0, 0x08, 0, 0, 0, 2, 0}; /* 2048 blocks of 512 */
    const uint8_t *d = sense_6(0, 0x08, 0);
    assert_int_equal(port->moved, 4 + 8 + sizeof(caching));
    assert_int_equal(d[0], port->moved - 1);
    assert_int_equal(d[1], 0);
    assert_int_equal(d[2], 0x10); /* writable; DPO and FUA */
    assert_int_equal(d[3], 8);
    assert_memory_equal(d + 4, descriptor, sizeof(descriptor));
    assert_memory_equal(d + 12, caching, sizeof(caching));
}

static void the_header_of_the_long_form(void **state)
{
    static const uint8_t descriptor[] = {0, 0, 0, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0, 2, 0};
    const uint8_t *d = sense_10(LLBAA, 0x0a);
    assert_int_equal(port->moved, 8 + 16 + sizeof(control));
    assert_int_equal(d[0] << 8 | d[1], port->moved - 2);
    assert_int_equal(d[2], 0);
    assert_int_equal(d[3], 0x10);
    assert_int_equal(d[4], 0x01); /* the long block descriptor */
    assert_int_equal(d[6] << 8 | d[7], 16);
    assert_memory_equal(d + 8, descriptor, sizeof(descriptor));
    assert_memory_equal(d + 24, control, sizeof(control));
    d = sense_10(0, 0x0a);
    assert_int_equal(port->moved, 8 + 8 + sizeof(control));
    assert_int_equal(d[4], 0);
    assert_int_equal(d[7], 8);
}

static void without_block_descriptors(void **state)
{
    const uint8_t *d = sense_6(DBD, 0x1c, 0);
    assert_int_equal(d[3], 0);
    assert_int_equal(port->moved, 4 + sizeof(exceptions));
    assert_memory_equal(d + 4, exceptions, sizeof(exceptions));
    d = sense_10(DBD | LLBAA, 0x1c);
    assert_int_equal(d[6] << 8 | d[7], 0);
    assert_memory_equal(d + 8, exceptions, sizeof(exceptions));
}

static void all_pages_at_once_in_order(void **state)
{
    for (int subpage = 0; subpage <= 0xff; subpage += 0xff) {
        const uint8_t *d = sense_6(DBD, 0x3f, (uint8_t)subpage);
        size_t at = 4;
        assert_int_equal(port->moved, 4 + sizeof(caching) + sizeof(control) + sizeof(exceptions));
        assert_memory_equal(d + at, caching, sizeof(caching));
        at += sizeof(caching);
        assert_memory_equal(d + at, control, sizeof(control));
        assert_memory_equal(d + at + sizeof(control), exceptions, sizeof(exceptions));
    }
}

static void little_can_be_changed_and_nothing_saved(void **state)
{
    static const uint8_t zeroes[18];
    static const uint8_t changeable[] = {0x0a, 10, 0x04, 0, 0x08, 0, 0, 0, 0, 0, 0, 0};
    const uint8_t *d = sense_6(DBD, CHANGEABLE | 0x08, 0);
    assert_int_equal(d[4], 0x08);
    assert_int_equal(d[5], 18);
    assert_memory_equal(d + 6, zeroes, 18);
    d = sense_6(DBD, CHANGEABLE | 0x0a, 0); /* D_SENSE, SWP */
    assert_memory_equal(d + 4, changeable, sizeof(changeable));
    d = sense_6(DBD, DEFAULT | 0x08, 0);
    assert_memory_equal(d + 4, caching, sizeof(caching));
    scsi_refused(CDB(SCSI_MODE_SENSE_6, 0, SAVED | 0x08, 0, 255), SENSE_SAVING_NOT_SUPPORTED);
    scsi_refused(CDB(SCSI_MODE_SENSE_10, 0, SAVED | 0x3f, 0, 0, 0, 0, 0, 255),
                 SENSE_SAVING_NOT_SUPPORTED);
}

static void the_settings_are_in_the_control_page(void **state)
{
    uint8_t expected[sizeof(control)];
    memcpy(expected, control, sizeof(expected));
    port->lu->mode.descriptor_sense = true;
    expected[2] |= 0x04;
    const uint8_t *d = sense_6(DBD, 0x0a, 0);
    assert_memory_equal(d + 4, expected, sizeof(expected));
    assert_int_equal(d[2], 0x10);
    port->lu->mode.write_protect = true;
    expected[4] |= 0x08;
    d = sense_6(DBD, 0x0a, 0);
    assert_memory_equal(d + 4, expected, sizeof(expected));
    assert_int_equal(d[2], 0x90); /* WP */
    d = sense_6(DBD, DEFAULT | 0x0a, 0);
    assert_memory_equal(d + 4, control, sizeof(control));
    scsi_lu_reset(port->lu);
    d = sense_6(DBD, 0x0a, 0);
    assert_memory_equal(d + 4, control, sizeof(control));
    assert_int_equal(d[2], 0x10);
}

static void pages_that_there_are_not(void **state)
{
    for (uint8_t page = 0; page < 0x40; page++) {
        bool known = page == 0x08 || page == 0x0a || page == 0x1c || page == 0x3f;
        scsi_expect(CDB(SCSI_MODE_SENSE_6, 0, page, 0, 255), NULL, 0, 255,
                    known ? SENSE_NONE : SENSE_INVALID_FIELD_IN_CDB);
        scsi_refused(CDB(SCSI_MODE_SENSE_6, 0, page, 1, 255), SENSE_INVALID_FIELD_IN_CDB);
    }
}

static const struct scsi_space space = {
    .total = 100 * MIB, .available = 30 * MIB, .threshold = 10 * MIB};
static const struct scsi_space no_threshold = {.total = 100 * MIB, .available = 30 * MIB};
static const uint8_t recovery[] = {0x01, 10, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0};
static const uint8_t provisioning[] = {0x5c, 0x02, 0, 20, 0,    0,    0, 0, 0, 0, 0, 0,
                                       0,    0,    0, 0,  0x80, 0x01, 0, 0, 0, 0, 0, 10};

static void a_threshold_has_pages_of_its_own(void **state)
{
    static const uint8_t zeroes[20];
    uint8_t disabled[sizeof(provisioning)];
    scsi_lu_set_space(port->lu, &space);
    const uint8_t *d = sense_6(DBD, 0x01, 0);
    assert_int_equal(port->moved, 4 + sizeof(recovery));
    assert_memory_equal(d + 4, recovery, sizeof(recovery));
    d = sense_6(DBD, 0x1c, 0x02);
    assert_int_equal(port->moved, 4 + sizeof(provisioning));
    assert_memory_equal(d + 4, provisioning, sizeof(provisioning));
    d = sense_6(DBD, DEFAULT | 0x1c, 0x02);
    assert_memory_equal(d + 4, provisioning, sizeof(provisioning));
    d = sense_6(DBD, CHANGEABLE | 0x1c, 0x02);
    assert_memory_equal(d + 4, provisioning, 4);
    assert_memory_equal(d + 8, zeroes, sizeof(zeroes));
    scsi_lu_set_space(port->lu, &no_threshold);
    memcpy(disabled, provisioning, sizeof(disabled));
    disabled[16] = disabled[23] = 0;
    d = sense_6(DBD, 0x1c, 0x02);
    assert_memory_equal(d + 4, disabled, sizeof(disabled));
}

static void subpages_only_come_when_they_are_asked_for(void **state)
{
    scsi_lu_set_space(port->lu, &space);
    size_t pages = sizeof(recovery) + sizeof(caching) + sizeof(control) + sizeof(exceptions);
    sense_6(DBD, 0x3f, 0);
    assert_int_equal(port->moved, 4 + pages);
    const uint8_t *d = sense_6(DBD, 0x3f, 0xff);
    assert_int_equal(port->moved, 4 + pages + sizeof(provisioning));
    assert_memory_equal(d + 4, recovery, sizeof(recovery));
    assert_memory_equal(d + 4 + pages, provisioning, sizeof(provisioning));
    sense_6(DBD, 0x1c, 0);
    assert_int_equal(port->moved, 4 + sizeof(exceptions));
    sense_6(DBD, 0x1c, 0xff);
    assert_int_equal(port->moved, 4 + sizeof(exceptions) + sizeof(provisioning));
    d = sense_6(DBD, 0x3f, 0x02);
    assert_int_equal(port->moved, 4 + sizeof(provisioning));
    scsi_refused(CDB(SCSI_MODE_SENSE_6, 0, 0x1c, 1, 255), SENSE_INVALID_FIELD_IN_CDB);
    scsi_refused(CDB(SCSI_MODE_SENSE_6, 0, 0x08, 2, 255), SENSE_INVALID_FIELD_IN_CDB);
}

static void who_has_no_threshold_has_no_such_pages(void **state)
{
    bool *const why[] = {&port->lu->thick, &port->lu->removable, &port->lu->read_only};
    scsi_lu_set_space(port->lu, &space);
    for (size_t i = 0; i < ARRAY_SIZE(why); i++) {
        *why[i] = true;
        scsi_refused(CDB(SCSI_MODE_SENSE_6, 0, 0x1c, 2, 255), SENSE_INVALID_FIELD_IN_CDB);
        scsi_refused(CDB(SCSI_MODE_SENSE_6, 0, 0x01, 0, 255), SENSE_INVALID_FIELD_IN_CDB);
        *why[i] = false;
    }
    sense_6(0, 0x01, 0);
}

static void a_read_only_lu_says_so(void **state)
{
    port->lu->read_only = true;
    assert_int_equal(sense_6(0, 0x3f, 0)[2], 0x90);
    assert_int_equal(sense_10(0, 0x3f)[3], 0x90);
}

static void a_large_disk_needs_the_long_descriptor(void **state)
{
    static const uint8_t as_much_as_fits[] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t exact[] = {0, 0, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
    port->lu->n_blocks = 0x0123456789ab;
    assert_memory_equal(sense_6(0, 0x08, 0) + 4, as_much_as_fits, 4);
    assert_memory_equal(sense_10(LLBAA, 0x08) + 8, exact, 8);
    port->lu->n_blocks = UINT32_MAX;
    assert_memory_equal(sense_10(0, 0x08) + 8, as_much_as_fits, 4);
}

static void the_allocation_length_cuts(void **state)
{
    uint8_t whole[255];
    const uint8_t *d = sense_6(0, 0x3f, 0);
    uint32_t size = port->moved;
    memcpy(whole, d, size);
    for (uint8_t cut = 0; cut <= size; cut++) {
        scsi_fetch(CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0, cut), 255);
        assert_int_equal(port->moved, cut);
        assert_memory_equal(port->in, whole, cut); /* the length in it is of the whole */
    }
    scsi_fetch(CDB(SCSI_MODE_SENSE_10, 0, 0x3f, 0, 0, 0, 0, 0, 9), 255);
    assert_int_equal(port->moved, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(the_header_of_the_short_form),
        SCSI_TEST(the_header_of_the_long_form),
        SCSI_TEST(without_block_descriptors),
        SCSI_TEST(all_pages_at_once_in_order),
        SCSI_TEST(little_can_be_changed_and_nothing_saved),
        SCSI_TEST(the_settings_are_in_the_control_page),
        SCSI_TEST(pages_that_there_are_not),
        SCSI_TEST(a_threshold_has_pages_of_its_own),
        SCSI_TEST(subpages_only_come_when_they_are_asked_for),
        SCSI_TEST(who_has_no_threshold_has_no_such_pages),
        SCSI_TEST(a_read_only_lu_says_so),
        SCSI_TEST(a_large_disk_needs_the_long_descriptor),
        SCSI_TEST(the_allocation_length_cuts),
    };
    return RUN_TESTS(tests);
}
