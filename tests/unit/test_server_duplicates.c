#include "test.h"

#include "server/duplicates.h"

#define NOW (1700000000 * USEC_PER_SEC)

static int set_up(void **state)
{
    *state = duplicates_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    duplicates_free(*state);
    return 0;
}

static size_t shown(struct duplicates *d, uint64_t now)
{
    json_t *list = duplicates_to_json(d, now);
    size_t count = json_array_size(list);
    json_decref(list);
    return count;
}

static bool note_mac(struct duplicates *d, const char *mac, uint64_t now)
{
    return duplicates_note(d, &(struct duplicate){.kind = "mac", .mac = mac, .message = "twice"},
                           now);
}

static void each_is_news_once(void **state)
{
    assert_true(note_mac(*state, "a", NOW));
    assert_false(note_mac(*state, "a", NOW + 1));
    assert_true(note_mac(*state, "b", NOW + 2));
    assert_false(note_mac(*state, "a", NOW + 3));
    json_t *list = duplicates_to_json(*state, NOW + 3);
    assert_int_equal(json_array_size(list), 2);
    const json_t *first = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(first, "mac")), "a");
    assert_string_equal(json_string_value(json_object_get(first, "message")), "twice");
    assert_true(json_is_null(json_object_get(first, "node")));
    assert_int_equal(json_integer_value(json_object_get(first, "since")), NOW);
    assert_int_equal(json_integer_value(json_object_get(first, "last_seen")), NOW + 3);
    assert_int_equal(json_integer_value(json_object_get(first, "count")), 3);
    json_decref(list);
}

static void what_is_seen_no_more_goes(void **state)
{
    assert_true(note_mac(*state, "a", NOW));
    assert_int_equal(shown(*state, NOW + DUPLICATES_KEPT), 1);
    assert_int_equal(shown(*state, NOW + DUPLICATES_KEPT + 1), 0);
    assert_true(note_mac(*state, "a", NOW + DUPLICATES_KEPT + 1));
    assert_int_equal(shown(*state, NOW + DUPLICATES_KEPT + 1), 1);
}

static void a_pair_is_one_either_way_round(void **state)
{
    struct duplicate found = {.kind = "uuid", .mac = "a", .other_mac = "b", .message = ""};
    assert_true(duplicates_note(*state, &found, NOW));
    found.mac = "b";
    found.other_mac = "a";
    assert_false(duplicates_note(*state, &found, NOW));
    found.other_mac = "c";
    assert_true(duplicates_note(*state, &found, NOW));
    found.kind = "mac";
    assert_true(duplicates_note(*state, &found, NOW));
}

static void the_one_not_seen_for_longest_makes_room(void **state)
{
    char mac[16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(mac, sizeof(mac), "%u", i);
        assert_true(note_mac(*state, mac, NOW + i));
        assert_int_equal(note_mac(*state, "0", NOW + i), false);
    }
    assert_int_equal(shown(*state, NOW + 1000), DUPLICATES_MAX);
    assert_false(note_mac(*state, "999", NOW + 1000));
    assert_true(note_mac(*state, "1", NOW + 1000));
}

static void of_dhcp_each_server_is_one(void **state)
{
    struct dhcp_oddity oddity = {.kind = DHCP_ODD_FOREIGN_SERVER, .address = 0x0a000042};
    assert_true(duplicates_is_one(oddity.kind));
    assert_false(duplicates_is_one(DHCP_ODD_MALFORMED));
    assert_true(duplicates_note_dhcp(*state, &oddity, "another", NOW));
    oddity.mac.bytes[5] = 1; /* whoever chose it */
    oddity.node = "web1";
    assert_false(duplicates_note_dhcp(*state, &oddity, "another", NOW));
    json_t *list = duplicates_to_json(*state, NOW);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "address")),
                        "10.0.0.66");
    json_decref(list);
}

#define DUPLICATES_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DUPLICATES_TEST(each_is_news_once),
        DUPLICATES_TEST(what_is_seen_no_more_goes),
        DUPLICATES_TEST(a_pair_is_one_either_way_round),
        DUPLICATES_TEST(the_one_not_seen_for_longest_makes_room),
        DUPLICATES_TEST(of_dhcp_each_server_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
