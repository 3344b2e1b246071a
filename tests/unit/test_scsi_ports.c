/* Target ports and their groups, byte by byte. */
#include "scsi_commands.h"

#include "core/names.h"
#include "scsi/ports.h"

/* 28 bytes of name; with a NUL and filled to a multiple of four, 32, and as a port, 40. */
#define NAME "iqn.2026-11.lan.example:disk"

#define PORT_NAME_DESIGNATOR                                                                       \
    0x53, 0x98, 0, 40, 'i', 'q', 'n', '.', '2', '0', '2', '6', '-', '1', '1', '.', 'l', 'a', 'n',  \
        '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', ':', 'd', 'i', 's', 'k', ',', 't', ',', '0', 'x',  \
        '0', '0', '0', '1', 0, 0, 0

static void assert_written(const struct wire_writer *w, const uint8_t *bytes, const void *expected,
                           size_t size)
{
    assert_true(wire_writer_ok(w));
    assert_int_equal(wire_writer_used(w), size);
    assert_memory_equal(bytes, expected, size);
}

/* PIV, iSCSI; of the port: SCSI name string, relative target port, target port group; of the
 * target: SCSI name string. */
static void the_designators_of_a_target(void **state)
{
    static const uint8_t expected[] = {
        PORT_NAME_DESIGNATOR,
        0x51,
        0x94,
        0,
        4,
        0,
        0,
        0,
        1,
        0x51,
        0x95,
        0,
        4,
        0,
        0,
        0,
        1,
        0x53,
        0xa8,
        0,
        32,
        'i',
        'q',
        'n',
        '.',
        '2',
        '0',
        '2',
        '6',
        '-',
        '1',
        '1',
        '.',
        'l',
        'a',
        'n',
        '.',
        'e',
        'x',
        'a',
        'm',
        'p',
        'l',
        'e',
        ':',
        'd',
        'i',
        's',
        'k',
        0,
        0,
        0,
        0,
    };
    uint8_t bytes[SCSI_PORTS_MAX_SIZE];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    assert_string_equal(port->target.name, NAME);
    scsi_ports_put_designators(&port->target, &w);
    assert_written(&w, bytes, expected, sizeof(expected));
}

static void the_ports_of_a_target(void **state)
{
    static const uint8_t expected[] = {
        0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 44, PORT_NAME_DESIGNATOR,
    };
    uint8_t bytes[SCSI_PORTS_MAX_SIZE];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    scsi_ports_put_page(&port->target, &w);
    assert_written(&w, bytes, expected, sizeof(expected));
}

/* Each string ends with a NUL, is a multiple of four long, and as short as that allows. */
static void names_of_every_length(void **state)
{
    char name[IQN_MAX_LEN + 1] = {0};
    struct scsi_target target = {.name = name};
    for (size_t length = 1; length <= IQN_MAX_LEN; length++) {
        name[length - 1] = 'n';
        uint8_t bytes[SCSI_PORTS_MAX_SIZE];
        struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
        scsi_ports_put_designators(&target, &w);
        assert_true(wire_writer_ok(&w));
        size_t padded = bytes[3];
        assert_true(padded % 4 == 0 && padded > length + 9 && padded <= length + 9 + 4);
        assert_memory_equal(bytes + 4, name, length);
        assert_string_equal((const char *)bytes + 4 + length, ",t,0x0001");
        const uint8_t *device = bytes + 4 + padded + 8 + 8;
        assert_int_equal(wire_writer_used(&w), 4 + padded + 8 + 8 + 4 + device[3]);
        assert_true(device[3] % 4 == 0 && device[3] > length && device[3] <= length + 4);
        assert_string_equal((const char *)device + 4, name);
    }
}

static const uint8_t *groups(uint8_t format, size_t allocation_length)
{
    return scsi_fetch(CDB(SCSI_MAINTENANCE_IN,
                          (uint8_t)(format << 5 | SCSI_REPORT_TARGET_PORT_GROUPS), 0, 0, 0, 0, 0, 0,
                          0, (uint8_t)allocation_length),
                      256);
}

/* One group: active/optimized, which is the only state; one port in it. */
#define GROUP 0x00, 0x01, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1

static void the_groups_with_either_header(void **state)
{
    static const uint8_t plain[] = {0, 0, 0, 12, GROUP};
    static const uint8_t extended[] = {0, 0, 0, 16, 0x10, 0, 0, 0, GROUP};
    for (size_t room = 0; room <= sizeof(plain); room++) {
        assert_memory_equal(groups(0, room), plain, room);
        assert_int_equal(port->moved, room);
    }
    for (size_t room = 0; room <= sizeof(extended); room++) {
        assert_memory_equal(groups(1, room), extended, room);
        assert_int_equal(port->moved, room);
    }
    groups(0, 255);
    assert_int_equal(port->moved, sizeof(plain));
    groups(1, 255);
    assert_int_equal(port->moved, sizeof(extended));
}

static void other_headers_are_refused(void **state)
{
    for (uint8_t format = 2; format < 8; format++) {
        scsi_refused(CDB(SCSI_MAINTENANCE_IN,
                         (uint8_t)(format << 5 | SCSI_REPORT_TARGET_PORT_GROUPS), 0, 0, 0, 0, 0, 0,
                         0, 255),
                     SENSE_INVALID_FIELD_IN_CDB);
        assert_int_equal(port->sense[15], 0xc0); /* it is in the CDB, in byte 1 */
        assert_int_equal(port->sense[16] << 8 | port->sense[17], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCSI_TEST(the_designators_of_a_target), SCSI_TEST(the_ports_of_a_target),
        SCSI_TEST(names_of_every_length),       SCSI_TEST(the_groups_with_either_header),
        SCSI_TEST(other_headers_are_refused),
    };
    return RUN_TESTS(tests);
}
