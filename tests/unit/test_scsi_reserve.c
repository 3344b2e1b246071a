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

static void good(struct scsi_nexus *speaker, uint8_t opcode)
{
    port->speaker = speaker;
    scsi_expect(CDB(opcode), NULL, 0, 0, SENSE_NONE);
}

static void conflict(struct scsi_nexus *speaker, uint8_t opcode)
{
    port->speaker = speaker;
    scsi_expect_conflict(CDB(opcode), NULL, 0);
}

static void an_lu_is_reserved_until_its_holder_releases_it(void **state)
{
    good(&port->nexus, SCSI_RESERVE_6);
    good(&port->nexus, SCSI_RESERVE_6);
    conflict(&other, SCSI_RESERVE_6);
    conflict(&other, SCSI_TEST_UNIT_READY);
    good(&other, SCSI_RELEASE_6); /* of another's: nothing happens */
    conflict(&other, SCSI_TEST_UNIT_READY);
    good(&port->nexus, SCSI_RELEASE_6);
    good(&other, SCSI_TEST_UNIT_READY);
    good(&other, SCSI_RESERVE_6);
    conflict(&port->nexus, SCSI_RESERVE_6);
}

static void a_reset_ends_it(void **state)
{
    good(&port->nexus, SCSI_RESERVE_6);
    scsi_lu_reset(port->lu);
    good(&other, SCSI_RESERVE_6);
}

static void a_lost_nexus_ends_it(void **state)
{
    good(&other, SCSI_RESERVE_6);
    scsi_nexus_lose(&port->nexus); /* whose it is not */
    conflict(&port->nexus, SCSI_RESERVE_6);
    scsi_nexus_lose(&other);
    good(&port->nexus, SCSI_RESERVE_6);
}

static void a_new_session_of_the_same_port_ends_it(void **state)
{
    struct scsi_nexus again, third;
    good(&other, SCSI_RESERVE_6);
    scsi_port_connect(port, &third, 3);
    conflict(&port->nexus, SCSI_RESERVE_6);
    scsi_port_connect(port, &again, 2);
    good(&port->nexus, SCSI_RESERVE_6);
    scsi_nexus_disconnect(&again);
    scsi_nexus_disconnect(&third);
}

static void third_parties_and_extents_are_obsolete(void **state)
{
    for (unsigned bit = 0; bit < 5; bit++) {
        scsi_refused(CDB(SCSI_RESERVE_6, (uint8_t)(1 << bit)), SENSE_INVALID_FIELD_IN_CDB);
        scsi_refused(CDB(SCSI_RELEASE_6, (uint8_t)(1 << bit)), SENSE_INVALID_FIELD_IN_CDB);
    }
    good(&other, SCSI_RESERVE_6);
}

/* SPC-2 5.5.1 */
static void registrations_exclude_it(void **state)
{
    static const uint8_t key_1[24] = {[15] = 1};
    scsi_expect(CDB(SCSI_PERSISTENT_RESERVE_OUT, SCSI_REGISTER, 0, 0, 0, 0, 0, 0, 24), key_1, 24, 0,
                SENSE_NONE);
    conflict(&port->nexus, SCSI_RESERVE_6);
    conflict(&other, SCSI_RESERVE_6);
    conflict(&port->nexus, SCSI_RELEASE_6);
    good(&other, SCSI_TEST_UNIT_READY);
}

#define RTEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RTEST(an_lu_is_reserved_until_its_holder_releases_it),
        RTEST(a_reset_ends_it),
        RTEST(a_lost_nexus_ends_it),
        RTEST(a_new_session_of_the_same_port_ends_it),
        RTEST(third_parties_and_extents_are_obsolete),
        RTEST(registrations_exclude_it),
    };
    return RUN_TESTS(tests);
}
