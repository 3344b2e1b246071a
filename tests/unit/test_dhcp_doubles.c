#include "dhcp_packets.h"

#include "dhcp/doubles.h"

#define SECOND USEC_PER_SEC
#define MAC    mac_of(1)
#define OTHER  mac_of(2)

struct bench {
    struct dhcp_doubles *doubles;
    uint64_t now;
    uint32_t xid;
    struct dhcp_place a, b, c, other;
};

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    b->doubles = dhcp_doubles_new(7);
    b->now = 1000 * SECOND;
    b->a = (struct dhcp_place){.link = 2};
    b->b = (struct dhcp_place){.relay = 0x0a090002};
    b->c = (struct dhcp_place){.relay = 0x0a090002, .port = dhcp_place_hash("7", "sw1")};
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    dhcp_doubles_free(b->doubles);
    free(b);
    return 0;
}

/* A new message, so many seconds later. */
static bool speak(struct bench *b, const struct dhcp_place *place, uint64_t seconds)
{
    b->now += seconds * SECOND;
    return dhcp_doubles_see(b->doubles, MAC, ++b->xid, place, b->now, &b->other);
}

/* The same message once more, by another way. */
static bool echo(struct bench *b, const struct dhcp_place *place)
{
    b->now += SECOND / 100;
    return dhcp_doubles_see(b->doubles, MAC, b->xid, place, b->now, &b->other);
}

static void who_speaks_in_turn_is_two(void **state)
{
    struct bench *b = *state;
    assert_false(speak(b, &b->a, 0));
    assert_false(speak(b, &b->b, 5));
    assert_false(speak(b, &b->a, 5));
    assert_true(speak(b, &b->b, 5));
    assert_int_equal(b->other.link, 2);
    assert_true(speak(b, &b->a, 5));
    assert_int_equal(b->other.relay, 0x0a090002);
}

static void ports_of_one_relay_are_places(void **state)
{
    struct bench *b = *state;
    (void)speak(b, &b->b, 0);
    (void)speak(b, &b->c, 1);
    (void)speak(b, &b->b, 1);
    assert_true(speak(b, &b->c, 1));
    assert_int_not_equal(dhcp_place_hash("7", "sw1"), dhcp_place_hash("7s", "w1"));
    assert_int_not_equal(dhcp_place_hash("", ""), 0);
}

static void who_is_moved_is_one(void **state)
{
    struct bench *b = *state;
    const struct dhcp_place *places[] = {&b->a, &b->b, &b->c};
    for (size_t i = 0; i < 20; i++) /* never where it was just before */
        for (size_t k = 0; k < 4; k++)
            assert_false(speak(b, places[i % 3], 1));
    assert_false(speak(b, &b->a, 1)); /* back once: moved, and moved back */
}

static void slow_turns_say_nothing(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < 20; i++)
        assert_false(speak(b, i % 2 ? &b->a : &b->b, DHCP_DOUBLE_WINDOW / SECOND + 1));
}

static void two_relays_of_one_network_are_one_place(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < 20; i++) {
        assert_false(
            speak(b, i % 2 ? &b->a : &b->b, 1)); /* now the one is quicker, now the other */
        assert_false(echo(b, i % 2 ? &b->b : &b->a));
    }
    for (size_t i = 0; i < 20; i++) /* and when one of them loses the message */
        assert_false(speak(b, i % 2 ? &b->a : &b->b, 1));
}

static void two_relays_that_lose_messages_are_one_place(void **state)
{
    struct bench *b = *state;
    assert_false(speak(b, &b->a, 1));
    assert_false(speak(b, &b->b, 1));
    assert_false(echo(b, &b->a));
    for (size_t i = 0; i < 20; i++)
        assert_false(speak(b, i % 2 ? &b->a : &b->b, 1));
}

static void many_machines_are_kept_apart(void **state)
{
    struct bench *b = *state;
    for (unsigned round = 0; round < 4; round++)
        for (unsigned i = 0; i < 20000; i++)
            assert_false(dhcp_doubles_see(b->doubles, mac_of(i), i + round * 100000,
                                          i % 2 ? &b->a : &b->b, b->now, &b->other));
}

static void a_uuid_tells_who_had_it(void **state)
{
    struct bench *b = *state;
    const uint8_t uuid[DHCP_UUID_SIZE] = {1, 2, 3}, second[DHCP_UUID_SIZE] = {1, 2, 4};
    struct mac_address other = {{0}};
    assert_false(dhcp_doubles_see_uuid(b->doubles, MAC, uuid, b->now, &other));
    assert_false(dhcp_doubles_see_uuid(b->doubles, MAC, uuid, b->now, &other));
    assert_false(dhcp_doubles_see_uuid(b->doubles, OTHER, second, b->now, &other));
    assert_true(dhcp_doubles_see_uuid(b->doubles, OTHER, uuid, b->now, &other));
    assert_true(mac_eq(other, MAC));
    assert_true(dhcp_doubles_see_uuid(b->doubles, MAC, uuid, b->now, &other));
    assert_true(mac_eq(other, OTHER));
    b->now += DHCP_DOUBLE_UUID + 1;
    assert_false(dhcp_doubles_see_uuid(b->doubles, OTHER, uuid, b->now, &other));
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(who_speaks_in_turn_is_two),
        BENCH_TEST(ports_of_one_relay_are_places),
        BENCH_TEST(who_is_moved_is_one),
        BENCH_TEST(slow_turns_say_nothing),
        BENCH_TEST(two_relays_of_one_network_are_one_place),
        BENCH_TEST(two_relays_that_lose_messages_are_one_place),
        BENCH_TEST(many_machines_are_kept_apart),
        BENCH_TEST(a_uuid_tells_who_had_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
