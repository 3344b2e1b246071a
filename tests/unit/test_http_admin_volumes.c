/* /v1/volumes, /v1/images, /v1/groups and /v1/leases. */
#include "admin_lab.h"

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

/* --- volumes --- */

static void a_blank_volume_is_made_and_shown(void **state)
{
    admin_must(lab, "POST", "/v1/volumes",
               "{\"name\": \"v1\", \"size\": 8192, \"block_size\": 4096, \"read_only\": true, "
               "\"thick\": true, \"removable\": true,"
               " \"allow\": [\"iqn.2020-01.x:a\", \"iqn.2020-01.x:b\"]}");
    admin_assert_text(lab, "result.name", "v1");
    admin_must(lab, "GET", "/v1/volumes/v1", NULL);
    admin_assert_text(lab, "kind", "file");
    admin_assert_text(lab, "state", "ready");
    admin_assert_text(lab, "failure", NULL);
    admin_assert_number(lab, "size", 8192);
    admin_assert_number(lab, "used", 8192);
    admin_assert_number(lab, "block_size", 4096);
    assert_true(json_is_true(admin_member(lab, "read_only")));
    assert_true(json_is_true(admin_member(lab, "thick")));
    assert_true(json_is_true(admin_member(lab, "removable")));
    admin_assert_text(lab, "image", NULL);
    admin_assert_list(lab, "nodes", "");
    admin_assert_list(lab, "allow", "iqn.2020-01.x:a iqn.2020-01.x:b");
    admin_assert_text(lab, "target", SITE_IQN ":v1");
    assert_int_equal(strlen(json_string_value(admin_member(lab, "serial"))), 32);
    admin_must(lab, "GET", "/v1/volumes", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "volumes")), 1);
}

static void a_file_is_a_volume_where_it_is(void **state)
{
    const char *path = admin_lab_file(lab, "disk.raw", 1 * MIB);
    admin_must(lab, "POST", "/v1/volumes",
               admin_body("{\"name\": \"v1\", \"file\": \"%s\", \"allow_any\": true}", path));
    admin_assert_text(lab, "result.path", path);
    admin_assert_number(lab, "result.size", MIB);
    admin_assert_list(lab, "result.allow", "any");
    admin_must(lab, "DELETE", "/v1/volumes/v1", NULL);
    assert_int_equal(access(path, F_OK), 0); /* it is not ours */
}

static void a_volume_is_bound_to_addresses(void **state)
{
    admin_must(lab, "POST", "/v1/volumes",
               "{\"name\": \"v1\", \"size\": 8192, \"allow_from\": [\"10.0.0.0/24\", \"node\"]}");
    admin_assert_list(lab, "result.allow_from", "10.0.0.0/24 node");
    admin_must(lab, "PATCH", "/v1/volumes/v1", "{\"allow_from\": [\"2001:DB8::/32\"]}");
    admin_assert_list(lab, "result.allow_from", "2001:db8::/32");
    admin_assert_list(lab, "result.sessions_outside", "");
    admin_refused(lab, "PATCH", "/v1/volumes/v1", "{\"allow_from\": [\"10.0.0.1/24\"]}", 400,
                  "'10.0.0.1/24'");
    admin_refused(lab, "POST", "/v1/volumes",
                  "{\"name\": \"v2\", \"size\": 8192, \"allow_from\": [\"web1\"]}", 400, "'web1'");
    admin_refused(lab, "POST", "/v1/volumes",
                  "{\"name\": \"v2\", \"iscsi\": \"iscsi://nas/iqn.2005-10.org.x:v/1\","
                  " \"allow_from\": [\"node\"]}",
                  400, "'allow_from' is for volumes that are served here");
    admin_must(lab, "PATCH", "/v1/volumes/v1", "{\"allow_from\": []}");
    admin_assert_list(lab, "result.allow_from", "");
}

/* Whatever is asked of the API, secrets are not in the answer. */
static void chap_of_a_volume_is_told_without_its_secret(void **state)
{
    static const char *const paths[] = {"/v1/volumes/v1", "/v1/volumes", "/v1/status"};
    admin_must(lab, "POST", "/v1/volumes",
               "{\"name\": \"v1\", \"size\": 8192, \"chap_user\": \"u\","
               " \"chap_secret\": \"correct-horse\", \"chap_target_user\": \"t\","
               " \"chap_target_secret\": \"battery-staple\"}");
    assert_null(strstr(lab->body, "correct-horse"));
    assert_null(strstr(lab->body, "battery-staple"));
    admin_assert_text(lab, "result.chap", "mutual");
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        admin_must(lab, "GET", paths[i], NULL);
        assert_null(strstr(lab->body, "correct-horse"));
        assert_null(strstr(lab->body, "battery-staple"));
    }
    admin_must(lab, "PATCH", "/v1/volumes/v1",
               "{\"chap_user\": \"w\", \"chap_secret\": \"another-horse\"}");
    admin_assert_text(lab, "result.chap", "one-way");
    admin_assert_text(lab, "result.chap_user", "w");
    admin_assert_text(lab, "result.chap_target_user", NULL);
    admin_must(lab, "PATCH", "/v1/volumes/v1", "{\"chap\": \"none\"}");
    admin_assert_text(lab, "result.chap", "none");
    admin_assert_text(lab, "result.chap_user", NULL);
    admin_refused(lab, "PATCH", "/v1/volumes/v1",
                  "{\"chap_user\": \"w\", \"chap_secret\": \"short-horse\"}", 400, "12 to 255");
    admin_refused(lab, "PATCH", "/v1/volumes/v2", "{\"chap\": \"none\"}", 404, "no volume 'v2'");
}

#define ELSEWHERE "iscsi://NAS:3260/iqn.2005-10.org.x:v/0x0c"

static void a_lun_elsewhere_is_shown_without_what_only_its_target_knows(void **state)
{
    static const char *const unknown[] = {"size", "used", "block_size", "serial"};
    admin_must(lab, "POST", "/v1/volumes",
               "{\"name\": \"v1\", \"iscsi\": \"" ELSEWHERE "\", \"chap_user\": \"u\","
               " \"chap_secret\": \"correct-horse\"}");
    assert_null(strstr(lab->body, "correct-horse"));
    admin_must(lab, "GET", "/v1/volumes/v1", NULL);
    assert_null(strstr(lab->body, "correct-horse"));
    admin_assert_text(lab, "kind", "iscsi");
    admin_assert_text(lab, "state", "ready");
    admin_assert_text(lab, "path", "iscsi://nas/iqn.2005-10.org.x:v/12");
    admin_assert_text(lab, "target", "iqn.2005-10.org.x:v");
    admin_assert_text(lab, "elsewhere.portal", "nas:3260");
    assert_int_equal(json_integer_value(admin_member(lab, "elsewhere.lun")), 12);
    admin_assert_text(lab, "chap", "one-way");
    admin_assert_text(lab, "chap_user", "u");
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
        assert_true(json_is_null(admin_member(lab, unknown[i])));
    admin_refused(lab, "PATCH", "/v1/volumes/v1", "{\"size\": 8192}", 400,
                  "as large as what it is");
    admin_refused(lab, "PATCH", "/v1/volumes/v1", "{\"ephemeral\": true}", 400, "no overlay");
    admin_must(lab, "PATCH", "/v1/volumes/v1", "{\"chap\": \"none\"}");
    admin_must(lab, "DELETE", "/v1/volumes/v1", NULL);
    admin_refused(lab, "GET", "/v1/volumes/v1", NULL, 404, "no volume");
}

static void what_makes_no_volume_is_refused(void **state)
{
    static const struct {
        const char *body;
        unsigned status;
        const char *words;
    } cases[] = {
        {"{\"name\": \"v2\"}", 400, "size"},
        {"{\"name\": \"v2\", \"size\": 1000}", 400, "multiple of 512"},
        {"{\"name\": \"v2\", \"size\": 4096, \"block_size\": 1024}", 400, "512 or 4096"},
        {"{\"name\": \"v 2\", \"size\": 4096}", 400, "'v 2'"},
        {"{\"name\": \"v1\", \"size\": 4096}", 409, "there is a volume 'v1'"},
        {"{\"name\": \"v2\", \"image\": \"x\"}", 404, "no image 'x'"},
        {"{\"name\": \"v2\", \"file\": \"/nowhere/x\"}", 404, "/nowhere/x"},
        {"{\"name\": \"v2\", \"device\": \"/dev/null\"}", 400, "/dev/null"},
        {"{\"name\": \"v2\", \"iscsi\": \"iscsi://u%s@nas/x/0\"}", 400, "--chap-secret-file"},
        {"{\"name\": \"v2\", \"iscsi\": \"iscsi://nas/x/0\"}", 400, "the target of an iSCSI URI"},
    };
    admin_must(lab, "POST", "/v1/volumes", "{\"name\": \"v1\", \"size\": 4096}");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        admin_refused(lab, "POST", "/v1/volumes", cases[i].body, cases[i].status, cases[i].words);
    admin_refused(lab, "GET", "/v1/volumes/v2", NULL, 404, "there is no volume 'v2'");
    admin_refused(lab, "DELETE", "/v1/volumes/v2", NULL, 404, "there is no volume 'v2'");
}

static void a_volume_in_use_stays(void **state)
{
    admin_must(lab, "POST", "/v1/volumes", "{\"name\": \"v1\", \"size\": 4096}");
    str_copy(lab->user, sizeof(lab->user), "iqn.x from 10.0.0.7");
    admin_refused(lab, "DELETE", "/v1/volumes/v1", NULL, 409, "is in use by iqn.x from 10.0.0.7");
    admin_must(lab, "GET", "/v1/volumes/v1", NULL);
    admin_assert_text(lab, "state", "ready");
    lab->user[0] = '\0';
    admin_must(lab, "DELETE", "/v1/volumes/v1", NULL);
    admin_refused(lab, "GET", "/v1/volumes/v1", NULL, 404, "no volume");
}

/* --- images --- */

static void import(const char *name)
{
    char body[128];
    snprintf(body, sizeof(body), "{\"name\": \"%s\", \"path\": \"%%s\"}", name);
    admin_must(lab, "POST", "/v1/images", admin_body(body, admin_lab_file(lab, "source", MIB)));
}

static void versions_of_an_image(void **state)
{
    import("golden");
    admin_assert_text(lab, "result.reference", "golden@1");
    import("golden");
    import("golden-2");
    admin_must(lab, "POST", "/v1/volumes", "{\"name\": \"v1\", \"image\": \"golden@1\"}");
    admin_must(lab, "POST", "/v1/volumes", "{\"name\": \"v2\", \"image\": \"golden\"}");
    admin_must(lab, "GET", "/v1/images", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "images")), 3);
    admin_must(lab, "GET", "/v1/images/golden", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "versions")), 2);
    admin_assert_list(lab, "volumes", "v1 v2");
    admin_must(lab, "GET", "/v1/images/golden@2", NULL);
    const json_t *version = json_array_get(admin_member(lab, "versions"), 0);
    assert_int_equal(json_integer_value(json_object_get(version, "version")), 2);
    assert_int_equal(json_integer_value(json_object_get(version, "size")), MIB);
    admin_assert_list(lab, "volumes", "v2");
}

static void one_version_or_all_of_them_are_removed(void **state)
{
    import("golden");
    import("golden");
    import("golden");
    admin_must(lab, "DELETE", "/v1/images/golden@2", NULL);
    admin_refused(lab, "GET", "/v1/images/golden@2", NULL, 404, "there is no image 'golden@2'");
    admin_must(lab, "GET", "/v1/images/golden", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "versions")), 2);
    admin_must(lab, "DELETE", "/v1/images/golden", NULL);
    admin_refused(lab, "GET", "/v1/images/golden", NULL, 404, "there is no image 'golden'");
    admin_refused(lab, "DELETE", "/v1/images/golden", NULL, 404, "there is no image 'golden'");
}

static void what_is_no_image_is_refused(void **state)
{
    admin_refused(lab, "GET", "/v1/images/golden@x", NULL, 400, "golden@x");
    admin_refused(lab, "DELETE", "/v1/images/golden@0", NULL, 400, "golden@0");
    admin_refused(lab, "POST", "/v1/images", "{\"name\": \"golden\"}", 400, "path");
    admin_refused(lab, "POST", "/v1/images", "{\"name\": \"golden\", \"path\": \"/nowhere/x\"}",
                  404, "/nowhere/x");
}

/* --- groups and leases --- */

static void groups(void **state)
{
    admin_must(lab, "POST", "/v1/groups", "{\"name\": \"rack1\"}");
    admin_assert_text(lab, "result.name", "rack1");
    admin_must(lab, "POST", "/v1/groups", "{\"name\": \"rack2\"}");
    admin_refused(lab, "POST", "/v1/groups", "{\"name\": \"rack1\"}", 409, "'rack1'");
    admin_refused(lab, "POST", "/v1/groups", "{\"name\": \"Rack\"}", 400, "'Rack'");
    admin_refused(lab, "POST", "/v1/groups", "{}", 400, "name");
    admin_must(lab, "POST", "/v1/nodes",
               "{\"name\": \"web1\", \"macs\": [\"52:54:00:00:00:01\"], \"group\": \"rack1\"}");
    admin_must(lab, "GET", "/v1/groups", NULL);
    const json_t *list = admin_member(lab, "groups");
    assert_int_equal(json_array_size(list), 2);
    const json_t *members = json_object_get(json_array_get(list, 0), "nodes");
    assert_string_equal(json_string_value(json_array_get(members, 0)), "web1");
    assert_int_equal(json_array_size(json_object_get(json_array_get(list, 1), "nodes")), 0);
    admin_refused(lab, "DELETE", "/v1/groups/rack1", NULL, 409, "still has node 'web1'");
    admin_must(lab, "DELETE", "/v1/groups/rack2", NULL);
    admin_refused(lab, "DELETE", "/v1/groups/rack2", NULL, 404, "no group 'rack2'");
}

static void leases(void **state)
{
    struct registry_lease one = {.address = 0x0a00000b,
                                 .mac = site_mac(1),
                                 .host_name = "web1",
                                 .subnet = "lab",
                                 .expires_at = 4711};
    struct registry_lease two = {.address = 0x0a00000c, .state = REGISTRY_LEASE_DECLINED};
    site_add_node(&lab->site, "web1", 1, NULL);
    assert_int_equal(registry_lease_store(lab->site.registry, &one, NULL), 0);
    assert_int_equal(registry_lease_store(lab->site.registry, &two, NULL), 0);
    admin_must(lab, "GET", "/v1/leases", NULL);
    const json_t *list = admin_member(lab, "leases");
    assert_int_equal(json_array_size(list), 2);
    json_t *expected = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "address", "10.0.0.11",
                                 "mac", "52:54:00:00:00:01", "host_name", "web1", "node", "web1",
                                 "subnet", "lab", "state", "bound", "expires_at", 4711);
    assert_true(json_equal(json_array_get(list, 0), expected));
    json_decref(expected);
    const json_t *declined = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(declined, "state")), "declined");
    assert_true(json_is_null(json_object_get(declined, "mac")));
    assert_true(json_is_null(json_object_get(declined, "node")));
}

static struct registry_lease bound_lease(unsigned n)
{
    return (struct registry_lease){.address = 0x0a000000 + n,
                                   .mac = site_mac(n),
                                   .subnet = "lab",
                                   .state = REGISTRY_LEASE_BOUND,
                                   .expires_at = clock_wall_usec() + 600 * USEC_PER_SEC};
}

/* The machine with .11 asks for it between this and the look into the registry. */
static int offer_two(void *context, struct admin_offer *offers, size_t max, size_t *ret_count,
                     struct error *ret_error)
{
    const struct admin_lab *l = context;
    const struct registry_lease lease = bound_lease(11);
    assert_true(max >= 2);
    offers[0] = (struct admin_offer){.address = 0x0a00000c, .mac = site_mac(1), .subnet = "lab"};
    offers[1] = (struct admin_offer){.address = 0x0a00000b, .mac = site_mac(11), .subnet = "lab"};
    *ret_count = 2;
    return registry_lease_store(l->site.registry, &lease, NULL);
}

static const char *state_of(const json_t *list, const char *address)
{
    size_t i;
    json_t *row;
    json_array_foreach(
        list, i, row) if (str_eq(json_string_value(json_object_get(row, "address")),
                                 address)) return json_string_value(json_object_get(row, "state"));
    return "none";
}

static void an_offer_that_was_taken_meanwhile_is_a_lease(void **state)
{
    const struct registry_lease old = bound_lease(12);
    admin_lab_free(lab);
    lab = calloc(1, sizeof(*lab));
    lab->offers = offer_two;
    admin_lab_make(lab);
    assert_int_equal(registry_lease_store(lab->site.registry, &old, NULL), 0);
    admin_must(lab, "GET", "/v1/leases", NULL);
    const json_t *list = admin_member(lab, "leases");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(state_of(list, "10.0.0.11"), "bound");
    assert_string_equal(state_of(list, "10.0.0.12"), "offered"); /* to another machine */
}

/* --- the API as a whole --- */

static void what_makes_no_sense(void **state)
{
    admin_refused(lab, "GET", "/v1/nothing", NULL, 404, "no path '/v1/nothing'");
    admin_refused(lab, "GET", "/v1/nodes/", NULL, 404, "no path '/v1/nodes/'");
    admin_refused(lab, "PUT", "/v1/nodes", "{}", 405, "does not take that method");
    admin_refused(lab, "DELETE", "/v1/status", NULL, 405, "does not take that method");
    admin_refused(lab, "POST", "/v1/groups", "[]", 400, "must be a JSON object");
}

#define VOLUMES_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUMES_TEST(a_blank_volume_is_made_and_shown),
        VOLUMES_TEST(a_file_is_a_volume_where_it_is),
        VOLUMES_TEST(a_volume_is_bound_to_addresses),
        VOLUMES_TEST(chap_of_a_volume_is_told_without_its_secret),
        VOLUMES_TEST(a_lun_elsewhere_is_shown_without_what_only_its_target_knows),
        VOLUMES_TEST(what_makes_no_volume_is_refused),
        VOLUMES_TEST(a_volume_in_use_stays),
        VOLUMES_TEST(versions_of_an_image),
        VOLUMES_TEST(one_version_or_all_of_them_are_removed),
        VOLUMES_TEST(what_is_no_image_is_refused),
        VOLUMES_TEST(groups),
        VOLUMES_TEST(leases),
        VOLUMES_TEST(an_offer_that_was_taken_meanwhile_is_a_lease),
        VOLUMES_TEST(what_makes_no_sense),
    };
    return RUN_TESTS(tests);
}
