/* Persistent reservations as a state machine: each service action, in each situation. */
#include "test.h"

#include "scsi/reservations.h"

/* What a nexus was told by the change that was made last. */
struct told {
    unsigned times;
    enum scsi_sense notice;
    bool removed;
};

#define N 4
static struct scsi_reservations *now;
static struct scsi_nexus_id ids[N];
static struct told told[N];

static const enum scsi_reservation_type types[] = {
    SCSI_WRITE_EXCLUSIVE,
    SCSI_EXCLUSIVE_ACCESS,
    SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
    SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
    SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS,
    SCSI_EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
};

static int set_up(void **state)
{
    free(now);
    now = scsi_reservations_new(0);
    for (unsigned i = 0; i < N; i++) {
        snprintf(ids[i].initiator.name, sizeof(ids[i].initiator.name), "iqn.2026-11.a:%u", i);
        str_copy(ids[i].target, sizeof(ids[i].target), "iqn.2026-11.a:disk");
    }
    return 0;
}

static int tear_down(void **state)
{
    free(now);
    now = NULL;
    return 0;
}

static void note(void *context, const struct scsi_registration *r)
{
    for (unsigned i = 0; i < N; i++)
        if (scsi_nexus_id_equal(&r->nexus, &ids[i]))
            told[i] = (struct told){told[i].times + 1, r->notice, r->removed};
}

/* Makes the change; it is put in force if it is GOOD. */
static struct scsi_verdict ask(const struct scsi_reservation_request *request)
{
    struct scsi_reservations *next = scsi_reservations_copy(now, 1 + request->n_others);
    struct scsi_verdict verdict = scsi_reservations_change(next, request);
    memset(told, 0, sizeof(told));
    if (verdict.status == SCSI_GOOD) {
        scsi_reservations_settle(next, note, NULL);
        free(now);
        now = next;
    } else {
        free(next);
    }
    return verdict;
}

static void good(struct scsi_reservation_request request)
{
    struct scsi_verdict verdict = ask(&request);
    assert_int_equal(verdict.status, SCSI_GOOD);
    assert_int_equal(verdict.sense, SENSE_NONE);
}

/* Refused, and nothing has changed. */
static void conflict(struct scsi_reservation_request request)
{
    uint32_t generation = now->generation;
    assert_int_equal(ask(&request).status, SCSI_RESERVATION_CONFLICT);
    assert_int_equal(now->generation, generation);
}

static void check(enum scsi_sense sense, struct scsi_reservation_request request)
{
    struct scsi_verdict verdict = ask(&request);
    assert_int_equal(verdict.status, SCSI_CHECK_CONDITION);
    assert_int_equal(verdict.sense, sense);
}

#define ASK(i, what, rk, sark, ...)                                                                \
    ((struct scsi_reservation_request){.action = SCSI_##what,                                      \
                                       .by = &ids[i],                                              \
                                       .key = (rk),                                                \
                                       .service_action_key = (sark),                               \
                                       __VA_ARGS__})

/* Nexus i has key i + 1. */
static void register_all(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        good(ASK(i, REGISTER, 0, i + 1));
}

static uint64_t key(unsigned i)
{
    const struct scsi_registration *r = scsi_reservations_find(now, &ids[i]);
    return r ? r->key : 0;
}

static bool holds(unsigned i)
{
    return scsi_reservations_holds(now, scsi_reservations_find(now, &ids[i]));
}

static void assert_told(unsigned i, enum scsi_sense notice)
{
    assert_int_equal(told[i].notice, notice);
}

/* --- REGISTER --- */

static void a_registration_needs_no_key_and_a_change_of_it_does(void **state)
{
    conflict(ASK(0, REGISTER, 7, 1)); /* none to change */
    good(ASK(0, REGISTER, 0, 1));
    assert_int_equal(key(0), 1);
    assert_int_equal(now->generation, 1);
    conflict(ASK(0, REGISTER, 0, 2));
    conflict(ASK(0, REGISTER, 2, 2));
    assert_int_equal(key(0), 1);
    good(ASK(0, REGISTER, 1, 2));
    assert_int_equal(key(0), 2);
    assert_int_equal(now->generation, 2);
    good(ASK(0, REGISTER, 2, 0));
    assert_int_equal(now->n, 0);
    assert_int_equal(now->generation, 3);
}

static void who_is_not_registered_may_unregister_in_vain(void **state)
{
    good(ASK(0, REGISTER, 0, 0));
    good(ASK(0, REGISTER_AND_IGNORE_EXISTING_KEY, 5, 0));
    assert_int_equal(now->n, 0);
    assert_true(scsi_reservations_untouched(now));
}

static void the_existing_key_may_be_ignored(void **state)
{
    good(ASK(0, REGISTER_AND_IGNORE_EXISTING_KEY, 9, 1));
    good(ASK(0, REGISTER_AND_IGNORE_EXISTING_KEY, 9, 2));
    assert_int_equal(key(0), 2);
    good(ASK(0, REGISTER_AND_IGNORE_EXISTING_KEY, 9, 0));
    assert_int_equal(now->n, 0);
    assert_int_equal(now->generation, 3);
}

static void a_nexus_is_told_apart_by_its_isid(void **state)
{
    ids[1] = ids[0];
    ids[1].initiator.isid[5] = 1;
    good(ASK(0, REGISTER, 0, 1));
    conflict(ASK(1, REGISTER, 1, 2));
    good(ASK(1, REGISTER, 0, 1));
    assert_int_equal(now->n, 2);
}

static void others_may_be_registered_at_the_same_time(void **state)
{
    good(ASK(0, REGISTER, 0, 5, .names_others = true, .others = &ids[1], .n_others = 2,
             .all_target_ports = true));
    assert_int_equal(now->n, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(key(i), 5);
        assert_true(scsi_reservations_find(now, &ids[i])->all_target_ports);
    }
    assert_int_equal(now->generation, 1);
    check(SENSE_INVALID_FIELD_IN_CDB,
          ASK(0, REGISTER, 5, 6, .names_others = true, .others = &ids[3], .n_others = 1));
    check(SENSE_INVALID_FIELD_IN_CDB, ASK(0, REGISTER, 5, 0, .names_others = true));
    check(SENSE_INVALID_FIELD_IN_PARAMETERS, /* one is registered already: none is */
          ASK(3, REGISTER, 0, 6, .names_others = true, .others = &ids[2], .n_others = 1));
    assert_int_equal(now->n, 3);
}

static void an_initiator_that_names_itself_is_registered_once(void **state)
{
    good(ASK(0, REGISTER, 0, 5, .names_others = true, .others = ids, .n_others = 2));
    assert_int_equal(now->n, 2);
}

static void there_are_so_many_registrations_and_no_more(void **state)
{
    struct scsi_nexus_id id = ids[0];
    struct scsi_reservation_request request = {
        .action = SCSI_REGISTER, .by = &id, .service_action_key = 1};
    for (unsigned i = 0; i < SCSI_MAX_REGISTRATIONS; i++) {
        id.initiator.isid[4] = (uint8_t)(i >> 8);
        id.initiator.isid[5] = (uint8_t)i;
        good(request);
    }
    id.initiator.isid[3] = 1;
    check(SENSE_INSUFFICIENT_REGISTRATION_RESOURCES, request);
    assert_int_equal(now->n, SCSI_MAX_REGISTRATIONS);
}

static void whether_it_persists_is_said_last_by_who_registers(void **state)
{
    good(ASK(0, REGISTER, 0, 1, .persist = true));
    assert_true(now->persist);
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_WRITE_EXCLUSIVE));
    assert_true(now->persist);
    good(ASK(1, REGISTER_AND_IGNORE_EXISTING_KEY, 0, 1));
    assert_false(now->persist);
}

/* --- RESERVE, RELEASE --- */

static void only_a_registrant_with_its_key_may_do_more(void **state)
{
    static const enum scsi_service_action actions[] = {
        SCSI_RESERVE, SCSI_RELEASE,           SCSI_CLEAR,
        SCSI_PREEMPT, SCSI_PREEMPT_AND_ABORT, SCSI_REGISTER_AND_MOVE,
    };
    register_all(1);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        struct scsi_reservation_request request = {
            .action = actions[i], .type = SCSI_WRITE_EXCLUSIVE, .by = &ids[1], .key = 1};
        conflict(request); /* not registered */
        request.by = &ids[0];
        request.key = 2;
        conflict(request); /* not its key */
        request.key = 0;
        conflict(request);
    }
    assert_int_equal(key(0), 1);
    assert_int_equal(now->type, SCSI_NO_RESERVATION);
}

static void a_reservation_is_made_once(void **state)
{
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        bool all = scsi_reservation_is_of_all(types[t]);
        uint8_t other = types[(t + 1) % ARRAY_SIZE(types)];
        set_up(state);
        register_all(2);
        good(ASK(0, RESERVE, 1, 0, .type = types[t]));
        assert_int_equal(now->type, types[t]);
        assert_true(holds(0));
        assert_int_equal(holds(1), all);
        good(ASK(0, RESERVE, 1, 0, .type = types[t])); /* it has it */
        conflict(ASK(0, RESERVE, 1, 0, .type = other));
        conflict(ASK(1, RESERVE, 2, 0, .type = other));
        if (all)
            good(ASK(1, RESERVE, 2, 0, .type = types[t]));
        else
            conflict(ASK(1, RESERVE, 2, 0, .type = types[t]));
        assert_int_equal(now->generation, 2); /* of the registrations */
    }
}

static void scopes_and_types_that_there_are_not(void **state)
{
    static const uint8_t bad[] = {0, 2, 4, 9, 10, 11, 12, 13, 14, 15};
    register_all(1);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        check(SENSE_INVALID_FIELD_IN_CDB, ASK(0, RESERVE, 1, 0, .type = bad[i]));
    for (uint8_t scope = 1; scope < 16; scope++)
        check(SENSE_INVALID_FIELD_IN_CDB, ASK(0, RESERVE, 1, 0, .scope = scope, .type = 1));
    good(ASK(0, RESERVE, 1, 0, .type = 1));
    check(SENSE_INVALID_FIELD_IN_CDB, ASK(0, PREEMPT, 1, 1, .type = 2));
    check(SENSE_INVALID_FIELD_IN_CDB, ASK(0, PREEMPT, 1, 1, .scope = 1, .type = 1));
}

static void a_release_by_the_holder_is_told_to_those_who_shared_it(void **state)
{
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        bool shared = scsi_reservation_is_of_registrants(types[t]);
        set_up(state);
        register_all(3);
        good(ASK(0, RELEASE, 1, 0, .type = types[t])); /* there is none */
        good(ASK(0, RESERVE, 1, 0, .type = types[t]));
        check(SENSE_INVALID_RELEASE, ASK(0, RELEASE, 1, 0, .type = types[t] ^ 1));
        check(SENSE_INVALID_RELEASE, ASK(0, RELEASE, 1, 0, .scope = 1, .type = types[t]));
        if (!scsi_reservation_is_of_all(types[t])) {
            good(ASK(1, RELEASE, 2, 0, .type = types[t])); /* does nothing */
            assert_true(holds(0));
        }
        good(ASK(0, RELEASE, 1, 0, .type = types[t]));
        assert_int_equal(now->type, SCSI_NO_RESERVATION);
        assert_int_equal(now->n, 3);
        assert_int_equal(told[0].times, 0);
        for (unsigned i = 1; i < 3; i++)
            assert_told(i, shared ? SENSE_RESERVATIONS_RELEASED : SENSE_NONE);
        assert_int_equal(now->generation, 3);
    }
}

static void a_holder_that_unregisters_releases(void **state)
{
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        bool shared = scsi_reservation_is_of_registrants(types[t]);
        bool all = scsi_reservation_is_of_all(types[t]);
        set_up(state);
        register_all(2);
        good(ASK(0, RESERVE, 1, 0, .type = types[t]));
        good(ASK(0, REGISTER, 1, 0));
        assert_int_equal(now->type, all ? types[t] : SCSI_NO_RESERVATION);
        assert_told(1, shared && !all ? SENSE_RESERVATIONS_RELEASED : SENSE_NONE);
        good(ASK(1, REGISTER, 2, 0)); /* the last of all */
        assert_int_equal(now->type, SCSI_NO_RESERVATION);
    }
}

static void who_registers_later_holds_what_all_hold(void **state)
{
    register_all(1);
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS));
    good(ASK(1, REGISTER, 0, 2));
    assert_true(holds(1));
    good(ASK(1, RELEASE, 2, 0, .type = SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS));
    assert_int_equal(now->type, SCSI_NO_RESERVATION);
    assert_told(0, SENSE_RESERVATIONS_RELEASED);
}

/* --- CLEAR --- */

static void clear_removes_all_and_tells_the_others(void **state)
{
    register_all(3);
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_EXCLUSIVE_ACCESS));
    good(ASK(1, CLEAR, 2, 0)); /* whoever holds it */
    assert_int_equal(now->n, 0);
    assert_int_equal(now->type, SCSI_NO_RESERVATION);
    assert_int_equal(now->generation, 4);
    assert_told(0, SENSE_RESERVATIONS_PREEMPTED);
    assert_told(1, SENSE_NONE);
    assert_told(2, SENSE_RESERVATIONS_PREEMPTED);
}

/* --- PREEMPT --- */

static void preempting_the_holder_takes_the_reservation(void **state)
{
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        if (scsi_reservation_is_of_all(types[t]))
            continue;
        set_up(state);
        register_all(3);
        good(ASK(0, RESERVE, 1, 0, .type = types[t]));
        good(ASK(1, PREEMPT, 2, 1, .type = SCSI_WRITE_EXCLUSIVE));
        assert_int_equal(key(0), 0);
        assert_true(holds(1));
        assert_int_equal(now->type, SCSI_WRITE_EXCLUSIVE);
        assert_told(0, SENSE_REGISTRATIONS_PREEMPTED);
        assert_true(told[0].removed);
        assert_told(1, SENSE_NONE);
        assert_told(2, types[t] == SCSI_WRITE_EXCLUSIVE ? SENSE_NONE : SENSE_RESERVATIONS_RELEASED);
        assert_int_equal(now->generation, 4);
    }
}

static void everybody_with_the_key_of_the_holder_goes(void **state)
{
    register_all(2);
    good(ASK(2, REGISTER, 0, 1)); /* as nexus 0 */
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_EXCLUSIVE_ACCESS));
    good(ASK(1, PREEMPT_AND_ABORT, 2, 1, .type = SCSI_EXCLUSIVE_ACCESS));
    assert_int_equal(now->n, 1);
    assert_true(told[0].removed && told[2].removed);
}

static void the_holder_may_preempt_itself(void **state)
{
    register_all(1);
    good(ASK(1, REGISTER, 0, 1)); /* the same key */
    good(ASK(2, REGISTER, 0, 3));
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_EXCLUSIVE_ACCESS));
    good(ASK(0, PREEMPT, 1, 1, .type = SCSI_WRITE_EXCLUSIVE));
    assert_true(holds(0));
    assert_int_equal(now->n, 2);
    assert_told(1, SENSE_REGISTRATIONS_PREEMPTED);
    assert_told(2, SENSE_RESERVATIONS_RELEASED); /* its type has changed */
}

static void preempting_others_removes_their_registrations_only(void **state)
{
    register_all(3);
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_EXCLUSIVE_ACCESS));
    good(ASK(2, PREEMPT, 3, 2, .type = 0x0f, .scope = 0x0f)); /* which are not looked at */
    assert_int_equal(key(1), 0);
    assert_true(holds(0));
    assert_int_equal(now->type, SCSI_EXCLUSIVE_ACCESS);
    assert_told(0, SENSE_NONE);
    assert_told(1, SENSE_REGISTRATIONS_PREEMPTED);
    conflict(ASK(2, PREEMPT, 3, 2)); /* nobody has that key any more */
    check(SENSE_INVALID_FIELD_IN_PARAMETERS, ASK(2, PREEMPT, 3, 0, .type = 1));
}

static void preempting_without_a_reservation(void **state)
{
    register_all(2);
    good(ASK(0, PREEMPT, 1, 2, .type = SCSI_EXCLUSIVE_ACCESS));
    assert_int_equal(now->n, 1);
    assert_int_equal(now->type, SCSI_NO_RESERVATION);
    conflict(ASK(0, PREEMPT, 1, 2));
    good(ASK(0, PREEMPT, 1, 1)); /* itself */
    assert_int_equal(now->n, 0);
    assert_true(told[0].removed);
    assert_told(0, SENSE_NONE);
}

static void what_all_hold_is_preempted_with_no_key(void **state)
{
    for (size_t t = 4; t < ARRAY_SIZE(types); t++) {
        set_up(state);
        register_all(3);
        good(ASK(0, RESERVE, 1, 0, .type = types[t]));
        good(ASK(1, PREEMPT, 2, 1, .type = SCSI_WRITE_EXCLUSIVE)); /* a registration only */
        assert_int_equal(now->type, types[t]);
        assert_told(0, SENSE_REGISTRATIONS_PREEMPTED);
        good(ASK(1, PREEMPT, 2, 0, .type = SCSI_WRITE_EXCLUSIVE));
        assert_int_equal(now->n, 1);
        assert_int_equal(now->type, SCSI_WRITE_EXCLUSIVE);
        assert_true(holds(1));
        assert_told(2, SENSE_REGISTRATIONS_PREEMPTED);
    }
}

static void what_all_hold_ends_with_the_last_of_them(void **state)
{
    register_all(2);
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS));
    good(ASK(0, PREEMPT, 1, 2));
    assert_int_equal(now->type, SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS);
    good(ASK(0, PREEMPT, 1, 1));
    assert_int_equal(now->n, 0);
    assert_int_equal(now->type, SCSI_NO_RESERVATION);
}

/* --- REGISTER AND MOVE --- */

static void a_reservation_moves_to_somebody_new(void **state)
{
    register_all(1);
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY));
    good(ASK(0, REGISTER_AND_MOVE, 1, 8, .others = &ids[1], .n_others = 1, .persist = true));
    assert_int_equal(key(0), 1);
    assert_int_equal(key(1), 8);
    assert_false(holds(0));
    assert_true(holds(1));
    assert_int_equal(now->type, SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
    assert_int_equal(now->generation, 2);
    assert_true(now->persist);
    assert_int_equal(told[0].times + told[1].times, 0);
}

static void a_reservation_moves_to_a_registrant_and_its_holder_goes(void **state)
{
    register_all(2);
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_EXCLUSIVE_ACCESS));
    good(ASK(0, REGISTER_AND_MOVE, 1, 8, .others = &ids[1], .n_others = 1, .unregister = true));
    assert_int_equal(key(0), 0);
    assert_int_equal(key(1), 8);
    assert_true(holds(1));
    assert_int_equal(now->n, 1);
}

static void what_cannot_be_moved(void **state)
{
    struct scsi_reservation_request to_1 =
        ASK(0, REGISTER_AND_MOVE, 1, 8, .others = &ids[1], .n_others = 1);
    register_all(3);
    check(SENSE_INVALID_FIELD_IN_CDB, to_1); /* there is none */
    good(ASK(2, RESERVE, 3, 0, .type = SCSI_WRITE_EXCLUSIVE));
    conflict(to_1); /* it is another's */
    good(ASK(2, RELEASE, 3, 0, .type = SCSI_WRITE_EXCLUSIVE));
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS));
    conflict(to_1); /* it is everybody's */
    good(ASK(0, RELEASE, 1, 0, .type = SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS));
    good(ASK(0, RESERVE, 1, 0, .type = SCSI_WRITE_EXCLUSIVE));
    check(SENSE_INVALID_FIELD_IN_PARAMETERS,
          ASK(0, REGISTER_AND_MOVE, 1, 0, .others = &ids[1], .n_others = 1));
    check(SENSE_INVALID_FIELD_IN_PARAMETERS, /* to itself */
          ASK(0, REGISTER_AND_MOVE, 1, 8, .others = &ids[0], .n_others = 1));
    check(SENSE_INVALID_FIELD_IN_PARAMETERS, ASK(0, REGISTER_AND_MOVE, 1, 8));
}

/* --- what was saved --- */

static void saved_registrations_are_put_back_once(void **state)
{
    struct scsi_registration r = {.nexus = ids[0], .key = 7, .holds = true};
    assert_false(scsi_reservations_restore(now, &r)); /* there is no room */
    struct scsi_reservations *roomy = scsi_reservations_new(2);
    assert_true(scsi_reservations_restore(roomy, &r));
    assert_false(scsi_reservations_restore(roomy, &r));
    r.nexus = ids[1];
    r.key = 0;
    assert_false(scsi_reservations_restore(roomy, &r));
    roomy->type = SCSI_WRITE_EXCLUSIVE;
    free(now);
    now = roomy;
    assert_true(holds(0));
    assert_int_equal(key(0), 7);
}

#define RTEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RTEST(a_registration_needs_no_key_and_a_change_of_it_does),
        RTEST(who_is_not_registered_may_unregister_in_vain),
        RTEST(the_existing_key_may_be_ignored),
        RTEST(a_nexus_is_told_apart_by_its_isid),
        RTEST(others_may_be_registered_at_the_same_time),
        RTEST(an_initiator_that_names_itself_is_registered_once),
        RTEST(there_are_so_many_registrations_and_no_more),
        RTEST(whether_it_persists_is_said_last_by_who_registers),
        RTEST(only_a_registrant_with_its_key_may_do_more),
        RTEST(a_reservation_is_made_once),
        RTEST(scopes_and_types_that_there_are_not),
        RTEST(a_release_by_the_holder_is_told_to_those_who_shared_it),
        RTEST(a_holder_that_unregisters_releases),
        RTEST(who_registers_later_holds_what_all_hold),
        RTEST(clear_removes_all_and_tells_the_others),
        RTEST(preempting_the_holder_takes_the_reservation),
        RTEST(everybody_with_the_key_of_the_holder_goes),
        RTEST(the_holder_may_preempt_itself),
        RTEST(preempting_others_removes_their_registrations_only),
        RTEST(preempting_without_a_reservation),
        RTEST(what_all_hold_is_preempted_with_no_key),
        RTEST(what_all_hold_ends_with_the_last_of_them),
        RTEST(a_reservation_moves_to_somebody_new),
        RTEST(a_reservation_moves_to_a_registrant_and_its_holder_goes),
        RTEST(what_cannot_be_moved),
        RTEST(saved_registrations_are_put_back_once),
    };
    return RUN_TESTS(tests);
}
