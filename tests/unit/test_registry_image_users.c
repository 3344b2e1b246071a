#include "test.h"

#include "registry/image_users.h"

#include <errno.h>

/* Volumes v0, v1, ... that are being copied from golden@3, one that was, and one of another. */
static struct catalog *make_catalog(unsigned n)
{
    struct catalog *c = catalog_new("iqn.x", 1);
    struct catalog_volume v = {.id = 1, .path = "/v", .size = 512, .block_size = 512};
    char name[16];
    for (unsigned i = 0; i < n + 2; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        v.id = i + 1;
        v.name = name;
        v.state = i == n ? VOLUME_READY : VOLUME_CREATING;
        v.image = i == n + 1 ? "golden@33" : "golden@3";
        assert_int_equal(catalog_add_volume(c, &v), 0);
    }
    assert_int_equal(catalog_add_image(c, &(struct catalog_image){.name = "golden", .version = 3}),
                     0);
    assert_int_equal(catalog_seal(c), 0);
    return c;
}

static void users_are_named(void **state)
{
    static const char *const texts[] = {"",
                                        "'v0'",
                                        "'v0', 'v1'",
                                        "'v0', 'v1', 'v2'",
                                        "'v0', 'v1', 'v2', 'v3'",
                                        "'v0', 'v1', 'v2', 'v3' and 1 more",
                                        "'v0', 'v1', 'v2', 'v3' and 2 more"};
    for (unsigned n = 0; n < ARRAY_SIZE(texts); n++) {
        cleanup_catalog struct catalog *c = make_catalog(n);
        char text[IMAGE_USERS_TEXT_SIZE];
        assert_int_equal(image_users(c, catalog_image_find(c, "golden", 3), text), n);
        assert_string_equal(text, texts[n]);
    }
}

static void an_image_that_is_needed_is_told(void **state)
{
    cleanup_catalog struct catalog *none = make_catalog(0), *two = make_catalog(2);
    struct error error = {0};
    assert_int_equal(image_check_unused(none, catalog_image_find(none, "golden", 3), &error), 0);
    assert_int_equal(image_check_unused(two, catalog_image_find(two, "golden", 3), &error), -EBUSY);
    assert_contains(error.text, "image 'golden@3' is in use by volumes 'v0', 'v1'; remove those");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(users_are_named),
        TEST(an_image_that_is_needed_is_told),
    };
    return RUN_TESTS(tests);
}
