#include "test.h"

#include "storage/qemu.h"

#include <errno.h>

static const struct format qcow2 = {FORMAT_QEMU, "qcow2", "qcow2", true, NULL, NULL};
static const struct format vmdk = {FORMAT_QEMU, "vmdk", "vmdk", true, NULL, NULL};

static struct error error;

static int parse(const char *json, const struct format *format)
{
    uint64_t size = 0;
    error = (struct error){0};
    int r = qemu_parse_info(json, strlen(json), "/x/y", format, &size, &error);
    assert_int_equal(size, r < 0 ? 0 : 1048576);
    return r;
}

#define QCOW2_IN(more) "{\"virtual-size\": 1048576, \"format\": \"qcow2\"" more "}"
#define QCOW2_DATA(more)                                                                           \
    QCOW2_IN(", \"format-specific\": {\"type\": \"qcow2\", \"data\": {" more "}}")
#define VMDK_EXTENT(name)                                                                          \
    "{\"virtual-size\": 1048576, \"format\": \"vmdk\", \"format-specific\": {\"data\": "           \
    "{\"extents\": [{\"filename\": \"/dev/fd/3\"}, {" name "}]}}}"

static void whole_images_are_let_pass(void **state)
{
    assert_int_equal(parse(QCOW2_IN(""), &qcow2), 0);
    assert_int_equal(parse(QCOW2_DATA("\"compat\": \"1.1\", \"corrupt\": false"), &qcow2), 0);
    assert_int_equal(parse(VMDK_EXTENT("\"filename\": \"/dev/fd/3\""), &vmdk), 0);
}

static void what_is_not_whole_is_refused(void **state)
{
    static const struct {
        const char *json, *words;
    } cases[] = {
        {QCOW2_IN(", \"backing-filename\": \"/etc/passwd\""), "the file '/etc/passwd'"},
        {QCOW2_IN(", \"full-backing-filename\": \"nbd:x\""), "the file 'nbd:x'"},
        {QCOW2_IN(", \"backing-filename\": 7"), "is not whole"},
        {QCOW2_IN(", \"backing-filename\": \"a\\u001b[31m\\u00e4\""), "the file 'a?[31m?"
                                                                      "?'"},
        {QCOW2_DATA("\"data-file\": \"ext.raw\""), "the file 'ext.raw'"},
        {QCOW2_IN(", \"encrypted\": true"), "is encrypted"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(parse(cases[i].json, &qcow2), -EINVAL);
        assert_contains(error.text, cases[i].words);
    }
    assert_int_equal(parse(VMDK_EXTENT("\"filename\": \"/etc/shadow\""), &vmdk), -EINVAL);
    assert_contains(error.text, "the file '/etc/shadow'");
    assert_int_equal(parse(VMDK_EXTENT("\"format\": \"FLAT\""), &vmdk), -EINVAL);
}

static void nonsense_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "null",
        "{}",
        "{\"virtual-size\": \"1048576\", \"format\": \"qcow2\"}",
        "{\"virtual-size\": 1048576}",
        "{\"virtual-size\": 1048576, \"format\": \"raw\"}", /* not what it was told to read */
        "{\"virtual-size\": 0, \"format\": \"qcow2\"}",
        "{\"virtual-size\": -512, \"format\": \"qcow2\"}",
        "{\"virtual-size\": 513, \"format\": \"qcow2\"}",
        "{\"virtual-size\": 1048576, \"virtual-size\": 512, \"format\": \"qcow2\"}",
        "{\"virtual-size\": 9223372036854775808, \"format\": \"qcow2\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(parse(cases[i], &qcow2), -EINVAL);
        assert_contains(error.text, "/x/y");
    }
}

static int measure(const char *json, uint64_t *ret_data)
{
    error = (struct error){0};
    return qemu_parse_measure(json, strlen(json), ret_data, &error);
}

static void what_is_measured(void **state)
{
    uint64_t data = 7;
    assert_int_equal(measure("{\"required\": 4096, \"fully-allocated\": 8192}", &data), 0);
    assert_int_equal(data, 4096);
    assert_int_equal(measure("{\"required\": -1}", &data), -EINVAL);
    assert_int_equal(measure("{\"required\": \"1\"}", &data), -EINVAL);
    assert_int_equal(measure("[4096]", &data), -EINVAL);
    assert_int_equal(measure("", &data), -EINVAL);
    assert_int_equal(data, 4096);
}

static unsigned progress(const char *text)
{
    return qemu_parse_progress(text, strlen(text), 1234);
}

static void the_latest_progress_counts(void **state)
{
    assert_int_equal(progress("    (0.00/100%)\r    (12.34/100%)\r"), 1234);
    assert_int_equal(progress("    (7.05/100%)\r"), 705);
    assert_int_equal(progress("    (100.00/100%)\r    (100.00/100%)\r\n"), 10000);
    assert_int_equal(progress("    (7.05/100%)\r    (8.1"), 705); /* the rest is still to come */
    assert_int_equal(progress("(101.00/100%)"), 1234);
    assert_int_equal(progress("(-1.00/100%)("), 1234);
    assert_int_equal(progress(""), 1234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whole_images_are_let_pass),  TEST(what_is_not_whole_is_refused),
        TEST(nonsense_is_refused),        TEST(what_is_measured),
        TEST(the_latest_progress_counts),
    };
    return RUN_TESTS(tests);
}
