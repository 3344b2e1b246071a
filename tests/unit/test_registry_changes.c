/*
 * After a change only what changed is read anew (registry/load.c). Here everything that changes the
 * catalog is done at random, and after each step, and after many at the same time, the catalog must
 * be the one that a daemon would read that is started now.
 */
#include "site.h"

#include <errno.h>
#include <pthread.h>

#define STEPS   400
#define THREADS 4
#define NAMES   5 /* of each kind of thing: few, so that they meet */

/* One of those who do things. */
struct hand {
    struct site *site;
    unsigned random;
    struct error error;
    char name[32], other[32];
    size_t done;
};

static unsigned draw(struct hand *h, unsigned below)
{
    return (unsigned)rand_r(&h->random) % below;
}

static const char *pick(struct hand *h, char name[static 32], const char *kind)
{
    snprintf(name, 32, "%s%u", kind, draw(h, NAMES));
    return name;
}

static int import(struct hand *h)
{
    uint32_t version;
    cleanup_free char *path = NULL;
    const struct registry_image image = {
        .name = pick(h, h->name, "i"), .directory = "/images", .source = "x"};
    const struct registry_image_result result = {.size = 1 << 20, .format = "raw"};
    int r = registry_image_begin(h->site->registry, &image, &version, &path, &h->error);
    return r < 0
               ? r
               : registry_image_finish(h->site->registry, image.name, version, &result, &h->error);
}

static int label(struct hand *h)
{
    const struct catalog_label label = {.key = pick(h, h->other, "l"), .value = h->other};
    return registry_image_set_labels(h->site->registry, pick(h, h->name, "i"), 0, &label, 1,
                                     &h->error);
}

static int rename_image(struct hand *h)
{
    return registry_image_rename(h->site->registry, pick(h, h->name, "i"), pick(h, h->other, "i"),
                                 &h->error);
}

static struct registry_volume new_volume(struct hand *h, char path[static 48],
                                         char image[static 48])
{
    bool overlay = draw(h, 3) > 0, blank = draw(h, 3) == 0;
    snprintf(path, 48, "/v/%s.raw", h->name);
    snprintf(image, 48, "i%u@1", draw(h, NAMES));
    return (struct registry_volume){.name = h->name,
                                    .kind = overlay ? VOLUME_OVERLAY : VOLUME_FILE,
                                    .state = draw(h, 3) ? VOLUME_READY : VOLUME_CREATING,
                                    .path = path,
                                    .owned = true,
                                    .size = 1 << 20,
                                    .block_size = 512,
                                    .image = blank ? NULL : image,
                                    .follows = draw(h, 2) != 0};
}

static int add_volume(struct hand *h)
{
    char path[48], image[48];
    pick(h, h->name, "v");
    const struct registry_volume volume = new_volume(h, path, image);
    return registry_volume_add(h->site->registry, &volume, &h->error);
}

static int finish_volume(struct hand *h)
{
    return registry_volume_finish(h->site->registry, pick(h, h->name, "v"),
                                  draw(h, 2) ? "it was too long" : NULL, &h->error);
}

/* The node whose disk a volume is; copied to h->other. NULL: of none. */
static const char *find_its_node(struct hand *h)
{
    size_t n;
    cleanup_catalog struct catalog *c = catalog_slot_get(h->site->slot);
    const struct catalog_volume *v = catalog_volume_by_name(c, h->name);
    const struct catalog_node *nodes = catalog_nodes(c, &n);
    for (size_t i = 0; v && i < n; i++)
        if (nodes[i].volume_id == v->id)
            return str_copy(h->other, sizeof(h->other), nodes[i].name) ? h->other : NULL;
    return NULL;
}

static int remove_volume(struct hand *h)
{
    cleanup_free char *path = NULL;
    pick(h, h->name, "v");
    const char *except = draw(h, 2) ? find_its_node(h) : NULL;
    int r = registry_volume_remove_begin(h->site->registry, h->name, except, &path, &h->error);
    if (r >= 0 && draw(h, 3) == 0)
        return registry_volume_remove_end(h->site->registry, h->name, true, &h->error);
    if (r >= 0)
        r = registry_overlay_drop(h->site->registry, h->name, &h->error);
    return r < 0 ? r : registry_volume_remove_end(h->site->registry, h->name, false, &h->error);
}

static int set_chap(struct hand *h)
{
    struct chap_credentials chap = {.mode = draw(h, 2) ? CHAP_ONE_WAY : CHAP_NONE};
    if (chap.mode == CHAP_ONE_WAY)
        site_must(credentials_set("user", "a-secret-that-is-long", &chap.initiator, &h->error),
                  &h->error);
    return registry_volume_set_chap(h->site->registry, pick(h, h->name, "v"), &chap, &h->error);
}

static int add_node(struct hand *h)
{
    char path[48], image[48];
    const struct mac_address mac = site_mac(draw(h, 100));
    const struct registry_node node = {.name = pick(h, h->other, "n"),
                                       .address = draw(h, 2) ? 0x0a000001 + draw(h, 100) : 0,
                                       .macs = &mac,
                                       .n_macs = 1,
                                       .chap = draw(h, 2) ? CHAP_MUTUAL : CHAP_NONE};
    pick(h, h->name, "v");
    const struct registry_volume volume = new_volume(h, path, image);
    return registry_node_add(h->site->registry, &node, draw(h, 2) ? &volume : NULL, &h->error);
}

static int set_node(struct hand *h)
{
    char group[32];
    const struct registry_node_change change = {
        .set_group = draw(h, 2) != 0,
        .set_volume = draw(h, 2) != 0,
        .set_direct = draw(h, 2) != 0,
        .set_ibft_origin = draw(h, 2) != 0,
        .set_chap_rotation = draw(h, 2) != 0,
        .ways = {(enum direct_way)draw(h, 3), (enum ibft_origin)draw(h, 3),
                 (enum chap_rotation)draw(h, 3)},
        .set_wake_password = draw(h, 2) != 0,
        .wake_password = {draw(h, 2) != 0, {1, 2, 3}},
        .group = pick(h, group, "g"),
        .volume = draw(h, 3) ? pick(h, h->name, "v") : NULL};
    return registry_node_set(h->site->registry, pick(h, h->other, "n"), &change, NULL, &h->error);
}

static int remove_node(struct hand *h)
{
    return registry_node_remove(h->site->registry, pick(h, h->name, "n"), &h->error);
}

static int attach(struct hand *h)
{
    uint32_t lun;
    return registry_volume_attach(h->site->registry, pick(h, h->name, "v"), pick(h, h->other, "n"),
                                  0, &lun, &h->error);
}

static int detach(struct hand *h)
{
    return registry_volume_detach(h->site->registry, pick(h, h->name, "v"), pick(h, h->other, "n"),
                                  &h->error);
}

static int add_group(struct hand *h)
{
    return registry_group_add(h->site->registry, pick(h, h->name, "g"), &h->error);
}

static int remove_group(struct hand *h)
{
    return registry_group_remove(h->site->registry, pick(h, h->name, "g"), &h->error);
}

static enum overlay_change draw_change(struct hand *h, const char **ret_argument)
{
    static const enum overlay_change changes[] = {OVERLAY_RESET, OVERLAY_ROLLBACK, OVERLAY_REBASE};
    enum overlay_change change = changes[draw(h, ARRAY_SIZE(changes))];
    *ret_argument =
        change == OVERLAY_RESET ? NULL : pick(h, h->other, change == OVERLAY_REBASE ? "i" : "s");
    return change;
}

static int change_overlay(struct hand *h)
{
    char kept[NAME_MAX_LEN + 1];
    const char *argument;
    enum overlay_change change = draw_change(h, &argument);
    return registry_overlay_change(h->site->registry, pick(h, h->name, "v"), change, argument, kept,
                                   &h->error);
}

static int stage(struct hand *h)
{
    const char *argument;
    enum overlay_change change = draw_change(h, &argument);
    return registry_overlay_stage(h->site->registry, pick(h, h->name, "v"), change, argument,
                                  &h->error);
}

static int begin_boot(struct hand *h)
{
    struct registry_overlay_begun begun;
    cleanup_catalog struct catalog *c = catalog_slot_get(h->site->slot);
    const struct catalog_volume *v = catalog_volume_by_name(c, pick(h, h->name, "v"));
    return v ? registry_overlay_begin_boot(h->site->registry, v->id, &begun, &h->error) : -ENOENT;
}

/* A boot begins, and is to have its disk as a snapshot, or as it is. */
static int choose_disk(struct hand *h)
{
    static uint64_t boots;
    cleanup_catalog struct catalog *c = catalog_slot_get(h->site->slot);
    const struct catalog_node *node = catalog_node_by_name(c, pick(h, h->name, "n"));
    if (!node)
        return -ENOENT;
    struct registry_claim claim = {.node_id = node->id,
                                   .boot_id = __atomic_add_fetch(&boots, 1, __ATOMIC_RELAXED),
                                   .disk = true};
    if (draw(h, 3))
        str_copy(claim.snapshot, sizeof(claim.snapshot), pick(h, h->other, "s"));
    int r = site_store_boot(h->site->registry, node->id, claim.boot_id, &h->error);
    return r < 0 ? r : site_claim(h->site->registry, &claim, &h->error);
}

static int set_overlay(struct hand *h)
{
    const struct registry_overlay_change change = {.set_follows = true,
                                                   .follows = draw(h, 2) != 0,
                                                   .set_ephemeral = true,
                                                   .ephemeral = draw(h, 2) != 0};
    return registry_overlay_set(h->site->registry, pick(h, h->name, "v"), &change, &h->error);
}

static int add_snapshot(struct hand *h)
{
    return registry_snapshot_add(h->site->registry, pick(h, h->name, "v"), pick(h, h->other, "s"),
                                 &h->error);
}

static int remove_snapshot(struct hand *h)
{
    return registry_snapshot_remove(h->site->registry, pick(h, h->name, "v"),
                                    pick(h, h->other, "s"), &h->error);
}

static int grow(struct hand *h)
{
    return registry_volume_grow(h->site->registry, pick(h, h->name, "v"),
                                (uint64_t)(1 + draw(h, 8)) << 20, &h->error);
}

static int make_layers(struct hand *h)
{
    cleanup_catalog struct catalog *c = catalog_slot_get(h->site->slot);
    const struct catalog_volume *v = catalog_volume_by_name(c, pick(h, h->name, "v"));
    int r = v && v->overlay ? 0 : -ENOENT;
    for (size_t i = 0; r >= 0 && i < v->overlay->n_layers; i++)
        r = registry_layer_made(h->site->registry, v->overlay->layers[i].id, &h->error);
    return r;
}

static int merge(struct hand *h)
{
    uint64_t upper, lower;
    int r = registry_layer_begin_merge(h->site->registry, pick(h, h->name, "v"), draw(h, 2) == 0,
                                       &upper, &lower, &h->error);
    return r <= 0 ? -ENOENT : registry_layer_merged(h->site->registry, upper, lower, &h->error);
}

static int drop_top(struct hand *h)
{
    int r = registry_overlay_drop_top(h->site->registry, pick(h, h->name, "v"), &h->error);
    return r == 0 ? -ENOENT : r;
}

static int forget(struct hand *h)
{
    cleanup_free struct registry_layer *layers = NULL;
    size_t count = 0;
    int r = registry_layer_list_removing(h->site->registry, &layers, &count, &h->error);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = registry_layer_forget(h->site->registry, layers[i].id, &h->error);
    return r;
}

static int (*const things[])(struct hand *) = {
    import,        label,         rename_image, add_volume,   add_volume,   add_volume,
    finish_volume, remove_volume, set_chap,     add_node,     add_node,     set_node,
    remove_node,   attach,        detach,       add_group,    remove_group, change_overlay,
    stage,         begin_boot,    set_overlay,  add_snapshot, add_snapshot, remove_snapshot,
    grow,          make_layers,   make_layers,  merge,        forget,       drop_top,
    choose_disk,   begin_boot,
};

static void do_something(struct hand *h)
{
    if (things[draw(h, ARRAY_SIZE(things))](h) >= 0)
        h->done++;
}

static void *do_many(void *argument)
{
    for (unsigned i = 0; i < STEPS / THREADS; i++)
        do_something(argument);
    return NULL;
}

static int setup(void **state)
{
    struct site *site = *state = calloc(1, sizeof(*site));
    site_make(site);
    return 0;
}

static int teardown(void **state)
{
    site_remove(*state);
    free(*state);
    return 0;
}

static unsigned seed(void)
{
    const char *given = getenv("NODISK_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
    print_message("# NODISK_SEED=%u\n", seed);
    return seed;
}

static void one_step_after_another(void **state)
{
    struct hand hand = {.site = *state, .random = seed()};
    for (unsigned i = 0; i < STEPS; i++) {
        do_something(&hand);
        site_check_catalog(hand.site);
    }
    assert_true(hand.done > STEPS / 10);
}

static void many_at_once(void **state)
{
    pthread_t threads[THREADS];
    struct hand hands[THREADS] = {0};
    unsigned first = seed();
    for (unsigned i = 0; i < THREADS; i++) {
        hands[i] = (struct hand){.site = *state, .random = first + i};
        assert_int_equal(pthread_create(&threads[i], NULL, do_many, &hands[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    site_check_catalog(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_step_after_another, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_once, setup, teardown),
    };
    return RUN_TESTS(tests);
}
