/* /v1/nodes: what can be asked, what is refused, and what is left alone while a node runs. */
#include "admin_lab.h"

#include <errno.h>

static struct admin_lab *lab;

static int setup(void **state)
{
    lab = admin_lab_new();
    return 0;
}

static int teardown(void **state)
{
    admin_lab_free(lab);
    return 0;
}

#define ONE_MAC "\"macs\": [\"52:54:00:00:00:01\"]"

static void add_web1(void)
{
    admin_must(lab, "POST", "/v1/nodes", "{\"name\": \"web1\", " ONE_MAC "}");
}

/* An image of 1 MiB. */
static void import_golden(void)
{
    admin_must(
        lab, "POST", "/v1/images",
        admin_body("{\"name\": \"golden\", \"path\": \"%s\"}", admin_lab_file(lab, "golden", MIB)));
}

static void a_node_is_added_and_shown(void **state)
{
    admin_must(lab, "POST", "/v1/groups", "{\"name\": \"rack1\"}");
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web1\", \"macs\": [\"52-54-00-00-00-02\", \"525400000001\"],"
               " \"address\": \"10.0.0.11\", \"group\": \"rack1\"}");
    admin_assert_text(lab, "result.name", "web1");
    admin_must(lab, "GET", "/v1/nodes/web1", NULL);
    admin_assert_text(lab, "name", "web1");
    admin_assert_list(lab, "macs", "52:54:00:00:00:02 52:54:00:00:00:01");
    admin_assert_text(lab, "address", "10.0.0.11");
    admin_assert_text(lab, "last_address", NULL);
    admin_assert_text(lab, "group", "rack1");
    admin_assert_text(lab, "volume", NULL);
    admin_assert_text(lab, "image", NULL);
    admin_assert_text(lab, "initiator", SITE_IQN ":web1");
    assert_int_equal(json_array_size(admin_member(lab, "boots")), 0);
    admin_must(lab, "GET", "/v1/nodes", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "nodes")), 1);
}

static void with_an_image_it_gets_a_disk_of_its_own(void **state)
{
    import_golden();
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web1\", " ONE_MAC ", \"image\": \"golden\"}");
    admin_assert_text(lab, "result.volume", "web1");
    admin_assert_text(lab, "result.volume_state", "ready");
    admin_assert_text(lab, "result.image", "golden@1");
    admin_must(lab, "GET", "/v1/volumes/web1", NULL);
    admin_assert_number(lab, "size", MIB);
    admin_assert_list(lab, "nodes", "web1");
}

static void what_makes_no_node_is_refused(void **state)
{
    static const struct {
        const char *body;
        unsigned status;
        const char *words;
    } cases[] = {
        {"", 400, "has no body"},
        {"{" ONE_MAC "}", 400, "'name' is missing"},
        {"{\"name\": \"Web\", " ONE_MAC "}", 400, "'Web'"},
        {"{\"name\": \"web2\"}", 400, "mac"},
        {"{\"name\": \"web2\", \"macs\": [\"x\"]}", 400, "'x'"},
        {"{\"name\": \"web1\", \"macs\": [\"52:54:00:00:00:02\"]}", 409, "there is a node 'web1'"},
        {"{\"name\": \"web2\", " ONE_MAC "}", 409, "already belongs to node 'web1'"},
        {"{\"name\": \"web2\", \"macs\": [\"52:54:00:00:00:02\"], \"group\": \"x\"}", 404,
         "no group 'x'"},
        {"{\"name\": \"web2\", \"macs\": [\"52:54:00:00:00:02\"], \"volume\": \"x\"}", 404,
         "no volume 'x'"},
        {"{\"name\": \"web2\", \"macs\": [\"52:54:00:00:00:02\"], \"image\": \"x@3\"}", 404,
         "no image 'x@3'"},
    };
    add_web1();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        admin_refused(lab, "POST", "/v1/nodes", cases[i].body, cases[i].status, cases[i].words);
    admin_must(lab, "GET", "/v1/nodes", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "nodes")), 1);
}

static void a_node_is_changed_piece_by_piece(void **state)
{
    add_web1();
    admin_must(lab, "POST", "/v1/groups", "{\"name\": \"rack1\"}");
    admin_must(lab, "POST", "/v1/volumes", "{\"name\": \"blank\", \"size\": 4096}");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"address\": \"10.0.0.12\"}");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"group\": \"rack1\", \"volume\": \"blank\"}");
    admin_assert_text(lab, "result.address", "10.0.0.12");
    admin_assert_text(lab, "result.group", "rack1");
    admin_assert_text(lab, "result.volume", "blank");
    admin_assert_list(lab, "result.macs", "52:54:00:00:00:01");
    admin_must(lab, "PATCH", "/v1/nodes/web1",
               "{\"address\": null, \"group\": null, \"volume\": null,"
               " \"macs\": [\"52:54:00:00:00:09\"]}");
    admin_assert_text(lab, "result.address", NULL);
    admin_assert_text(lab, "result.group", NULL);
    admin_assert_text(lab, "result.volume", NULL);
    admin_assert_list(lab, "result.macs", "52:54:00:00:00:09");
}

static void secrets_of_a_node_are_made_and_never_told(void **state)
{
    static const char *const paths[] = {"/v1/nodes/web1", "/v1/nodes", "/v1/status"};
    add_web1();
    admin_assert_text(lab, "result.chap", "none");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"chap_rotate\": true}", 400, "has no CHAP");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"chap\": \"both\"}", 400, "one-way or mutual");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"chap\": \"mutual\"}");
    admin_assert_text(lab, "result.chap", "mutual");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"chap_rotate\": true}");
    admin_assert_text(lab, "result.chap", "mutual");
    cleanup_catalog struct catalog *catalog = catalog_slot_get(lab->site.slot);
    const struct chap_credentials *chap = catalog_node_by_name(catalog, "web1")->chap;
    assert_null(strstr(lab->body, chap->initiator.secret));
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        admin_must(lab, "GET", paths[i], NULL);
        assert_null(strstr(lab->body, chap->initiator.secret));
        assert_null(strstr(lab->body, chap->target.secret));
    }
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web2\", \"macs\": [\"52:54:00:00:00:02\"], \"chap\": \"one-way\"}");
    admin_assert_text(lab, "result.chap", "one-way");
    admin_refused(lab, "POST", "/v1/nodes",
                  "{\"name\": \"web3\", \"macs\": [\"52:54:00:00:00:03\"], \"chap_rotate\": true}",
                  400, "a new node");
}

static void when_secrets_change_is_told(void **state)
{
    add_web1();
    admin_assert_text(lab, "result.chap_rotation", "default");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"chap_rotation\": \"boot\"}");
    admin_assert_text(lab, "result.chap_rotation", "boot");
    assert_contains(lab->body, "\"chap_rotates\":false"); /* it has none */
    assert_contains(lab->body, "\"chap_since\":null");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"chap\": \"mutual\"}");
    assert_contains(lab->body, "\"chap_rotates\":true");
    assert_contains(lab->body, "\"chap_older\":0");
    assert_null(strstr(lab->body, "\"chap_since\":null"));
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web2\", \"macs\": [\"52:54:00:00:00:02\"],"
               " \"chap\": \"one-way\", \"chap_rotation\": \"manual\"}");
    admin_assert_text(lab, "result.chap_rotation", "manual");
    assert_contains(lab->body, "\"chap_rotates\":false");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"chap_rotation\": \"daily\"}", 400,
                  "boot, manual or default");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"chap_rotation\": true}", 400,
                  "chap_rotation");
}

static void a_node_may_boot_in_a_way_of_its_own(void **state)
{
    add_web1();
    admin_assert_text(lab, "result.direct", "default");
    admin_assert_text(lab, "result.ibft_origin", "default");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"direct\": \"no\"}");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"ibft_origin\": \"dhcp\"}");
    admin_assert_text(lab, "result.direct", "no");
    admin_assert_text(lab, "result.ibft_origin", "dhcp");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"direct\": \"default\"}");
    admin_assert_text(lab, "result.direct", "default");
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web2\", \"macs\": [\"52:54:00:00:00:02\"],"
               " \"direct\": \"yes\", \"ibft_origin\": \"manual\"}");
    admin_assert_text(lab, "result.direct", "yes");
    admin_assert_text(lab, "result.ibft_origin", "manual");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"direct\": \"maybe\"}", 400, "yes, no or");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"ibft_origin\": \"ra\"}", 400,
                  "manual, dhcp or default");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"ibft_origin\": null}", 400, "ibft_origin");
}

static void a_node_keeps_its_name(void **state)
{
    add_web1();
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"name\": \"web2\"}", 400,
                  "a node keeps its name");
}

static void nobody_is_told_so(void **state)
{
    admin_refused(lab, "GET", "/v1/nodes/x", NULL, 404, "there is no node 'x'");
    admin_refused(lab, "PATCH", "/v1/nodes/x", "{\"address\": null}", 404, "there is no node 'x'");
    admin_refused(lab, "DELETE", "/v1/nodes/x", NULL, 404, "there is no node 'x'");
    admin_refused(lab, "DELETE", "/v1/nodes/x?with-volume=true", NULL, 404, "there is no node 'x'");
}

/* --- a node that runs --- */

/* web1 with a disk of its own, which a session is open on. */
static void run_web1(void)
{
    import_golden();
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web1\", " ONE_MAC ", \"image\": \"golden\"}");
    admin_must(lab, "POST", "/v1/groups", "{\"name\": \"rack1\"}");
    admin_must(lab, "POST", "/v1/volumes", "{\"name\": \"blank\", \"size\": 4096}");
    cleanup_catalog struct catalog *c = catalog_slot_get(lab->site.slot);
    lab->used_volume = catalog_volume_by_name(c, "web1")->id;
    str_copy(lab->user, sizeof(lab->user), SITE_IQN ":web1 from 10.0.0.7");
}

static void what_it_hangs_on_is_not_taken_from_it(void **state)
{
    static const struct {
        const char *method, *path, *body;
    } cases[] = {
        {"PATCH", "/v1/nodes/web1", "{\"volume\": \"blank\"}"},
        {"PATCH", "/v1/nodes/web1", "{\"volume\": null}"},
        {"PATCH", "/v1/nodes/web1", "{\"image\": \"golden\"}"},
        {"PATCH", "/v1/nodes/web1", "{\"macs\": [\"52:54:00:00:00:02\"]}"},
        {"DELETE", "/v1/nodes/web1", NULL},
        {"DELETE", "/v1/nodes/web1?with-volume=true", NULL},
    };
    run_web1();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        admin_refused(lab, cases[i].method, cases[i].path, cases[i].body, 409,
                      "node 'web1' is up: its disk is in use by " SITE_IQN ":web1 from 10.0.0.7");
    admin_must(lab, "GET", "/v1/nodes/web1", NULL);
    admin_assert_text(lab, "volume", "web1");
    lab->user[0] = '\0'; /* it was shut down */
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"volume\": \"blank\"}");
}

static void what_holds_from_its_next_boot_on_may_change(void **state)
{
    run_web1();
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"address\": \"10.0.0.13\"}");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"group\": \"rack1\"}");
    admin_must(lab, "PATCH", "/v1/nodes/web1",
               "{\"macs\": [\"52:54:00:00:00:03\", \"52:54:00:00:00:01\"]}"); /* one more */
    admin_assert_list(lab, "result.macs", "52:54:00:00:00:03 52:54:00:00:00:01");
}

/* --- waking --- */

static char woken[256]; /* what the API asked for last */

static int note_wake(void *context, const struct admin_wake *wake, json_t **ret_sent,
                     struct error *ret_error)
{
    char mac[MAC_TEXT_SIZE], password[MAC_TEXT_SIZE] = "none", address[IPV4_TEXT_SIZE];
    if (wake->password->given)
        wake_password_format(wake->password, password);
    snprintf(woken, sizeof(woken), "%s %zu %s %s %s", wake->node, wake->n_macs,
             mac_format(wake->macs[0], mac), password, ipv4_format(wake->address, address));
    if (wake->n_macs > 1)
        return error_set(ret_error, -EIO, "no cable");
    *ret_sent = json_pack("[{s:s}]", "interface", "eth7");
    return 0;
}

static int setup_waking(void **state)
{
    lab = calloc(1, sizeof(*lab));
    lab->wake = note_wake;
    admin_lab_make(lab);
    woken[0] = '\0';
    return 0;
}

static void a_node_is_woken_with_all_that_is_known_of_it(void **state)
{
    add_web1();
    admin_must(lab, "POST", "/v1/wakes", "{\"node\": \"web1\"}");
    assert_string_equal(woken, "web1 1 52:54:00:00:00:01 none 0.0.0.0");
    admin_assert_text(lab, "result.running", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "result.sent")), 1);
    admin_must(lab, "PATCH", "/v1/nodes/web1",
               "{\"wake_password\": \"00:01:02:03:04:ff\", \"address\": \"10.0.0.9\"}");
    assert_true(json_is_true(admin_member(lab, "result.wake_password_set")));
    assert_null(strstr(lab->body, "04:ff"));
    admin_must(lab, "POST", "/v1/wakes", "{\"node\": \"web1\"}");
    assert_string_equal(woken, "web1 1 52:54:00:00:00:01 00:01:02:03:04:ff 10.0.0.9");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"wake_password\": null}");
    assert_true(json_is_false(admin_member(lab, "result.wake_password_set")));
    admin_must(lab, "PATCH", "/v1/nodes/web1",
               "{\"macs\": [\"52:54:00:00:00:01\", \"52:54:00:00:00:02\"]}");
    admin_refused(lab, "POST", "/v1/wakes", "{\"node\": \"web1\"}", 500, "no cable");
    admin_refused(lab, "POST", "/v1/wakes", "{\"node\": \"web2\"}", 404, "no node 'web2'");
    admin_refused(lab, "PATCH", "/v1/nodes/web1", "{\"wake_password\": \"x\"}", 400, "six bytes");
}

static void a_node_that_runs_is_not_woken_unless_forced(void **state)
{
    run_web1();
    admin_must(lab, "POST", "/v1/wakes", "{\"node\": \"web1\"}");
    admin_assert_text(lab, "result.running", SITE_IQN ":web1 from 10.0.0.7");
    assert_string_equal(woken, "");
    admin_must(lab, "POST", "/v1/wakes", "{\"node\": \"web1\", \"force\": true}");
    admin_assert_text(lab, "result.running", SITE_IQN ":web1 from 10.0.0.7");
    assert_non_null(strstr(woken, "web1"));
}

/* --- removal --- */

static void a_removed_node_leaves_its_volume(void **state)
{
    import_golden();
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web1\", " ONE_MAC ", \"image\": \"golden\"}");
    admin_must(lab, "DELETE", "/v1/nodes/web1", NULL);
    admin_refused(lab, "GET", "/v1/nodes/web1", NULL, 404, "no node");
    admin_must(lab, "GET", "/v1/volumes/web1", NULL);
    admin_assert_list(lab, "nodes", "");
}

static void unless_it_takes_it_along(void **state)
{
    import_golden();
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web1\", " ONE_MAC ", \"image\": \"golden\"}");
    admin_refused(lab, "DELETE", "/v1/nodes/web1?with-volume=yes", NULL, 400,
                  "with-volume must be true");
    admin_must(lab, "GET", "/v1/nodes/web1", NULL);
    admin_must(lab, "DELETE", "/v1/nodes/web1?with-volume=true", NULL);
    admin_refused(lab, "GET", "/v1/nodes/web1", NULL, 404, "no node");
    admin_refused(lab, "GET", "/v1/volumes/web1", NULL, 404, "no volume");
}

static void a_volume_of_two_nodes_stays(void **state)
{
    add_web1();
    admin_must(lab, "POST", "/v1/volumes",
               "{\"name\": \"both\", \"size\": 4096, \"allow_any\": true}");
    admin_must(lab, "PATCH", "/v1/nodes/web1", "{\"volume\": \"both\"}");
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web2\", \"macs\": [\"52:54:00:00:00:02\"], \"volume\": \"both\"}");
    admin_refused(lab, "DELETE", "/v1/nodes/web1?with-volume=true", NULL, 409,
                  "is the disk of node 'web2'");
    admin_must(lab, "GET", "/v1/nodes/web1", NULL); /* nothing has happened */
    admin_assert_text(lab, "volume", "both");
}

static void its_last_boots_are_shown(void **state)
{
    add_web1();
    for (unsigned i = 0; i < 7; i++) {
        struct registry_boot boot = {.id = registry_boot_new_id(lab->site.registry),
                                     .node_id = 1,
                                     .mac = site_mac(1),
                                     .started_at = 100 + i};
        struct registry_boot_stage stage = {
            .boot_id = boot.id, .stage = "address", .detail = "10.0.0.11", .reached_at = 200 + i};
        assert_int_equal(registry_boot_store(lab->site.registry, &boot, NULL), 0);
        assert_int_equal(registry_boot_stage_store(lab->site.registry, &stage, NULL), 0);
    }
    admin_must(lab, "GET", "/v1/nodes/web1", NULL);
    const json_t *boots = admin_member(lab, "boots");
    assert_int_equal(json_array_size(boots), 5);
    const json_t *last = json_array_get(boots, 4);
    assert_int_equal(json_integer_value(json_object_get(last, "started_at")), 106);
    assert_string_equal(json_string_value(json_object_get(last, "mac")), "52:54:00:00:00:01");
    const json_t *stage = json_array_get(json_object_get(last, "stages"), 0);
    assert_string_equal(json_string_value(json_object_get(stage, "stage")), "address");
    assert_string_equal(json_string_value(json_object_get(stage, "detail")), "10.0.0.11");
    assert_int_equal(json_integer_value(json_object_get(stage, "at")), 206);
}

#define NODES_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODES_TEST(a_node_is_added_and_shown),
        NODES_TEST(with_an_image_it_gets_a_disk_of_its_own),
        NODES_TEST(what_makes_no_node_is_refused),
        NODES_TEST(a_node_is_changed_piece_by_piece),
        NODES_TEST(secrets_of_a_node_are_made_and_never_told),
        NODES_TEST(when_secrets_change_is_told),
        NODES_TEST(a_node_may_boot_in_a_way_of_its_own),
        NODES_TEST(a_node_keeps_its_name),
        NODES_TEST(nobody_is_told_so),
        NODES_TEST(what_it_hangs_on_is_not_taken_from_it),
        NODES_TEST(what_holds_from_its_next_boot_on_may_change),
        cmocka_unit_test_setup_teardown(a_node_is_woken_with_all_that_is_known_of_it, setup_waking,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_node_that_runs_is_not_woken_unless_forced, setup_waking,
                                        teardown),
        NODES_TEST(a_removed_node_leaves_its_volume),
        NODES_TEST(unless_it_takes_it_along),
        NODES_TEST(a_volume_of_two_nodes_stays),
        NODES_TEST(its_last_boots_are_shown),
    };
    return RUN_TESTS(tests);
}
