#include "site.h"

#include <errno.h>

#define TEXTS(...) ((const char *const[]){__VA_ARGS__})

static int setup(void **state)
{
    struct site *b = calloc(1, sizeof(*b));
    site_make(b);
    *state = b;
    const struct registry_volume volume = {.name = "v",
                                           .kind = VOLUME_FILE,
                                           .state = VOLUME_READY,
                                           .path = "/v",
                                           .size = 512,
                                           .block_size = 512,
                                           .sources = TEXTS("2001:DB8::/32", "node"),
                                           .n_sources = 2};
    assert_int_equal(registry_volume_add(b->registry, &volume, &b->error), 0);
    return 0;
}

static int teardown(void **state)
{
    struct site *b = *state;
    site_remove(b);
    free(b);
    return 0;
}

static void assert_sources(struct site *b, const char *const *texts, size_t n)
{
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    const struct catalog_volume *v = catalog_volume_by_name(c, "v");
    assert_int_equal(v->n_sources, n);
    for (size_t i = 0; i < n; i++) {
        char text[SOURCE_TEXT_SIZE];
        assert_string_equal(source_format(&v->sources[i], text), texts[i]);
    }
}

static int set(struct site *b, const char *const *sources, size_t n)
{
    return registry_volume_set_sources(b->registry, "v", sources, n, &b->error);
}

static void they_take_the_place_of_those_before(void **state)
{
    struct site *b = *state;
    assert_sources(b, TEXTS("2001:db8::/32", "node"), 2);
    site_restart(b);
    assert_sources(b, TEXTS("2001:db8::/32", "node"), 2);
    assert_int_equal(set(b, TEXTS("10.0.0.0/24", "10.0.0.0/24", "10.0.0.0/24"), 3), 0);
    assert_sources(b, TEXTS("10.0.0.0/24"), 1);
    assert_int_equal(set(b, NULL, 0), 0);
    assert_sources(b, NULL, 0);
}

static void what_is_none_is_refused_and_changes_nothing(void **state)
{
    struct site *b = *state;
    const char *many[REGISTRY_MAX_SOURCES + 1];
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = "node";
    assert_int_equal(set(b, TEXTS("10.0.0.1", "10.0.0.1/24"), 2), -EINVAL);
    site_assert_told(b, "'10.0.0.1/24'");
    assert_int_equal(set(b, many, ARRAY_SIZE(many)), -E2BIG);
    assert_int_equal(registry_volume_set_sources(b->registry, "w", NULL, 0, &b->error), -ENOENT);
    assert_sources(b, TEXTS("2001:db8::/32", "node"), 2);
}

static void a_lun_elsewhere_has_none(void **state)
{
    struct site *b = *state;
    const struct registry_volume volume = {.name = "there",
                                           .kind = VOLUME_ISCSI,
                                           .state = VOLUME_READY,
                                           .path = "iscsi://nas:3260/iqn.2005-10.org.x:y/1",
                                           .block_size = 512};
    assert_int_equal(registry_volume_add(b->registry, &volume, &b->error), 0);
    assert_int_equal(registry_volume_set_sources(b->registry, "there", TEXTS("node"), 1, &b->error),
                     -EINVAL);
    site_assert_told(b, "that target decides");
}

static void they_go_with_their_volume(void **state)
{
    struct site *b = *state;
    char *path = NULL;
    assert_int_equal(registry_volume_remove_begin(b->registry, "v", NULL, &path, &b->error), 0);
    assert_int_equal(registry_volume_remove_end(b->registry, "v", false, &b->error), 0);
    site_restart(b); /* which looks for rows that refer to nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_take_the_place_of_those_before, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_none_is_refused_and_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_lun_elsewhere_has_none, setup, teardown),
        cmocka_unit_test_setup_teardown(they_go_with_their_volume, setup, teardown),
    };
    return RUN_TESTS(tests);
}
