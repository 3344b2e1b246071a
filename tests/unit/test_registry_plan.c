#include "test.h"

#include "registry/plan.h"

static const struct mac_address first_mac = {{0x52, 0x54, 0, 0, 0, 1}};
static const struct mac_address second_mac = {{0x52, 0x54, 0, 0, 0, 2}};
static const struct mac_address strange_mac = {{0x52, 0x54, 0, 0, 0, 3}};

#define VOLUME_ID 7

/* One node, which boots volume_id; a volume in this state, of VOLUME_ID. */
static struct catalog *make(uint64_t volume_id, enum volume_state state)
{
    struct catalog *c = catalog_new("iqn.2026-11.lan.example", 1);
    const struct mac_address macs[] = {first_mac, second_mac};
    assert_int_equal(catalog_add_node(c, &(struct catalog_node){.id = 1,
                                                                .name = "web1",
                                                                .macs = macs,
                                                                .n_macs = 2,
                                                                .volume_id = volume_id}),
                     0);
    assert_int_equal(catalog_add_volume(
                         c, &(struct catalog_volume){.id = VOLUME_ID, .name = "v", .state = state}),
                     0);
    assert_int_equal(catalog_seal(c), 0);
    return c;
}

static void assert_plan(uint64_t volume_id, enum volume_state state, enum plan_kind kind)
{
    cleanup_catalog struct catalog *c = make(volume_id, state);
    struct plan plan = plan_for_mac(c, first_mac);
    assert_int_equal(plan.kind, kind);
    assert_ptr_equal(plan.node, catalog_node_by_name(c, "web1"));
    if (kind == PLAN_VOLUME || kind == PLAN_PREPARING || kind == PLAN_FAILED)
        assert_ptr_equal(plan.volume, catalog_volume_by_name(c, "v"));
}

static void every_state_of_a_volume_has_its_plan(void **state)
{
    assert_plan(VOLUME_ID, VOLUME_READY, PLAN_VOLUME);
    assert_plan(VOLUME_ID, VOLUME_CREATING, PLAN_PREPARING);
    assert_plan(VOLUME_ID, VOLUME_FAILED, PLAN_FAILED);
    assert_plan(VOLUME_ID, VOLUME_REMOVING, PLAN_NO_VOLUME);
}

static void a_node_without_a_volume_has_nothing_to_boot(void **state)
{
    assert_plan(0, VOLUME_READY, PLAN_NO_VOLUME);
    assert_plan(VOLUME_ID + 1, VOLUME_READY, PLAN_NO_VOLUME); /* it was removed */
}

static void any_of_its_macs_will_do(void **state)
{
    cleanup_catalog struct catalog *c = make(VOLUME_ID, VOLUME_READY);
    assert_int_equal(plan_for_mac(c, second_mac).kind, PLAN_VOLUME);
    struct plan plan = plan_for_mac(c, strange_mac);
    assert_int_equal(plan.kind, PLAN_UNKNOWN);
    assert_null(plan.node);
    assert_null(plan.volume);
}

static void secrets_are_of_whoever_asks_for_them(void **state)
{
    static const struct chap_credentials of_node = {.mode = CHAP_MUTUAL};
    static const struct chap_credentials of_volume = {.mode = CHAP_ONE_WAY};
    static const struct iscsi_uri uri = {.host = "nas"};
    const struct catalog_node node = {.name = "web1", .chap = &of_node};
    struct catalog_volume volume = {.name = "v", .chap = &of_volume};
    struct plan plan = {PLAN_VOLUME, &node, &volume};
    assert_ptr_equal(plan_chap(&plan), &of_node);
    volume.elsewhere = &uri;
    assert_ptr_equal(plan_chap(&plan), &of_volume);
    volume.chap = NULL;
    assert_null(plan_chap(&plan));
    assert_ptr_equal(plan_chap(&(struct plan){PLAN_NO_VOLUME, &node, NULL}), &of_node);
    assert_null(plan_chap(&(struct plan){.kind = PLAN_UNKNOWN}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_state_of_a_volume_has_its_plan),
        TEST(a_node_without_a_volume_has_nothing_to_boot),
        TEST(any_of_its_macs_will_do),
        TEST(secrets_are_of_whoever_asks_for_them),
    };
    return RUN_TESTS(tests);
}
