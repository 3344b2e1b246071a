#include "test.h"

#include "registry/catalog.h"

static struct mac_address mac(const char *text)
{
    struct mac_address m;
    assert_int_equal(mac_parse(text, &m), 0);
    return m;
}

static struct catalog *two_nodes(void)
{
    struct catalog *c = catalog_new("iqn.2026-11.lan.example", 7);
    struct mac_address web[] = {mac("52:54:00:00:00:02"), mac("52:54:00:00:00:01")};
    struct mac_address db[] = {mac("52:54:00:00:00:03")};
    assert_int_equal(catalog_add_node(c, &(struct catalog_node){.id = 1,
                                                                .name = "web",
                                                                .macs = web,
                                                                .n_macs = 2,
                                                                .address = 0x0a000002,
                                                                .volume_id = 11}),
                     0);
    assert_int_equal(
        catalog_add_node(c,
                         &(struct catalog_node){
                             .id = 2, .name = "db", .macs = db, .n_macs = 1, .volume_id = 12}),
        0);
    const char *allow[] = {"iqn.2020-01.org.elsewhere:x"};
    assert_int_equal(catalog_add_volume(c, &(struct catalog_volume){.id = 12,
                                                                    .name = "disk-db",
                                                                    .path = "/x",
                                                                    .allow = allow,
                                                                    .n_allow = 1}),
                     0);
    assert_int_equal(
        catalog_add_volume(c, &(struct catalog_volume){.id = 11, .name = "disk-web", .path = "/y"}),
        0);
    assert_int_equal(
        catalog_add_image(c, &(struct catalog_image){.id = 1, .name = "debian", .version = 10}), 0);
    assert_int_equal(
        catalog_add_image(c, &(struct catalog_image){.id = 2, .name = "debian", .version = 9}), 0);
    assert_int_equal(catalog_seal(c), 0);
    return c;
}

static void finds_by_every_key(void **state)
{
    cleanup_catalog struct catalog *c = two_nodes();
    assert_string_equal(catalog_node_by_mac(c, mac("52:54:00:00:00:01"))->name, "web");
    assert_string_equal(catalog_node_by_mac(c, mac("52:54:00:00:00:03"))->name, "db");
    assert_null(catalog_node_by_mac(c, mac("52:54:00:00:00:04")));
    assert_string_equal(catalog_node_by_address(c, 0x0a000002)->name, "web");
    assert_null(catalog_node_by_address(c, 0)); /* db has no address; 0 is not one */
    assert_int_equal(catalog_volume_by_id(c, 11)->id, 11);
    assert_int_equal(catalog_volume_by_target(c, "iqn.2026-11.lan.example:disk-db")->id, 12);
    assert_null(catalog_volume_by_target(c, "iqn.2026-11.lan.example.disk-db"));
    assert_null(catalog_volume_by_target(c, "iqn.2026-11.lan.example:"));
    assert_int_equal(catalog_image_find(c, "debian", 0)->version, 10);
    assert_int_equal(catalog_image_find(c, "debian", 9)->id, 2);
    assert_null(catalog_image_find(c, "debian", 3));
}

static const char *target_of(const struct catalog *c, const char *text)
{
    char target[128];
    snprintf(target, sizeof(target), "iqn.2026-11.lan.example:%s", text);
    const struct catalog_volume *volume = catalog_volume_by_target(c, target);
    return volume ? volume->name : "none";
}

/* As scripts name disks that other people have. */
static void finds_a_disk_by_its_node_and_system(void **state)
{
    cleanup_catalog struct catalog *c = catalog_new("iqn.2026-11.lan.example", 1);
    struct mac_address macs[] = {mac("52:54:00:00:00:01")};
    const struct catalog_layer layer = {.id = 1, .size = 1, .path = "/l"};
    const struct catalog_overlay overlay = {
        .n_layers = 1,
        .layers = &layer,
        .base = {.version_id = 1, .image = "debian12@3", .path = "/i"}};
    const struct catalog_node node = {
        .id = 1, .name = "web", .macs = macs, .n_macs = 1, .volume_id = 11};
    const struct catalog_volume own = {.id = 11, .name = "disk", .path = "/y", .overlay = &overlay};
    const struct catalog_volume named = {.id = 12, .name = "web.deb", .path = "/z"};
    assert_int_equal(catalog_add_node(c, &node), 0);
    assert_int_equal(catalog_add_volume(c, &own), 0);
    assert_int_equal(catalog_add_volume(c, &named), 0);
    assert_int_equal(catalog_seal(c), 0);
    assert_string_equal(target_of(c, "web.debian12"), "disk");
    assert_string_equal(target_of(c, "web.debian"), "disk");
    assert_string_equal(target_of(c, "web.deb"), "web.deb"); /* the volume itself comes first */
    static const char *const none[] = {"web",        "web.",         "web.debian13",
                                       "web.ubuntu", ".debian",      "debian",
                                       "db.debian",  "web.x.debian", "web.debian12@3."};
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        assert_string_equal(target_of(c, none[i]), "none");
}

static void a_node_sees_its_own_volume_and_nobody_elses(void **state)
{
    cleanup_catalog struct catalog *c = two_nodes();
    const struct catalog_volume *web = catalog_volume_by_name(c, "disk-web");
    const struct catalog_volume *db = catalog_volume_by_name(c, "disk-db");
    assert_true(catalog_may_access(c, "iqn.2026-11.lan.example:web", web));
    assert_false(catalog_may_access(c, "iqn.2026-11.lan.example:web", db));
    assert_true(catalog_may_access(c, "iqn.2026-11.lan.example:52-54-00-00-00-01", web));
    assert_false(catalog_may_access(c, "iqn.2026-11.lan.example:52-54-00-00-00-03", web));
    assert_true(catalog_may_access(c, "iqn.2020-01.org.elsewhere:x", db));
    assert_false(catalog_may_access(c, "iqn.2020-01.org.elsewhere:x", web));
    assert_false(catalog_may_access(c, "", web));
}

static void the_current_one_is_swapped_whole(void **state)
{
    struct catalog_slot *slot = catalog_slot_new();
    assert_null(catalog_slot_get(slot));
    catalog_slot_set(slot, two_nodes());
    cleanup_catalog struct catalog *old = catalog_slot_get(slot);
    struct catalog *empty = catalog_new("iqn.2026-11.lan.example", 8);
    assert_int_equal(catalog_seal(empty), 0);
    catalog_slot_set(slot, empty);
    cleanup_catalog struct catalog *new = catalog_slot_get(slot);
    assert_int_equal(catalog_generation(new), 8);
    assert_null(catalog_node_by_name(new, "web"));
    assert_non_null(catalog_node_by_name(old, "web"));
    catalog_slot_free(slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_by_every_key),
        TEST(finds_a_disk_by_its_node_and_system),
        TEST(a_node_sees_its_own_volume_and_nobody_elses),
        TEST(the_current_one_is_swapped_whole),
    };
    return RUN_TESTS(tests);
}
