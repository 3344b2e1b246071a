/* Machines that wait: what is known of them, in memory and in the registry, and how many. */
#include "site.h"

#include "boot/pending.h"

#include <errno.h>

static struct site site;
static struct pending *pending;
static unsigned arrivals, wakings;

static void arrived(void *context, const char *json_line)
{
    assert_contains(json_line, "\"event\":\"pending\"");
    arrivals++;
}

static void undecided(void *context)
{
    wakings++;
}

static void start(void)
{
    const struct pending_listener listener = {.arrived = arrived, .undecided = undecided};
    site_must(pending_new(site.registry, site.slot, &listener, &pending, &site.error), &site.error);
}

static int setup(void **state)
{
    site = (struct site){0};
    site_make(&site);
    arrivals = wakings = 0;
    start();
    return 0;
}

static int teardown(void **state)
{
    pending_free(pending);
    site_remove(&site);
    return 0;
}

static const struct facts blade = {.uuid = "4c4c4544-0058-4b10-8032-c7c04f4a3231",
                                   .product = "blade"};

static void see(unsigned mac)
{
    pending_see(pending, &(struct pending_sight){.mac = site_mac(mac),
                                                 .address = 0x0a000000 + mac,
                                                 .subnet = "lab",
                                                 .facts = &blade});
}

static size_t count(void)
{
    size_t n;
    free(pending_all(pending, &n));
    return n;
}

static void a_machine_is_known_by_all_that_was_seen_of_it(void **state)
{
    struct registry_pending m;
    pending_see(pending, &(struct pending_sight){.mac = site_mac(1),
                                                 .address = 0x0a000001,
                                                 .subnet = "lab",
                                                 .circuit_id = "Eth1/\x1b[2J",
                                                 .remote_id = "sw1",
                                                 .asked_dhcp = true});
    assert_int_equal(arrivals, 0); /* it has not said what it is */
    see(1);
    see(1);
    assert_int_equal(arrivals, 1);
    assert_true(pending_get(pending, site_mac(1), &m));
    assert_string_equal(m.circuit_id, "Eth1/?[2J");
    assert_string_equal(m.remote_id, "sw1");
    assert_string_equal(m.facts.product, "blade");
    assert_true(m.first_seen > 0 && m.last_seen >= m.first_seen);
    assert_true(pending_address_age(pending, site_mac(1)) < 3600 * USEC_PER_SEC);
    assert_true(pending_address_age(pending, site_mac(2)) == UINT64_MAX);
    assert_false(pending_get(pending, site_mac(2), &m));
}

static void a_restart_forgets_nobody(void **state)
{
    struct registry_pending before, after;
    for (unsigned i = 1; i <= 200; i++)
        see(i);
    assert_true(pending_get(pending, site_mac(200), &before));
    pending_free(pending);
    site_restart(&site);
    start();
    assert_int_equal(count(), 200);
    assert_true(pending_get(pending, site_mac(200), &after));
    assert_memory_equal(&before, &after, sizeof(before));
}

static void there_are_never_more_than_so_many(void **state)
{
    struct registry_pending m;
    size_t stored = 0;
    for (unsigned i = 1; i <= REGISTRY_MAX_PENDING + 500; i++) {
        see(i);
        see(1); /* which asks all the while */
    }
    assert_int_equal(count(), REGISTRY_MAX_PENDING);
    assert_true(pending_get(pending, site_mac(1), &m));
    assert_false(pending_get(pending, site_mac(2), &m));
    assert_true(pending_get(pending, site_mac(REGISTRY_MAX_PENDING + 500), &m));
    pending_free(pending);
    site_restart(&site);
    start();
    stored = count();
    assert_true(stored <= REGISTRY_MAX_PENDING && stored > 64);
}

static void who_becomes_a_node_waits_no_longer(void **state)
{
    struct registry_pending m;
    see(1);
    see(2);
    site_add_node(&site, "web1", 1, NULL);
    assert_false(pending_get(pending, site_mac(1), &m));
    assert_int_equal(count(), 1);
    pending_free(pending);
    start();
    assert_int_equal(count(), 1);
}

static void who_is_forgotten_comes_back_when_it_asks(void **state)
{
    see(1);
    assert_int_equal(pending_forget(pending, site_mac(1), &site.error), 0);
    assert_int_equal(count(), 0);
    assert_int_equal(pending_forget(pending, site_mac(1), &site.error), -ENOENT);
    assert_contains(site.error.text, "see: nodisk node list --pending");
    see(1);
    assert_int_equal(count(), 1);
    assert_int_equal(arrivals, 2);
}

static void each_is_decided_on_once_unless_something_changes(void **state)
{
    struct registry_pending m;
    bool proven;
    see(1);
    assert_int_equal(wakings, 1);
    assert_true(pending_take_undecided(pending, &m, &proven));
    assert_true(mac_eq(m.mac, site_mac(1)));
    assert_false(proven); /* that it is that machine, nobody has seen */
    assert_false(pending_take_undecided(pending, &m, &proven));
    assert_true(pending_set_reason(pending, m.mac, "no rule"));
    assert_false(pending_set_reason(pending, m.mac, "no rule"));
    see(1);
    assert_false(pending_take_undecided(pending, &m, &proven));
    json_t *list = pending_to_json(pending);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "reason")),
                        "no rule");
    json_decref(list);
    pending_undecide(pending);
    see(1);
    assert_true(pending_take_undecided(pending, &m, &proven));
}

#define PENDING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PENDING_TEST(a_machine_is_known_by_all_that_was_seen_of_it),
        PENDING_TEST(a_restart_forgets_nobody),
        PENDING_TEST(there_are_never_more_than_so_many),
        PENDING_TEST(who_becomes_a_node_waits_no_longer),
        PENDING_TEST(who_is_forgotten_comes_back_when_it_asks),
        PENDING_TEST(each_is_decided_on_once_unless_something_changes),
    };
    return RUN_TESTS(tests);
}
