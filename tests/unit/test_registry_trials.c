/* Boots from a snapshot: what the disk of web1, an overlay over golden@1, is at each of its boots.
 */
#include "site.h"

#include <errno.h>

struct bench {
    struct site site;
    uint64_t volume_id, node_id, boot;
    struct registry_overlay_begun begun; /* of the last boot */
};

static void import(struct bench *b)
{
    const struct registry_image image = {.name = "golden", .directory = "/images", .source = "x"};
    const struct registry_image_result result = {.size = 1 << 20, .format = "raw"};
    uint32_t version;
    cleanup_free char *path = NULL;
    site_must(registry_image_begin(b->site.registry, &image, &version, &path, &b->site.error),
              &b->site.error);
    site_must(registry_image_finish(b->site.registry, "golden", version, &result, &b->site.error),
              &b->site.error);
}

static void add_node(struct bench *b, const char *name, uint8_t last)
{
    const struct mac_address mac = {{0x52, 0x54, 0, 0, 0, last}};
    const struct registry_node node = {.name = name, .macs = &mac, .n_macs = 1, .volume = "v"};
    site_must(registry_node_add(b->site.registry, &node, NULL, &b->site.error), &b->site.error);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    site_make(&b->site);
    import(b);
    const struct registry_volume v = {.name = "v",
                                      .kind = VOLUME_OVERLAY,
                                      .state = VOLUME_READY,
                                      .path = "/layers/v",
                                      .owned = true,
                                      .size = 1 << 20,
                                      .block_size = 512,
                                      .image = "golden@1",
                                      .allow_any = true};
    site_must(registry_volume_add(b->site.registry, &v, &b->site.error), &b->site.error);
    add_node(b, "web1", 1);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    b->volume_id = catalog_volume_by_name(c, "v")->id;
    b->node_id = catalog_node_by_name(c, "web1")->id;
    site_must(registry_snapshot_add(b->site.registry, "v", "old", &b->site.error), &b->site.error);
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

/* snapshot: NULL: as it is. */
static int choose(struct bench *b, const char *snapshot)
{
    struct registry_claim claim = {.node_id = b->node_id, .boot_id = b->boot, .disk = true};
    if (snapshot)
        str_copy(claim.snapshot, sizeof(claim.snapshot), snapshot);
    return site_claim(b->site.registry, &claim, &b->site.error);
}

/* The machine is switched on. */
static void power_on(struct bench *b)
{
    site_must(site_store_boot(b->site.registry, b->node_id, ++b->boot, &b->site.error),
              &b->site.error);
}

/* Its firmware logs in. */
static void log_in(struct bench *b)
{
    b->begun = (struct registry_overlay_begun){.change = OVERLAY_NO_CHANGE};
    site_must(
        registry_overlay_begin_boot(b->site.registry, b->volume_id, &b->begun, &b->site.error),
        &b->site.error);
    site_check_catalog(&b->site);
}

static void boot(struct bench *b, const char *snapshot)
{
    power_on(b);
    if (snapshot)
        assert_int_equal(choose(b, snapshot), 0);
    log_in(b);
}

/* What is below the top. */
static uint64_t stands_on(struct bench *b)
{
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    return o->n_layers > 1 ? o->layers[1].id : 0;
}

static uint64_t top(struct bench *b)
{
    cleanup_catalog struct catalog *c = NULL;
    return look(b, &c)->layers[0].id;
}

/* The layer that has this name; 0: none has. */
static uint64_t named(struct bench *b, const char *name)
{
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_snapshot *s = catalog_overlay_snapshot(look(b, &c), name);
    return s ? s->layers[0].id : 0;
}

static bool is_running(struct bench *b)
{
    cleanup_catalog struct catalog *c = NULL;
    const struct catalog_overlay *o = look(b, &c);
    return o->trial && o->trial->running;
}

static void the_disk_is_the_snapshot_for_one_boot(void **state)
{
    struct bench *b = *state;
    uint64_t present = top(b), old = named(b, "old");
    boot(b, "old");
    assert_true(b->begun.trial_begun && !b->begun.trial_ended);
    assert_string_equal(b->begun.kept, "before-old");
    assert_true(stands_on(b) == old && top(b) != present);
    assert_int_equal(named(b, "before-old"), present);
    uint64_t tried = top(b);
    log_in(b); /* GRUB does so, too */
    assert_true(top(b) == tried && !b->begun.trial_begun && !b->begun.trial_ended);
    boot(b, NULL);
    assert_true(b->begun.trial_ended && !b->begun.trial_begun);
    assert_true(top(b) == present && !named(b, "before-old") && named(b, "old") == old);
    assert_false(is_running(b));
    boot(b, NULL);
    assert_false(b->begun.trial_ended);
}

static void each_boot_gets_it_afresh_and_nothing_piles_up(void **state)
{
    struct bench *b = *state;
    uint64_t old = named(b, "old"), present = top(b), tried = 0;
    for (int i = 0; i < 2 * REGISTRY_MAX_LAYERS; i++) {
        boot(b, "old");
        assert_true(b->begun.trial_begun && !b->begun.trial_ended);
        assert_true(stands_on(b) == old && top(b) != tried);
        assert_true(named(b, "before-old") == present);
        tried = top(b);
        cleanup_catalog struct catalog *c = NULL;
        assert_int_equal(look(b, &c)->n_snapshots, 2);
        if (i % 3 == 0)
            boot(b, NULL);
    }
    boot(b, NULL);
    assert_int_equal(top(b), present);
}

static void within_a_boot_one_may_think_again(void **state)
{
    struct bench *b = *state;
    uint64_t present = top(b);
    site_must(registry_snapshot_add(b->site.registry, "v", "new", &b->site.error), &b->site.error);
    uint64_t below = present, now = top(b);
    boot(b, "old");
    assert_int_equal(choose(b, "new"), 0);
    log_in(b);
    assert_true(b->begun.trial_begun && named(b, "before-old") == now);
    assert_int_equal(stands_on(b), below);
    assert_int_equal(choose(b, NULL), 0);
    log_in(b);
    assert_true(b->begun.trial_ended && !b->begun.trial_begun && !is_running(b));
    assert_int_equal(top(b), now);
    assert_int_equal(choose(b, "old"), 0); /* and before any login */
    assert_int_equal(choose(b, NULL), 0);
    log_in(b);
    assert_true(!b->begun.trial_ended && top(b) == now);
}

static void what_is_staged_waits_and_an_ephemeral_one_is_reset_afterwards(void **state)
{
    struct bench *b = *state;
    site_must(
        registry_overlay_stage(b->site.registry, "v", OVERLAY_ROLLBACK, "old", &b->site.error),
        &b->site.error);
    boot(b, "old");
    assert_true(b->begun.change == OVERLAY_NO_CHANGE && named(b, "before-old"));
    boot(b, NULL);
    assert_true(b->begun.trial_ended && b->begun.change == OVERLAY_ROLLBACK);
    const struct registry_overlay_change ephemeral = {.set_ephemeral = true, .ephemeral = true};
    site_must(registry_overlay_set(b->site.registry, "v", &ephemeral, &b->site.error),
              &b->site.error);
    boot(b, "old");
    log_in(b);
    assert_true(b->begun.change == OVERLAY_NO_CHANGE && is_running(b));
    assert_int_equal(choose(b, NULL), 0);
    log_in(b);
    assert_true(b->begun.trial_ended && b->begun.change == OVERLAY_RESET);
    assert_int_equal(stands_on(b), 0);
}

static void what_it_was_can_not_be_removed_meanwhile(void **state)
{
    struct bench *b = *state;
    uint64_t present = top(b);
    boot(b, "old");
    assert_int_equal(registry_snapshot_remove(b->site.registry, "v", "before-old", &b->site.error),
                     -EBUSY);
    site_assert_told(&b->site, "'before-old' is what it was");
    site_must(registry_snapshot_remove(b->site.registry, "v", "old", &b->site.error),
              &b->site.error);
    boot(b, NULL);
    assert_true(b->begun.trial_ended && top(b) == present);
}

/* What has grown has to stay as large. */
static void a_disk_that_grew_meanwhile_stays_so(void **state)
{
    struct bench *b = *state;
    uint64_t present = top(b);
    boot(b, "old");
    site_must(registry_volume_grow(b->site.registry, "v", 2 << 20, &b->site.error), &b->site.error);
    boot(b, NULL);
    assert_int_equal(stands_on(b), present);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    assert_int_equal(catalog_volume_by_name(c, "v")->size, 2 << 20);
}

static void who_changes_the_disk_meanwhile_decides(void **state)
{
    struct bench *b = *state;
    char kept[NAME_MAX_LEN + 1];
    uint64_t present = top(b);
    boot(b, "old");
    site_must(registry_overlay_change(b->site.registry, "v", OVERLAY_ROLLBACK, "old", kept,
                                      &b->site.error),
              &b->site.error);
    assert_false(is_running(b));
    boot(b, NULL);
    assert_true(!b->begun.trial_ended && stands_on(b) == named(b, "old"));
    assert_int_equal(named(b, "before-old"), present); /* nothing is lost */
    site_must(registry_snapshot_remove(b->site.registry, "v", "before-old", &b->site.error),
              &b->site.error);
}

static void a_snapshot_that_has_gone_is_no_reason_not_to_boot(void **state)
{
    struct bench *b = *state;
    uint64_t present = top(b);
    power_on(b);
    assert_int_equal(choose(b, "none"), -ENOENT);
    assert_int_equal(choose(b, "old"), 0);
    site_must(registry_snapshot_remove(b->site.registry, "v", "old", &b->site.error),
              &b->site.error);
    log_in(b);
    assert_true(!b->begun.trial_begun && top(b) == present);
}

static void there_is_room_for_the_way_back(void **state)
{
    struct bench *b = *state;
    char name[16];
    for (unsigned i = 0;
         registry_snapshot_add(b->site.registry, "v",
                               (snprintf(name, sizeof(name), "s%u", i), name), &b->site.error) >= 0;
         i++)
        ;
    assert_int_equal(b->site.error.code, -EMLINK);
    power_on(b);
    assert_int_equal(choose(b, "old"), -EMLINK);
    log_in(b);
    assert_false(b->begun.trial_begun);
}

static void a_disk_of_two_machines_is_never_another_one(void **state)
{
    struct bench *b = *state;
    add_node(b, "web2", 2);
    power_on(b);
    assert_int_equal(choose(b, "old"), -EINVAL);
}

static void it_survives_a_restart_of_the_daemon(void **state)
{
    struct bench *b = *state;
    uint64_t present = top(b);
    power_on(b);
    assert_int_equal(choose(b, "old"), 0);
    site_restart(&b->site);
    log_in(b);
    assert_true(b->begun.trial_begun);
    site_restart(&b->site);
    assert_true(is_running(b));
    log_in(b);
    assert_false(b->begun.trial_ended);
    boot(b, NULL);
    assert_int_equal(top(b), present);
}

#define TRIAL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL_TEST(the_disk_is_the_snapshot_for_one_boot),
        TRIAL_TEST(each_boot_gets_it_afresh_and_nothing_piles_up),
        TRIAL_TEST(within_a_boot_one_may_think_again),
        TRIAL_TEST(what_is_staged_waits_and_an_ephemeral_one_is_reset_afterwards),
        TRIAL_TEST(what_it_was_can_not_be_removed_meanwhile),
        TRIAL_TEST(a_disk_that_grew_meanwhile_stays_so),
        TRIAL_TEST(who_changes_the_disk_meanwhile_decides),
        TRIAL_TEST(a_snapshot_that_has_gone_is_no_reason_not_to_boot),
        TRIAL_TEST(there_is_room_for_the_way_back),
        TRIAL_TEST(a_disk_of_two_machines_is_never_another_one),
        TRIAL_TEST(it_survives_a_restart_of_the_daemon),
    };
    return RUN_TESTS(tests);
}
