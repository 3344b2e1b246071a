/* The table of commands, and what stands in the way of running one. */
#include "scsi_commands.h"

/* --- the table --- */

static const uint8_t opcodes[] = {
    SCSI_TEST_UNIT_READY,
    SCSI_REQUEST_SENSE,
    SCSI_READ_6,
    SCSI_WRITE_6,
    SCSI_INQUIRY,
    SCSI_MODE_SELECT_6,
    SCSI_RESERVE_6,
    SCSI_RELEASE_6,
    SCSI_MODE_SENSE_6,
    SCSI_START_STOP_UNIT,
    SCSI_SEND_DIAGNOSTIC,
    SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL,
    SCSI_READ_CAPACITY_10,
    SCSI_READ_10,
    SCSI_WRITE_10,
    SCSI_WRITE_AND_VERIFY_10,
    SCSI_VERIFY_10,
    SCSI_PRE_FETCH_10,
    SCSI_SYNCHRONIZE_CACHE_10,
    SCSI_READ_DEFECT_DATA_10,
    SCSI_WRITE_SAME_10,
    SCSI_UNMAP,
    SCSI_LOG_SENSE,
    SCSI_MODE_SELECT_10,
    SCSI_MODE_SENSE_10,
    SCSI_PERSISTENT_RESERVE_IN,
    SCSI_PERSISTENT_RESERVE_OUT,
    SCSI_EXTENDED_COPY,
    SCSI_RECEIVE_COPY_RESULTS,
    SCSI_READ_16,
    SCSI_COMPARE_AND_WRITE,
    SCSI_WRITE_16,
    SCSI_ORWRITE_16,
    SCSI_WRITE_AND_VERIFY_16,
    SCSI_VERIFY_16,
    SCSI_PRE_FETCH_16,
    SCSI_SYNCHRONIZE_CACHE_16,
    SCSI_WRITE_SAME_16,
    SCSI_SERVICE_ACTION_IN_16,
    SCSI_REPORT_LUNS,
    SCSI_MAINTENANCE_IN,
    SCSI_READ_12,
    SCSI_WRITE_12,
    SCSI_WRITE_AND_VERIFY_12,
    SCSI_VERIFY_12,
    SCSI_READ_DEFECT_DATA_12,
};

static bool writes(uint8_t opcode)
{
    static const uint8_t list[] = {SCSI_WRITE_6,
                                   SCSI_WRITE_10,
                                   SCSI_WRITE_12,
                                   SCSI_WRITE_16,
                                   SCSI_WRITE_SAME_10,
                                   SCSI_WRITE_SAME_16,
                                   SCSI_UNMAP,
                                   SCSI_COMPARE_AND_WRITE,
                                   SCSI_ORWRITE_16,
                                   SCSI_WRITE_AND_VERIFY_10,
                                   SCSI_WRITE_AND_VERIFY_12,
                                   SCSI_WRITE_AND_VERIFY_16};
    return memchr(list, opcode, sizeof(list)) != NULL;
}

static void the_table_is_sorted_and_complete(void **state)
{
    size_t at = 0;
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        const struct scsi_command *before = i > 0 ? c - 1 : NULL;
        bool same = before && before->opcode == c->opcode;
        assert_non_null(c->handler);
        if (same) {
            assert_true(c->flags & before->flags & SCSI_CMD_SERVICE_ACTION);
            assert_true(before->service_action < c->service_action);
        } else {
            assert_true(at < ARRAY_SIZE(opcodes));
            assert_int_equal(c->opcode, opcodes[at++]);
        }
    }
    assert_int_equal(at, ARRAY_SIZE(opcodes));
}

static void only_what_writes_is_marked_so(void **state)
{
    for (size_t i = 0; i < scsi_n_commands; i++)
        assert_int_equal(!!(scsi_commands[i].flags & SCSI_CMD_WRITES),
                         writes(scsi_commands[i].opcode));
}

static void sizes_go_by_group(void **state)
{
    static const unsigned sizes[8] = {6, 10, 10, 0, 16, 12, 0, 0}; /* SAM-5 5.2.2: SPC-4 4.2.5 */
    for (unsigned opcode = 0; opcode < 256; opcode++)
        assert_int_equal(scsi_cdb_size((uint8_t)opcode), sizes[opcode / 32]);
    for (size_t i = 0; i < scsi_n_commands; i++)
        assert_true(scsi_cdb_size(scsi_commands[i].opcode) > 0);
}

static void usage_bits_end_with_the_cdb_and_its_control_byte(void **state)
{
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        size_t last = scsi_cdb_size(c->opcode) - 2; /* usage[0] is of byte 1 */
        assert_int_equal(c->usage[last], 0x04);
        for (size_t k = last + 1; k < sizeof(c->usage); k++)
            assert_int_equal(c->usage[k], 0);
        if (c->flags & SCSI_CMD_SERVICE_ACTION)
            assert_int_equal(c->usage[0] & 0x1f, 0x1f);
        assert_true(c->service_action <= 0x1f);
    }
}

struct outcome {
    enum scsi_sense sense;
    uint32_t moved;
    uint64_t data_length;
    uint8_t data[4096];
};

static struct outcome run(const uint8_t *cdb)
{
    static const uint8_t out[512];
    struct outcome o = {0};
    bool sends = writes(cdb[0]);
    scsi_port_run(port, cdb, out, sends ? sizeof(out) : 0, sends ? 0 : sizeof(o.data));
    o.sense = scsi_port_sense(port);
    o.moved = port->moved;
    o.data_length = port->data_length;
    memcpy(o.data, port->in, sends ? 0 : port->moved);
    return o;
}

/* What the usage bits say is not looked at is not. */
static void bits_that_are_not_used_change_nothing(void **state)
{
    for (size_t i = 0; i < scsi_n_commands; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        uint8_t cdb[SCSI_CDB_SIZE] = {c->opcode, c->service_action};
        cdb[scsi_cdb_size(c->opcode) - 2] = 1; /* somewhere in a length, mostly */
        struct outcome plain = run(cdb);
        for (unsigned bit = 8; bit < 8 * SCSI_CDB_SIZE; bit++) {
            uint8_t mask = (uint8_t)(1 << bit % 8);
            if (c->usage[bit / 8 - 1] & mask)
                continue;
            cdb[bit / 8] ^= mask;
            struct outcome odd = run(cdb);
            cdb[bit / 8] ^= mask;
            if (memcmp(&odd, &plain, sizeof(odd)) != 0)
                fail_msg("%02x/%02x: bit %u of byte %u", c->opcode, c->service_action, bit % 8,
                         bit / 8);
        }
    }
}

/* --- what stands in the way --- */

static void unknown_commands(void **state)
{
    unsigned known = 0;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        if (memchr(opcodes, (int)opcode, sizeof(opcodes)))
            known++;
        else
            scsi_refused(CDB((uint8_t)opcode), SENSE_INVALID_OPCODE);
    }
    assert_int_equal(known, ARRAY_SIZE(opcodes));
    for (uint8_t action = 0; action < 0x20; action++) {
        if (action > SCSI_READ_FULL_STATUS)
            scsi_refused(CDB(SCSI_PERSISTENT_RESERVE_IN, action), SENSE_INVALID_FIELD_IN_CDB);
        if (action > SCSI_REGISTER_AND_MOVE)
            scsi_refused(CDB(SCSI_PERSISTENT_RESERVE_OUT, action), SENSE_INVALID_FIELD_IN_CDB);
        if (action != SCSI_READ_CAPACITY_16 && action != SCSI_GET_LBA_STATUS)
            scsi_refused(CDB(SCSI_SERVICE_ACTION_IN_16, action), SENSE_INVALID_FIELD_IN_CDB);
        if (action != SCSI_REPORT_TARGET_PORT_GROUPS &&
            action != SCSI_REPORT_SUPPORTED_OPERATION_CODES &&
            action != SCSI_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS)
            scsi_refused(CDB(SCSI_MAINTENANCE_IN, action), SENSE_INVALID_FIELD_IN_CDB);
    }
}

static void a_lun_that_does_not_exist(void **state)
{
    port->no_such_lun = true;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        if (opcode == SCSI_INQUIRY || opcode == SCSI_REQUEST_SENSE || opcode == SCSI_REPORT_LUNS)
            continue;
        for (uint8_t action = 0x0c; action <= 0x12; action++)
            scsi_refused(CDB((uint8_t)opcode, action), SENSE_LUN_NOT_SUPPORTED);
    }
    scsi_fetch(CDB(SCSI_INQUIRY, 0, 0, 0, 36), 36);
    assert_int_equal(port->in[0], 0x7f);
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 16), 16);
    scsi_fetch(CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), 18);
}

static void assert_write_protected(void)
{
    static const uint8_t out[512] = {1};
    for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++)
        if (writes(opcodes[i]))
            scsi_expect(cdb_range(opcodes[i], 0, 0, 1), out, sizeof(out), 0, SENSE_WRITE_PROTECTED);
    assert_int_equal(port->disk->writes + port->disk->zeroes, 0);
    assert_int_equal(port->disk->data[0], 0);
    scsi_expect(cdb_range(SCSI_READ_10, 0, 0, 1), NULL, 0, 512, SENSE_NONE);
    scsi_expect(CDB(SCSI_SYNCHRONIZE_CACHE_10), NULL, 0, 0, SENSE_NONE);
}

static void what_writes_is_refused_on_a_read_only_lu(void **state)
{
    port->lu->read_only = true;
    assert_write_protected();
}

static void what_writes_is_refused_if_an_initiator_wants_it_so(void **state)
{
    port->lu->mode.write_protect = true;
    assert_write_protected();
}

static void a_failure_is_told_in_the_format_of_the_lu(void **state)
{
    scsi_refused(CDB(0xff), SENSE_INVALID_OPCODE);
    assert_int_equal(port->sense[0], 0x70);
    port->lu->mode.descriptor_sense = true;
    scsi_refused(CDB(0xff), SENSE_INVALID_OPCODE);
    assert_int_equal(port->sense[0], 0x72);
    assert_int_equal(port->sense_size, 8);
    scsi_refused(cdb_range(SCSI_READ_10, 0, 2048, 1), SENSE_LBA_OUT_OF_RANGE);
    assert_int_equal(port->sense[0], 0x72);
    /* of the answer to REQUEST SENSE its own bit decides (SPC-4) */
    assert_int_equal(scsi_fetch(CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 252), 252)[0], 0x70);
    assert_int_equal(scsi_fetch(CDB(SCSI_REQUEST_SENSE, 1, 0, 0, 252), 252)[0], 0x72);
    port->no_such_lun = true;
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_LUN_NOT_SUPPORTED);
    assert_int_equal(port->sense[0], 0x70);
}

static void unit_attentions_are_told_one_by_one_before_anything_else(void **state)
{
    port->lu->read_only = true;
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_LU_RESET);
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_CAPACITY_CHANGED);
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_COMMANDS_CLEARED);
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_LU_RESET);
    scsi_refused(CDB(0xff), SENSE_CAPACITY_CHANGED);
    scsi_expect(cdb_range(SCSI_WRITE_10, 0, 0, 1), "", 0, 0, SENSE_COMMANDS_CLEARED);
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_NONE);
    scsi_refused(CDB(0xff), SENSE_INVALID_OPCODE);
}

/* --- reservations --- */

/* May others run it under: a Write Exclusive reservation, an Exclusive Access one, a RESERVE(6)?
 * (SPC-4 and SBC-3, tables of commands allowed in the presence of various reservations; SPC-2.) */
static const struct {
    uint8_t cdb[5];
    bool write_exclusive, exclusive_access, reserve_6;
} access_rules[] = {
    {{SCSI_TEST_UNIT_READY}, true, true, false},
    {{SCSI_REQUEST_SENSE}, true, true, true},
    {{SCSI_READ_6}, true, false, false},
    {{SCSI_WRITE_6}, false, false, false},
    {{SCSI_INQUIRY}, true, true, true},
    {{SCSI_MODE_SELECT_6}, false, false, false},
    {{SCSI_RELEASE_6}, true, true, true},
    {{SCSI_MODE_SENSE_6}, true, false, false},
    {{SCSI_START_STOP_UNIT, 0, 0, 0, 0x01}, true, true, true},
    {{SCSI_START_STOP_UNIT, 0, 0, 0, 0x00}, false, false, false},
    {{SCSI_START_STOP_UNIT, 0, 0, 0, 0x11}, false, false, false}, /* POWER CONDITION */
    {{SCSI_SEND_DIAGNOSTIC}, false, false, false},
    {{SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0}, true, true, true},
    {{SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 1}, false, false, false},
    {{SCSI_READ_CAPACITY_10}, true, true, true},
    {{SCSI_READ_10}, true, false, false},
    {{SCSI_WRITE_10}, false, false, false},
    {{SCSI_WRITE_AND_VERIFY_10}, false, false, false},
    {{SCSI_VERIFY_10}, true, false, false},
    {{SCSI_PRE_FETCH_10}, true, false, false},
    {{SCSI_SYNCHRONIZE_CACHE_10}, false, false, false},
    {{SCSI_READ_DEFECT_DATA_10}, true, false, false},
    {{SCSI_WRITE_SAME_10}, false, false, false},
    {{SCSI_UNMAP}, false, false, false},
    {{SCSI_LOG_SENSE}, true, true, false},
    {{SCSI_MODE_SELECT_10}, false, false, false},
    {{SCSI_MODE_SENSE_10}, true, false, false},
    {{SCSI_PERSISTENT_RESERVE_IN, SCSI_READ_KEYS}, true, true, false},
    {{SCSI_PERSISTENT_RESERVE_IN, SCSI_READ_RESERVATION}, true, true, false},
    {{SCSI_PERSISTENT_RESERVE_IN, SCSI_REPORT_CAPABILITIES}, true, true, false},
    {{SCSI_PERSISTENT_RESERVE_IN, SCSI_READ_FULL_STATUS}, true, true, false},
    {{SCSI_PERSISTENT_RESERVE_OUT, SCSI_REGISTER}, true, true, false},
    {{SCSI_PERSISTENT_RESERVE_OUT, SCSI_REGISTER_AND_IGNORE_EXISTING_KEY}, true, true, false},
    {{SCSI_EXTENDED_COPY, SCSI_EXTENDED_COPY_LID1}, false, false, false},
    {{SCSI_RECEIVE_COPY_RESULTS, SCSI_COPY_STATUS}, false, false, false},
    {{SCSI_RECEIVE_COPY_RESULTS, SCSI_COPY_RECEIVE_DATA}, false, false, false},
    {{SCSI_RECEIVE_COPY_RESULTS, SCSI_COPY_OPERATING_PARAMETERS}, false, false, false},
    {{SCSI_RECEIVE_COPY_RESULTS, SCSI_COPY_FAILED_SEGMENT_DETAILS}, false, false, false},
    {{SCSI_READ_16}, true, false, false},
    {{SCSI_COMPARE_AND_WRITE}, false, false, false},
    {{SCSI_WRITE_16}, false, false, false},
    {{SCSI_ORWRITE_16}, false, false, false},
    {{SCSI_WRITE_AND_VERIFY_16}, false, false, false},
    {{SCSI_VERIFY_16}, true, false, false},
    {{SCSI_PRE_FETCH_16}, true, false, false},
    {{SCSI_SYNCHRONIZE_CACHE_16}, false, false, false},
    {{SCSI_WRITE_SAME_16}, false, false, false},
    {{SCSI_SERVICE_ACTION_IN_16, SCSI_READ_CAPACITY_16}, true, true, true},
    {{SCSI_SERVICE_ACTION_IN_16, SCSI_GET_LBA_STATUS}, true, false, false},
    {{SCSI_REPORT_LUNS}, true, true, true},
    {{SCSI_MAINTENANCE_IN, SCSI_REPORT_TARGET_PORT_GROUPS}, true, true, false},
    {{SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_OPERATION_CODES}, true, false, false},
    {{SCSI_MAINTENANCE_IN, SCSI_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS}, true, false, false},
    {{SCSI_READ_12}, true, false, false},
    {{SCSI_WRITE_12}, false, false, false},
    {{SCSI_WRITE_AND_VERIFY_12}, false, false, false},
    {{SCSI_VERIFY_12}, true, false, false},
    {{SCSI_READ_DEFECT_DATA_12}, true, false, false},
};

/* Every opcode that others might run has a rule. RESERVE(6) always conflicts by itself. */
static void there_is_a_rule_for_each_command(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
        size_t found = 0;
        for (size_t k = 0; k < ARRAY_SIZE(access_rules); k++)
            found += access_rules[k].cdb[0] == opcodes[i];
        assert_true(found > 0 || opcodes[i] == SCSI_RESERVE_6);
    }
}

/* Runs the command of each rule (but for this opcode), and looks whether it may. */
static void assert_rules(bool (*may_run)(size_t rule), int but_for)
{
    for (size_t i = 0; i < ARRAY_SIZE(access_rules); i++) {
        uint8_t cdb[SCSI_CDB_SIZE] = {0};
        memcpy(cdb, access_rules[i].cdb, sizeof(access_rules[i].cdb));
        if (cdb[0] == but_for)
            continue;
        scsi_port_run(port, cdb, NULL, 0, 4096);
        if (scsi_port_conflict(port) == may_run(i))
            fail_msg("type %d, rule %zu: %02x/%02x: conflict %d", port->lu->reservations->type, i,
                     cdb[0], cdb[1], may_run(i));
    }
}

static bool all_may(size_t rule)
{
    return true;
}

static bool under_write_exclusive(size_t rule)
{
    return access_rules[rule].write_exclusive;
}

static bool under_exclusive_access(size_t rule)
{
    return access_rules[rule].exclusive_access;
}

static bool under_reserve_6(size_t rule)
{
    return access_rules[rule].reserve_6;
}

static bool under_own_reserve_6(size_t rule)
{
    uint8_t opcode = access_rules[rule].cdb[0];
    return opcode != SCSI_PERSISTENT_RESERVE_IN && opcode != SCSI_PERSISTENT_RESERVE_OUT;
}

/* Somebody else has a reservation; the port's own nexus is registered or not. */
static void reserve_for_another(enum scsi_reservation_type type, bool registered)
{
    const struct scsi_nexus_id other = {.initiator.name = "iqn.2026-11.a:other"};
    struct scsi_reservations *s = scsi_reservations_copy(port->lu->reservations, 2);
    struct scsi_reservation_request request = {
        .action = SCSI_REGISTER, .by = &other, .service_action_key = 1};
    assert_int_equal(scsi_reservations_change(s, &request).status, SCSI_GOOD);
    request = (struct scsi_reservation_request){
        .action = SCSI_RESERVE, .by = &other, .key = 1, .type = (uint8_t)type};
    assert_int_equal(scsi_reservations_change(s, &request).status, SCSI_GOOD);
    request = (struct scsi_reservation_request){
        .action = SCSI_REGISTER, .by = &port->nexus.id, .service_action_key = 2};
    if (registered)
        assert_int_equal(scsi_reservations_change(s, &request).status, SCSI_GOOD);
    scsi_lu_set_reservations(port->lu, s);
}

static void assert_rules_of(enum scsi_reservation_type type, bool registered,
                            bool (*may_run)(size_t rule))
{
    scsi_lu_set_reservations(port->lu, scsi_reservations_new(0));
    reserve_for_another(type, registered);
    assert_rules(may_run, SCSI_RELEASE_6); /* which conflicts with any registration */
    scsi_expect_conflict(CDB(SCSI_RELEASE_6), NULL, 0);
}

static void what_a_persistent_reservation_lets_others_do(void **state)
{
    for (int registered = 0; registered < 2; registered++) {
        assert_rules_of(SCSI_WRITE_EXCLUSIVE, registered, under_write_exclusive);
        assert_rules_of(SCSI_EXCLUSIVE_ACCESS, registered, under_exclusive_access);
    }
    assert_rules_of(SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY, false, under_write_exclusive);
    assert_rules_of(SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, false, under_exclusive_access);
    assert_rules_of(SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS, false, under_write_exclusive);
    assert_rules_of(SCSI_EXCLUSIVE_ACCESS_ALL_REGISTRANTS, false, under_exclusive_access);
    assert_rules_of(SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY, true, all_may);
    assert_rules_of(SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, true, all_may);
    assert_rules_of(SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS, true, all_may);
    assert_rules_of(SCSI_EXCLUSIVE_ACCESS_ALL_REGISTRANTS, true, all_may);
}

static void what_a_reserve_6_lets_others_do(void **state)
{
    struct scsi_nexus other;
    scsi_port_connect(port, &other, 2);
    port->speaker = &other;
    scsi_expect(CDB(SCSI_RESERVE_6), NULL, 0, 0, SENSE_NONE);
    port->speaker = NULL;
    assert_rules(under_reserve_6, -1);
    port->speaker = &other;
    assert_rules(under_own_reserve_6, SCSI_RELEASE_6);
    port->speaker = NULL;
    scsi_nexus_disconnect(&other);
    assert_rules(all_may, -1);
}

static void unknown_commands_do_not_conflict(void **state)
{
    reserve_for_another(SCSI_EXCLUSIVE_ACCESS, false);
    scsi_refused(CDB(0xff), SENSE_INVALID_OPCODE);
    scsi_refused(CDB(SCSI_MAINTENANCE_IN, 0x1f), SENSE_INVALID_FIELD_IN_CDB);
}

/* SAM-5 5.3.3 */
static void a_conflict_is_told_behind_a_reset_and_before_all_else(void **state)
{
    reserve_for_another(SCSI_EXCLUSIVE_ACCESS, false);
    port->lu->read_only = true;
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_CAPACITY_CHANGED);
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_LU_RESET);
    scsi_refused(cdb_range(SCSI_WRITE_10, 0, 0, 1), SENSE_LU_RESET);
    scsi_expect_conflict(cdb_range(SCSI_WRITE_10, 0, 0, 1), NULL, 0);
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_CAPACITY_CHANGED);
}

/* SPC-4: INQUIRY and REPORT LUNS neither tell nor clear one; REQUEST SENSE tells it as data. */
static void some_commands_leave_unit_attentions_alone(void **state)
{
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_LU_RESET);
    scsi_nexus_establish_unit_attention(&port->nexus, SENSE_CAPACITY_CHANGED);
    scsi_fetch(CDB(SCSI_INQUIRY, 0, 0, 0, 36), 36);
    scsi_fetch(CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 16), 16);
    const uint8_t *sense = scsi_fetch(CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), 18);
    assert_int_equal(sense[2], SENSE_LU_RESET >> 16);
    assert_int_equal(sense[12], 0x29);
    assert_int_equal(sense[13], 0x03);
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_CAPACITY_CHANGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_table_is_sorted_and_complete),
        TEST(only_what_writes_is_marked_so),
        TEST(sizes_go_by_group),
        TEST(usage_bits_end_with_the_cdb_and_its_control_byte),
        SCSI_TEST(bits_that_are_not_used_change_nothing),
        SCSI_TEST(unknown_commands),
        SCSI_TEST(a_lun_that_does_not_exist),
        SCSI_TEST(what_writes_is_refused_on_a_read_only_lu),
        SCSI_TEST(what_writes_is_refused_if_an_initiator_wants_it_so),
        SCSI_TEST(a_failure_is_told_in_the_format_of_the_lu),
        SCSI_TEST(unit_attentions_are_told_one_by_one_before_anything_else),
        SCSI_TEST(some_commands_leave_unit_attentions_alone),
        TEST(there_is_a_rule_for_each_command),
        SCSI_TEST(what_a_persistent_reservation_lets_others_do),
        SCSI_TEST(what_a_reserve_6_lets_others_do),
        SCSI_TEST(unknown_commands_do_not_conflict),
        SCSI_TEST(a_conflict_is_told_behind_a_reset_and_before_all_else),
    };
    return RUN_TESTS(tests);
}
