#include "scsi_commands.h"

static struct scsi_nexus other;

static int set_up(void **state)
{
    scsi_set_up(state);
    scsi_port_connect(port, &other, 2);
    return 0;
}

static int tear_down(void **state)
{
    scsi_nexus_disconnect(&other);
    return scsi_tear_down(state);
}

static void change(struct scsi_reservation_request request)
{
    struct scsi_reservations *s = scsi_reservations_copy(port->lu->reservations, 1);
    assert_int_equal(scsi_reservations_change(s, &request).status, SCSI_GOOD);
    scsi_lu_set_reservations(port->lu, s);
}

/* Both are registered, and the first one holds a reservation. */
static void reserve(enum scsi_reservation_type type)
{
    change((struct scsi_reservation_request){.action = SCSI_REGISTER,
                                             .by = &port->nexus.id,
                                             .service_action_key = 0x1122334455667788,
                                             .all_target_ports = true});
    change((struct scsi_reservation_request){
        .action = SCSI_REGISTER, .by = &other.id, .service_action_key = 2});
    change((struct scsi_reservation_request){.action = SCSI_RESERVE,
                                             .by = &port->nexus.id,
                                             .key = 0x1122334455667788,
                                             .type = (uint8_t)type});
}

static struct wire_reader ask(enum scsi_service_action action, uint16_t allocation_length)
{
    scsi_fetch(CDB(SCSI_PERSISTENT_RESERVE_IN, (uint8_t)action, 0, 0, 0, 0, 0,
                   (uint8_t)(allocation_length >> 8), (uint8_t)allocation_length),
               65536);
    return scsi_reader();
}

/* Generation and additional length. */
static void assert_header(struct wire_reader *r, uint32_t generation, uint32_t length)
{
    assert_int_equal(wire_get_be32(r), generation);
    assert_int_equal(wire_get_be32(r), length);
}

static void nobody_is_registered(void **state)
{
    static const enum scsi_service_action actions[] = {SCSI_READ_KEYS, SCSI_READ_RESERVATION,
                                                       SCSI_READ_FULL_STATUS};
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        struct wire_reader r = ask(actions[i], 4096);
        assert_header(&r, 0, 0);
        assert_int_equal(wire_reader_left(&r), 0);
    }
}

static void keys(void **state)
{
    reserve(SCSI_WRITE_EXCLUSIVE);
    struct wire_reader r = ask(SCSI_READ_KEYS, 4096);
    assert_header(&r, 2, 16);
    assert_true(wire_get_be64(&r) == 0x1122334455667788);
    assert_int_equal(wire_get_be64(&r), 2);
    assert_int_equal(wire_reader_left(&r), 0);
    r = ask(SCSI_READ_KEYS, 12); /* the length tells that there is more */
    assert_int_equal(wire_reader_left(&r), 12);
    assert_header(&r, 2, 16);
    r = ask(SCSI_READ_KEYS, 0);
    assert_int_equal(wire_reader_left(&r), 0);
}

static void the_reservation(void **state)
{
    reserve(SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY);
    struct wire_reader r = ask(SCSI_READ_RESERVATION, 4096);
    assert_header(&r, 2, 16);
    assert_true(wire_get_be64(&r) == 0x1122334455667788);
    assert_int_equal(wire_get_be32(&r), 0);
    assert_int_equal(wire_get_u8(&r), 0);
    assert_int_equal(wire_get_u8(&r), 0x06);
    assert_int_equal(wire_get_be16(&r), 0);
    assert_int_equal(wire_reader_left(&r), 0);
}

static void what_all_hold_has_no_key(void **state)
{
    reserve(SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS);
    struct wire_reader r = ask(SCSI_READ_RESERVATION, 4096);
    assert_header(&r, 2, 16);
    assert_int_equal(wire_get_be64(&r), 0);
    wire_skip(&r, 5);
    assert_int_equal(wire_get_u8(&r), 0x07);
}

static void no_save(struct scsi_lu *lu, struct scsi_reservations_save *save)
{
}

static void capabilities(void **state)
{
    uint8_t expected[8] = {0, 8, 0x0c, 0xb0, 0xea, 0x01};
    (void)ask(SCSI_REPORT_CAPABILITIES, 4096);
    assert_int_equal(port->moved, sizeof(expected));
    assert_memory_equal(port->in, expected, sizeof(expected));
    port->lu->save = no_save;
    expected[2] |= 0x01; /* PTPL_C */
    (void)ask(SCSI_REPORT_CAPABILITIES, 4096);
    assert_memory_equal(port->in, expected, sizeof(expected));
    port->lu->reservations->persist = true;
    expected[3] |= 0x01; /* PTPL_A */
    (void)ask(SCSI_REPORT_CAPABILITIES, 4096);
    assert_memory_equal(port->in, expected, sizeof(expected));
    port->lu->save = NULL;
}

static void assert_status(struct wire_reader *r, const struct scsi_nexus *nexus, uint64_t key,
                          uint8_t flags, uint8_t type)
{
    struct scsi_transport_id id;
    assert_true(wire_get_be64(r) == key);
    assert_int_equal(wire_get_be32(r), 0);
    assert_int_equal(wire_get_u8(r), flags);
    assert_int_equal(wire_get_u8(r), type);
    assert_int_equal(wire_get_be32(r), 0);
    assert_int_equal(wire_get_be16(r), flags & 0x02 ? 0 : 1);
    struct wire_reader transport_id = wire_get_sub(r, wire_get_be32(r));
    assert_true(scsi_transport_id_get(&transport_id, &id));
    assert_int_equal(wire_reader_left(&transport_id), 0);
    assert_true(id.names_port);
    assert_string_equal(id.port.name, nexus->id.initiator.name);
    assert_memory_equal(id.port.isid, nexus->id.initiator.isid, SCSI_ISID_SIZE);
}

static void the_full_status(void **state)
{
    reserve(SCSI_EXCLUSIVE_ACCESS);
    struct wire_reader r = ask(SCSI_READ_FULL_STATUS, 4096);
    assert_header(&r, 2, port->moved - 8);
    assert_status(&r, &port->nexus, 0x1122334455667788, 0x03, 0x03);
    assert_status(&r, &other, 2, 0x00, 0x00);
    assert_int_equal(wire_reader_left(&r), 0);
}

static void the_full_status_of_what_all_hold(void **state)
{
    reserve(SCSI_EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
    struct wire_reader r = ask(SCSI_READ_FULL_STATUS, 4096);
    assert_header(&r, 2, port->moved - 8);
    assert_status(&r, &port->nexus, 0x1122334455667788, 0x03, 0x08);
    assert_status(&r, &other, 2, 0x01, 0x08);
}

static void the_fullest_status_comes_whole(void **state)
{
    struct scsi_nexus_id id = port->nexus.id;
    memset(id.initiator.name, 'a', IQN_MAX_LEN);
    for (unsigned i = 0; i < SCSI_MAX_REGISTRATIONS; i++) {
        id.initiator.isid[5] = (uint8_t)i;
        change((struct scsi_reservation_request){
            .action = SCSI_REGISTER, .by = &id, .service_action_key = 1});
    }
    struct wire_reader r = ask(SCSI_READ_FULL_STATUS, UINT16_MAX);
    assert_int_equal(wire_reader_left(&r), UINT16_MAX);
    assert_header(&r, SCSI_MAX_REGISTRATIONS, SCSI_MAX_REGISTRATIONS * (24 + 248));
}

#define RTEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RTEST(nobody_is_registered),
        RTEST(keys),
        RTEST(the_reservation),
        RTEST(what_all_hold_has_no_key),
        RTEST(capabilities),
        RTEST(the_full_status),
        RTEST(the_full_status_of_what_all_hold),
        RTEST(the_fullest_status_comes_whole),
    };
    return RUN_TESTS(tests);
}
