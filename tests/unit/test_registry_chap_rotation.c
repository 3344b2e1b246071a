/* CHAP secrets that are made anew at each boot: which of a node's hold, and for how long. */
#include "site.h"

#include "registry/schema.h"

#include <errno.h>

static int setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    site_make(site);
    site_add_node(site, "web1", 1, NULL);
    site_add_node(site, "web2", 2, NULL);
    *state = site;
    return 0;
}

static int teardown(void **state)
{
    site_remove(*state);
    free(*state);
    return 0;
}

static void set_mode(struct site *site, enum chap_mode mode, bool rotate)
{
    struct registry_node_change change = {.set_chap = true, .chap = mode, .rotate_chap = rotate};
    site_must(registry_node_set(site->registry, "web1", &change, NULL, &site->error), &site->error);
}

static uint64_t id_of(struct site *site, const char *name)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    return catalog_node_by_name(catalog, name)->id;
}

/* --- what holds --- */

#define MOST (REGISTRY_MAX_OLDER_CHAP + 1)

struct held {
    size_t count;
    struct chap_credentials list[MOST]; /* the present ones first */
    uint64_t since;
    bool seen;
};

static struct held held_by(struct site *site, const char *name)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct catalog_node *node = catalog_node_by_name(catalog, name);
    struct held held = {.since = node->chap_since, .seen = node->chap_seen};
    for (const struct chap_credentials *c = node->chap; c; c = c->older) {
        assert_true(held.count < MOST);
        held.list[held.count++] = *c;
    }
    return held;
}

/* Those of web1, by their boots: "11 10". */
static void assert_boots(struct site *site, const char *expected)
{
    struct held held = held_by(site, "web1");
    char text[128] = "";
    for (size_t i = 0; i < held.count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%llu", i ? " " : "",
                 (unsigned long long)held.list[i].tag);
    assert_string_equal(text, expected);
    site_check_catalog(site);
}

/* --- what happens --- */

static int claim(struct site *site, uint64_t boot_id, bool rule)
{
    const struct registry_claim wanted = {
        .node_id = id_of(site, "web1"), .boot_id = boot_id, .rule = rule, .secrets = true};
    return site_claim(site->registry, &wanted, &site->error);
}

static void boots(struct site *site, uint64_t boot_id)
{
    assert_int_equal(claim(site, boot_id, false), 0);
}

/* Behind what nobody waits for. */
static void settle(struct site *site)
{
    struct registry_boot_age age;
    site_must(registry_boot_find_age(site->registry, 1, &age, &site->error), &site->error);
}

static void logs_in(struct site *site, uint64_t boot_id, bool runs)
{
    assert_int_equal(registry_chap_seen(site->registry, id_of(site, "web1"), boot_id, runs), 0);
    settle(site);
}

static void is_up(struct site *site)
{
    assert_int_equal(registry_chap_up(site->registry, id_of(site, "web1")), 0);
    settle(site);
}

/* --- tests --- */

static void a_boot_has_secrets_of_its_own(void **state)
{
    struct site *site = *state;
    boots(site, 9); /* without CHAP there is nothing to rotate */
    assert_boots(site, "");
    set_mode(site, CHAP_MUTUAL, false);
    uint64_t before = clock_wall_usec();
    struct held made = held_by(site, "web1");
    assert_boots(site, "0");
    assert_false(made.seen);
    boots(site, 10);
    assert_boots(site, "10 0");
    struct held first = held_by(site, "web1");
    assert_true(first.since >= before);
    assert_string_equal(first.list[1].initiator.secret, made.list[0].initiator.secret);
    assert_string_equal(first.list[1].target.secret, made.list[0].target.secret);
    assert_string_not_equal(first.list[0].initiator.secret, made.list[0].initiator.secret);
    assert_string_not_equal(first.list[0].target.secret, made.list[0].target.secret);
    assert_int_equal(first.list[0].mode, CHAP_MUTUAL);
    assert_string_equal(first.list[0].initiator.user, "web1");
    assert_string_equal(first.list[0].target.user, "nodisk");
    boots(site, 10); /* who asks again within the same boot */
    boots(site, 9);  /* and a request that was late */
    site_restart(site);
    boots(site, 10);
    assert_boots(site, "10 0");
    struct held again = held_by(site, "web1");
    assert_memory_equal(again.list[0].initiator.secret, first.list[0].initiator.secret, 33);
    assert_memory_equal(again.list[0].target.secret, first.list[0].target.secret, 33);
    assert_int_equal(again.since, first.since);
    assert_int_equal(held_by(site, "web2").count, 0);
}

static void one_way_stays_one_way(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_ONE_WAY, false);
    boots(site, 5);
    struct held held = held_by(site, "web1");
    assert_int_equal(held.count, 2);
    for (size_t i = 0; i < held.count; i++) {
        assert_int_equal(held.list[i].mode, CHAP_ONE_WAY);
        assert_string_equal(held.list[i].target.secret, "");
    }
}

static void what_is_older_holds_until_a_system_runs(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_MUTUAL, false);
    boots(site, 10);
    logs_in(site, 10, false); /* its initramfs */
    assert_true(held_by(site, "web1").seen);
    assert_boots(site, "10 0");
    logs_in(site, 10, true);
    assert_boots(site, "10");
    boots(site, 11);
    assert_false(held_by(site, "web1").seen);
    logs_in(site, 10, true); /* somebody else had asked for the script: this one still runs */
    assert_boots(site, "11 10");
    logs_in(site, 11, false);
    assert_boots(site, "11 10");
    site_restart(site);
    assert_boots(site, "11 10");
    is_up(site);
    assert_boots(site, "11");
    is_up(site);
    assert_boots(site, "11");
}

/* The machine that is up has other secrets than the script that was asked for meanwhile. */
static void to_be_up_is_to_be_up_with_what_was_logged_in_with(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_ONE_WAY, false);
    boots(site, 10);
    is_up(site); /* of which no login was seen */
    assert_boots(site, "10 0");
    logs_in(site, 10, true);
    boots(site, 11);
    is_up(site);
    assert_boots(site, "11 10");
}

/* Of a system that neither its login nor anything else shows to run. */
static void what_comes_after_next_forgets_what_is_before_a_login(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_ONE_WAY, false);
    boots(site, 10);
    logs_in(site, 10, false);
    boots(site, 11);
    assert_boots(site, "11 10");
    logs_in(site, 11, false);
    boots(site, 12);
    assert_boots(site, "12 11");
}

/* However often somebody asks for scripts in its name. */
static void what_runs_is_never_pushed_out(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_MUTUAL, false);
    boots(site, 10);
    logs_in(site, 10, true);
    struct held runs = held_by(site, "web1");
    for (uint64_t id = 11; id < 40; id++)
        boots(site, id);
    assert_boots(site, "39 38 37 10");
    assert_string_equal(held_by(site, "web1").list[3].initiator.secret,
                        runs.list[0].initiator.secret);
    logs_in(site, 38, true); /* a boot that got through */
    assert_boots(site, "39 38");
    logs_in(site, 39, true);
    assert_boots(site, "39");
}

/* Those from before this version, say. */
static void secrets_that_nothing_is_known_of_may_be_in_use(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_ONE_WAY, false);
    registry_stop(take_ptr(site->registry));
    struct db db = {0};
    site_must(db_open(&db, site->path, &site->error), &site->error);
    site_must(db_exec(&db, "DELETE FROM node_chap_age", &site->error), &site->error);
    db_close(&db);
    site_start(site);
    assert_true(held_by(site, "web1").seen);
    assert_int_equal(held_by(site, "web1").since, 0);
    for (uint64_t id = 11; id < 20; id++)
        boots(site, id);
    assert_boots(site, "19 18 17 0");
}

static void other_secrets_by_hand_end_all_that_were(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_ONE_WAY, false);
    boots(site, 10);
    set_mode(site, CHAP_ONE_WAY, false); /* which it has */
    assert_boots(site, "10 0");
    set_mode(site, CHAP_ONE_WAY, true);
    assert_boots(site, "0");
    boots(site, 11);
    set_mode(site, CHAP_MUTUAL, false);
    assert_boots(site, "0");
    boots(site, 11); /* which waits for its script */
    assert_boots(site, "11 0");
    set_mode(site, CHAP_NONE, false);
    assert_boots(site, "");
    boots(site, 12);
    assert_boots(site, "");
}

static void both_of_a_claim_or_none(void **state)
{
    struct site *site = *state;
    const struct registry_boot_scope scope = {.node = "web1"};
    const struct registry_boot_rule once = {
        .slot = BOOT_SLOT_TEMPORARY, .target = {.kind = BOOT_TARGET_LOCAL}, .times = 1};
    set_mode(site, CHAP_ONE_WAY, false);
    site_must(registry_boot_rule_set(site->registry, &scope, &once, &site->error), &site->error);
    registry_stop(take_ptr(site->registry));
    struct db db = {0};
    site_must(db_open(&db, site->path, &site->error), &site->error);
    site_must(db_exec(&db,
                      "CREATE TRIGGER no BEFORE INSERT ON node_chap_age"
                      " BEGIN SELECT raise(ABORT, 'no'); END",
                      &site->error),
              &site->error);
    db_close(&db);
    site_start(site);
    struct held before = held_by(site, "web1");
    assert_true(claim(site, 10, true) < 0);
    struct held after = held_by(site, "web1");
    assert_int_equal(after.count, 1);
    assert_string_equal(after.list[0].initiator.secret, before.list[0].initiator.secret);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct catalog_node *node = catalog_node_by_name(catalog, "web1");
    assert_int_equal(node->rules->slots[BOOT_SLOT_TEMPORARY].times, 1);
}

/* What a boot got must not become another one's, even if it could not be stored itself. */
static void boots_go_on_behind_those_that_have_secrets(void **state)
{
    struct site *site = *state;
    set_mode(site, CHAP_ONE_WAY, false);
    boots(site, 1234);
    site_restart(site);
    assert_int_equal(registry_boot_new_id(site->registry), 1235);
}

static void when_is_a_choice_of_each_node(void **state)
{
    struct site *site = *state;
    static const enum chap_rotation choices[] = {CHAP_ROTATION_BOOT, CHAP_ROTATION_MANUAL,
                                                 CHAP_ROTATION_DEFAULT};
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
        struct registry_node_change change = {.set_chap_rotation = true,
                                              .ways.chap_rotation = choices[i]};
        site_must(registry_node_set(site->registry, "web1", &change, NULL, &site->error),
                  &site->error);
        site_restart(site);
        cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
        assert_int_equal(catalog_node_by_name(catalog, "web1")->ways.chap_rotation, choices[i]);
        assert_int_equal(catalog_node_by_name(catalog, "web2")->ways.chap_rotation,
                         CHAP_ROTATION_DEFAULT);
    }
    struct mac_address macs[] = {site_mac(3)};
    struct registry_node node = {
        .name = "web3", .macs = macs, .n_macs = 1, .ways.chap_rotation = CHAP_ROTATION_BOOT};
    site_must(registry_node_add(site->registry, &node, NULL, &site->error), &site->error);
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    assert_int_equal(catalog_node_by_name(catalog, "web3")->ways.chap_rotation, CHAP_ROTATION_BOOT);
}

static void a_removed_node_takes_them_along(void **state)
{
    struct site *site = *state;
    struct db db = {0};
    int64_t left = -1;
    set_mode(site, CHAP_MUTUAL, false);
    boots(site, 10);
    site_must(registry_node_remove(site->registry, "web1", &site->error), &site->error);
    site_must(db_open(&db, site->path, &site->error), &site->error);
    assert_int_equal(db_lookup(&db,
                               "SELECT (SELECT count(*) FROM node_chap_older) + (SELECT count(*)"
                               " FROM node_chap_age) + (SELECT count(*) FROM node_chap_rotation)",
                               DB_NO_VALUES, &left, &site->error),
                     1);
    db_close(&db);
    assert_int_equal(left, 0);
}

/* What somebody has changed by hand. */
static void damage_is_told_without_a_secret(void **state)
{
    static const char *const damages[] = {
        "UPDATE node_chap_older SET secret = 'tooshort'",
        "UPDATE node_chap_older SET target_secret = secret",
        "UPDATE node_chap_older SET boot_id = 11",
        "UPDATE node_chap_older SET boot_id = -1",
        "UPDATE node_chap_age SET boot_id = 0",
        "UPDATE node_chap_age SET boot_id = 9223372036854775807",
        "UPDATE node_chap_age SET since = -1",
        "PRAGMA ignore_check_constraints = ON; UPDATE node_chap_age SET seen = 2",
        "PRAGMA ignore_check_constraints = ON; UPDATE node_chap_older SET seen = 2",
        "DELETE FROM node_chap_age",
        "DELETE FROM node_chap",
        "UPDATE node_chap_rotation SET rotation = 'hourly'",
        "INSERT INTO node_chap_older SELECT node_id, boot_id + 1, user, secret, target_user,"
        " target_secret, 0 FROM node_chap_older; INSERT INTO node_chap_older SELECT node_id,"
        " boot_id + 2, user, secret, target_user, target_secret, 0 FROM node_chap_older",
    };
    struct site *site = *state;
    struct registry_node_change change = {.set_chap_rotation = true,
                                          .ways.chap_rotation = CHAP_ROTATION_BOOT};
    set_mode(site, CHAP_MUTUAL, false);
    site_must(registry_node_set(site->registry, "web1", &change, NULL, &site->error), &site->error);
    boots(site, 10);
    struct held held = held_by(site, "web1");
    registry_stop(take_ptr(site->registry));
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct db db = {0};
        struct error error = {0};
        site_must(db_open(&db, site->path, &error), &error);
        site_must(db_exec(&db, "BEGIN", &error), &error);
        site_must(db_exec(&db, damages[i], &error), &error);
        cleanup_catalog struct catalog *catalog = catalog_load(&db, SITE_IQN, 1, &error);
        if (catalog || error.code != -EUCLEAN)
            fail_msg("%s: %s", damages[i], catalog ? "was taken" : error.text);
        assert_contains(error.text, "is damaged");
        assert_null(strstr(error.text, "tooshort"));
        assert_null(strstr(error.text, held.list[1].initiator.secret));
        site_must(db_exec(&db, "ROLLBACK", &error), &error);
        db_close(&db);
    }
    site_start(site);
}

#define ROTATION_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROTATION_TEST(a_boot_has_secrets_of_its_own),
        ROTATION_TEST(one_way_stays_one_way),
        ROTATION_TEST(what_is_older_holds_until_a_system_runs),
        ROTATION_TEST(to_be_up_is_to_be_up_with_what_was_logged_in_with),
        ROTATION_TEST(what_comes_after_next_forgets_what_is_before_a_login),
        ROTATION_TEST(what_runs_is_never_pushed_out),
        ROTATION_TEST(secrets_that_nothing_is_known_of_may_be_in_use),
        ROTATION_TEST(other_secrets_by_hand_end_all_that_were),
        ROTATION_TEST(both_of_a_claim_or_none),
        ROTATION_TEST(boots_go_on_behind_those_that_have_secrets),
        ROTATION_TEST(when_is_a_choice_of_each_node),
        ROTATION_TEST(a_removed_node_takes_them_along),
        ROTATION_TEST(damage_is_told_without_a_secret),
    };
    return RUN_TESTS(tests);
}
