/* The parameter lists of PERSISTENT RESERVE OUT, their order, and what becomes of those who are
 * preempted. What each service action does is tested in test_scsi_reservations.c. */
#include "scsi_commands.h"

#include <errno.h>

static struct scsi_nexus other;
static struct scsi_reservations_save *to_save; /* NULL: nothing is being saved */
static struct scsi_nexus *aborted;             /* who is to be */
static unsigned aborts;
static bool lingers;

static void abort_tasks(struct scsi_nexus *nexus, const struct scsi_task *except)
{
    assert_ptr_equal(nexus, aborted);
    assert_non_null(port->task);
    assert_ptr_equal(except, port->task);
    aborts++;
}

static bool does_linger(const struct scsi_nexus *nexus)
{
    return lingers;
}

static const struct scsi_nexus_operations operations = {abort_tasks, does_linger};

static int set_up(void **state)
{
    scsi_set_up(state);
    scsi_port_connect(port, &other, 2);
    other.operations = &operations;
    to_save = NULL;
    aborted = &other;
    aborts = 0;
    lingers = false;
    return 0;
}

static int tear_down(void **state)
{
    scsi_nexus_disconnect(&other);
    return scsi_tear_down(state);
}

static const uint8_t *cdb(enum scsi_service_action action, uint8_t type, uint32_t length)
{
    static uint8_t bytes[SCSI_CDB_SIZE];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    memset(bytes, 0, sizeof(bytes));
    wire_put_u8(&w, SCSI_PERSISTENT_RESERVE_OUT);
    wire_put_u8(&w, (uint8_t)action);
    wire_put_u8(&w, type);
    wire_put_be16(&w, 0);
    wire_put_be32(&w, length);
    return bytes;
}

/* A parameter list; what is additional is put behind it. */
static uint8_t list[4096];

static struct wire_writer begin_list(uint64_t key, uint64_t service_action_key, uint8_t flags)
{
    struct wire_writer w = wire_writer_of(list, sizeof(list));
    memset(list, 0, sizeof(list));
    wire_put_be64(&w, key);
    wire_put_be64(&w, service_action_key);
    wire_put_be32(&w, 0);
    wire_put_u8(&w, flags);
    wire_put_zeros(&w, 3);
    return w;
}

static struct wire_writer begin_move(uint64_t key, uint64_t service_action_key, uint8_t flags,
                                     uint16_t target_port, uint32_t length)
{
    struct wire_writer w = wire_writer_of(list, sizeof(list));
    memset(list, 0, sizeof(list));
    wire_put_be64(&w, key);
    wire_put_be64(&w, service_action_key);
    wire_put_u8(&w, 0);
    wire_put_u8(&w, flags);
    wire_put_be16(&w, target_port);
    wire_put_be32(&w, length);
    return w;
}

static void run_as(struct scsi_nexus *speaker, enum scsi_service_action action, uint8_t type,
                   const struct wire_writer *w)
{
    uint32_t size = (uint32_t)wire_writer_used(w);
    port->speaker = speaker;
    scsi_port_run(port, cdb(action, type, size), list, size, 0);
}

static void good(struct scsi_nexus *speaker, enum scsi_service_action action, uint8_t type,
                 uint64_t key, uint64_t service_action_key)
{
    struct wire_writer w = begin_list(key, service_action_key, 0);
    run_as(speaker, action, type, &w);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
}

static void refused(enum scsi_service_action action, const struct wire_writer *w,
                    enum scsi_sense sense)
{
    run_as(&port->nexus, action, 0x01, w);
    assert_int_equal(scsi_port_sense(port), sense);
}

static void both_are_registered(void)
{
    good(&port->nexus, SCSI_REGISTER, 0, 0, 1);
    good(&other, SCSI_REGISTER, 0, 0, 2);
}

static size_t registered(void)
{
    return port->lu->reservations->n;
}

/* --- lists --- */

static void lists_that_are_too_short_or_too_long(void **state)
{
    struct wire_writer w = begin_list(0, 1, 0);
    static const uint32_t lengths[] = {0, 1, 23, 65537, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
        scsi_expect(cdb(SCSI_REGISTER, 0, lengths[i]), list, sizeof(list), 0,
                    SENSE_PARAMETER_LIST_LENGTH);
    scsi_expect(cdb(SCSI_REGISTER, 0, 24), list, 23, 0, SENSE_PARAMETER_LIST_LENGTH);
    wire_put_be32(&w, 0); /* more than there may be */
    refused(SCSI_REGISTER, &w, SENSE_PARAMETER_LIST_LENGTH);
    assert_int_equal(registered(), 0);
}

static void a_reservation_through_the_wire(void **state)
{
    both_are_registered();
    good(&port->nexus, SCSI_RESERVE, 0x01, 1, 0);
    assert_true(port->nexus.holds && other.registered && !other.holds);
    port->speaker = &other;
    scsi_expect_conflict(cdb_range(SCSI_WRITE_10, 0, 0, 1), list, 512);
    scsi_expect(cdb_range(SCSI_READ_10, 0, 0, 1), NULL, 0, 512, SENSE_NONE);
    port->speaker = &port->nexus;
    scsi_expect(cdb_range(SCSI_WRITE_10, 0, 0, 1), list, 512, 0, SENSE_NONE);
    good(&port->nexus, SCSI_RELEASE, 0x01, 1, 0);
    port->speaker = &other;
    scsi_expect(cdb_range(SCSI_WRITE_10, 0, 0, 1), list, 512, 0, SENSE_NONE);
}

static void a_conflict_has_no_sense(void **state)
{
    struct wire_writer w = begin_list(7, 1, 0);
    run_as(&port->nexus, SCSI_REGISTER, 0, &w);
    assert_true(scsi_port_conflict(port));
}

static void a_registration_stays_when_its_session_ends(void **state)
{
    both_are_registered();
    scsi_nexus_disconnect(&other);
    scsi_port_connect(port, &other, 2);
    assert_true(other.registered);
    scsi_nexus_disconnect(&other);
    scsi_port_connect(port, &other, 3); /* another port */
    assert_false(other.registered);
    scsi_lu_reset(port->lu);
    assert_int_equal(registered(), 2);
}

/* --- SPEC_I_PT --- */

#define SPEC_I_PT 0x08
#define ALL_TG_PT 0x04
#define APTPL     0x01

static struct scsi_initiator_port stranger(void)
{
    return (struct scsi_initiator_port){.name = "iqn.2026-11.lan.example:away", .isid = {1}};
}

/* A whole list with these TransportIDs. */
static struct wire_writer list_of(const struct scsi_initiator_port *ports, size_t n)
{
    uint8_t ids[1024];
    struct wire_writer w = begin_list(0, 5, SPEC_I_PT | ALL_TG_PT);
    struct wire_writer names = wire_writer_of(ids, sizeof(ids));
    for (size_t i = 0; i < n; i++)
        scsi_transport_id_put(&names, &ports[i]);
    wire_put_be32(&w, (uint32_t)wire_writer_used(&names));
    wire_put_bytes(&w, ids, wire_writer_used(&names));
    return w;
}

static void ports_may_be_registered_by_name(void **state)
{
    struct scsi_initiator_port ports[] = {other.id.initiator, stranger()};
    struct wire_writer w = list_of(ports, 2);
    run_as(&port->nexus, SCSI_REGISTER, 0, &w);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
    assert_int_equal(registered(), 3);
    assert_true(port->nexus.registered && other.registered);
    for (size_t i = 0; i < 3; i++)
        assert_true(port->lu->reservations->registrations[i].all_target_ports);
}

static void a_device_stands_for_its_ports_that_are_connected(void **state)
{
    struct scsi_nexus second;
    struct scsi_nexus_id id = other.id;
    uint8_t device[4 + 64] = {0x05, 0, 0, 64};
    memcpy(device + 4, id.initiator.name, strlen(id.initiator.name));
    id.initiator.isid[0]++;
    scsi_nexus_connect(&second, port->lu, &id, NULL);
    struct wire_writer w = begin_list(0, 5, SPEC_I_PT);
    wire_put_be32(&w, sizeof(device));
    wire_put_bytes(&w, device, sizeof(device));
    run_as(&port->nexus, SCSI_REGISTER, 0, &w);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
    assert_int_equal(registered(), 3);
    assert_true(other.registered && second.registered);
    scsi_nexus_disconnect(&second);
}

static void a_device_that_is_not_connected_is_nobody(void **state)
{
    uint8_t device[4 + 32] = {0x05, 0, 0, 32, 'i', 'q', 'n', '.', 'x'};
    struct wire_writer w = begin_list(0, 5, SPEC_I_PT);
    wire_put_be32(&w, sizeof(device));
    wire_put_bytes(&w, device, sizeof(device));
    refused(SCSI_REGISTER, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    assert_int_equal(registered(), 0);
}

static void lists_of_ports_that_are_wrong(void **state)
{
    struct scsi_initiator_port ports[] = {stranger()};
    struct wire_writer w = list_of(ports, 1);
    refused(SCSI_REGISTER_AND_IGNORE_EXISTING_KEY, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    refused(SCSI_CLEAR, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    list[27]--; /* a length that is not that of what follows */
    refused(SCSI_REGISTER, &w, SENSE_PARAMETER_LIST_LENGTH);
    list[27]++;
    list[28] = 0x46; /* not iSCSI's */
    refused(SCSI_REGISTER, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    w = begin_list(0, 5, SPEC_I_PT); /* nothing follows */
    refused(SCSI_REGISTER, &w, SENSE_PARAMETER_LIST_LENGTH);
    assert_int_equal(registered(), 0);
}

/* --- REGISTER AND MOVE --- */

static struct wire_writer move_to(const struct scsi_initiator_port *to, uint8_t flags,
                                  uint16_t target_port)
{
    uint8_t id[SCSI_TRANSPORT_ID_MAX_SIZE];
    struct wire_writer name = wire_writer_of(id, sizeof(id));
    scsi_transport_id_put(&name, to);
    struct wire_writer w = begin_move(1, 8, flags, target_port, (uint32_t)wire_writer_used(&name));
    wire_put_bytes(&w, id, wire_writer_used(&name));
    return w;
}

static void a_reservation_may_be_moved(void **state)
{
    good(&port->nexus, SCSI_REGISTER, 0, 0, 1);
    good(&port->nexus, SCSI_RESERVE, 0x03, 1, 0);
    struct wire_writer w = move_to(&other.id.initiator, 0x02, 1); /* UNREG */
    run_as(&port->nexus, SCSI_REGISTER_AND_MOVE, 0, &w);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
    assert_true(other.holds && !port->nexus.registered);
    assert_int_equal(registered(), 1);
}

static void moves_that_are_wrong(void **state)
{
    struct scsi_initiator_port ports[] = {stranger(), stranger()};
    good(&port->nexus, SCSI_REGISTER, 0, 0, 1);
    good(&port->nexus, SCSI_RESERVE, 0x03, 1, 0);
    struct wire_writer w = move_to(&ports[0], 0, 2); /* there is no such target port */
    refused(SCSI_REGISTER_AND_MOVE, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    w = move_to(&port->nexus.id.initiator, 0, 1);
    refused(SCSI_REGISTER_AND_MOVE, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    w = begin_move(1, 8, 0, 1, 0); /* to nobody */
    refused(SCSI_REGISTER_AND_MOVE, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    w = move_to(&ports[0], 0, 1);
    wire_put_zeros(&w, 4); /* more than it says */
    refused(SCSI_REGISTER_AND_MOVE, &w, SENSE_PARAMETER_LIST_LENGTH);
    assert_true(port->nexus.holds);
}

/* --- unit attentions and PREEMPT AND ABORT --- */

static void those_who_lose_something_are_told(void **state)
{
    both_are_registered();
    good(&port->nexus, SCSI_RESERVE, 0x05, 1, 0);
    good(&port->nexus, SCSI_RELEASE, 0x05, 1, 0);
    port->speaker = &other;
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_RESERVATIONS_RELEASED);
    other.prevents_removal = true;
    good(&port->nexus, SCSI_PREEMPT, 0x01, 1, 2);
    assert_false(other.prevents_removal);
    port->speaker = &other;
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_REGISTRATIONS_PREEMPTED);
    good(&other, SCSI_REGISTER, 0, 0, 2);
    good(&port->nexus, SCSI_CLEAR, 0, 1, 0);
    port->speaker = &other;
    scsi_refused(CDB(SCSI_TEST_UNIT_READY), SENSE_RESERVATIONS_PREEMPTED);
    scsi_expect(CDB(SCSI_TEST_UNIT_READY), NULL, 0, 0, SENSE_NONE);
    assert_int_equal(aborts, 0);
}

/* The command has waited for the tasks that it aborts. */
static void ends_with_the_last_task(void)
{
    lingers = false;
    scsi_lu_tasks_ended(port->lu);
    fake_thread_round(port->thread);
    assert_null(port->task);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
}

static void preempt_and_abort_waits_for_what_still_writes(void **state)
{
    both_are_registered();
    struct wire_writer w = begin_list(1, 2, 0);
    lingers = true;
    port->speaker = &port->nexus;
    scsi_port_begin(port, cdb(SCSI_PREEMPT_AND_ABORT, 0x01, 24), list,
                    (uint32_t)wire_writer_used(&w), 0);
    fake_thread_round(port->thread);
    assert_int_equal(aborts, 1);
    assert_false(other.registered); /* in force at once */
    assert_non_null(port->task);
    scsi_lu_tasks_ended(port->lu);
    fake_thread_round(port->thread);
    assert_non_null(port->task);
    ends_with_the_last_task();
    assert_false(other.preempted || other.aborting);
    assert_int_equal(aborts, 1);
}

static void whoever_preempts_himself_is_aborted_but_for_the_command(void **state)
{
    both_are_registered();
    (void)begin_list(1, 1, 0);
    port->nexus.operations = &operations;
    aborted = &port->nexus;
    lingers = true;
    port->speaker = &port->nexus;
    scsi_port_begin(port, cdb(SCSI_PREEMPT_AND_ABORT, 0x01, 24), list, 24, 0);
    fake_thread_round(port->thread);
    assert_int_equal(aborts, 1);
    assert_non_null(port->task);
    ends_with_the_last_task();
    assert_false(port->nexus.registered || port->nexus.preempted);
    assert_true(other.registered);
    scsi_expect(CDB(SCSI_TEST_UNIT_READY), NULL, 0, 0, SENSE_NONE); /* it knows */
}

static void preempt_and_abort_does_not_wait_for_who_has_gone(void **state)
{
    both_are_registered();
    (void)begin_list(1, 2, 0);
    lingers = true;
    port->speaker = &port->nexus;
    scsi_port_begin(port, cdb(SCSI_PREEMPT_AND_ABORT, 0x01, 24), list, 24, 0);
    fake_thread_round(port->thread);
    assert_non_null(port->task);
    scsi_nexus_disconnect(&other);
    fake_thread_round(port->thread);
    assert_null(port->task);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
    scsi_port_connect(port, &other, 2);
}

/* --- saving --- */

static void note_save(struct scsi_lu *lu, struct scsi_reservations_save *save)
{
    assert_null(to_save);
    to_save = save;
}

static void end_save(int result)
{
    struct scsi_reservations_save *save = take_ptr(to_save);
    assert_non_null(save);
    save->done(save, result);
}

static void begin_register(uint64_t key, uint64_t service_action_key, uint8_t flags)
{
    (void)begin_list(key, service_action_key, flags);
    port->speaker = &port->nexus;
    scsi_port_begin(port, cdb(SCSI_REGISTER, 0, 24), list, 24, 0);
}

static void nothing_persists_without_a_store(void **state)
{
    struct wire_writer w = begin_list(0, 1, APTPL);
    refused(SCSI_REGISTER, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    refused(SCSI_REGISTER_AND_IGNORE_EXISTING_KEY, &w, SENSE_INVALID_FIELD_IN_PARAMETERS);
    good(&port->nexus, SCSI_REGISTER, 0, 0, 1);
    w = begin_list(1, 0, APTPL); /* where it says nothing */
    run_as(&port->nexus, SCSI_RESERVE, 0x01, &w);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
}

static void what_persists_is_saved_before_it_is_confirmed(void **state)
{
    port->lu->save = note_save;
    begin_register(0, 1, APTPL);
    assert_non_null(port->task);
    assert_int_equal(registered(), 0); /* not yet */
    assert_int_equal(to_save->reservations->n, 1);
    assert_true(to_save->reservations->persist);
    end_save(0);
    assert_null(port->task);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
    assert_int_equal(registered(), 1);
    begin_register(1, 2, 0); /* no longer: that must be saved as well */
    assert_false(to_save->reservations->persist);
    end_save(0);
    begin_register(2, 3, 0);
    assert_null(to_save);
    assert_null(port->task);
    port->lu->save = NULL;
}

static void what_cannot_be_saved_does_not_happen(void **state)
{
    port->lu->save = note_save;
    both_are_registered();
    begin_register(1, 9, APTPL);
    end_save(-EIO);
    assert_int_equal(scsi_port_sense(port), SENSE_INTERNAL_FAILURE);
    assert_int_equal(port->lu->reservations->registrations[0].key, 1);
    assert_false(port->lu->reservations->persist);
    assert_int_equal(port->lu->reservations->generation, 2);
    good(&port->nexus, SCSI_REGISTER, 0, 1, 3); /* the next one has its turn */
    port->lu->save = NULL;
}

static void an_aborted_command_whose_change_is_saved_has_happened(void **state)
{
    port->lu->save = note_save;
    begin_register(0, 1, APTPL);
    scsi_port_abort(port);
    assert_non_null(port->task); /* nobody is told that it is gone before it is */
    end_save(0);
    assert_null(port->task);
    assert_true(port->aborted);
    assert_int_equal(registered(), 1);
    port->lu->save = NULL;
}

#define RTEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RTEST(lists_that_are_too_short_or_too_long),
        RTEST(a_reservation_through_the_wire),
        RTEST(a_conflict_has_no_sense),
        RTEST(a_registration_stays_when_its_session_ends),
        RTEST(ports_may_be_registered_by_name),
        RTEST(a_device_stands_for_its_ports_that_are_connected),
        RTEST(a_device_that_is_not_connected_is_nobody),
        RTEST(lists_of_ports_that_are_wrong),
        RTEST(a_reservation_may_be_moved),
        RTEST(moves_that_are_wrong),
        RTEST(those_who_lose_something_are_told),
        RTEST(preempt_and_abort_waits_for_what_still_writes),
        RTEST(whoever_preempts_himself_is_aborted_but_for_the_command),
        RTEST(preempt_and_abort_does_not_wait_for_who_has_gone),
        RTEST(nothing_persists_without_a_store),
        RTEST(what_persists_is_saved_before_it_is_confirmed),
        RTEST(what_cannot_be_saved_does_not_happen),
        RTEST(an_aborted_command_whose_change_is_saved_has_happened),
    };
    return RUN_TESTS(tests);
}
