/* Boots as DHCP, TFTP, HTTP and iSCSI see them, sign by sign. */
#include "site.h"

#include "boot/tracker.h"

#include <pthread.h>

#define WEB1_ADDRESS 0x0a00000b

struct bench {
    struct site site;
    struct boot_tracker *tracker;
};

static void start(struct bench *b)
{
    site_must(boot_tracker_new(b->site.registry, b->site.slot, &b->tracker, &b->site.error),
              &b->site.error);
}

/* The daemon is started anew. */
static void restart(struct bench *b)
{
    boot_tracker_free(b->tracker);
    site_restart(&b->site);
    start(b);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    site_make(&b->site);
    site_add_node(&b->site, "web1", 1, NULL);
    site_add_node(&b->site, "web2", 2, NULL);
    start(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    boot_tracker_free(b->tracker);
    site_remove(&b->site);
    free(b);
    return 0;
}

static void sign(struct bench *b, enum boot_sign sign, const char *detail)
{
    boot_tracker_sign_of_mac(b->tracker, site_mac(1), sign, detail);
}

static void signs(struct bench *b, const enum boot_sign *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sign(b, list[i], "");
}

#define SIGNS(b, ...)                                                                              \
    signs(b, (const enum boot_sign[]){__VA_ARGS__},                                                \
          sizeof((const enum boot_sign[]){__VA_ARGS__}) / sizeof(enum boot_sign))

/* All boots of a node as the registry has them: "address loader script|address". */
struct history {
    char text[1024];
};

static void put(struct history *h, const char *separator, const char *text)
{
    size_t used = strlen(h->text);
    snprintf(h->text + used, sizeof(h->text) - used, "%s%s", separator, text);
}

static void see_boot(void *context, const struct registry_boot *boot)
{
    struct history *h = context;
    if (h->text[0])
        put(h, "|", "");
    assert_true(boot->started_at > 0);
    assert_true(mac_eq(boot->mac, site_mac(1)));
}

static void see_stage(void *context, const struct registry_boot_stage *stage)
{
    struct history *h = context;
    size_t used = strlen(h->text);
    put(h, used > 0 && h->text[used - 1] != '|' ? " " : "", stage->stage);
    if (stage->detail[0]) {
        put(h, "=", stage->detail);
    }
    assert_true(stage->reached_at > 0);
}

static void assert_history(struct bench *b, const char *expected)
{
    struct history h = {""};
    site_must(registry_boot_list(b->site.registry, 1, 100, see_boot, see_stage, &h, &b->site.error),
              &b->site.error);
    assert_string_equal(h.text, expected);
}

static json_t *snapshot(struct bench *b)
{
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    json_t *json = provider.snapshot(provider.context);
    assert_non_null(json);
    return json;
}

/* What is shown of web1: the stage, and how many stages its boot has. NULL: nothing. */
static void assert_shown(struct bench *b, const char *stage, size_t stages)
{
    json_t *all = snapshot(b);
    const json_t *boot = json_object_get(all, "web1");
    if (!stage) {
        assert_null(boot);
    } else {
        assert_string_equal(json_string_value(json_object_get(boot, "stage")), stage);
        const json_t *list = json_object_get(boot, "stages");
        const json_t *last = json_array_get(list, json_array_size(list) - 1);
        assert_int_equal(json_array_size(list), stages);
        assert_true(json_equal(json_object_get(boot, "detail"), json_object_get(last, "detail")));
        assert_true(json_equal(json_object_get(boot, "since"), json_object_get(last, "at")));
        assert_true(json_integer_value(json_object_get(boot, "since")) >=
                    json_integer_value(json_object_get(boot, "started_at")));
        assert_true(json_integer_value(json_object_get(boot, "started_at")) > 0);
    }
    json_decref(all);
}

/* --- boots --- */

static void a_whole_boot(void **state)
{
    struct bench *b = *state;
    assert_shown(b, NULL, 0);
    sign(b, BOOT_SIGN_FIRMWARE_DHCP, "10.0.0.11");
    assert_shown(b, "address", 1);
    sign(b, BOOT_SIGN_LOADER, "undionly.kpxe");
    SIGNS(b, BOOT_SIGN_IPXE_DHCP, BOOT_SIGN_SCRIPT, BOOT_SIGN_FIRMWARE_LOGIN);
    assert_shown(b, "firmware", 4);
    SIGNS(b, BOOT_SIGN_INITRAMFS_LOGIN, BOOT_SIGN_SYSTEM_LOGIN, BOOT_SIGN_UP);
    assert_shown(b, "up", 7);
    assert_history(b, "address=10.0.0.11 loader=undionly.kpxe script firmware initramfs system up");
}

static void what_is_repeated_is_no_news(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_FIRMWARE_DHCP); /* the offer got lost */
    SIGNS(b, BOOT_SIGN_LOADER, BOOT_SIGN_IPXE_DHCP, BOOT_SIGN_IPXE_DHCP);
    SIGNS(b, BOOT_SIGN_SCRIPT, BOOT_SIGN_SCRIPT, BOOT_SIGN_SCRIPT); /* waits for its volume */
    SIGNS(b, BOOT_SIGN_FIRMWARE_LOGIN, BOOT_SIGN_FIRMWARE_LOGIN);   /* iPXE, GRUB */
    SIGNS(b, BOOT_SIGN_SCRIPT, BOOT_SIGN_FIRMWARE_LOGIN);           /* the disk was lost */
    SIGNS(b, BOOT_SIGN_INITRAMFS_LOGIN, BOOT_SIGN_INITRAMFS_LOGIN); /* reconnects */
    SIGNS(b, BOOT_SIGN_SYSTEM_LOGIN, BOOT_SIGN_UP);
    SIGNS(b, BOOT_SIGN_SYSTEM_LOGIN, BOOT_SIGN_INITRAMFS_LOGIN, BOOT_SIGN_UP); /* days later */
    assert_history(b, "address loader script firmware initramfs system up");
    assert_shown(b, "up", 7);
}

static void a_stage_that_comes_too_late_is_left_out(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_SCRIPT, BOOT_SIGN_LOADER);
    assert_history(b, "address script");
    assert_shown(b, "script", 2);
}

static void a_reset_begins_the_next_boot(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_LOADER, BOOT_SIGN_IPXE_DHCP, BOOT_SIGN_SCRIPT);
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_LOADER); /* somebody pressed the button */
    assert_history(b, "address loader script|address loader");
    assert_shown(b, "loader", 2);
    SIGNS(b, BOOT_SIGN_IPXE_DHCP, BOOT_SIGN_SCRIPT, BOOT_SIGN_FIRMWARE_LOGIN, BOOT_SIGN_UP);
    SIGNS(b, BOOT_SIGN_IPXE_DHCP); /* iPXE in the ROM: its DHCP comes first */
    assert_history(b, "address loader script|address loader script firmware up|address");
    assert_shown(b, "address", 1);
}

static void where_the_first_signs_are_missing_a_later_one_begins_it(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_SCRIPT, BOOT_SIGN_FIRMWARE_LOGIN, BOOT_SIGN_INITRAMFS_LOGIN); /* no DHCP */
    SIGNS(b, BOOT_SIGN_SCRIPT, BOOT_SIGN_FIRMWARE_LOGIN);
    SIGNS(b, BOOT_SIGN_INITRAMFS_LOGIN, BOOT_SIGN_FIRMWARE_LOGIN);
    assert_history(b, "script firmware initramfs|script firmware initramfs|firmware");
}

static void each_node_has_its_own_boot(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_SCRIPT);
    boot_tracker_sign_of_mac(b->tracker, site_mac(2), BOOT_SIGN_FIRMWARE_DHCP, "");
    boot_tracker_sign_of_mac(b->tracker, site_mac(99), BOOT_SIGN_FIRMWARE_DHCP, ""); /* no node */
    json_t *all = snapshot(b);
    assert_int_equal(json_object_size(all), 2);
    const json_t *web2 = json_object_get(all, "web2");
    assert_string_equal(json_string_value(json_object_get(web2, "stage")), "address");
    json_decref(all);
    assert_history(b, "address script");
}

static void a_long_detail_is_cut(void **state)
{
    struct bench *b = *state;
    char detail[BOOT_DETAIL_MAX_LEN + 50], expected[sizeof(detail) + 10];
    memset(detail, 'd', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    sign(b, BOOT_SIGN_LOADER, detail);
    snprintf(expected, sizeof(expected), "loader=%.*s", BOOT_DETAIL_MAX_LEN, detail);
    assert_history(b, expected);
}

/* --- who is who --- */

static void a_machine_is_known_by_the_address_that_it_was_given(void **state)
{
    struct bench *b = *state;
    struct mac_address mac;
    boot_tracker_sign_of_address(b->tracker, WEB1_ADDRESS, BOOT_SIGN_LOADER, ""); /* of nobody */
    assert_shown(b, NULL, 0);
    assert_false(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS, &mac));
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS, site_mac(1));
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS + 1, site_mac(99)); /* not a node */
    boot_tracker_sign_of_address(b->tracker, WEB1_ADDRESS, BOOT_SIGN_LOADER, "x");
    assert_history(b, "loader=x");
    assert_true(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS + 1, &mac));
    assert_true(mac_eq(mac, site_mac(99)));
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS, site_mac(2)); /* the lease went on */
    assert_true(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS, &mac));
    assert_true(mac_eq(mac, site_mac(2)));
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS, (struct mac_address){{0}}); /* of nobody */
    assert_true(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS, &mac));
}

static void assert_pair(struct bench *b, uint32_t address, unsigned mac)
{
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    struct mac_address found;
    assert_true(boot_tracker_mac_of_address(b->tracker, address, &found));
    assert_true(mac_eq(found, site_mac(mac)));
    assert_true(provider.address_of(provider.context, site_mac(mac)) == address);
}

static void one_address_for_a_machine_and_one_machine_for_an_address(void **state)
{
    struct bench *b = *state;
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    struct mac_address mac;
    assert_int_equal(provider.address_of(provider.context, site_mac(1)), 0);
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS, site_mac(1));
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS, site_mac(1)); /* a renewal */
    assert_pair(b, WEB1_ADDRESS, 1);
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS + 1, site_mac(1)); /* it got another one */
    assert_pair(b, WEB1_ADDRESS + 1, 1);
    assert_false(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS, &mac));
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS + 1, site_mac(2)); /* another one got it */
    assert_pair(b, WEB1_ADDRESS + 1, 2);
    assert_int_equal(provider.address_of(provider.context, site_mac(1)), 0);
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS, site_mac(1));
    boot_tracker_set_address(b->tracker, WEB1_ADDRESS, site_mac(2)); /* both of them change */
    assert_pair(b, WEB1_ADDRESS, 2);
    assert_false(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS + 1, &mac));
    assert_int_equal(provider.address_of(provider.context, site_mac(1)), 0);
    boot_tracker_set_address(b->tracker, 0, site_mac(2)); /* no address at all */
    assert_pair(b, WEB1_ADDRESS, 2);
}

static void a_machine_is_known_by_its_initiator(void **state)
{
    struct bench *b = *state;
    boot_tracker_sign_of_initiator(b->tracker, SITE_IQN ":web9", BOOT_SIGN_FIRMWARE_LOGIN, "");
    assert_shown(b, NULL, 0);
    boot_tracker_sign_of_initiator(b->tracker, SITE_IQN ":web1", BOOT_SIGN_FIRMWARE_LOGIN, "");
    boot_tracker_sign_of_initiator(b->tracker, SITE_IQN ":52-54-00-00-00-01",
                                   BOOT_SIGN_INITRAMFS_LOGIN, "");
    assert_history(b, "firmware initramfs");
}

/* --- who still needs its script --- */

static bool needs_script(struct bench *b, bool elsewhere)
{
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    uint64_t id = catalog_node_by_name(c, "web1")->id;
    return elsewhere ? boot_tracker_is_booting_elsewhere(b->tracker, id)
                     : boot_tracker_is_booting(b->tracker, id);
}

static void a_node_needs_its_script_while_it_boots(void **state)
{
    struct bench *b = *state;
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        assert_false(needs_script(b, elsewhere));
        SIGNS(b, BOOT_SIGN_IPXE_DHCP);
        assert_true(needs_script(b, elsewhere));
        SIGNS(b, BOOT_SIGN_SCRIPT, BOOT_SIGN_SCRIPT);
        assert_true(needs_script(b, elsewhere));
        SIGNS(b, BOOT_SIGN_UP);
        assert_false(needs_script(b, elsewhere));
    }
}

/* Whoever had it from an earlier daemon may be long past it, without a login that tells. */
static void a_restart_ends_that_for_a_disk_elsewhere(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_IPXE_DHCP, BOOT_SIGN_SCRIPT);
    restart(b);
    assert_true(needs_script(b, false));
    assert_false(needs_script(b, true));
    SIGNS(b, BOOT_SIGN_SCRIPT); /* it asks; that alone is not enough */
    assert_false(needs_script(b, true));
    SIGNS(b, BOOT_SIGN_IPXE_DHCP); /* which its script has it do */
    assert_true(needs_script(b, true));
}

/* --- a restart of the daemon --- */

static void a_boot_goes_on_after_a_restart(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_LOADER, BOOT_SIGN_IPXE_DHCP, BOOT_SIGN_SCRIPT);
    restart(b);
    assert_shown(b, "script", 3);
    SIGNS(b, BOOT_SIGN_SCRIPT, BOOT_SIGN_FIRMWARE_LOGIN, BOOT_SIGN_FIRMWARE_LOGIN);
    restart(b);
    SIGNS(b, BOOT_SIGN_INITRAMFS_LOGIN, BOOT_SIGN_UP);
    assert_history(b, "address loader script firmware initramfs up");
    restart(b);
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP);
    assert_history(b, "address loader script firmware initramfs up|address");
    assert_shown(b, "address", 1);
}

static void store_lease(struct bench *b, uint32_t address, unsigned mac,
                        enum registry_lease_state lease_state)
{
    struct registry_lease lease = {.address = address, .mac = site_mac(mac), .state = lease_state};
    assert_int_equal(registry_lease_store(b->site.registry, &lease, NULL), 0);
}

static void addresses_are_known_again_after_a_restart(void **state)
{
    struct bench *b = *state;
    struct mac_address mac;
    store_lease(b, WEB1_ADDRESS, 1, REGISTRY_LEASE_BOUND);
    store_lease(b, WEB1_ADDRESS + 1, 2, REGISTRY_LEASE_RELEASED);
    store_lease(b, WEB1_ADDRESS + 2, 3, REGISTRY_LEASE_DECLINED);
    restart(b);
    assert_true(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS, &mac));
    assert_true(mac_eq(mac, site_mac(1)));
    assert_false(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS + 1, &mac));
    assert_false(boot_tracker_mac_of_address(b->tracker, WEB1_ADDRESS + 2, &mac));
}

static void a_stage_of_another_version_is_ignored(void **state)
{
    struct bench *b = *state;
    struct registry_boot boot = {.id = registry_boot_new_id(b->site.registry),
                                 .node_id = 1,
                                 .mac = site_mac(1),
                                 .started_at = 1};
    struct registry_boot_stage stage = {.boot_id = boot.id, .stage = "teleport", .reached_at = 2};
    assert_int_equal(registry_boot_store(b->site.registry, &boot, NULL), 0);
    assert_int_equal(registry_boot_stage_store(b->site.registry, &stage, NULL), 0);
    restart(b);
    assert_shown(b, NULL, 0);
    SIGNS(b, BOOT_SIGN_SCRIPT);
    assert_shown(b, "script", 1);
}

static void a_node_that_is_gone_is_not_shown(void **state)
{
    struct bench *b = *state;
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP);
    site_must(registry_node_remove(b->site.registry, "web1", &b->site.error), &b->site.error);
    assert_shown(b, NULL, 0);
    SIGNS(b, BOOT_SIGN_SCRIPT); /* it is nobody now */
    site_add_node(&b->site, "web1", 1, NULL);
    assert_shown(b, NULL, 0); /* the new one of this name has never booted */
}

/* --- who listens --- */

struct ear {
    struct stage_listener listener;
    unsigned heard;
    char last[512];
};

static void hear(struct stage_listener *listener, const char *line)
{
    struct ear *ear = container_of(listener, struct ear, listener);
    ear->heard++;
    str_copy(ear->last, sizeof(ear->last), line);
}

static void listeners_hear_every_stage_once(void **state)
{
    struct bench *b = *state;
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    struct ear one = {.listener.event = hear}, two = {.listener.event = hear};
    provider.subscribe(provider.context, &one.listener);
    provider.subscribe(provider.context, &two.listener);
    sign(b, BOOT_SIGN_LOADER, "a \"quoted\" name");
    SIGNS(b, BOOT_SIGN_LOADER, BOOT_SIGN_SCRIPT, BOOT_SIGN_SCRIPT);
    assert_int_equal(one.heard, 2);
    provider.unsubscribe(provider.context, &one.listener);
    SIGNS(b, BOOT_SIGN_FIRMWARE_LOGIN);
    assert_int_equal(one.heard, 2);
    assert_int_equal(two.heard, 3);
    provider.unsubscribe(provider.context, &two.listener);
    provider.unsubscribe(provider.context, &two.listener); /* no harm */
}

static void an_event_tells_node_stage_time_and_detail(void **state)
{
    struct bench *b = *state;
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    struct ear ear = {.listener.event = hear};
    uint64_t before = clock_wall_usec();
    provider.subscribe(provider.context, &ear.listener);
    sign(b, BOOT_SIGN_LOADER, "a \"quoted\" name");
    provider.unsubscribe(provider.context, &ear.listener);
    assert_null(strchr(ear.last, '\n'));
    json_t *event = json_loads(ear.last, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(event, "event")), "stage");
    assert_string_equal(json_string_value(json_object_get(event, "node")), "web1");
    assert_string_equal(json_string_value(json_object_get(event, "stage")), "loader");
    assert_string_equal(json_string_value(json_object_get(event, "detail")), "a \"quoted\" name");
    uint64_t at = (uint64_t)json_integer_value(json_object_get(event, "at"));
    assert_true(at >= before && at <= clock_wall_usec());
    json_decref(event);
}

static uint64_t web1_id(struct bench *b)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(b->site.slot);
    return catalog_node_by_name(catalog, "web1")->id;
}

/* One of its disk, up to there. */
static void boot_up_to(struct bench *b, enum boot_sign last)
{
    SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_SCRIPT);
    boot_tracker_decide(b->tracker, web1_id(b), true);
    SIGNS(b, BOOT_SIGN_FIRMWARE_LOGIN, last);
}

static void a_boot_that_came_to_nothing_is_told_when_the_next_begins(void **state)
{
    struct bench *b = *state;
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    boot_up_to(b, BOOT_SIGN_FIRMWARE_LOGIN);
    assert_int_equal(boot_tracker_failures(b->tracker, web1_id(b)), 0);
    assert_int_equal(provider.failures(provider.context, web1_id(b)), 1);
    struct ear ear = {.listener.event = hear};
    provider.subscribe(provider.context, &ear.listener);
    sign(b, BOOT_SIGN_FIRMWARE_DHCP, "");
    provider.unsubscribe(provider.context, &ear.listener);
    assert_int_equal(ear.heard, 2); /* that, and the address of the new one */
    assert_int_equal(boot_tracker_failures(b->tracker, web1_id(b)), 1);
    boot_up_to(b, BOOT_SIGN_KERNEL);
    boot_up_to(b, BOOT_SIGN_KERNEL);
    assert_int_equal(boot_tracker_failures(b->tracker, web1_id(b)), 2);
    restart(b);
    boot_up_to(b, BOOT_SIGN_INITRAMFS_LOGIN);
    assert_int_equal(boot_tracker_failures(b->tracker, web1_id(b)), 3);
    sign(b, BOOT_SIGN_FIRMWARE_DHCP, "");
    assert_int_equal(boot_tracker_failures(b->tracker, web1_id(b)), 0);
}

static void *boot_often(void *argument)
{
    struct bench *b = argument;
    for (int i = 0; i < 50; i++)
        SIGNS(b, BOOT_SIGN_FIRMWARE_DHCP, BOOT_SIGN_SCRIPT, BOOT_SIGN_FIRMWARE_LOGIN);
    return NULL;
}

static void threads_may_tell_signs_and_listen_at_once(void **state)
{
    struct bench *b = *state;
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    pthread_t thread;
    pthread_create(&thread, NULL, boot_often, b);
    for (int i = 0; i < 200; i++) {
        struct ear ear = {.listener.event = hear};
        provider.subscribe(provider.context, &ear.listener);
        json_decref(provider.snapshot(provider.context));
        provider.unsubscribe(provider.context, &ear.listener);
    }
    pthread_join(thread, NULL);
    assert_shown(b, "firmware", 3);
}

#define TRACKER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRACKER_TEST(a_whole_boot),
        TRACKER_TEST(what_is_repeated_is_no_news),
        TRACKER_TEST(a_stage_that_comes_too_late_is_left_out),
        TRACKER_TEST(a_reset_begins_the_next_boot),
        TRACKER_TEST(where_the_first_signs_are_missing_a_later_one_begins_it),
        TRACKER_TEST(each_node_has_its_own_boot),
        TRACKER_TEST(a_long_detail_is_cut),
        TRACKER_TEST(a_machine_is_known_by_the_address_that_it_was_given),
        TRACKER_TEST(one_address_for_a_machine_and_one_machine_for_an_address),
        TRACKER_TEST(a_machine_is_known_by_its_initiator),
        TRACKER_TEST(a_node_needs_its_script_while_it_boots),
        TRACKER_TEST(a_restart_ends_that_for_a_disk_elsewhere),
        TRACKER_TEST(a_boot_goes_on_after_a_restart),
        TRACKER_TEST(addresses_are_known_again_after_a_restart),
        TRACKER_TEST(a_stage_of_another_version_is_ignored),
        TRACKER_TEST(a_node_that_is_gone_is_not_shown),
        TRACKER_TEST(listeners_hear_every_stage_once),
        TRACKER_TEST(an_event_tells_node_stage_time_and_detail),
        TRACKER_TEST(a_boot_that_came_to_nothing_is_told_when_the_next_begins),
        TRACKER_TEST(threads_may_tell_signs_and_listen_at_once),
    };
    return RUN_TESTS(tests);
}
