/* What is promised, and what the disk has to do with it. */
#include "dhcp_lab.h"

static enum dhcp_type request_only(struct lab *lab, struct mac_address mac, uint32_t address)
{
    struct packet *p = begin(lab, DHCP_REQUEST, mac);
    packet_u32(p, DHCP_OPTION_SERVER_ID, ip(SERVER));
    packet_u32(p, DHCP_OPTION_REQUESTED_ADDRESS, address);
    return answer_type(lab, deliver(lab));
}

static void a_pool_lease_is_stored_before_it_is_promised(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    assert_int_equal(lab->n_records, 0);
    assert_int_equal(request_only(lab, STRANGER, address), 0);
    assert_int_equal(lab->n_records, 1);
    assert_int_equal(last_record(lab)->address, address);
    assert_int_equal(last_record(lab)->state, LEASE_BOUND);
    assert_int_equal(last_record(lab)->expires_at, lab->now.wall + 3600 * SECOND);
    assert_int_equal(dhcp_server_deadline(lab->server), lab->now.monotonic + DHCP_STORE_PATIENCE);
    assert_true(stored(lab, true));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
    assert_int_equal(lab->raw.route, DHCP_TO_HARDWARE);
    assert_int_equal(dhcp_server_deadline(lab->server), UINT64_MAX);
    assert_int_equal(lab->events[lab->n_events - 1].type, DHCP_ACK);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK); /* at once */
    assert_int_equal(lab->n_records, 2);
}

static void a_slow_disk_means_a_short_lease(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    assert_int_equal(request_only(lab, STRANGER, address), 0);
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    lab->now.monotonic += DHCP_STORE_PATIENCE;
    assert_true(parse_answer(lab, dhcp_server_expire(lab->server, &lab->now, &lab->raw)));
    assert_int_equal(lab->answer.type, DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T1), DHCP_SHORT_LEASE / 2);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_T2), DHCP_SHORT_LEASE * 7 / 8);
    assert_odd(lab, DHCP_ODD_STORE_LATE);
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    assert_false(stored(lab, true)); /* the answer is gone already */
    pass(lab, 60);
    assert_int_equal(renew(lab, STRANGER, address), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 3600);
}

static void a_short_lease_is_short(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    request_only(lab, STRANGER, address);
    pass(lab, 1);
    assert_true(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    pass(lab, DHCP_SHORT_LEASE);
    assert_int_equal(address_of(lab, STRANGER), 0);
}

static void a_failed_or_impossible_store_means_a_short_lease(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    request_only(lab, STRANGER, address);
    assert_true(stored(lab, false));
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
    assert_odd(lab, DHCP_ODD_STORE_FAILED);
    lab->store_refuses = true;
    address = discover(lab, OTHER);
    assert_int_equal(request_only(lab, OTHER, address), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
}

static void a_short_lease_is_never_longer_than_the_lease(void **state)
{
    struct lab *lab = *state;
    lab->networks[0].settings.lease_time = 60;
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    lab->store_refuses = true;
    assert_int_equal(request_only(lab, STRANGER, ip("10.0.0.101")), DHCP_ACK);
    assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), 60);
}

static void nothing_is_promised_that_was_lost_while_it_waited(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(request_only(lab, STRANGER, ip("10.0.0.101")), 0);
    packet_set_u32(begin(lab, DHCP_RELEASE, STRANGER), PACKET_CIADDR, ip("10.0.0.101"));
    assert_false(deliver(lab));
    lab->now.monotonic += DHCP_STORE_PATIENCE;
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    assert_int_equal(dhcp_server_deadline(lab->server), UINT64_MAX);

    assert_int_equal(request_only(lab, OTHER, ip("10.0.0.102")), 0);
    lab->nodes[3] = (struct registered){"late", ip("10.0.0.102"), {STRANGER}, 1};
    assert_false(stored(lab, true));
    assert_int_equal(request_only(lab, OTHER, ip("10.0.0.102")), DHCP_NAK);
}

static void repeated_requests_wait_together(void **state)
{
    struct lab *lab = *state;
    uint32_t address = discover(lab, STRANGER);
    request_only(lab, STRANGER, address);
    uint64_t deadline = dhcp_server_deadline(lab->server);
    lab->now.monotonic += 5000;
    assert_int_equal(request_only(lab, STRANGER, address), 0);
    assert_int_equal(dhcp_server_deadline(lab->server), deadline); /* not put off */
    assert_int_equal(lab->n_records, 1);                           /* one at a time */
    assert_false(stored(lab, true));                               /* the older one */
    assert_int_equal(lab->n_records, 2);
    assert_true(stored(lab, true));
    assert_false(stored(lab, true)); /* said twice: nothing waits any more */
}

static void many_can_wait(void **state)
{
    struct lab *lab = *state;
    unsigned waiting = 0, at_once = 0;
    lab->networks[0].settings.ranges[0].last = ip("10.0.0.250");
    assert_int_equal(dhcp_server_set_networks(lab->server, lab->networks, 3), 0);
    for (unsigned i = 0; i < 100; i++) {
        uint32_t address = discover(lab, mac_of(1000 + i));
        if (request_only(lab, mac_of(1000 + i), address) == 0) {
            waiting++;
        } else {
            assert_int_equal(option_u32(&lab->answer, DHCP_OPTION_LEASE_TIME), DHCP_SHORT_LEASE);
            at_once++;
        }
    }
    assert_int_equal(waiting + at_once, 100);
    assert_true(waiting >= 50);
    lab->now.monotonic += DHCP_STORE_PATIENCE;
    for (unsigned i = 0; i < waiting; i++)
        assert_true(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
    assert_false(dhcp_server_expire(lab->server, &lab->now, &lab->raw));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_pool_lease_is_stored_before_it_is_promised),
        LAB_TEST(a_slow_disk_means_a_short_lease),
        LAB_TEST(a_short_lease_is_short),
        LAB_TEST(a_failed_or_impossible_store_means_a_short_lease),
        LAB_TEST(a_short_lease_is_never_longer_than_the_lease),
        LAB_TEST(nothing_is_promised_that_was_lost_while_it_waited),
        LAB_TEST(repeated_requests_wait_together),
        LAB_TEST(many_can_wait),
    };
    return RUN_TESTS(tests);
}
