#include "test.h"

#include "scsi/transport_id.h"

#define NAME "iqn.2026-11.lan.example:host1"

static const struct scsi_initiator_port port = {.name = NAME,
                                                .isid = {0x40, 0x00, 0x01, 0x37, 0x00, 0xab}};

/* A TransportID with this first byte and length, and text padded to it. */
static struct wire_reader transport_id(uint8_t first, size_t length, const char *text)
{
    static uint8_t bytes[1024];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    wire_put_u8(&w, first);
    wire_put_u8(&w, 0);
    wire_put_be16(&w, (uint16_t)length);
    wire_put_padded(&w, text, length, '\0');
    return wire_reader_of(bytes, wire_writer_used(&w));
}

static bool parse(uint8_t first, size_t length, const char *text, struct scsi_transport_id *ret_id)
{
    struct wire_reader r = transport_id(first, length, text);
    return scsi_transport_id_get(&r, ret_id) && wire_reader_left(&r) == 0;
}

static void a_port_is_written_and_read(void **state)
{
    uint8_t bytes[SCSI_TRANSPORT_ID_MAX_SIZE];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    struct scsi_transport_id id;
    scsi_transport_id_put(&w, &port);
    assert_true(wire_writer_ok(&w));
    assert_int_equal(wire_writer_used(&w) % 4, 0);
    assert_int_equal(bytes[0], 0x45);
    assert_int_equal(bytes[2] << 8 | bytes[3], wire_writer_used(&w) - 4);
    assert_string_equal((char *)bytes + 4, NAME ",i,0x4000013700ab");
    struct wire_reader r = wire_reader_of(bytes, wire_writer_used(&w));
    assert_true(scsi_transport_id_get(&r, &id));
    assert_int_equal(wire_reader_left(&r), 0);
    assert_true(id.names_port);
    assert_string_equal(id.port.name, port.name);
    assert_memory_equal(id.port.isid, port.isid, sizeof(port.isid));
}

static void the_longest_and_the_shortest_name_fit(void **state)
{
    struct scsi_initiator_port p = port;
    uint8_t bytes[SCSI_TRANSPORT_ID_MAX_SIZE];
    struct scsi_transport_id id;
    for (size_t size = 1; size <= IQN_MAX_LEN; size++) {
        struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
        memset(p.name, 'a', size);
        p.name[size] = '\0';
        scsi_transport_id_put(&w, &p);
        assert_true(wire_writer_ok(&w) && wire_writer_used(&w) >= 24);
        struct wire_reader r = wire_reader_of(bytes, wire_writer_used(&w));
        assert_true(scsi_transport_id_get(&r, &id));
        assert_string_equal(id.port.name, p.name);
    }
}

static void a_device_has_no_isid(void **state)
{
    struct scsi_transport_id id;
    assert_true(parse(0x05, 32, NAME, &id));
    assert_false(id.names_port);
    assert_string_equal(id.port.name, NAME);
}

static void names_and_isids_may_be_in_upper_case(void **state)
{
    struct scsi_transport_id id;
    assert_true(parse(0x45, 48, "IQN.2026-11.lan.Example:host1,i,0x4000013700AB", &id));
    assert_string_equal(id.port.name, NAME);
    assert_memory_equal(id.port.isid, port.isid, sizeof(port.isid));
}

static void others_are_refused(void **state)
{
    struct scsi_transport_id id;
    static const char whole[] = NAME ",i,0x4000013700ab";
    assert_true(parse(0x45, 48, whole, &id));
    assert_false(parse(0x40, 48, whole, &id)); /* Fibre Channel */
    assert_false(parse(0x46, 48, whole, &id)); /* SAS */
    assert_false(parse(0x85, 48, whole, &id)); /* reserved formats */
    assert_false(parse(0xc5, 48, whole, &id));
    assert_false(parse(0x45, 46, whole, &id));                      /* not a multiple of four */
    assert_false(parse(0x45, 44, whole, &id));                      /* no null */
    assert_false(parse(0x45, 16, "iqn.a,i,0x400000", &id));         /* too short */
    assert_false(parse(0x45, 48, NAME, &id));                       /* no ISID */
    assert_false(parse(0x45, 48, NAME ",i,0x4000013700a", &id));    /* not a whole one */
    assert_false(parse(0x45, 48, NAME ",i,0x4000013700ag", &id));   /* not hexadecimal */
    assert_false(parse(0x45, 52, NAME ",i,0x4000013700abcd", &id)); /* more than one */
    assert_false(parse(0x45, 24, ",i,0x4000013700ab", &id));        /* nobody */
    assert_false(parse(0x05, 24, "", &id));
}

static void names_that_are_too_long_are_refused(void **state)
{
    struct scsi_transport_id id;
    char name[512];
    memset(name, 'a', sizeof(name));
    name[IQN_MAX_LEN] = '\0';
    assert_true(parse(0x05, 224, name, &id));
    name[IQN_MAX_LEN] = 'a';
    name[IQN_MAX_LEN + 1] = '\0';
    assert_false(parse(0x05, 228, name, &id));
    name[IQN_MAX_LEN + 1] = 'a';
    name[500] = '\0';
    assert_false(parse(0x05, 504, name, &id));
}

static void what_follows_the_null_must_be_null(void **state)
{
    uint8_t bytes[28] = {0x05, 0, 0, 24, 'i', 'q', 'n', '.', 'a'};
    struct scsi_transport_id id;
    struct wire_reader r = wire_reader_of(bytes, sizeof(bytes));
    assert_true(scsi_transport_id_get(&r, &id));
    bytes[27] = 'x';
    r = wire_reader_of(bytes, sizeof(bytes));
    assert_false(scsi_transport_id_get(&r, &id));
}

static void one_that_is_cut_is_refused(void **state)
{
    struct scsi_transport_id id;
    struct wire_reader whole = transport_id(0x45, 48, NAME ",i,0x4000013700ab");
    for (size_t size = 0; size < 52; size++) {
        struct wire_reader r = wire_reader_of(whole.pos, size);
        assert_false(scsi_transport_id_get(&r, &id));
    }
}

static void a_nexus_is_an_initiator_port_and_a_target(void **state)
{
    struct scsi_nexus_id a = {.initiator = port, .target = "iqn.2026-11.lan.example:disk"};
    struct scsi_nexus_id b = a;
    assert_true(scsi_nexus_id_equal(&a, &b));
    b.initiator.isid[5]++;
    assert_false(scsi_nexus_id_equal(&a, &b));
    b = a;
    b.initiator.name[0] = 'x';
    assert_false(scsi_nexus_id_equal(&a, &b));
    b = a;
    b.target[4] = '3';
    assert_false(scsi_nexus_id_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_port_is_written_and_read),
        TEST(the_longest_and_the_shortest_name_fit),
        TEST(a_device_has_no_isid),
        TEST(names_and_isids_may_be_in_upper_case),
        TEST(others_are_refused),
        TEST(names_that_are_too_long_are_refused),
        TEST(what_follows_the_null_must_be_null),
        TEST(one_that_is_cut_is_refused),
        TEST(a_nexus_is_an_initiator_port_and_a_target),
    };
    return RUN_TESTS(tests);
}
