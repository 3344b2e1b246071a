/* Addresses that somebody uses who did not get them here: what is asked, and what becomes of it. */
#include "dhcp_lab.h"

#include "dhcp/conflicts.h"

#define WATCHED_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_watched, tear_down)

static const struct mac_address intruder = {{0x02, 0, 0, 0, 0, 0x66}};

static int set_up_watched(void **state)
{
    set_up(state);
    struct lab *lab = *state;
    lab->networks[0].settings.conflict_detection = true;
    lab->networks[1].settings.conflict_detection = true;
    lab->nodes[3] = (struct registered){"web3", ip("10.0.0.103"), {mac_of(5)}, 1};
    return dhcp_server_set_networks(lab->server, lab->networks, 3);
}

static size_t times_told(const struct lab *lab, enum dhcp_oddity_kind kind)
{
    return (size_t)counter_get(&dhcp_server_counters(lab->server)->oddities[kind]);
}

/* What is asked for now, one bit for each last byte; all in the network of the lab. */
struct asked {
    bool last[256];
    size_t count;
};

static struct asked ask(struct lab *lab)
{
    struct asked asked = {0};
    struct dhcp_probe probe;
    while (dhcp_server_next_probe(lab->server, &lab->now, &probe)) {
        uint8_t last = probe.address & 0xff;
        assert_int_equal(probe.link, LINK);
        assert_int_equal(probe.address & 0xffffff00, ip("10.0.0.0"));
        assert_int_equal(probe.sender, last == 11 || last == 103 ? ip(SERVER) : 0); /* nodes' */
        assert_false(asked.last[last]);
        asked.last[last] = true;
        asked.count++;
    }
    return asked;
}

static void claim(struct lab *lab, uint32_t address, struct mac_address mac)
{
    dhcp_server_claimed(lab->server, LINK, address, mac, &lab->now);
}

/* --- asking --- */

static void pool_and_nodes_are_asked_for_round_and_round(void **state)
{
    struct lab *lab = *state;
    for (unsigned round = 0; round < DHCP_PROBE_FIRST + 2; round++) {
        struct asked first = ask(lab);
        assert_int_equal(first.count, DHCP_PROBES_PER_SECOND);
        assert_int_equal(ask(lab).count, 0);
        pass(lab, 1);
        assert_int_equal(dhcp_server_probe_time(lab->server), lab->now.monotonic);
        struct asked second = ask(lab);
        assert_int_equal(second.count, 1);
        assert_true(first.last[11] && first.last[100] && first.last[103] && second.last[109]);
        pass(lab, 1);
        assert_int_equal(ask(lab).count, 0);
        assert_true(dhcp_server_probe_time(lab->server) > lab->now.monotonic);
        pass(lab, round + 1 < DHCP_PROBE_FIRST ? 3 : 298);
        assert_true(dhcp_server_probe_time(lab->server) == lab->now.monotonic);
    }
}

static void what_is_leased_is_not_asked_for(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
    assert_true(ask(lab).last[address & 0xff]); /* once: it was offered */
    pass(lab, 1);
    (void)ask(lab);
    pass(lab, 400);
    struct asked asked = ask(lab);
    assert_false(asked.last[address & 0xff]);
    assert_true(asked.last[11]); /* its own, but somebody else may have it, too */
}

static void what_is_offered_is_asked_for_at_once(void **state)
{
    struct lab *lab = *state;
    (void)ask(lab);
    pass(lab, 1);
    (void)ask(lab);
    uint32_t address = discover(lab, STRANGER);
    assert_int_equal(dhcp_server_probe_time(lab->server), 0);
    struct asked asked = ask(lab);
    assert_true(asked.count == 1 && asked.last[address & 0xff]);
    for (uint8_t i = 0; i < 200; i++)
        (void)discover(lab, STRANGER);
    assert_in_range(ask(lab).count, 0, 1);
}

static void a_flood_of_offers_asks_for_few(void **state)
{
    struct lab *lab = *state;
    struct dhcp_probe probe;
    size_t n = 0;
    for (unsigned i = 0; i < 3 * DHCP_OFFER_PROBES; i++) {
        (void)discover(lab, STRANGER);
        while (n < 1000 && dhcp_server_next_probe(lab->server, &lab->now, &probe))
            n++;
    }
    assert_in_range(n, DHCP_OFFER_PROBES, DHCP_OFFER_PROBES + DHCP_PROBES_PER_SECOND);
}

static void where_it_is_off_nothing_is_asked(void **state)
{
    struct lab *lab = *state;
    lab->networks[0].settings.conflict_detection = false;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    assert_true(dhcp_server_probe_time(lab->server) == UINT64_MAX);
    assert_int_equal(ask(lab).count, 0);
    claim(lab, ip("10.0.0.100"), intruder);
    assert_int_equal(lab->n_oddities, 0);
}

/* --- claims --- */

static void what_is_found_in_use_is_set_aside(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    pass(lab, 60); /* the offer is over */
    claim(lab, address, intruder);
    assert_int_equal(times_told(lab, DHCP_ODD_FOUND), 1);
    assert_true(mac_eq(lab->last_oddity.holder, intruder));
    assert_int_equal(lab->last_oddity.address, address);
    assert_int_equal(last_record(lab)->state, LEASE_DECLINED);
    assert_int_equal(last_record(lab)->address, address);
    assert_int_not_equal(discover(lab, STRANGER), address);
}

static void as_long_as_it_is_in_use(void **state)
{
    struct lab *lab = *state;
    for (int i = 0; i < 10; i++) {
        claim(lab, ip("10.0.0.100"), intruder);
        pass(lab, 300);
        for (uint8_t k = 0; k < 8; k++) /* the others of the pool */
            assert_int_not_equal(discover(lab, mac_of((uint8_t)(100 + k))), ip("10.0.0.100"));
    }
}

/* It was answered before anything was known: now it is told to ask again. */
static void an_offer_that_was_found_in_use_is_refused(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    claim(lab, address, intruder);
    assert_int_equal(select_offer(lab, STRANGER, address), DHCP_NAK);
    assert_int_not_equal(lease(lab, STRANGER), address);
}

static void who_was_given_it_may_say_so(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    claim(lab, address, STRANGER); /* firmware's address, kept */
    assert_int_equal(select_offer(lab, STRANGER, address), DHCP_ACK);
    claim(lab, address, STRANGER);
    pass(lab, 7200);
    claim(lab, address, STRANGER); /* it does not renew */
    assert_int_equal(lab->n_oddities, 0);
}

static void a_leased_address_stays_its_holders(void **state)
{
    struct lab *lab = *state;
    uint32_t address = lease(lab, STRANGER);
    claim(lab, address, intruder);
    assert_int_equal(times_told(lab, DHCP_ODD_USED_TWICE), 1);
    assert_true(mac_eq(lab->last_oddity.mac, STRANGER) &&
                mac_eq(lab->last_oddity.holder, intruder) && !lab->last_oddity.node);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
}

static void a_nodes_own_address_stays_its_own(void **state)
{
    struct lab *lab = *state;
    claim(lab, ip("10.0.0.11"), WEB1_A);
    claim(lab, ip("10.0.0.11"), WEB1_B);
    assert_int_equal(lab->n_oddities, 0);
    claim(lab, ip("10.0.0.11"), intruder);
    claim(lab, ip("10.0.0.103"), intruder); /* in the pool, but a node's */
    assert_int_equal(times_told(lab, DHCP_ODD_USED_TWICE), 2);
    assert_string_equal(lab->last_oddity.node, "web3");
    assert_int_equal(lab->n_records, 0);
    assert_int_equal(lease(lab, WEB1_A), ip("10.0.0.11"));
}

/* The address is with one card, the answer comes from the other. */
static void cards_of_one_node_are_one(void **state)
{
    struct lab *lab = *state;
    lab->nodes[0].address = 0;
    uint32_t address = lease(lab, WEB1_A);
    claim(lab, address, WEB1_B);
    assert_int_equal(lab->n_oddities, 0);
}

static void what_is_not_to_be_given_is_nobodys_concern(void **state)
{
    struct lab *lab = *state;
    claim(lab, ip("10.0.0.50"), intruder);  /* not of the pool */
    claim(lab, ip("10.0.0.254"), intruder); /* the router */
    claim(lab, ip(SERVER), intruder);       /* ours */
    claim(lab, ip("10.9.0.100"), intruder); /* not on this wire */
    claim(lab, ip("192.168.1.1"), intruder);
    dhcp_server_claimed(lab->server, LINK + 1, ip("10.0.0.100"), intruder, &lab->now);
    assert_int_equal(lab->n_oddities, 0);
    assert_int_equal(lab->n_records, 0);
}

/* Proxy ARP must not take the whole pool away. */
static void who_claims_all_is_not_believed(void **state)
{
    struct lab *lab = *state;
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < 10; k++)
            if (k != 3)
                claim(lab, ip("10.0.0.100") + k, intruder);
    assert_int_equal(times_told(lab, DHCP_ODD_FOUND), 3 * DHCP_CLAIMS_MAX);
    assert_int_equal(times_told(lab, DHCP_ODD_CLAIMS_ALL), 3 * (9 - DHCP_CLAIMS_MAX));
    for (uint8_t i = 0; i < 5; i++)
        assert_int_not_equal(lease(lab, mac_of((uint8_t)(100 + i))), 0);
}

/* The router must not take four more of the pool with each reload. */
static void a_reload_forgets_nobody_who_claims_all(void **state)
{
    struct lab *lab = *state;
    for (uint32_t k = 0; k < DHCP_CLAIMS_MAX; k++)
        claim(lab, ip("10.0.0.100") + k + (k == 3), intruder);
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    assert_int_equal(dhcp_server_probe_time(lab->server), 0); /* a round from the beginning */
    claim(lab, ip("10.0.0.100"), intruder);
    claim(lab, ip("10.0.0.109"), intruder);
    assert_int_equal(times_told(lab, DHCP_ODD_FOUND), DHCP_CLAIMS_MAX + 1);
    assert_int_equal(times_told(lab, DHCP_ODD_CLAIMS_ALL), 1);
}

/* What the disk is told is bounded, too. */
static void what_is_set_aside_already_is_stored_once_a_minute(void **state)
{
    struct lab *lab = *state;
    for (uint8_t i = 0; i < 100; i++)
        claim(lab, ip("10.0.0.100"), mac_of((uint8_t)(100 + i)));
    assert_int_equal(lab->n_records, 1);
    assert_int_equal(times_told(lab, DHCP_ODD_FOUND), 100);
    (void)stored(lab, true);
    pass(lab, 60);
    claim(lab, ip("10.0.0.100"), intruder);
    assert_int_equal(lab->n_records, 2);
}

static void widen(struct lab *lab)
{
    lab->networks[0].settings.ranges[0].last = ip("10.0.0.249");
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
}

/* Each a MAC of its own, and an address of its own. */
static void flood(struct lab *lab)
{
    for (uint8_t i = 0; i < 130; i++)
        claim(lab, ip("10.0.0.110") + i, mac_of((uint8_t)(100 + i)));
}

static void a_flood_of_machines_leaves_most_of_the_pool(void **state)
{
    struct lab *lab = *state;
    widen(lab);
    for (size_t minutes = 1; minutes <= 3; minutes++) {
        flood(lab);
        assert_int_equal(times_told(lab, DHCP_ODD_FOUND), minutes * DHCP_SET_ASIDE_MAX);
        assert_in_range(lab->n_records, DHCP_SET_ASIDE_MAX, minutes * DHCP_SET_ASIDE_MAX);
        assert_int_equal(times_told(lab, DHCP_ODD_NOT_SET_ASIDE),
                         minutes * (130 - DHCP_SET_ASIDE_MAX));
        pass(lab, 60);
    }
}

static void occupy(struct lab *lab, uint32_t count)
{
    struct dhcp_lease_record record = {.state = LEASE_BOUND};
    record.expires_at = lab->now.wall + 7000 * SECOND;
    for (uint32_t i = 0; i < count; i++) {
        record.address = ip("10.1.0.0") + i;
        record.mac =
            (struct mac_address){{2, 1, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        assert_true(dhcp_server_restore(lab->server, &record, &lab->now));
    }
}

static void with_a_full_table_none_is_said_to_be_set_aside(void **state)
{
    struct lab *lab = *state;
    struct subnet *s = &lab->networks[0].settings;
    s->network = ip("10.0.0.0");
    s->mask = 0xff000000;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 1), 0);
    occupy(lab, LEASE_TABLE_MAX);
    claim(lab, ip("10.0.0.100"), intruder);
    assert_int_equal(times_told(lab, DHCP_ODD_FOUND), 0);
    assert_int_equal(times_told(lab, DHCP_ODD_NOT_SET_ASIDE), 1);
    assert_int_equal(lab->n_records, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHED_TEST(pool_and_nodes_are_asked_for_round_and_round),
        WATCHED_TEST(what_is_leased_is_not_asked_for),
        WATCHED_TEST(what_is_offered_is_asked_for_at_once),
        WATCHED_TEST(a_flood_of_offers_asks_for_few),
        WATCHED_TEST(where_it_is_off_nothing_is_asked),
        WATCHED_TEST(what_is_found_in_use_is_set_aside),
        WATCHED_TEST(as_long_as_it_is_in_use),
        WATCHED_TEST(an_offer_that_was_found_in_use_is_refused),
        WATCHED_TEST(who_was_given_it_may_say_so),
        WATCHED_TEST(a_leased_address_stays_its_holders),
        WATCHED_TEST(a_nodes_own_address_stays_its_own),
        WATCHED_TEST(cards_of_one_node_are_one),
        WATCHED_TEST(what_is_not_to_be_given_is_nobodys_concern),
        WATCHED_TEST(who_claims_all_is_not_believed),
        WATCHED_TEST(a_reload_forgets_nobody_who_claims_all),
        WATCHED_TEST(what_is_set_aside_already_is_stored_once_a_minute),
        WATCHED_TEST(a_flood_of_machines_leaves_most_of_the_pool),
        WATCHED_TEST(with_a_full_table_none_is_said_to_be_set_aside),
    };
    return RUN_TESTS(tests);
}
