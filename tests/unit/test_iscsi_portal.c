/* Real sockets over loopback on real I/O threads; the disks are in memory. */
#include "iscsi_answers.h"

#include "iscsi/portal.h"
#include "thread_call.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/resource.h>

#define BLOCK     512
#define DISK_SIZE (2 * MIB)
#define THREADS   2

#define MAX_LOGINS 64 /* of one thread at once, where it matters */

struct bench {
    struct io_thread *threads[THREADS];
    unsigned n_threads;
    struct iscsi_portal *portal;
    struct iscsi_limits limits;
    struct endpoint where;

    unsigned owner;                        /* of the target that everybody logs in to next */
    struct iscsi_target *targets[THREADS]; /* each touched by its owner's thread alone */
    enum iscsi_login_status admit_status;
    bool cannot_open;
    enum iscsi_login_status check_status; /* when the session is to begin */
    bool opens_late;                      /* by open_at_last() */
    struct iscsi_target_request *asked;   /* of the owner's thread */
    struct bell asking;

    pthread_mutex_t lock; /* protects what follows */
    unsigned admitted, released;
    unsigned with_target;                   /* events */
    unsigned events[3];                     /* by kind */
    struct iscsi_session_counters counters; /* of the last END of a session */
    bool violated;
    enum iscsi_login_status status; /* of the last REFUSED */
    char initiator[IQN_MAX_LEN + 1], reason[128];
    struct bell bells[3];
};

static struct bench b;
static uint8_t pattern[DISK_SIZE];

static enum iscsi_login_status admit(void *context, const struct iscsi_login_identity *identity,
                                     void **ret_admission, const char **ret_reason)
{
    *ret_reason = "because the test says so";
    if (b.admit_status != ISCSI_LOGIN_OK || identity->discovery)
        return b.admit_status;
    pthread_mutex_lock(&b.lock);
    b.admitted++;
    pthread_mutex_unlock(&b.lock);
    *ret_admission = &b;
    return ISCSI_LOGIN_OK;
}

static void release(void *context, void *admission)
{
    assert_ptr_equal(admission, &b);
    pthread_mutex_lock(&b.lock);
    b.released++;
    pthread_mutex_unlock(&b.lock);
}

static unsigned owner(void *context, const void *admission)
{
    assert_ptr_equal(admission, &b);
    return b.owner;
}

static void target_idle(struct iscsi_target *target)
{
    unsigned i = target->thread->index;
    assert_ptr_equal(target, b.targets[i]);
    iscsi_target_free(take_ptr(b.targets[i]));
}

static void make_target(struct io_thread *thread, struct iscsi_target **ret_target)
{
    static const uint8_t serial[16] = {1};
    struct memdisk *disk = memdisk_new(DISK_SIZE);
    disk->immediate = true;
    memcpy(disk->data, pattern, DISK_SIZE);
    *ret_target = iscsi_target_new(
        thread, LAB_TARGET, scsi_lu_new(thread, &disk->device, BLOCK, serial), true, target_idle);
}

static void find_target(void *context, struct io_thread *thread, const void *admission,
                        const struct iscsi_login_traits *traits,
                        struct iscsi_target_request *request)
{
    struct iscsi_target **target = &b.targets[thread->index];
    assert_int_equal(thread->index, b.owner);
    assert_true(pthread_equal(pthread_self(), thread->thread));
    if (b.opens_late) {
        b.asked = request;
        bell_ring(&b.asking);
        return;
    }
    if (!*target && !b.cannot_open)
        make_target(thread, target);
    request->done(request, *target, "it cannot be opened");
}

static void open_at_last(void *context)
{
    struct iscsi_target **target = &b.targets[b.owner];
    make_target(b.threads[b.owner], target);
    b.asked->done(b.asked, *target, NULL);
    iscsi_target_check_idle(*target);
}

static void list_targets(void *context, struct iscsi_conn *conn,
                         const struct iscsi_login_identity *identity, const char *only,
                         void (*add)(struct iscsi_conn *conn, const char *target))
{
    assert_string_equal(identity->initiator, LAB_INITIATOR);
    if (!only || str_eq(only, LAB_TARGET))
        add(conn, LAB_TARGET);
}

static void on_event(void *context, const struct iscsi_event *event)
{
    if (event->kind == ISCSI_EVENT_LOGIN && event->target)
        assert_ptr_equal(event->target, b.targets[b.owner]);
    pthread_mutex_lock(&b.lock);
    b.events[event->kind]++;
    b.with_target += event->target != NULL;
    str_copy(b.initiator, sizeof(b.initiator), event->identity ? event->identity->initiator : "");
    if (event->kind != ISCSI_EVENT_LOGIN)
        str_copy(b.reason, sizeof(b.reason), event->reason);
    if (event->kind == ISCSI_EVENT_REFUSED)
        b.status = event->status;
    if (event->kind == ISCSI_EVENT_END) {
        b.violated = event->violated;
        b.counters = event->counters ? *event->counters : (struct iscsi_session_counters){0};
    }
    pthread_mutex_unlock(&b.lock);
    bell_ring(&b.bells[event->kind]);
}

static enum iscsi_login_status check(void *context, const void *admission, const char **ret_reason)
{
    assert_ptr_equal(admission, &b);
    assert_true(pthread_equal(pthread_self(), b.threads[b.owner]->thread));
    *ret_reason = "it is held by now";
    return b.check_status;
}

static const struct iscsi_portal_operations operations = {
    .admit = admit,
    .check = check,
    .release = release,
    .owner = owner,
    .target = find_target,
    .list_targets = list_targets,
    .event = on_event,
};

static void start_portal(void)
{
    struct endpoint any;
    struct error error;
    assert_int_equal(endpoint_parse("127.0.0.1:0", &any), 0);
    int fd = net_listen("iscsi", &any, SOCK_STREAM, &error);
    assert_true(fd >= 0);
    assert_int_equal(endpoint_from_socket(fd, &b.where), 0);
    assert_int_equal(iscsi_portal_start(b.threads, b.n_threads, &fd, 1, &b.limits, &operations,
                                        &b.portal, &error),
                     0);
}

static void start_threads(unsigned count)
{
    struct error error;
    for (; b.n_threads < count; b.n_threads++)
        if (io_thread_start(b.n_threads, 8 * MIB, &b.threads[b.n_threads], &error) < 0)
            fail_msg("%s", error.text);
}

static int setup_with(unsigned n_threads)
{
    b = (struct bench){.lock = PTHREAD_MUTEX_INITIALIZER,
                       .limits = ISCSI_DEFAULT_LIMITS,
                       .asking = BELL_NEW,
                       .bells = {BELL_NEW, BELL_NEW, BELL_NEW}};
    b.limits.login_seconds = 600; /* on a machine that is busy with something else */
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    start_threads(n_threads);
    return 0;
}

static int setup(void **state)
{
    setup_with(THREADS);
    start_portal();
    return 0;
}

static void stop_portal(void)
{
    iscsi_portal_stop(take_ptr(b.portal));
    assert_int_equal(b.released, b.admitted); /* each exactly once */
}

static int teardown(void **state)
{
    stop_portal();
    while (b.n_threads > 0)
        io_thread_stop(b.threads[--b.n_threads]);
    for (size_t i = 0; i < THREADS; i++)
        assert_null(b.targets[i]); /* those that were idle were closed */
    return 0;
}

static uint64_t count(const struct counter *counter)
{
    return counter_get(counter);
}

#define COUNT(field) count(&iscsi_portal_counters(b.portal)->field)

static struct initiator *connect_from(const char *address)
{
    return initiator_connect(&b.where, address);
}

static struct initiator *log_in(void)
{
    struct initiator *i = connect_from("127.0.0.1");
    login_like_linux(i);
    return i;
}

static void expect_closed(struct initiator *i)
{
    assert_null(initiator_next(i));
}

static void expect_event(enum iscsi_event_kind kind, unsigned times)
{
    bell_wait(&b.bells[kind], times);
    assert_int_equal(b.events[kind], times);
}

static void expect_read(struct initiator *i, uint32_t blocks)
{
    uint32_t itt = read_10(i, 1, (uint16_t)blocks, BLOCK), got = 0;
    while (got < blocks * BLOCK) {
        const struct answer *a = expect_answer(i, ISCSI_DATA_IN, itt);
        assert_memory_equal(a->data, pattern + BLOCK + got, a->size);
        got += a->size;
    }
}

/* --- logging in --- */

static void a_login_ends_up_on_the_thread_of_its_target(void **state)
{
    for (unsigned i = 0; i < 20; i++) { /* whichever thread accepts it */
        b.owner = i % THREADS;
        struct initiator *node = log_in();
        expect_read(node, 8);
        initiator_free(node);
        expect_event(ISCSI_EVENT_END, i + 1);
    }
    assert_int_equal(b.events[ISCSI_EVENT_LOGIN], 20);
    assert_int_equal(b.with_target, 40); /* of the end, too */
    assert_int_equal(COUNT(logins), 20);
    assert_int_equal(COUNT(connections), 20);
    assert_int_equal(COUNT(busy) + COUNT(refused) + COUNT(violations), 0);
}

/* Its first command comes in one piece with the last request of its login. */
static void bytes_that_come_early_move_with_it(void **state)
{
    uint8_t bytes[2 * ISCSI_BHS_SIZE + 256] = {ISCSI_LOGIN | ISCSI_IMMEDIATE, 0x87};
    const size_t text = sizeof(LAB_NAMES) - 1, command = ISCSI_BHS_SIZE + (text + 3) / 4 * 4;
    bhs_put24(bytes, BHS_DATA_LENGTH, (uint32_t)text);
    bhs_put32(bytes, BHS_CMDSN, 100);
    memcpy(bytes + ISCSI_BHS_SIZE, LAB_NAMES, text);
    bytes[command + BHS_OPCODE] = ISCSI_SCSI_COMMAND;
    bytes[command + BHS_FLAGS] = ISCSI_FLAG_FINAL;
    bytes[command + 19] = 9; /* its ITT */
    bytes[command + 27] = 100;
    for (unsigned i = 0; i < 10; i++) {
        b.owner = i % THREADS;
        struct initiator *node = connect_from("127.0.0.1");
        initiator_send_bytes(node, bytes, command + ISCSI_BHS_SIZE);
        expect_login_status(node, ISCSI_LOGIN_OK);
        expect_answer(node, ISCSI_SCSI_RESPONSE, 9);
        initiator_free(node);
        expect_event(ISCSI_EVENT_END, i + 1);
    }
}

static void a_login_may_come_byte_by_byte(void **state)
{
    struct initiator *node = connect_from("127.0.0.1");
    node->piece = 1;
    login_like_ipxe(node);
    expect_read(node, 64);
    initiator_free(node);
}

static void a_login_that_is_not_admitted_is_told(void **state)
{
    b.admit_status = ISCSI_LOGIN_NOT_AUTHORIZED;
    struct initiator *node = connect_from("127.0.0.1");
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    expect_login_status(node, ISCSI_LOGIN_NOT_AUTHORIZED);
    expect_closed(node);
    expect_event(ISCSI_EVENT_REFUSED, 1);
    expect_event(ISCSI_EVENT_END, 1);
    assert_int_equal(COUNT(refused), 1);
    assert_int_equal(COUNT(logins), 0);
    initiator_free(node);
}

static void a_target_that_cannot_be_opened_is_told(void **state)
{
    b.cannot_open = true;
    struct initiator *node = connect_from("127.0.0.1");
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    expect_login_status(node, ISCSI_LOGIN_UNAVAILABLE);
    expect_closed(node);
    expect_event(ISCSI_EVENT_REFUSED, 1);
    assert_int_equal(b.status, ISCSI_LOGIN_UNAVAILABLE);
    initiator_free(node);
    b.cannot_open = false;
    initiator_free(log_in()); /* and the next one finds it open */
}

static void who_goes_away_during_its_login_leaves_nothing_behind(void **state)
{
    struct initiator *node = connect_from("127.0.0.1");
    SEND_LOGIN(node, 0x81, LAB_NAMES "AuthMethod=None\0"); /* admitted, but not logged in */
    expect_login_status(node, ISCSI_LOGIN_OK);
    initiator_free(node);
    expect_event(ISCSI_EVENT_END, 1);
    assert_string_equal(b.reason, "closed by the initiator");
    assert_string_equal(b.initiator, LAB_INITIATOR);
    assert_int_equal(b.admitted, 1);
    assert_int_equal(COUNT(logins), 0);
}

static void what_is_no_login_is_dropped_and_counted(void **state)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: example\r\nAccept: text/html\r\n\r\n";
    struct initiator *node = connect_from("127.0.0.1");
    initiator_send_bytes(node, http, sizeof(http) - 1);
    expect_closed(node);
    expect_event(ISCSI_EVENT_END, 1);
    assert_true(b.violated);
    assert_string_equal(b.initiator, "");
    assert_int_equal(COUNT(violations), 1);
    initiator_free(node);
}

/* The other end of its connection, which is in this process, too. */
static int find_other_end(const struct initiator *node)
{
    struct endpoint here, peer;
    assert_int_equal(endpoint_from_socket(node->fd, &here), 0);
    for (int fd = 0; fd < 1024; fd++)
        if (endpoint_from_peer(fd, &peer) == 0 && endpoint_port(&peer) == endpoint_port(&here))
            return fd;
    fail_msg("no such socket");
    return -1;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void small_answers_go_out_at_once_and_dead_peers_are_noticed(void **state)
{
    struct initiator *node = log_in();
    int fd = find_other_end(node);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    int idle = option(fd, IPPROTO_TCP, TCP_KEEPIDLE); /* the kernel's default: 7200 seconds */
    int timeout = option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
    assert_in_range(idle, 1, 60);
    assert_in_range(timeout, 1, 120 * 1000);
    initiator_free(node);
}

static void nothing_of_the_login_is_held_by_its_session(void **state)
{
    struct initiator *node = log_in();
    expect_read(node, 1);
    assert_int_equal(b.admitted, 1);
    assert_int_equal(b.released, 1);
    initiator_free(node);
}

/* --- data --- */

static void much_data_in_both_directions(void **state)
{
    static uint8_t data[256 * KIB];
    struct initiator *node = log_in();
    memset(data, 0x5a, sizeof(data));
    for (unsigned i = 0; i < 8; i++) {
        uint8_t cdb[10] = {SCSI_WRITE_10, 0, 0, 0, (uint8_t)(i * 2), 0, 0, 2, 0};
        uint32_t itt = send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, cdb, 10,
                                    sizeof(data), data, sizeof(data));
        expect_answer(node, ISCSI_SCSI_RESPONSE, itt);
        const struct answer *a =
            expect_answer(node, ISCSI_DATA_IN, read_10(node, i * 512, 512, BLOCK));
        assert_memory_equal(a->data, data, sizeof(data));
    }
    initiator_free(node);
    expect_event(ISCSI_EVENT_END, 1);
    assert_int_equal(b.counters.commands, 16);
    assert_int_equal(b.counters.written_bytes, 8 * sizeof(data));
    assert_int_equal(b.counters.read_bytes, 8 * sizeof(data));
}

static void many_commands_at_once(void **state)
{
    struct initiator *node = log_in();
    uint32_t first = node->itt + 1;
    for (unsigned i = 0; i < 100; i++)
        read_10(node, i, 8, BLOCK);
    for (unsigned i = 0; i < 100; i++) {
        const struct answer *a = expect_answer(node, ISCSI_DATA_IN, first + i);
        assert_memory_equal(a->data, pattern + i * BLOCK, 8 * BLOCK);
    }
    initiator_free(node);
}

/* --- several at once --- */

static void the_same_initiator_port_replaces_its_session(void **state)
{
    struct initiator *old = log_in();
    struct initiator *new = log_in();
    expect_closed(old);
    expect_read(new, 8);
    assert_int_equal(COUNT(sessions), 1);
    initiator_free(old);
    initiator_free(new);
}

static void another_machine_is_kept_away(void **state)
{
    struct initiator *node = log_in();
    struct initiator *other = connect_from("127.0.0.2");
    SEND_LOGIN(other, 0x87, LAB_NAMES);
    expect_login_status(other, ISCSI_LOGIN_UNAVAILABLE);
    expect_closed(other);
    expect_read(node, 8);
    initiator_free(node);
    expect_event(ISCSI_EVENT_END, 2);
    initiator_free(other);
    other = connect_from("127.0.0.2");
    login_like_linux(other);
    initiator_free(other);
}

/* Its machine is without power: nobody says that the connection is gone. */
static void die(struct initiator *node)
{
    const int on = 1;
    int r = setsockopt(node->fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
    initiator_free(node);
    if (r < 0)
        skip(); /* not root */
}

static void the_place_of_a_dead_machine_is_free_within_seconds(void **state)
{
    die(log_in());
    struct initiator *other = connect_from("127.0.0.2");
    SEND_LOGIN(other, 0x87, LAB_NAMES);
    expect_login_status(other, ISCSI_LOGIN_UNAVAILABLE);
    expect_event(ISCSI_EVENT_END, 2); /* of the attempt, and then of the dead one */
    assert_string_equal(b.reason, "connection lost");
    assert_false(b.violated);
    initiator_free(other);
    other = connect_from("127.0.0.2");
    login_like_linux(other);
    initiator_free(other);
}

static void discovery(void **state)
{
    struct initiator *node = connect_from("127.0.0.1");
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_TEXT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    char portal[ENDPOINT_TEXT_SIZE], expected[ENDPOINT_TEXT_SIZE + 2];
    SEND_LOGIN(node, 0x87, "InitiatorName=" LAB_INITIATOR "\0SessionType=Discovery\0");
    expect_login_status(node, ISCSI_LOGIN_OK);
    bhs_put32(bhs, BHS_ITT, 7);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, "SendTargets=All", 16);
    const struct answer *a = expect_answer(node, ISCSI_TEXT_RESPONSE, 7);
    assert_string_equal(text_value(a, "TargetName"), LAB_TARGET);
    snprintf(expected, sizeof(expected), "%s,1", endpoint_format(&b.where, portal));
    assert_string_equal(text_value(a, "TargetAddress"), expected);
    initiator_free(node);
}

/* --- limits --- */

/* Whoever comes to log in says so at once: the oldest that says nothing makes room. */
static void silent_connections_make_room_for_others(void **state)
{
    static struct initiator *crowd[MAX_LOGINS];
    for (unsigned i = 0; i < MAX_LOGINS; i++)
        crowd[i] = connect_from("127.0.0.1");
    struct initiator *one_more = log_in();
    expect_closed(crowd[0]);
    assert_int_equal(COUNT(busy), 1);
    expect_event(ISCSI_EVENT_END, 1);
    assert_string_equal(b.reason, "said nothing, and others want to log in");
    expect_read(one_more, 8);
    initiator_free(one_more);
    for (unsigned i = 0; i < MAX_LOGINS; i++)
        initiator_free(crowd[i]);
    expect_event(ISCSI_EVENT_END, MAX_LOGINS + 1);
}

static void those_who_have_said_who_they_are_stay(void **state)
{
    static struct initiator *crowd[MAX_LOGINS];
    for (unsigned i = 0; i < MAX_LOGINS; i++) {
        crowd[i] = connect_from("127.0.0.1");
        SEND_LOGIN(crowd[i], 0x81, LAB_NAMES "AuthMethod=None\0");
        expect_login_status(crowd[i], ISCSI_LOGIN_OK);
    }
    struct initiator *one_more = connect_from("127.0.0.1");
    expect_closed(one_more);
    initiator_free(one_more);
    assert_int_equal(COUNT(busy), 1);
    initiator_free(crowd[0]);
    expect_event(ISCSI_EVENT_END, 1);
    thread_end_round(b.threads[0]);
    crowd[0] = log_in(); /* there is room again */
    for (unsigned i = 0; i < MAX_LOGINS; i++)
        initiator_free(crowd[i]);
    expect_event(ISCSI_EVENT_END, MAX_LOGINS + 1);
}

/* --- targets that take long to open --- */

static struct initiator *log_in_halfway(void)
{
    struct initiator *node = connect_from("127.0.0.1");
    unsigned before = b.asking.count; /* it may ring before we wait for it */
    b.opens_late = true;
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    bell_wait(&b.asking, before + 1);
    return node;
}

static void a_login_waits_for_its_target(void **state)
{
    struct initiator *node = log_in_halfway();
    thread_call(b.threads[b.owner], open_at_last, NULL);
    expect_login_status(node, ISCSI_LOGIN_OK);
    expect_event(ISCSI_EVENT_LOGIN, 1);
    initiator_free(node);
}

/* Whatever happened while it waited. */
static void who_is_not_admitted_any_more_is_refused_then(void **state)
{
    struct initiator *node = log_in_halfway();
    b.check_status = ISCSI_LOGIN_UNAVAILABLE;
    thread_call(b.threads[b.owner], open_at_last, NULL);
    expect_login_status(node, ISCSI_LOGIN_UNAVAILABLE);
    expect_event(ISCSI_EVENT_REFUSED, 1);
    assert_int_equal(b.status, ISCSI_LOGIN_UNAVAILABLE);
    expect_closed(node);
    initiator_free(node);
}

static void who_goes_away_meanwhile_leaves_nothing_behind(void **state)
{
    struct initiator *node = log_in_halfway();
    shutdown(node->fd, SHUT_RDWR);
    thread_call(b.threads[b.owner], open_at_last, NULL);
    initiator_free(node);
    expect_event(ISCSI_EVENT_END, 1);
}

static void open_and_ring(void *context)
{
    open_at_last(NULL);
    bell_ring(context);
}

static void *stop_main(void *context)
{
    stop_portal();
    return NULL;
}

static void stopping_waits_for_a_target_that_is_being_opened(void **state)
{
    struct initiator *node = log_in_halfway();
    struct bell opened = BELL_NEW;
    pthread_t stopping;
    assert_int_equal(pthread_create(&stopping, NULL, stop_main, NULL), 0);
    expect_event(ISCSI_EVENT_END, 1);
    assert_string_equal(b.reason, "the daemon stops");
    thread_call(b.threads[b.owner], open_and_ring, &opened);
    bell_wait(&opened, 1);
    pthread_join(stopping, NULL);
    initiator_free(node);
}

static int setup_pings(void **state)
{
    setup_with(THREADS);
    b.limits.ping_seconds = 1;
    b.limits.ping_timeout = 5; /* what answers has so long, also where much else runs */
    start_portal();
    return 0;
}

/* It has pinged us, and then falls silent. */
static void who_does_not_answer_pings_is_closed(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    struct initiator *silent = log_in(), *node = connect_from("127.0.0.1");
    node->isid_qualifier = 9;
    login_like_linux(node);
    bhs_put32(bhs, BHS_ITT, 5);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, NULL, 0);
    expect_answer(node, ISCSI_NOP_IN, 5);
    const struct answer *a = expect_answer(node, ISCSI_NOP_IN, ISCSI_RESERVED_TAG);
    uint32_t ttt = bhs_get32(a->bhs, BHS_TTT);
    bhs_put32(bhs, BHS_ITT, ISCSI_RESERVED_TAG); /* once it answers */
    bhs_put32(bhs, BHS_TTT, ttt);
    initiator_send(node, bhs, NULL, 0);
    a = expect_answer(node, ISCSI_NOP_IN, ISCSI_RESERVED_TAG);
    assert_true(bhs_get32(a->bhs, BHS_TTT) != ttt);
    assert_null(initiator_next(node));
    expect_event(ISCSI_EVENT_END, 1);
    assert_string_equal(b.reason, "it does not answer pings");
    assert_false(b.violated);
    initiator_free(node);
    uint32_t itt = read_10(silent, 0, 1, BLOCK); /* who has never pinged is left alone */
    expect_answer(silent, ISCSI_DATA_IN, itt);
    initiator_free(silent);
    expect_event(ISCSI_EVENT_END, 2);
}

static int setup_crowd(void **state)
{
    setup_with(1);
    b.limits.logins = MAX_LOGINS;
    start_portal();
    return 0;
}

static void see_timers(void *context)
{
    *(bool *)context = !list_empty(&b.threads[0]->timers);
}

/* A thread without a descriptor for the next connection tries again when there may be one. */
static void without_descriptors_it_waits_for_some(void **state)
{
    struct rlimit old, limit;
    struct error error;
    struct endpoint any;
    bool waits = false;
    setup_with(1);
    assert_int_equal(endpoint_parse("127.0.0.1:0", &any), 0);
    int fd = net_listen("iscsi", &any, SOCK_STREAM, &error);
    assert_int_equal(endpoint_from_socket(fd, &b.where), 0);
    getrlimit(RLIMIT_NOFILE, &old);
    struct initiator *node = connect_from("127.0.0.1"); /* waits to be accepted */
    limit = (struct rlimit){(rlim_t)node->fd + 1, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limit);
    int r = iscsi_portal_start(b.threads, 1, &fd, 1, &b.limits, &operations, &b.portal, &error);
    while (r == 0 && !waits) {
        thread_call(b.threads[0], see_timers, &waits);
        sched_yield();
    }
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(r, 0);
    login_like_linux(node);
    initiator_free(node);
    teardown(state);
}

/* --- stopping --- */

static void stopping_ends_every_session(void **state)
{
    struct initiator *sessions[4], *halfway = connect_from("127.0.0.1");
    SEND_LOGIN(halfway, 0x81, LAB_NAMES "AuthMethod=None\0");
    expect_login_status(halfway, ISCSI_LOGIN_OK);
    for (uint8_t i = 0; i < 4; i++) {
        sessions[i] = connect_from("127.0.0.1");
        sessions[i]->isid_qualifier = i + 1;
        login_like_linux(sessions[i]);
        read_10(sessions[i], 0, 512, BLOCK); /* nobody takes the answer */
    }
    stop_portal();
    assert_int_equal(b.events[ISCSI_EVENT_END], 5);
    assert_string_equal(b.reason, "the daemon stops");
    for (uint8_t i = 0; i < 4; i++) {
        while (initiator_next(sessions[i]))
            ;
        initiator_free(sessions[i]);
    }
    expect_closed(halfway);
    initiator_free(halfway);
}

#define PORTAL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PORTAL_TEST(a_login_ends_up_on_the_thread_of_its_target),
        PORTAL_TEST(bytes_that_come_early_move_with_it),
        PORTAL_TEST(a_login_may_come_byte_by_byte),
        PORTAL_TEST(a_login_that_is_not_admitted_is_told),
        PORTAL_TEST(a_target_that_cannot_be_opened_is_told),
        PORTAL_TEST(who_goes_away_during_its_login_leaves_nothing_behind),
        PORTAL_TEST(what_is_no_login_is_dropped_and_counted),
        PORTAL_TEST(small_answers_go_out_at_once_and_dead_peers_are_noticed),
        PORTAL_TEST(nothing_of_the_login_is_held_by_its_session),
        PORTAL_TEST(much_data_in_both_directions),
        PORTAL_TEST(many_commands_at_once),
        PORTAL_TEST(the_same_initiator_port_replaces_its_session),
        PORTAL_TEST(another_machine_is_kept_away),
        PORTAL_TEST(the_place_of_a_dead_machine_is_free_within_seconds),
        PORTAL_TEST(discovery),
        cmocka_unit_test_setup_teardown(silent_connections_make_room_for_others, setup_crowd,
                                        teardown),
        cmocka_unit_test_setup_teardown(those_who_have_said_who_they_are_stay, setup_crowd,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_does_not_answer_pings_is_closed, setup_pings, teardown),
        PORTAL_TEST(a_login_waits_for_its_target),
        PORTAL_TEST(who_is_not_admitted_any_more_is_refused_then),
        PORTAL_TEST(who_goes_away_meanwhile_leaves_nothing_behind),
        PORTAL_TEST(stopping_waits_for_a_target_that_is_being_opened),
        TEST(without_descriptors_it_waits_for_some),
        PORTAL_TEST(stopping_ends_every_session),
    };
    return RUN_TESTS(tests);
}
