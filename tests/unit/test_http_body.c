#include "test.h"

#include "http/body.h"

#include <errno.h>

static struct error error;

static int read_node(const char *text, struct body_node *node, struct body *body)
{
    *body = (struct body){0};
    return body_read_node(text, strlen(text), body, node, &error);
}

static void a_node_is_read_whole(void **state)
{
    struct body body;
    struct body_node node;
    const struct mac_address *macs;
    uint32_t address;
    assert_int_equal(read_node("{\"name\": \"web1\", \"macs\": [\"52:54:00:00:00:01\"],"
                               " \"address\": \"10.0.0.1\", \"group\": null}",
                               &node, &body),
                     0);
    assert_string_equal(node.name.text, "web1");
    assert_true(node.group.given && !node.group.text);
    assert_false(node.volume.given);
    assert_int_equal(body_parse_macs(&body, &node.macs, &macs, &error), 0);
    assert_int_equal(macs[0].bytes[5], 1);
    assert_int_equal(body_parse_address(&node.address, &address, &error), 0);
    assert_true(address == 0x0a000001);
    body_free(&body);
}

static void anything_strange_is_refused_by_name(void **state)
{
    static const struct {
        const char *text, *expect;
    } cases[] = {
        {"", "has no body"},
        {"{", "is not JSON"},
        {"[]", "must be a JSON object"},
        {"{\"nmae\": \"x\"}", "there is no key 'nmae'"},
        {"{\"name\": 1}", "'name' must be a text"},
        {"{\"name\": null}", "'name' must be a text"},
        {"{\"macs\": \"x\"}", "'macs' must be a list of texts"},
        {"{\"macs\": [1]}", "'macs' must be a list of texts"},
        {"{\"name\": \"a\", \"name\": \"b\"}", "is not JSON: duplicate"},
        {"{\"name\": \"a\\u0000b\"}", "is not JSON"},
        {"{\"image\": \"a\", \"volume\": \"b\"}", "not both"},
        {"{\"macs\": [[[[[]]]]]}", "nested too deep"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct body body;
        struct body_node node;
        int r = read_node(cases[i].text, &node, &body);
        body_free(&body);
        if (r != -EINVAL || !strstr(error.text, cases[i].expect))
            fail_msg("%s gave '%s'", cases[i].text, error.text);
    }
}

static void a_volume_has_exactly_one_source(void **state)
{
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"{\"name\": \"a\", \"size\": 512}", 0},
        {"{\"name\": \"a\", \"image\": \"b@1\", \"allow\": [], \"allow_any\": true}", 0},
        {"{\"name\": \"a\"}", -EINVAL},
        {"{\"size\": 512}", -EINVAL},
        {"{\"name\": \"a\", \"size\": 512, \"file\": \"/x\"}", -EINVAL},
        {"{\"name\": \"a\", \"size\": -1}", -EINVAL},
        {"{\"name\": \"a\", \"size\": 1.5}", -EINVAL},
        {"{\"name\": \"a\", \"size\": 1, \"block_size\": 99999999999}", -EINVAL},
        {"{\"name\": \"a\", \"size\": 1, \"read_only\": 1}", -EINVAL},
        {"{\"name\": \"a\", \"size\": 1, \"thick\": \"yes\"}", -EINVAL},
        {"{\"name\": \"a\", \"size\": 1, \"removable\": 0}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"allow\": [], \"chap_user\": \"u\"}", 0},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"read_only\": false}", 0},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"size\": 512}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"nbd\": \"x\"}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"read_only\": true}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"thick\": true}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"removable\": true}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"block_size\": 512}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"allow_any\": true}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"allow\": [\"iqn.2026-11.x:y\"]}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"overlay\": true}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"copy\": true}", -EINVAL},
        {"{\"name\": \"a\", \"iscsi\": \"x\", \"ephemeral\": true}", -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct body body = {0};
        struct body_volume volume;
        int r = body_read_volume(cases[i].text, strlen(cases[i].text), &body, &volume, &error);
        body_free(&body);
        if (r != cases[i].result)
            fail_msg("%s gave %d '%s'", cases[i].text, r, error.text);
    }
}

static int read_chap(const char *text, struct chap_credentials *ret_credentials)
{
    cleanup_body struct body body = {0};
    struct body_volume_change change;
    int r = body_read_volume_change(text, strlen(text), &body, &change, &error);
    return r < 0 ? r : body_parse_chap(&change.credentials, ret_credentials, &error);
}

static void chap_of_a_volume(void **state)
{
    static const struct {
        const char *text, *expect;
    } cases[] = {
        {"{}", "say what to change"},
        {"{\"chap\": \"mutual\"}", "can only be none"},
        {"{\"chap\": \"none\", \"chap_user\": \"u\", \"chap_secret\": \"correct-horse\"}",
         "give either 'chap'"},
        {"{\"chap_user\": \"u\"}", "needs its secret"},
        {"{\"chap_secret\": \"correct-horse\"}", "needs its secret"},
        {"{\"chap_user\": \"u\", \"chap_secret\": \"short-horse\"}", "has 11"},
        {"{\"chap_target_user\": \"u\", \"chap_target_secret\": \"correct-horse\"}",
         "the initiator needs"},
        {"{\"chap_user\": \"u\", \"chap_secret\": \"correct-horse\","
         " \"chap_target_user\": \"t\", \"chap_target_secret\": \"correct-horse\"}",
         "must differ"},
    };
    struct chap_credentials c;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(read_chap(cases[i].text, &c), -EINVAL);
        assert_contains(error.text, cases[i].expect);
        assert_null(strstr(error.text, "horse"));
    }
    assert_int_equal(read_chap("{\"chap\": \"none\"}", &c), 0);
    assert_int_equal(c.mode, CHAP_NONE);
    assert_int_equal(read_chap("{\"chap_user\": \"u\", \"chap_secret\": \"correct-horse\"}", &c),
                     0);
    assert_int_equal(c.mode, CHAP_ONE_WAY);
    assert_string_equal(c.initiator.user, "u");
    assert_string_equal(c.initiator.secret, "correct-horse");
    assert_int_equal(read_chap("{\"chap_user\": \"u\", \"chap_secret\": \"correct-horse\","
                               " \"chap_target_user\": \"t\","
                               " \"chap_target_secret\": \"battery-staple\"}",
                               &c),
                     0);
    assert_int_equal(c.mode, CHAP_MUTUAL);
    assert_string_equal(c.target.user, "t");
    assert_string_equal(c.target.secret, "battery-staple");
}

static void image_references(void **state)
{
    char name[64];
    uint32_t version;
    assert_int_equal(body_parse_image_reference("debian12", name, &version, &error), 0);
    assert_true(str_eq(name, "debian12") && version == 0);
    assert_int_equal(body_parse_image_reference("debian12@30", name, &version, &error), 0);
    assert_true(str_eq(name, "debian12") && version == 30);
    static const char *const bad[] = {"",    "@1",  "a@",    "a@0",          "a@-1",
                                      "a@x", "A@1", "a@1@2", "a@9999999999", "../a"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (body_parse_image_reference(bad[i], name, &version, &error) != -EINVAL)
            fail_msg("'%s' should be refused", bad[i]);
}

static void a_hold_is_of_one_thing_and_some_seconds(void **state)
{
    static const struct {
        const char *text, *expect; /* NULL: it is read */
    } cases[] = {
        {"{\"volume\": \"data\", \"seconds\": 30}", NULL},
        {"{\"node\": \"web1\", \"seconds\": 1, \"all\": false}", NULL},
        {"{\"all\": true, \"seconds\": 65535}", NULL},
        {"{\"seconds\": 30}", "give one of"},
        {"{\"volume\": \"data\", \"all\": true, \"seconds\": 30}", "give one of"},
        {"{\"volume\": \"data\", \"node\": \"web1\", \"seconds\": 30}", "give one of"},
        {"{\"volume\": \"data\"}", "'seconds'"},
        {"{\"volume\": \"data\", \"seconds\": 0}", "from 1 to 65535"},
        {"{\"volume\": \"data\", \"seconds\": 65536}", "from 1 to 65535"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct body body = {0};
        struct body_hold hold;
        int r = body_read_hold(cases[i].text, strlen(cases[i].text), &body, &hold, &error);
        body_free(&body);
        if (r != (cases[i].expect ? -EINVAL : 0) ||
            (cases[i].expect && !strstr(error.text, cases[i].expect)))
            fail_msg("%s gave %d, '%s'", cases[i].text, r, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_is_read_whole),
        TEST(anything_strange_is_refused_by_name),
        TEST(a_volume_has_exactly_one_source),
        TEST(chap_of_a_volume),
        TEST(image_references),
        TEST(a_hold_is_of_one_thing_and_some_seconds),
    };
    return RUN_TESTS(tests);
}
