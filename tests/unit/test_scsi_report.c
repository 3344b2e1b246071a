#include "scsi_commands.h"

/* --- REPORT LUNS --- */

static void luns(void **state)
{
    static const uint8_t one[16] = {0, 0, 0, 8};
    static const uint8_t none[8];
    struct scsi_target_lun list[] = {{0, port->lu}, {UINT64_C(1) << 48, port->lu}};
    static const uint8_t two[24] = {0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0,
                                    0, 0, 0, 0,  0, 1, 0, 0, 0, 0, 0, 0};
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 1, 0), 256);
    assert_int_equal(port->moved, sizeof(one));
    assert_memory_equal(port->in, one, sizeof(one));
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 1, 0, 0, 0, 0, 0, 1, 0), 256); /* well-known ones */
    assert_int_equal(port->moved, sizeof(none));
    assert_memory_equal(port->in, none, sizeof(none));
    port->target.luns = list;
    port->target.n_luns = 2;
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 2, 0, 0, 0, 0, 0, 1, 0), 256);
    assert_int_equal(port->moved, sizeof(two));
    assert_memory_equal(port->in, two, sizeof(two));
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 16), 256);
    assert_int_equal(port->moved, 16);
    assert_memory_equal(port->in, two, 16); /* the length tells that there are more */
    scsi_refused(CDB(SCSI_REPORT_LUNS, 0, 3, 0, 0, 0, 0, 0, 1, 0), SENSE_INVALID_FIELD_IN_CDB);
}

/* --- REQUEST SENSE --- */

static void assert_fixed(enum scsi_sense code)
{
    const uint8_t *d = scsi_fetch(CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 252), 252);
    assert_int_equal(port->moved, SCSI_SENSE_SIZE);
    assert_int_equal(d[0], 0x70);
    assert_int_equal(d[2] << 16 | d[12] << 8 | d[13], code);
    assert_int_equal(d[7], 10);
}

static void what_is_pending_is_told_as_data(void **state)
{
    assert_fixed(SENSE_NONE);
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_CAPACITY_CHANGED);
    assert_fixed(SENSE_CAPACITY_CHANGED);
    assert_fixed(SENSE_NONE);
    port->no_such_lun = true;
    assert_fixed(SENSE_LUN_NOT_SUPPORTED);
}

static void sense_may_be_asked_for_in_descriptor_format(void **state)
{
    static const uint8_t expected[8] = {0x72, 0x06, 0x2a, 0x09, 0, 0, 0, 0};
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_CAPACITY_CHANGED);
    scsi_fetch(CDB(SCSI_REQUEST_SENSE, 1, 0, 0, 252), 252);
    assert_int_equal(port->moved, sizeof(expected));
    assert_memory_equal(port->in, expected, sizeof(expected));
}

/* --- REPORT SUPPORTED OPERATION CODES --- */

#define RCTD 0x80

static const uint8_t *report(uint8_t options, uint8_t opcode, uint16_t action)
{
    return scsi_fetch(CDB(SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_OPERATION_CODES, options,
                          opcode, (uint8_t)(action >> 8), (uint8_t)action, 0, 1, 0, 0),
                      65536);
}

static void refused(uint8_t options, uint8_t opcode, uint16_t action)
{
    scsi_refused(CDB(SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_OPERATION_CODES, options, opcode,
                     (uint8_t)(action >> 8), (uint8_t)action, 0, 0, 1, 0),
                 SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(port->sense[15], 0xc0); /* and not the service action in byte 1: */
    assert_int_equal(port->sense[16] << 8 | port->sense[17], 2);
}

static void check_all(bool timeouts)
{
    size_t n = 0;
    report(timeouts ? RCTD : 0, 0, 0);
    struct wire_reader r = scsi_reader();
    assert_int_equal(wire_get_be32(&r), port->moved - 4);
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        bool has_action = c->flags & SCSI_CMD_SERVICE_ACTION;
        if (port->lu->thick && c->flags & SCSI_CMD_THIN)
            continue;
        n++;
        assert_int_equal(wire_get_u8(&r), c->opcode);
        assert_int_equal(wire_get_u8(&r), 0);
        assert_int_equal(wire_get_be16(&r), c->service_action);
        assert_int_equal(wire_get_u8(&r), 0);
        assert_int_equal(wire_get_u8(&r), (timeouts ? 0x02 : 0) | (has_action ? 0x01 : 0));
        assert_int_equal(wire_get_be16(&r), scsi_cdb_size(c->opcode));
        if (timeouts) {
            assert_int_equal(wire_get_be16(&r), 10);
            for (int k = 0; k < 10; k++)
                assert_int_equal(wire_get_u8(&r), 0); /* nothing is promised */
        }
    }
    assert_true(wire_reader_ok(&r) && wire_reader_left(&r) == 0);
    assert_int_equal(n, port->lu->thick ? scsi_n_commands - 2 : scsi_n_commands);
}

static void all_commands(void **state)
{
    check_all(false);
    check_all(true);
}

static void assert_supported(const struct scsi_command *c, bool timeouts)
{
    unsigned size = scsi_cdb_size(c->opcode);
    struct wire_reader r = scsi_reader();
    assert_int_equal(wire_get_u8(&r), 0);
    assert_int_equal(wire_get_u8(&r), (timeouts ? 0x80 : 0) | 0x03); /* as the standard says */
    assert_int_equal(wire_get_be16(&r), size);
    assert_int_equal(wire_get_u8(&r), c->opcode);
    assert_memory_equal(wire_get_bytes(&r, size - 1), c->usage, size - 1);
    assert_int_equal(wire_reader_left(&r), timeouts ? 12 : 0);
}

static void each_command_by_itself(void **state)
{
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        bool has_action = c->flags & SCSI_CMD_SERVICE_ACTION;
        if (has_action)
            refused(1, c->opcode, 0); /* which of them? */
        else
            refused(2, c->opcode, 0); /* it has none */
        for (int timeouts = 0; timeouts < 2; timeouts++) {
            uint8_t rctd = timeouts ? RCTD : 0;
            report(rctd | (has_action ? 2 : 1), c->opcode, c->service_action);
            assert_supported(c, timeouts);
            report(rctd | 3, c->opcode, c->service_action);
            assert_supported(c, timeouts);
        }
    }
}

static void assert_unsupported(uint8_t options, uint8_t opcode, uint16_t action)
{
    static const uint8_t expected[4] = {0, 0x01, 0, 0};
    report(options, opcode, action);
    assert_int_equal(port->moved, sizeof(expected));
    assert_memory_equal(port->in, expected, sizeof(expected));
}

static void a_thick_lu_has_neither_unmap_nor_get_lba_status(void **state)
{
    port->lu->thick = true;
    check_all(false);
    check_all(true);
    for (uint8_t options = 1; options <= 3; options += 2)
        assert_unsupported(options, SCSI_UNMAP, 0);
    assert_unsupported(2, SCSI_SERVICE_ACTION_IN_16, SCSI_GET_LBA_STATUS);
    assert_unsupported(3, SCSI_SERVICE_ACTION_IN_16, SCSI_GET_LBA_STATUS);
    report(3, SCSI_SERVICE_ACTION_IN_16, SCSI_READ_CAPACITY_16);
    assert_int_equal(port->in[1], 0x03); /* the others of that opcode are there */
}

static void what_is_not_supported(void **state)
{
    assert_unsupported(1, 0xff, 0);
    assert_unsupported(2, 0xff, 0);
    assert_unsupported(3, 0xff, 0);
    assert_unsupported(2, SCSI_MAINTENANCE_IN, 0x0b);
    assert_unsupported(2, SCSI_MAINTENANCE_IN, 0x010c); /* actions have sixteen bits here */
    assert_unsupported(3, SCSI_SERVICE_ACTION_IN_16, 0x11);
    assert_unsupported(3, SCSI_TEST_UNIT_READY, 1); /* it has no service actions */
    for (uint8_t options = 4; options < 8; options++)
        refused(options, SCSI_TEST_UNIT_READY, 0);
}

/* --- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS --- */

static void task_management_functions(void **state)
{
    static const uint8_t expected[16] = {0xd8, 0, 0, 12};
    const uint8_t *d =
        scsi_fetch(CDB(SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, 0, 0,
                       0, 0, 0, 0, 1, 0),
                   256);
    assert_int_equal(port->moved, 4);
    assert_int_equal(d[0], 0xd8);
    assert_int_equal(d[3], 0);
    scsi_fetch(CDB(SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, 0x80, 0, 0,
                   0, 0, 0, 1, 0),
               256);
    assert_int_equal(port->moved, sizeof(expected));
    assert_memory_equal(port->in, expected, sizeof(expected));
}

static void every_answer_is_cut_to_its_allocation_length(void **state)
{
    static const uint8_t cdbs[][SCSI_CDB_SIZE] = {
        {SCSI_REPORT_LUNS},
        {SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_OPERATION_CODES},
        {SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, 0x80},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cdbs); i++) {
        uint8_t cdb[SCSI_CDB_SIZE], whole[16];
        memcpy(cdb, cdbs[i], sizeof(cdb));
        cdb[9] = sizeof(whole);
        memcpy(whole, scsi_fetch(cdb, 256), sizeof(whole));
        assert_int_equal(port->moved, sizeof(whole));
        for (cdb[9] = 0; cdb[9] < sizeof(whole); cdb[9]++) {
            scsi_fetch(cdb, 256);
            assert_int_equal(port->moved, cdb[9]);
            assert_memory_equal(port->in, whole, cdb[9]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(luns),
        SCSI_TEST(what_is_pending_is_told_as_data),
        SCSI_TEST(sense_may_be_asked_for_in_descriptor_format),
        SCSI_TEST(all_commands),
        SCSI_TEST(each_command_by_itself),
        SCSI_TEST(a_thick_lu_has_neither_unmap_nor_get_lba_status),
        SCSI_TEST(what_is_not_supported),
        SCSI_TEST(task_management_functions),
        SCSI_TEST(every_answer_is_cut_to_its_allocation_length),
    };
    return RUN_TESTS(tests);
}
