#include "scsi_commands.h"

/* The disk has 2048 blocks of 512 bytes. */
#define CACHING         0x08, 18, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define CONTROL(d, swp) 0x0a, 10, d, 0x10, swp, 0, 0, 0, 0, 0, 0, 0
#define EXCEPTIONS      0x1c, 10, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define D_SENSE         0x04
#define SWP             0x08
#define HEADER_6(n)     0, 0, 0, n
#define HEADER_10(n)    0, 0, 0, 0, 0, 0, 0, n
#define LIST(...)       ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

enum { PF = 0x10, SP = 0x01 };

static void select_6(const uint8_t *list, size_t size, enum scsi_sense sense)
{
    scsi_expect(CDB(SCSI_MODE_SELECT_6, PF, 0, 0, (uint8_t)size), list, (uint32_t)size, 0, sense);
}

static void select_10(const uint8_t *list, size_t size, enum scsi_sense sense)
{
    scsi_expect(CDB(SCSI_MODE_SELECT_10, PF, 0, 0, 0, 0, 0, (uint8_t)(size >> 8), (uint8_t)size),
                list, (uint32_t)size, 0, sense);
}

static void assert_settings(bool descriptor_sense, bool write_protect)
{
    assert_int_equal(port->lu->mode.descriptor_sense, descriptor_sense);
    assert_int_equal(port->lu->mode.write_protect, write_protect);
}

static void the_control_page_in_both_forms(void **state)
{
    select_6(LIST(HEADER_6(0), CONTROL(D_SENSE, 0)), SENSE_NONE);
    assert_settings(true, false);
    select_10(LIST(HEADER_10(0), CONTROL(0, SWP)), SENSE_NONE);
    assert_settings(false, true);
    select_10(LIST(HEADER_10(0), CONTROL(D_SENSE, SWP)), SENSE_NONE);
    assert_settings(true, true);
    select_6(LIST(HEADER_6(0), 0x8a, 10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0), SENSE_NONE); /* PS */
    assert_settings(false, false);
}

#define RECOVERY(last) 0x01, 10, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, last
#define PROVISIONING(on, count)                                                                    \
    0x5c, 0x02, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, on, 0x01, 0, 0, 0, 0, 0, count

/* The threshold is the administrator's. */
static void a_subpage_may_come_and_must_be_as_it_is(void **state)
{
    static const struct scsi_space space = {.total = 100 * MIB, .threshold = 10 * MIB};
    select_6(LIST(HEADER_6(0), PROVISIONING(0x80, 10)), SENSE_INVALID_FIELD_IN_PARAMETERS);
    scsi_lu_set_space(port->lu, &space);
    select_6(LIST(HEADER_6(0), PROVISIONING(0x80, 10)), SENSE_NONE);
    select_10(LIST(HEADER_10(0), RECOVERY(0), PROVISIONING(0x80, 10), CONTROL(D_SENSE, 0)),
              SENSE_NONE);
    assert_settings(true, false);
    select_6(LIST(HEADER_6(0), CONTROL(0, 0), PROVISIONING(0x80, 11)),
             SENSE_INVALID_FIELD_IN_PARAMETERS);
    select_6(LIST(HEADER_6(0), CONTROL(0, 0), PROVISIONING(0, 10)),
             SENSE_INVALID_FIELD_IN_PARAMETERS);
    select_6(LIST(HEADER_6(0), RECOVERY(1)), SENSE_INVALID_FIELD_IN_PARAMETERS);
    assert_settings(true, false);
    /* the header of a page with that of a subpage, and the other way round */
    select_6(LIST(HEADER_6(0), 0x4a, 0, 0, 10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0),
             SENSE_INVALID_FIELD_IN_PARAMETERS);
    select_6(LIST(HEADER_6(0), 0x1c, 0x02, 0, 20), SENSE_INVALID_FIELD_IN_PARAMETERS);
    for (uint8_t cut = 1; cut < 4; cut++)
        select_6((const uint8_t[]){HEADER_6(0), PROVISIONING(0x80, 10)}, 4 + (size_t)cut,
                 SENSE_PARAMETER_LIST_LENGTH);
    select_6((const uint8_t[]){HEADER_6(0), PROVISIONING(0x80, 10)}, 20,
             SENSE_PARAMETER_LIST_LENGTH);
}

/* As programs do it: what MODE SENSE answered comes back, with a bit changed. */
static void what_was_sensed_may_be_selected(void **state)
{
    uint8_t list[255];
    uint32_t size;
    memcpy(list, scsi_fetch(CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255), 255), 255);
    size = port->moved;
    select_6(list, size, SENSE_NONE);
    for (uint8_t long_lba = 0; long_lba <= 0x10; long_lba += 0x10) {
        memcpy(list, scsi_fetch(CDB(SCSI_MODE_SENSE_10, long_lba, 0x3f, 0, 0, 0, 0, 0, 255), 255),
               255);
        size = port->moved;
        select_10(list, size, SENSE_NONE);
    }
    assert_settings(false, false);
}

static void nothing_else_may_differ(void **state)
{
    static const uint8_t good[] = {HEADER_6(8),   0,         0, 8, 0, 0, 0, 2, 0, CACHING,
                                   CONTROL(0, 0), EXCEPTIONS};
    static const uint8_t changeable[sizeof(good)] = {
        [6] = 0x08,                               /* then it is 0 blocks: no change */
        [0] = 0xff,     [2] = 0xff,               /* the length and WP are reserved */
        [12] = 0x80,    [32] = 0x80, [44] = 0x80, /* PS */
        [34] = D_SENSE, [36] = SWP};
    for (size_t bit = 0; bit < 8 * sizeof(good); bit++) {
        uint8_t list[sizeof(good)], mask = (uint8_t)(1 << bit % 8);
        memcpy(list, good, sizeof(list));
        list[bit / 8] ^= mask;
        port->lu->mode = (struct scsi_mode_settings){0};
        scsi_port_run(port, CDB(SCSI_MODE_SELECT_6, PF, 0, 0, sizeof(list)), list, sizeof(list), 0);
        enum scsi_sense sense = scsi_port_sense(port);
        if ((sense == SENSE_NONE) != !!(changeable[bit / 8] & mask))
            fail_msg("bit %zu of byte %zu: %06x", bit % 8, bit / 8, sense);
        if (sense)
            assert_settings(false, false);
    }
}

static void all_of_it_or_nothing(void **state)
{
    select_6(LIST(HEADER_6(0), CONTROL(D_SENSE, SWP), 0x1c, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
             SENSE_INVALID_FIELD_IN_PARAMETERS);
    assert_settings(false, false);
    select_6(LIST(HEADER_6(0), CONTROL(D_SENSE, SWP), 0x1c), SENSE_PARAMETER_LIST_LENGTH);
    assert_settings(false, false);
    assert_int_equal(port->nexus.n_unit_attentions, 0);
}

static void pages_that_there_are_not(void **state)
{
    for (uint8_t code = 0; code < 0x80; code++)
        if (code != 0x08 && code != 0x0a && code != 0x1c)
            select_6(LIST(HEADER_6(0), code, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                     SENSE_INVALID_FIELD_IN_PARAMETERS);
    select_6(LIST(HEADER_6(0), 0x0a, 9, 0, 0x10, 0, 0, 0, 0, 0, 0, 0),
             SENSE_INVALID_FIELD_IN_PARAMETERS);
}

static void block_descriptors(void **state)
{
    select_6(LIST(HEADER_6(8), 0, 0, 0, 0, 0, 0, 2, 0), SENSE_NONE); /* as many as there are */
    select_6(LIST(HEADER_6(8), 0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0), SENSE_NONE);
    select_6(LIST(HEADER_6(8), 0, 0, 0, 0, 0, 0, 0x10, 0), SENSE_INVALID_FIELD_IN_PARAMETERS);
    select_6(LIST(HEADER_6(8), 0, 0, 4, 0, 0, 0, 2, 0), SENSE_INVALID_FIELD_IN_PARAMETERS);
    select_6(LIST(HEADER_6(16), 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 2, 0),
             SENSE_INVALID_FIELD_IN_PARAMETERS); /* two of them */
    select_10(LIST(0, 0, 0, 0, 1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2, 0),
              SENSE_NONE);
    select_10(LIST(0, 0, 0, 0, 1, 0, 0, 8, 0, 0, 8, 0, 0, 0, 2, 0),
              SENSE_INVALID_FIELD_IN_PARAMETERS); /* a short one where a long one should be */
    port->lu->n_blocks = UINT64_C(1) << 33;       /* more than the short one can tell */
    select_6(LIST(HEADER_6(8), 0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0), SENSE_NONE);
}

static void a_list_that_ends_too_early(void **state)
{
    static const uint8_t short_form[] = {HEADER_6(8), 0, 0, 8, 0,
                                         0,           0, 2, 0, CONTROL(D_SENSE, SWP)};
    static const uint8_t long_form[] = {0, 0, 0,  0, 1,
                                        0, 0, 16, 0, 0,
                                        0, 0, 0,  0, 8,
                                        0, 0, 0,  0, 0,
                                        0, 0, 2,  0, CONTROL(D_SENSE, SWP)};
    for (size_t cut = 1; cut < sizeof(short_form); cut++)
        select_6(short_form, cut, cut == 12 ? SENSE_NONE : SENSE_PARAMETER_LIST_LENGTH);
    for (size_t cut = 1; cut < sizeof(long_form); cut++)
        select_10(long_form, cut, cut == 24 ? SENSE_NONE : SENSE_PARAMETER_LIST_LENGTH);
    assert_settings(false, false);
    select_6(short_form, 0, SENSE_NONE); /* no list is no error */
    select_10(long_form, 0, SENSE_NONE);
    scsi_expect(CDB(SCSI_MODE_SELECT_6, PF, 0, 0, sizeof(short_form)), short_form, 12, 0,
                SENSE_PARAMETER_LIST_LENGTH); /* the initiator sends less than its CDB says */
    assert_settings(false, false);
}

static void pages_of_the_standard_only_and_none_saved(void **state)
{
    static const uint8_t list[] = {HEADER_6(0), CONTROL(D_SENSE, 0)};
    scsi_expect(CDB(SCSI_MODE_SELECT_6, 0, 0, 0, sizeof(list)), list, sizeof(list), 0,
                SENSE_INVALID_FIELD_IN_CDB);
    scsi_expect(CDB(SCSI_MODE_SELECT_6, PF | SP, 0, 0, sizeof(list)), list, sizeof(list), 0,
                SENSE_INVALID_FIELD_IN_CDB);
    scsi_expect(CDB(SCSI_MODE_SELECT_10, PF | SP, 0, 0, 0, 0, 0, 0, sizeof(list)), list,
                sizeof(list), 0, SENSE_INVALID_FIELD_IN_CDB);
    assert_settings(false, false);
}

static void the_others_are_told_of_a_change(void **state)
{
    struct scsi_nexus other;
    scsi_port_connect(port, &other, 2);
    select_6(LIST(HEADER_6(0), CONTROL(0, 0)), SENSE_NONE); /* nothing new */
    assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_NONE);
    select_6(LIST(HEADER_6(0), CONTROL(D_SENSE, 0)), SENSE_NONE);
    assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_MODE_PARAMETERS_CHANGED);
    assert_int_equal(scsi_nexus_take_unit_attention(&port->nexus), SENSE_NONE);
    select_6(LIST(HEADER_6(0), CONTROL(D_SENSE, 0)), SENSE_NONE);
    assert_int_equal(scsi_nexus_take_unit_attention(&other), SENSE_NONE);
    scsi_nexus_disconnect(&other);
}

static void what_is_cached_is_written_before_a_protection(void **state)
{
    select_6(LIST(HEADER_6(0), CONTROL(D_SENSE, 0)), SENSE_NONE);
    assert_int_equal(port->disk->flushes, 0);
    select_6(LIST(HEADER_6(0), CONTROL(0, SWP)), SENSE_NONE);
    assert_int_equal(port->disk->flushes, 1);
    select_6(LIST(HEADER_6(0), CONTROL(0, SWP)), SENSE_NONE);
    select_6(LIST(HEADER_6(0), CONTROL(0, 0)), SENSE_NONE);
    assert_int_equal(port->disk->flushes, 1);
    port->disk->fail_with = -5;
    select_6(LIST(HEADER_6(0), CONTROL(0, SWP)), SENSE_MEDIUM_WRITE_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(the_control_page_in_both_forms),
        SCSI_TEST(what_was_sensed_may_be_selected),
        SCSI_TEST(a_subpage_may_come_and_must_be_as_it_is),
        SCSI_TEST(nothing_else_may_differ),
        SCSI_TEST(all_of_it_or_nothing),
        SCSI_TEST(pages_that_there_are_not),
        SCSI_TEST(block_descriptors),
        SCSI_TEST(a_list_that_ends_too_early),
        SCSI_TEST(pages_of_the_standard_only_and_none_saved),
        SCSI_TEST(the_others_are_told_of_a_change),
        SCSI_TEST(what_is_cached_is_written_before_a_protection),
    };
    return RUN_TESTS(tests);
}
