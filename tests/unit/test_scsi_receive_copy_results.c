#include "scsi_commands.h"

#include "scsi/copy_list.h"

static void receive(uint8_t action, uint8_t list_id, uint8_t allocation_length)
{
    scsi_fetch(CDB(SCSI_RECEIVE_COPY_RESULTS, action, list_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                   allocation_length),
               4096);
}

static struct scsi_copy_record *new_record(uint8_t list_id)
{
    return scsi_copy_record_new(&port->nexus.copies, false, list_id);
}

static void the_parameters_promise_what_there_is(void **state)
{
    static const uint8_t expected[47] = {[3] = 43,
                                         [4] = 1,
                                         [9] = SCSI_COPY_MAX_CSCDS,
                                         [11] = SCSI_COPY_MAX_SEGMENTS,
                                         [14] = SCSI_COPY_MAX_LIST >> 8,
                                         [16] = SCSI_COPY_MAX_SEGMENT_SIZE >> 24,
                                         [35] = SCSI_MAX_COPIES,
                                         [36] = SCSI_MAX_COPIES,
                                         [43] = 3,
                                         [44] = 0x02,
                                         [45] = 0x0a,
                                         [46] = 0xe4};
    receive(SCSI_COPY_OPERATING_PARAMETERS, 0, 255);
    assert_int_equal(port->moved, sizeof(expected));
    assert_memory_equal(port->in, expected, sizeof(expected));
    receive(SCSI_COPY_OPERATING_PARAMETERS, 0, 20);
    assert_int_equal(port->moved, 20);
}

static void of_what_is_not_known_nothing_is_told(void **state)
{
    static const uint8_t actions[] = {SCSI_COPY_STATUS, SCSI_COPY_RECEIVE_DATA,
                                      SCSI_COPY_FAILED_SEGMENT_DETAILS};
    new_record(1);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        scsi_refused(
            CDB(SCSI_RECEIVE_COPY_RESULTS, actions[i], 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255),
            SENSE_INVALID_FIELD_IN_CDB);
        assert_int_equal(port->sense[15], 0xc0);
        assert_int_equal(port->sense[16] << 8 | port->sense[17], 2);
    }
    scsi_refused(CDB(SCSI_RECEIVE_COPY_RESULTS, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255),
                 SENSE_INVALID_FIELD_IN_CDB); /* no such service action */
}

static void how_far_it_is(void **state)
{
    struct scsi_copy_record *record = new_record(5);
    record->segments = 0x0102;
    record->bytes = 0x01020304;
    static const uint8_t states[] = {
        [SCSI_COPY_RUNS] = 0, [SCSI_COPY_ENDED] = 1, [SCSI_COPY_FAILED] = 2};
    uint8_t expected[12] = {0, 0, 0, 8, 0, 1, 2, 0, 1, 2, 3, 4};
    for (int s = SCSI_COPY_RUNS; s <= SCSI_COPY_FAILED; s++) {
        record->state = s;
        expected[4] = states[s];
        receive(SCSI_COPY_STATUS, 5, 255);
        assert_int_equal(port->moved, sizeof(expected));
        assert_memory_equal(port->in, expected, sizeof(expected));
    }
    record->bytes = UINT64_C(0x0102030405) * KIB * KIB; /* does not fit in bytes, nor in KiB */
    static const uint8_t large[5] = {3, 0, 0x40, 0x80, 0xc1};
    receive(SCSI_COPY_STATUS, 5, 255);
    assert_memory_equal(port->in + 7, large, sizeof(large));
}

static void no_data_is_held(void **state)
{
    static const uint8_t none[4];
    new_record(5)->state = SCSI_COPY_ENDED;
    receive(SCSI_COPY_RECEIVE_DATA, 5, 255);
    assert_int_equal(port->moved, sizeof(none));
    assert_memory_equal(port->in, none, sizeof(none));
}

static void why_it_failed(void **state)
{
    struct scsi_copy_record *record = new_record(5);
    receive(SCSI_COPY_FAILED_SEGMENT_DETAILS, 5, 255);
    assert_int_equal(port->moved, 4); /* it has not */
    record->state = SCSI_COPY_FAILED;
    record->sense_size = 18;
    memset(record->sense, 0x5a, 18);
    receive(SCSI_COPY_FAILED_SEGMENT_DETAILS, 5, 255);
    assert_int_equal(port->moved, 60 + 18);
    struct wire_reader r = scsi_reader();
    assert_int_equal(wire_get_be32(&r), port->moved - 4);
    wire_skip(&r, 52);
    assert_int_equal(wire_get_be32(&r), 0x02000012); /* CHECK CONDITION, with 18 bytes of sense */
    assert_memory_equal(port->in + 60, record->sense, 18);
}

static void a_reset_forgets_it(void **state)
{
    new_record(5)->state = SCSI_COPY_ENDED;
    scsi_lu_reset(port->lu);
    scsi_refused(
        CDB(SCSI_RECEIVE_COPY_RESULTS, SCSI_COPY_STATUS, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255),
        SENSE_INVALID_FIELD_IN_CDB);
}

static void the_page_and_the_commands_agree(void **state)
{
    scsi_fetch(CDB(SCSI_INQUIRY, 0, 0, 0, 96), 96);
    assert_int_equal(port->in[5] & 0x08, 0x08); /* 3PC */
    scsi_fetch(CDB(SCSI_INQUIRY, 1, 0x8f, 1, 0), 256);
    struct wire_reader r = scsi_reader();
    assert_int_equal(wire_get_be16(&r), 0x008f);
    uint16_t page_size = wire_get_be16(&r);
    assert_int_equal(wire_reader_left(&r), page_size);
    static const uint8_t commands[16] = {0, 1, 0, 12, 9, 0x83, 1, 0, 0x84, 4, 0, 1, 3, 4};
    assert_memory_equal(port->in + 4, commands, sizeof(commands));
    unsigned types = 0;
    while (wire_reader_left(&r) > 0) { /* each descriptor ends where the next one begins */
        uint16_t type = wire_get_be16(&r);
        uint16_t size = wire_get_be16(&r);
        assert_int_equal(size % 4, 0);
        const uint8_t *body = wire_get_bytes(&r, size);
        assert_true(wire_reader_ok(&r));
        types++;
        if (type == 0x000c) /* supported CSCD descriptor IDs: the LU itself */
            assert_memory_equal(body, "\0\2\xff\xff", size);
    }
    assert_int_equal(types, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(the_parameters_promise_what_there_is),
        SCSI_TEST(of_what_is_not_known_nothing_is_told),
        SCSI_TEST(how_far_it_is),
        SCSI_TEST(no_data_is_held),
        SCSI_TEST(why_it_failed),
        SCSI_TEST(a_reset_forgets_it),
        SCSI_TEST(the_page_and_the_commands_agree),
    };
    return RUN_TESTS(tests);
}
