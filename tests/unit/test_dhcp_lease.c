#include "dhcp_packets.h"

#include "dhcp/lease.h"

#define SECOND USEC_PER_SEC

static bool any_address(void *context, uint32_t address)
{
    const uint32_t *forbidden = context;
    return !forbidden || address != *forbidden;
}

static bool any_lease(void *context, const struct lease *lease)
{
    return true;
}

static bool no_even_mac(void *context, const struct lease *lease)
{
    return lease->mac.bytes[5] & 1;
}

static const struct address_range ten = {0x0a000001, 0x0a00000a};

static struct lease_pool pool_of(const struct address_range *range)
{
    return (struct lease_pool){
        .ranges = range, .n_ranges = 1, .may_use = any_address, .may_recycle = any_lease};
}

static uint32_t pick(struct lease_table *table, const struct lease_pool *pool, unsigned mac,
                     uint32_t requested, uint64_t now)
{
    uint32_t address;
    return lease_pick(table, pool, mac_of(mac), requested, now, &address) ? address : 0;
}

/* Picks and binds for an hour. */
static uint32_t take(struct lease_table *table, const struct lease_pool *pool, unsigned mac,
                     uint64_t now)
{
    uint32_t address = pick(table, pool, mac, 0, now);
    if (address)
        assert_non_null(
            lease_assign(table, mac_of(mac), address, LEASE_BOUND, now + 3600 * SECOND, now));
    return address;
}

static void leases_are_found_by_mac_and_address(void **state)
{
    struct lease_table *table = lease_table_new(1);
    for (unsigned i = 0; i < 1000; i++)
        assert_non_null(lease_assign(table, mac_of(i), 0x0a000000 + i, LEASE_BOUND, 100, 1));
    for (unsigned i = 0; i < 1000; i++) {
        const struct lease *lease = lease_by_mac(table, mac_of(i));
        assert_non_null(lease);
        assert_int_equal(lease->address, 0x0a000000 + i);
        assert_ptr_equal(lease, lease_by_address(table, 0x0a000000 + i));
    }
    assert_null(lease_by_mac(table, mac_of(1000)));
    assert_null(lease_by_address(table, 0x0a000000 + 1000));
    assert_int_equal(lease_count(table, LEASE_BOUND), 1000);
    lease_table_free(table);
}

static void a_mac_has_one_lease(void **state)
{
    struct lease_table *table = lease_table_new(1);
    lease_assign(table, mac_of(1), 10, LEASE_BOUND, 100, 1);
    lease_assign(table, mac_of(1), 11, LEASE_BOUND, 100, 1);
    assert_null(lease_by_address(table, 10));
    assert_int_equal(lease_by_mac(table, mac_of(1))->address, 11);
    assert_int_equal(lease_count(table, LEASE_BOUND), 1);
    lease_table_free(table);
}

static void the_address_depends_on_the_mac_alone(void **state)
{
    const struct address_range range = {0x0a000100, 0x0a0001ff};
    struct lease_pool pool = pool_of(&range);
    struct lease_table *a = lease_table_new(1), *b = lease_table_new(2);
    unsigned same = 0;
    for (unsigned i = 0; i < 32; i++) {
        uint32_t first = take(a, &pool, i, 1);
        /* in another order, in another life */
        same += take(b, &pool, 31 - i, 1) && pick(b, &pool, i, 0, 1) == first;
    }
    assert_true(same > 20); /* all but those that fell on the same place */
    lease_table_free(a);
    lease_table_free(b);
}

static void the_previous_address_comes_first(void **state)
{
    struct lease_pool pool = pool_of(&ten);
    struct lease_table *table = lease_table_new(1);
    uint32_t address = take(table, &pool, 1, 1);
    lease_expire(table, 3602 * SECOND);
    assert_int_equal(lease_by_mac(table, mac_of(1))->state, LEASE_FREE);
    assert_int_equal(pick(table, &pool, 1, address == ten.first ? ten.last : ten.first, 1),
                     address);
    lease_table_free(table);
}

static void the_requested_address_comes_next(void **state)
{
    struct lease_pool pool = pool_of(&ten);
    struct lease_table *table = lease_table_new(1);
    assert_int_equal(pick(table, &pool, 1, ten.last, 1), ten.last);
    assert_int_not_equal(pick(table, &pool, 1, ten.last + 1, 1), ten.last + 1);
    lease_assign(table, mac_of(2), ten.last, LEASE_BOUND, 100, 1);
    assert_int_not_equal(pick(table, &pool, 1, ten.last, 1), ten.last);
    lease_table_free(table);
}

static void forbidden_addresses_are_never_picked(void **state)
{
    uint32_t forbidden = ten.first + 4;
    struct lease_pool pool = pool_of(&ten);
    struct lease_table *table = lease_table_new(1);
    pool.context = &forbidden;
    for (unsigned i = 0; i < 9; i++) {
        uint32_t address = take(table, &pool, i, 1);
        assert_in_range(address, ten.first, ten.last);
        assert_int_not_equal(address, forbidden);
    }
    assert_int_equal(pick(table, &pool, 9, forbidden, 1), 0); /* used up */
    lease_table_free(table);
}

static void several_ranges_are_one_pool(void **state)
{
    const struct address_range ranges[] = {{10, 12}, {20, 20}, {30, 33}};
    struct lease_pool pool = pool_of(ranges);
    struct lease_table *table = lease_table_new(1);
    uint64_t seen = 0;
    pool.n_ranges = 3;
    for (unsigned i = 0; i < 8; i++)
        seen |= 1ULL << take(table, &pool, i, 1);
    assert_int_equal(seen, 7ULL << 10 | 1ULL << 20 | 15ULL << 30);
    assert_int_equal(pick(table, &pool, 9, 0, 1), 0);
    lease_table_free(table);
}

static void the_one_unused_for_longest_is_recycled(void **state)
{
    struct lease_pool pool = pool_of(&ten);
    struct lease_table *table = lease_table_new(1);
    uint32_t second = 0;
    for (unsigned i = 0; i < 10; i++)
        take(table, &pool, i, 1);
    second = lease_by_mac(table, mac_of(5))->address;
    lease_release(table, lease_by_mac(table, mac_of(5)), 2);
    lease_release(table, lease_by_mac(table, mac_of(2)), 3);
    assert_int_equal(pick(table, &pool, 20, 0, 4), second);
    pool.may_recycle = no_even_mac;
    lease_release(table, lease_by_mac(table, mac_of(4)), 5);
    assert_int_equal(take(table, &pool, 20, 6), second);
    assert_int_equal(take(table, &pool, 21, 6), 0); /* only those of even MACs are left */
    lease_table_free(table);
}

static void a_flood_of_offers_is_forgotten(void **state)
{
    struct lease_pool pool = pool_of(&ten);
    struct lease_table *table = lease_table_new(1);
    uint64_t now = SECOND;
    for (unsigned i = 0; i < 10; i++)
        lease_assign(table, mac_of(i), pick(table, &pool, i, 0, now), LEASE_OFFERED,
                     now + LEASE_OFFER_TIME, now);
    assert_int_equal(pick(table, &pool, 50, 0, now + 1), 0); /* fresh offers are safe... */
    now += LEASE_OFFER_SAFE_TIME;
    assert_int_not_equal(pick(table, &pool, 50, 0, now), 0); /* ...for a while */
    now += LEASE_OFFER_TIME;
    lease_expire(table, now);
    assert_int_equal(lease_count(table, LEASE_OFFERED), 0);
    assert_int_equal(lease_count(table, LEASE_FREE), 0); /* never bound: nothing to remember */
    lease_table_free(table);
}

static void memory_is_bounded(void **state)
{
    const struct address_range huge = {0x0a000000, 0x0affffff};
    struct lease_pool pool = pool_of(&huge);
    struct lease_table *table = lease_table_new(1);
    uint64_t now = SECOND;
    for (unsigned i = 0; i < LEASE_TABLE_MAX + 100; i++) {
        uint32_t address = pick(table, &pool, i, 0, now);
        if (address)
            lease_assign(table, mac_of(i), address, LEASE_OFFERED, now + LEASE_OFFER_TIME, now);
    }
    assert_int_equal(lease_count(table, LEASE_OFFERED), LEASE_TABLE_MAX);
    now += LEASE_OFFER_SAFE_TIME;
    uint32_t address = pick(table, &pool, 0xabcdef, 0, now);
    assert_int_not_equal(address, 0);
    assert_non_null(lease_assign(table, mac_of(0xabcdef), address, LEASE_BOUND, 9, now));
    lease_table_free(table);
}

static void the_last_free_address_of_a_large_pool_is_found(void **state)
{
    const struct address_range range = {0x0a000000, 0x0a000fff};
    struct lease_pool pool = pool_of(&range);
    struct lease_table *table = lease_table_new(1);
    uint32_t found = 0;
    for (uint32_t a = range.first; a <= range.last; a++)
        if (a != 0x0a000777)
            lease_assign(table, mac_of(a), a, LEASE_BOUND, UINT64_MAX, 1);
    for (int tries = 0; tries < 5 && !found; tries++) /* a few repeats of its DISCOVER */
        found = pick(table, &pool, 0xffffff, 0, 2);
    assert_int_equal(found, 0x0a000777);
    lease_table_free(table);
}

static void declined_addresses_are_set_aside(void **state)
{
    struct lease_pool pool = pool_of(&ten);
    struct lease_table *table = lease_table_new(1);
    uint64_t now = SECOND;
    uint32_t address = take(table, &pool, 1, now);
    lease_decline(table, lease_by_mac(table, mac_of(1)), now);
    assert_null(lease_by_mac(table, mac_of(1)));
    assert_false(lease_available(table, address, mac_of(1), now));
    for (unsigned i = 1; i < 10; i++)
        assert_int_not_equal(take(table, &pool, i, now), address);
    assert_int_equal(pick(table, &pool, 20, 0, now + 1), 0);
    /* rather that than nothing */
    assert_int_equal(pick(table, &pool, 20, 0, now + LEASE_DECLINED_SAFE_TIME), address);
    lease_table_free(table);
}

static void a_declined_address_comes_back(void **state)
{
    struct lease_table *table = lease_table_new(1);
    lease_decline_address(table, 77, SECOND);
    assert_false(lease_available(table, 77, mac_of(1), SECOND));
    assert_true(lease_available(table, 77, mac_of(1), SECOND + LEASE_DECLINED_TIME));
    lease_expire(table, SECOND + LEASE_DECLINED_TIME);
    assert_null(lease_by_address(table, 77));
    lease_table_free(table);
}

static void an_address_has_one_holder(void **state)
{
    struct lease_table *table = lease_table_new(1);
    lease_assign(table, mac_of(1), 50, LEASE_BOUND, 100, 1);
    assert_false(lease_available(table, 50, mac_of(2), 99));
    assert_true(lease_available(table, 50, mac_of(1), 99));
    assert_true(lease_available(table, 50, mac_of(2), 100)); /* expired, swept or not */
    lease_assign(table, mac_of(2), 50, LEASE_BOUND, 200, 100);
    assert_null(lease_by_mac(table, mac_of(1)));
    assert_true(mac_eq(lease_by_address(table, 50)->mac, mac_of(2)));
    lease_table_free(table);
}

static void taking_over_does_not_inherit_what_is_on_disk(void **state)
{
    struct lease_table *table = lease_table_new(1);
    lease_assign(table, mac_of(1), 50, LEASE_BOUND, 100, 1)->stored = true;
    struct lease *lease = lease_assign(table, mac_of(1), 50, LEASE_BOUND, 200, 1);
    assert_true(lease->stored); /* a renewal */
    lease = lease_assign(table, mac_of(2), 50, LEASE_BOUND, 300, 201);
    assert_false(lease->stored);
    lease->stored = true;
    lease_release(table, lease, 210);
    assert_false(lease->stored);
    lease_table_free(table);
}

static uint32_t offer(struct lease_table *table, const struct lease_pool *pool, unsigned mac,
                      uint64_t now)
{
    uint32_t address = pick(table, pool, mac, 0, now);
    if (address)
        assert_non_null(
            lease_assign(table, mac_of(mac), address, LEASE_OFFERED, now + LEASE_OFFER_TIME, now));
    return address;
}

/* All is offered to a flood of machines: a node takes what was offered first, and keeps that. */
static void offers_give_way_to_machines_that_go_before(void **state)
{
    struct lease_pool pool = pool_of(&ten), preferred = pool;
    struct lease_table *table = lease_table_new(1);
    uint32_t first = offer(table, &pool, 1, 1);
    for (unsigned mac = 2; mac <= 10; mac++)
        assert_int_not_equal(offer(table, &pool, mac, 2), 0);
    assert_int_equal(offer(table, &pool, 11, 3), 0);
    preferred.preferred = true;
    assert_int_equal(offer(table, &preferred, 12, 3), first);
    assert_int_equal(lease_by_mac(table, mac_of(12))->address, first);
    assert_null(lease_by_mac(table, mac_of(1)));
    assert_int_equal(lease_count(table, LEASE_OFFERED), 10);
    assert_int_equal(offer(table, &pool, 13, 4), 0);
    lease_table_free(table);
}

/* Offers to those that go before are not taken from them; nor is what is bound. */
static void what_may_not_be_recycled_is_offered_to_nobody_else(void **state)
{
    const struct address_range two = {0x0a000001, 0x0a000002};
    struct lease_pool pool = pool_of(&two);
    struct lease_table *table = lease_table_new(1);
    pool.preferred = true;
    pool.may_recycle = no_even_mac;
    assert_int_not_equal(offer(table, &pool, 2, 1), 0);
    assert_int_not_equal(take(table, &pool, 1, 1), 0);
    assert_int_equal(offer(table, &pool, 3, 2), 0);
    lease_table_free(table);
}

/* A search that was in vain is not made again, until there is something to be found. */
static void what_is_free_again_is_found(void **state)
{
    const struct address_range range = {0x0a000000, 0x0a000000 + 3000};
    struct lease_pool pool = pool_of(&range);
    struct lease_table *table = lease_table_new(1);
    for (uint32_t i = 0; i <= 3000; i++)
        assert_non_null(
            lease_assign(table, mac_of(i), range.first + i, LEASE_BOUND, UINT64_MAX, 1));
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(pick(table, &pool, 9000 + i, 0, 1), 0);
    lease_forget(table, lease_by_mac(table, mac_of(2000)));
    uint32_t found = 0;
    for (unsigned i = 0; i < 8 && !found; i++)
        found = pick(table, &pool, 9000, 0, 1);
    assert_int_equal(found, range.first + 2000);
    lease_table_free(table);
}

static void a_full_table_has_room_for_what_is_bound(void **state)
{
    struct lease_table *table = lease_table_new(1);
    for (uint32_t i = 0; i < LEASE_TABLE_MAX; i++)
        assert_non_null(lease_assign(table, mac_of(i), 0x0a000000 + i,
                                     i ? LEASE_BOUND : LEASE_OFFERED, UINT64_MAX, 1));
    assert_null(lease_assign(table, mac_of(0x20000), 0x0b000000, LEASE_OFFERED, UINT64_MAX, 1));
    assert_non_null(lease_assign(table, mac_of(0x20000), 0x0b000000, LEASE_BOUND, UINT64_MAX, 1));
    assert_null(lease_by_mac(table, mac_of(0)));
    assert_null(lease_assign(table, mac_of(0x20001), 0x0b000001, LEASE_BOUND, UINT64_MAX, 1));
    lease_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(offers_give_way_to_machines_that_go_before),
        TEST(what_may_not_be_recycled_is_offered_to_nobody_else),
        TEST(what_is_free_again_is_found),
        TEST(a_full_table_has_room_for_what_is_bound),
        TEST(leases_are_found_by_mac_and_address),
        TEST(a_mac_has_one_lease),
        TEST(the_address_depends_on_the_mac_alone),
        TEST(the_previous_address_comes_first),
        TEST(the_requested_address_comes_next),
        TEST(forbidden_addresses_are_never_picked),
        TEST(several_ranges_are_one_pool),
        TEST(the_one_unused_for_longest_is_recycled),
        TEST(a_flood_of_offers_is_forgotten),
        TEST(memory_is_bounded),
        TEST(the_last_free_address_of_a_large_pool_is_found),
        TEST(declined_addresses_are_set_aside),
        TEST(a_declined_address_comes_back),
        TEST(an_address_has_one_holder),
        TEST(taking_over_does_not_inherit_what_is_on_disk),
    };
    return RUN_TESTS(tests);
}
