#include "test.h"

#include "core/mailbox.h"

#include <poll.h>
#include <pthread.h>

#define SENDERS  4
#define MESSAGES 20000

struct note {
    struct message message;
    int sender;
    int number;
};

static int last_of[SENDERS];
static int received;

static void receive(struct message *message)
{
    struct note *note = container_of(message, struct note, message);
    assert_int_equal(note->number, last_of[note->sender] + 1); /* each sender's order is kept */
    last_of[note->sender] = note->number;
    received++;
    free(note);
}

struct sender {
    struct mailbox *mailbox;
    int id;
};

static void *send_many(void *arg)
{
    struct sender *sender = arg;
    for (int i = 1; i <= MESSAGES; i++) {
        struct note *note = malloc(sizeof(*note));
        *note = (struct note){.message.run = receive, .sender = sender->id, .number = i};
        mailbox_post(sender->mailbox, &note->message);
    }
    return NULL;
}

static void nothing_is_lost_and_order_is_kept(void **state)
{
    struct mailbox mailbox;
    assert_int_equal(mailbox_open(&mailbox), 0);
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.mailbox = &mailbox, .id = i};
        pthread_create(&threads[i], NULL, send_many, &senders[i]);
    }
    struct pollfd pollfd = {.fd = mailbox.fd, .events = POLLIN};
    while (received < SENDERS * MESSAGES) {
        assert_int_equal(poll(&pollfd, 1, 60000), 1); /* a wake-up that got lost would end here */
        mailbox_run(&mailbox);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    mailbox_run(&mailbox);
    assert_int_equal(poll(&pollfd, 1, 0), 0);
    mailbox_close(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(nothing_is_lost_and_order_is_kept)};
    return RUN_TESTS(tests);
}
