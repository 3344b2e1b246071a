#include "site.h"

#include <errno.h>

/* A site with one volume, `v`, over golden@1. */
struct bench {
    struct site site;
};

static int import(struct bench *b, uint64_t size)
{
    const struct registry_image image = {.name = "golden", .directory = "/images", .source = "x"};
    const struct registry_image_result result = {.size = size, .format = "raw"};
    uint32_t version;
    char *path = NULL;
    int r = registry_image_begin(b->site.registry, &image, &version, &path, &b->site.error);
    free(path);
    return r < 0 ? r
                 : registry_image_finish(b->site.registry, "golden", version, &result,
                                         &b->site.error);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    site_make(&b->site);
    assert_int_equal(import(b, 1 << 20), 0);
    const struct registry_volume v = {.name = "v",
                                      .kind = VOLUME_OVERLAY,
                                      .state = VOLUME_READY,
                                      .path = "/layers/v",
                                      .owned = true,
                                      .size = 1 << 20,
                                      .block_size = 512,
                                      .image = "golden@1",
                                      .follows = true};
    site_must(registry_volume_add(b->site.registry, &v, &b->site.error), &b->site.error);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    site_remove(&b->site);
    free(b);
    return 0;
}

static const struct catalog_overlay *look(struct bench *b, struct catalog **ret_catalog)
{
    *ret_catalog = catalog_slot_get(b->site.slot);
    return catalog_volume_by_name(*ret_catalog, "v")->overlay;
}

static int change(struct bench *b, enum overlay_change what, const char *argument)
{
    char kept[NAME_MAX_LEN + 1];
    return registry_overlay_change(b->site.registry, "v", what, argument, kept, &b->site.error);
}

static int snapshot(struct bench *b, const char *name)
{
    return registry_snapshot_add(b->site.registry, "v", name, &b->site.error);
}

/* Forgets all that are on their way out. */
static size_t clear(struct bench *b)
{
    cleanup_free struct registry_layer *layers = NULL;
    size_t count = 0;
    site_must(registry_layer_list_removing(b->site.registry, &layers, &count, &b->site.error),
              &b->site.error);
    for (size_t i = 0; i < count; i++)
        site_must(registry_layer_forget(b->site.registry, layers[i].id, &b->site.error),
                  &b->site.error);
    return count;
}

static void make_all(struct bench *b)
{
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    for (size_t i = 0; i < o->n_layers; i++)
        site_must(registry_layer_made(b->site.registry, o->layers[i].id, &b->site.error),
                  &b->site.error);
}

static void it_begins_with_one_layer_over_its_image(void **state)
{
    struct bench *b = *state;
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    assert_int_equal(o->n_layers, 1);
    assert_false(o->layers[0].made);
    assert_string_equal(o->base.image, "golden@1");
    assert_int_equal(o->base.size, 1 << 20);
    assert_true(o->follows && o->n_snapshots == 0 && o->staged == OVERLAY_NO_CHANGE);
    assert_non_null(strstr(o->layers[0].path, "/layers/"));
}

static void a_snapshot_puts_a_layer_on_top(void **state)
{
    struct bench *b = *state;
    assert_int_equal(snapshot(b, "s"), 0);
    assert_int_equal(snapshot(b, "s"), -EEXIST);
    assert_int_equal(snapshot(b, "S"), -EINVAL);
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    assert_true(o->n_layers == 2 && o->n_snapshots == 1);
    assert_int_equal(o->snapshots[0].n_layers, 1);
    assert_int_equal(o->snapshots[0].layers[0].id, o->layers[1].id);
    assert_int_equal(clear(b), 0);
}

static void a_snapshot_can_be_taken_back_until_its_layer_is_made(void **state)
{
    struct bench *b = *state;
    struct registry *registry = b->site.registry;
    make_all(b);
    assert_int_equal(snapshot(b, "s"), 0);
    assert_int_equal(registry_snapshot_take_back(registry, "v", "none", &b->site.error), -ENOENT);
    assert_int_equal(registry_snapshot_take_back(registry, "v", "s", &b->site.error), 0);
    assert_int_equal(clear(b), 1);
    {
        cleanup_catalog struct catalog *c = NULL;
        const struct catalog_overlay *o = look(b, &c);
        assert_true(o->n_layers == 1 && o->n_snapshots == 0 && o->layers[0].made);
    }
    assert_int_equal(snapshot(b, "s"), 0);
    make_all(b);
    assert_int_equal(registry_snapshot_take_back(registry, "v", "s", &b->site.error), -EBUSY);
    cleanup_catalog struct catalog *c = NULL;
    assert_int_equal(look(b, &c)->n_snapshots, 1);
}

static void what_nothing_needs_goes(void **state)
{
    struct bench *b = *state;
    assert_int_equal(snapshot(b, "s"), 0);
    assert_int_equal(change(b, OVERLAY_RESET, NULL), 0);
    assert_int_equal(clear(b), 1); /* the top; the one below it has a name */
    assert_int_equal(change(b, OVERLAY_ROLLBACK, "s"), 0);
    assert_int_equal(clear(b), 1);
    assert_int_equal(change(b, OVERLAY_ROLLBACK, "none"), -ENOENT);
    assert_int_equal(change(b, OVERLAY_RESET, NULL), 0);
    assert_int_equal(registry_snapshot_remove(b->site.registry, "v", "s", &b->site.error), 0);
    assert_int_equal(clear(b), 2);
    cleanup_catalog struct catalog *c = NULL;
    assert_int_equal(look(b, &c)->n_layers, 1);
}

static void a_reset_follows_the_image_or_not(void **state)
{
    struct bench *b = *state;
    assert_int_equal(import(b, 2 << 20), 0);
    assert_int_equal(change(b, OVERLAY_RESET, NULL), 0);
    {
        cleanup_catalog struct catalog *c = NULL;
        assert_string_equal(look(b, &c)->base.image, "golden@2");
        assert_int_equal(catalog_volume_by_name(c, "v")->size, 2 << 20);
    }
    const struct registry_overlay_change settings = {.set_follows = true};
    assert_int_equal(registry_overlay_set(b->site.registry, "v", &settings, &b->site.error), 0);
    assert_int_equal(import(b, 1 << 20), 0);
    assert_int_equal(change(b, OVERLAY_RESET, NULL), 0);
    cleanup_catalog struct catalog *c = NULL;
    assert_string_equal(look(b, &c)->base.image, "golden@2");
}

static void a_rebase_keeps_what_was(void **state)
{
    struct bench *b = *state;
    char kept[NAME_MAX_LEN + 1];
    assert_int_equal(import(b, 1 << 20), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(registry_overlay_change(b->site.registry, "v", OVERLAY_REBASE, "golden@2",
                                                 kept, &b->site.error),
                         0);
    assert_string_equal(kept, "before-golden-2-2");
    assert_int_equal(change(b, OVERLAY_REBASE, "golden@9"), -ENOENT);
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    assert_int_equal(o->n_snapshots, 2);
    assert_string_equal(o->snapshots[0].base.image, "golden@1");
    assert_string_equal(o->snapshots[1].base.image, "golden@2");
}

static void layers_merge_in_an_order_that_a_crash_does_not_change(void **state)
{
    struct bench *b = *state;
    struct registry *registry = b->site.registry;
    uint64_t upper, lower, upper_again, lower_again;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(snapshot(b, (const char *[]){"a", "b", "c"}[i]), 0);
    make_all(b);
    assert_int_equal(
        registry_layer_begin_merge(registry, "v", false, &upper, &lower, &b->site.error), 0);
    assert_int_equal(registry_snapshot_remove(registry, "v", "b", &b->site.error), 0);
    assert_int_equal(
        registry_layer_begin_merge(registry, "v", false, &upper, &lower, &b->site.error), 1);
    assert_int_equal(registry_snapshot_remove(registry, "v", "a", &b->site.error), 0);
    assert_int_equal(registry_layer_begin_merge(registry, "v", false, &upper_again, &lower_again,
                                                &b->site.error),
                     1);
    assert_true(upper == upper_again && lower == lower_again);
    assert_int_equal(registry_layer_merged(registry, upper, lower, &b->site.error), 0);
    assert_int_equal(clear(b), 1);
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    assert_int_equal(o->n_layers, 3);
    assert_string_equal(o->base.image, "golden@1");
}

static void below_the_top_they_merge_while_it_is_written_to(void **state)
{
    struct bench *b = *state;
    struct registry *registry = b->site.registry;
    uint64_t upper, lower;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(snapshot(b, (const char *[]){"a", "b"}[i]), 0);
    make_all(b);
    assert_int_equal(registry_snapshot_remove(registry, "v", "b", &b->site.error), 0);
    assert_int_equal(
        registry_layer_begin_merge(registry, "v", true, &upper, &lower, &b->site.error), 0);
    assert_int_equal(registry_snapshot_remove(registry, "v", "a", &b->site.error), 0);
    assert_int_equal(
        registry_layer_begin_merge(registry, "v", true, &upper, &lower, &b->site.error), 1);
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    assert_true(o->layers[1].id == upper && o->layers[2].id == lower);
}

static void an_empty_top_goes_again(void **state)
{
    struct bench *b = *state;
    struct registry *registry = b->site.registry;
    make_all(b);
    assert_int_equal(registry_overlay_drop_top(registry, "v", &b->site.error), 0);
    assert_int_equal(snapshot(b, "a"), 0);
    assert_int_equal(registry_overlay_drop_top(registry, "v", &b->site.error), 0); /* it is named */
    assert_int_equal(registry_snapshot_remove(registry, "v", "a", &b->site.error), 0);
    assert_int_equal(registry_overlay_drop_top(registry, "v", &b->site.error), 1);
    assert_int_equal(clear(b), 1);
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    assert_int_equal(o->n_layers, 1);
    assert_true(o->layers[0].made);
    assert_string_equal(catalog_volume_by_name(c, "v")->path, o->layers[0].path);
    assert_int_equal(snapshot(b, "a"), 0);
    make_all(b);
    assert_int_equal(registry_snapshot_remove(registry, "v", "a", &b->site.error), 0);
    assert_int_equal(registry_overlay_drop_top(registry, "v", &b->site.error), 0); /* not empty */
}

static void there_is_an_end_to_it(void **state)
{
    struct bench *b = *state;
    char name[16];
    int r = 0;
    unsigned n = 0;
    for (; r >= 0 && n < 2 * REGISTRY_MAX_LAYERS; n++) {
        snprintf(name, sizeof(name), "s%u", n);
        r = snapshot(b, name);
    }
    assert_int_equal(r, -EMLINK);
    assert_int_equal(n, REGISTRY_MAX_LAYERS);
    cleanup_catalog struct catalog *c = NULL;
    assert_int_equal(look(b, &c)->n_layers, REGISTRY_MAX_LAYERS);
}

static void what_is_staged_can_be_done(void **state)
{
    struct bench *b = *state;
    struct registry_overlay_begun done = {.change = OVERLAY_RESET};
    assert_int_equal(
        registry_overlay_stage(b->site.registry, "v", OVERLAY_RESET, NULL, &b->site.error),
        -EINVAL); /* it is the disk of no node */
    assert_int_equal(
        registry_overlay_stage(b->site.registry, "v", OVERLAY_ROLLBACK, "s", &b->site.error),
        -ENOENT);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    uint64_t id = catalog_volume_by_name(c, "v")->id;
    assert_int_equal(registry_overlay_begin_boot(b->site.registry, id, &done, &b->site.error), 0);
    assert_int_equal(done.change, OVERLAY_NO_CHANGE);
}

#define LAYERS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAYERS_TEST(it_begins_with_one_layer_over_its_image),
        LAYERS_TEST(a_snapshot_puts_a_layer_on_top),
        LAYERS_TEST(a_snapshot_can_be_taken_back_until_its_layer_is_made),
        LAYERS_TEST(what_nothing_needs_goes),
        LAYERS_TEST(a_reset_follows_the_image_or_not),
        LAYERS_TEST(a_rebase_keeps_what_was),
        LAYERS_TEST(layers_merge_in_an_order_that_a_crash_does_not_change),
        LAYERS_TEST(below_the_top_they_merge_while_it_is_written_to),
        LAYERS_TEST(an_empty_top_goes_again),
        LAYERS_TEST(there_is_an_end_to_it),
        LAYERS_TEST(what_is_staged_can_be_done),
    };
    return RUN_TESTS(tests);
}
