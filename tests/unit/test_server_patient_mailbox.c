#include "test.h"

#include "server/patient_mailbox.h"

struct note {
    struct message message;
    unsigned *seen;
    unsigned order;
};

static void receive(struct message *message)
{
    struct note *note = container_of(message, struct note, message);
    note->order = ++*note->seen;
}

static void post(struct patient_mailbox *patient, struct note *note, unsigned *seen)
{
    *note = (struct note){.message.run = receive, .seen = seen};
    mailbox_post(&patient->mailbox, &note->message);
}

static void run_until(sd_event *loop, const unsigned *seen, unsigned wanted)
{
    while (*seen < wanted)
        assert_true(sd_event_run(loop, UINT64_MAX) > 0); /* without end, if nobody wakes it */
}

static void first_at_once_and_then_many_together(void **state)
{
    struct patient_mailbox patient = {.mailbox.fd = -1};
    sd_event *loop;
    struct note notes[4];
    unsigned seen = 0;
    assert_true(sd_event_new(&loop) >= 0);
    assert_true(patient_mailbox_open(&patient, loop) >= 0);

    post(&patient, &notes[0], &seen);
    assert_int_equal(sd_event_run(loop, UINT64_MAX), 1);
    assert_int_equal(seen, 1);

    post(&patient, &notes[1], &seen);
    post(&patient, &notes[2], &seen);
    assert_int_equal(sd_event_run(loop, UINT64_MAX), 1); /* one wake-up for both */
    assert_int_equal(seen, 3);
    assert_int_equal(notes[1].order, 2);
    assert_int_equal(notes[2].order, 3);

    assert_int_equal(sd_event_run(loop, UINT64_MAX), 1); /* nothing has come: it ends to gather */
    assert_int_equal(sd_event_run(loop, 0), 0);
    post(&patient, &notes[3], &seen);
    run_until(loop, &seen, 4);

    patient_mailbox_close(&patient);
    sd_event_unref(loop);
}

static void what_is_left_is_run_in_the_end(void **state)
{
    struct patient_mailbox patient = {.mailbox.fd = -1};
    sd_event *loop;
    struct note note;
    unsigned seen = 0;
    assert_true(sd_event_new(&loop) >= 0);
    assert_true(patient_mailbox_open(&patient, loop) >= 0);
    post(&patient, &note, &seen);
    patient_mailbox_close(&patient);
    assert_int_equal(seen, 1);
    sd_event_unref(loop);
}

static void closing_what_was_not_opened(void **state)
{
    struct patient_mailbox patient = {.mailbox.fd = -1};
    patient_mailbox_close(&patient);
    assert_int_equal(patient.mailbox.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_at_once_and_then_many_together),
        cmocka_unit_test(what_is_left_is_run_in_the_end),
        cmocka_unit_test(closing_what_was_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
