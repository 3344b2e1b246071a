/* Menus, run as iPXE runs them, by somebody who chooses. */
#include "test.h"

#include "ipxe.h"

#include "boot/script.h"

#define IQN  "iqn.2026-11.lan.example"
#define ASKS "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f"

static const struct mac_address mac = {{0x52, 0x54, 0x00, 0xab, 0xcd, 0x0f}};
static struct ipxe ipxe;
static const char *const *choices; /* one after the other */
static const char *deep;           /* the labels of the menu that the last one was chosen of */
static char labels[4096];

static const char *choose(struct ipxe *i)
{
    labels[0] = '\0';
    for (size_t k = 0; k < i->n_items; k++) {
        size_t used = strlen(labels);
        snprintf(labels + used, sizeof(labels) - used, " %s", i->items[k]);
    }
    deep = labels;
    const char *choice = *choices;
    choices += choice != NULL;
    return choice;
}

static enum ipxe_outcome outcome(struct ipxe *i, const char *command)
{
    return IPXE_WORKS;
}

/* Of web1's disk, the oldest first; "kept" is what it was before it was booted from "old". */
static const struct catalog_layer layer = {.id = 1, .path = "/l"};
static const struct catalog_snapshot snapshots[] = {
    {.name = "old", .created_at = 86400 * USEC_PER_SEC, .n_layers = 1, .layers = &layer},
    {.name = "copying-0001700000000000", .n_layers = 1, .layers = &layer},
    {.name = "new", .created_at = 172800 * USEC_PER_SEC, .n_layers = 1, .layers = &layer},
    {.name = "kept", .n_layers = 1, .layers = &layer},
};
static const struct catalog_trial trial = {.boot_id = 7, .running = "old", .kept = "kept"};
static const struct catalog_overlay overlay = {.n_layers = 1,
                                               .layers = &layer,
                                               .n_snapshots = ARRAY_SIZE(snapshots),
                                               .snapshots = snapshots,
                                               .trial = &trial};

static struct catalog *make(bool others)
{
    struct catalog *c = catalog_new(IQN, 1);
    const char *const allow[] = {IQN ":web1"};
    const struct catalog_volume volumes[] = {
        {.id = 1,
         .name = "web1",
         .kind = VOLUME_OVERLAY,
         .state = VOLUME_READY,
         .overlay = &overlay,
         .image = "debian12@3"},
        {.id = 2, .name = "web1-old", .state = VOLUME_READY, .allow = allow, .n_allow = 1},
        {.id = 3, .name = "web2", .state = VOLUME_READY},
        {.id = 4, .name = "broken", .state = VOLUME_FAILED, .allow_any = true},
    };
    const struct catalog_node node = {
        .id = 1, .name = "web1", .macs = &mac, .n_macs = 1, .volume_id = 1};
    const struct catalog_entry rescue = {
        .name = "rescue", .title = "Rescue system", .file = "/k", .arguments = ""};
    for (size_t i = 0; i < (others ? ARRAY_SIZE(volumes) : 1); i++)
        assert_int_equal(catalog_add_volume(c, &volumes[i]), 0);
    assert_int_equal(catalog_add_node(c, &node), 0);
    if (others)
        assert_int_equal(catalog_add_entry(c, &rescue), 0);
    assert_int_equal(catalog_seal(c), 0);
    return c;
}

static bool offers_snapshots;

static enum ipxe_end run(bool others, uint32_t timeout, const char *failed,
                         const char *const *chosen)
{
    cleanup_catalog struct catalog *catalog = make(others);
    const struct plan plan = {.kind = PLAN_MENU,
                              .node = catalog_node_by_name(catalog, "web1"),
                              .target.kind = BOOT_TARGET_MENU,
                              .menu_default.kind = BOOT_TARGET_VOLUME};
    const struct boot_site site = {.portal = "10.0.0.1",
                                   .portal_port = 3260,
                                   .base_url = "http://10.0.0.1",
                                   .base_iqn = IQN,
                                   .catalog = catalog,
                                   .menu_timeout = timeout,
                                   .menu_snapshots = offers_snapshots,
                                   .failed = failed};
    cleanup_free char *text = boot_script_render(&plan, mac, &site);
    ipxe = (struct ipxe){.outcome = outcome, .mac = mac, .choose = chosen ? choose : NULL};
    choices = chosen;
    enum ipxe_end end = ipxe_run(&ipxe, text);
    if (end == IPXE_BROKEN)
        fail_msg("%s\n%s", ipxe.problem, text);
    return end;
}

#define CHOOSE(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void what_is_chosen_is_asked_for(void **state)
{
    assert_int_equal(run(true, 30, NULL, CHOOSE("local")), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&entry=local");
    assert_int_equal(ipxe.menu_timeout, 30000);
    assert_string_equal(deep, " volume local volumes entries tools again");
    assert_int_equal(run(true, 30, NULL, CHOOSE("volume")), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&entry=volume");
    assert_contains(ipxe.menu, "what is web1 to boot?");
}

static void submenus_have_what_the_node_may_boot(void **state)
{
    assert_int_equal(run(true, 30, NULL, CHOOSE("volumes", "volume:web1-old")), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&entry=volume:web1-old");
    assert_string_equal(deep, " volume:web1-old main"); /* not another node's, nor a failed one */
    assert_int_equal(run(true, 30, NULL, CHOOSE("entries", "entry:rescue")), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&entry=entry:rescue");
    assert_int_equal(run(true, 30, NULL, CHOOSE("tools", "memtest")), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&entry=memtest");
    assert_int_equal(run(false, 30, NULL, CHOOSE("again")), IPXE_REPLACED);
    assert_string_equal(deep, " volume local tools again"); /* there is nothing else */
}

/* The latest first; neither what is there for a copy, nor what the disk is without one. */
static void snapshots_are_offered_if_they_may_be(void **state)
{
    assert_int_equal(run(true, 30, NULL, CHOOSE("again")), IPXE_REPLACED);
    assert_string_equal(deep, " volume local volumes entries tools again");
    offers_snapshots = true;
    assert_int_equal(run(true, 30, NULL, CHOOSE("snapshots", "snapshot:old")), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&entry=snapshot:old");
    assert_string_equal(deep, "  snapshot:new snapshot:old main");
    assert_contains(ipxe.menu, "for this boot only");
    assert_int_equal(run(true, 30, NULL, CHOOSE("snapshots", "main", "again")), IPXE_REPLACED);
    assert_string_equal(deep, " volume local snapshots volumes entries tools again");
    offers_snapshots = false;
}

static void one_comes_back_from_everywhere(void **state)
{
    assert_int_equal(run(true, 30, NULL,
                         CHOOSE("volumes", "main", "entries", "main", "tools", "config", "tools",
                                "main", "again")),
                     IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS);
    assert_int_equal(ipxe.menus, 9);
    assert_int_equal(ipxe.shells, 1);
    assert_int_equal(run(true, 30, NULL, CHOOSE("tools", "reboot")), IPXE_REBOOTED);
}

static void who_leaves_the_menu_asks_the_server(void **state)
{
    static const char *const nothing[] = {NULL};
    assert_int_equal(run(true, 30, NULL, nothing), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS);
}

static void the_default_is_chosen_when_the_time_is_over(void **state)
{
    assert_int_equal(run(true, 5, NULL, NULL), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&entry=volume");
}

static void a_menu_without_a_timeout_asks_the_server_now_and_then(void **state)
{
    assert_int_equal(run(true, 0, NULL, NULL), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS);
    assert_int_equal(ipxe.menu_timeout, 60000);
}

static void what_did_not_boot_is_said(void **state)
{
    assert_int_equal(run(true, 5, "volume:web1-old", CHOOSE("again")), IPXE_REPLACED);
    assert_string_equal(ipxe.items[0], ""); /* a line that cannot be chosen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_chosen_is_asked_for),
        TEST(submenus_have_what_the_node_may_boot),
        TEST(snapshots_are_offered_if_they_may_be),
        TEST(one_comes_back_from_everywhere),
        TEST(who_leaves_the_menu_asks_the_server),
        TEST(the_default_is_chosen_when_the_time_is_over),
        TEST(a_menu_without_a_timeout_asks_the_server_now_and_then),
        TEST(what_did_not_boot_is_said),
    };
    return RUN_TESTS(tests);
}
