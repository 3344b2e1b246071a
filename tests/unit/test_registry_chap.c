/* CHAP secrets of nodes, which are made here, and of volumes, which are given. */
#include "site.h"

#include <errno.h>
#include <sys/stat.h>

static int setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    site_make(site);
    struct registry_volume disk = site_volume("disk", "/x/disk"),
                           shared = site_volume("shared", "/x/s");
    shared.allow_any = true;
    site_must(registry_volume_add(site->registry, &disk, &site->error), &site->error);
    site_must(registry_volume_add(site->registry, &shared, &site->error), &site->error);
    site_add_node(site, "web1", 1, "disk");
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

/* What a node has; CHAP_NONE if it has nothing. */
static struct chap_credentials of_node(struct site *site, const char *name)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    const struct catalog_node *node = catalog_node_by_name(catalog, name);
    assert_non_null(node);
    return node->chap ? *node->chap : (struct chap_credentials){.mode = CHAP_NONE};
}

static int change(struct site *site, const char *node, bool set, enum chap_mode mode, bool rotate)
{
    struct registry_node_change change = {.set_chap = set, .chap = mode, .rotate_chap = rotate};
    return registry_node_set(site->registry, node, &change, NULL, &site->error);
}

static void set_mode(struct site *site, const char *node, enum chap_mode mode)
{
    site_must(change(site, node, true, mode, false), &site->error);
}

static void secrets_are_made_for_what_the_mode_needs(void **state)
{
    struct site *site = *state;
    assert_int_equal(of_node(site, "web1").mode, CHAP_NONE);
    set_mode(site, "web1", CHAP_ONE_WAY);
    struct chap_credentials one = of_node(site, "web1");
    assert_int_equal(one.mode, CHAP_ONE_WAY);
    assert_string_equal(one.initiator.user, "web1");
    assert_int_equal(strlen(one.initiator.secret), 32);

    set_mode(site, "web1", CHAP_MUTUAL); /* what was there stays */
    struct chap_credentials both = of_node(site, "web1");
    assert_int_equal(both.mode, CHAP_MUTUAL);
    assert_string_equal(both.initiator.secret, one.initiator.secret);
    assert_string_equal(both.target.user, "nodisk");
    assert_string_not_equal(both.target.secret, both.initiator.secret);
    set_mode(site, "web1", CHAP_MUTUAL);
    assert_string_equal(of_node(site, "web1").target.secret, both.target.secret);

    set_mode(site, "web1", CHAP_ONE_WAY);
    assert_int_equal(of_node(site, "web1").mode, CHAP_ONE_WAY);
    set_mode(site, "web1", CHAP_MUTUAL);
    assert_string_not_equal(of_node(site, "web1").target.secret, both.target.secret);

    set_mode(site, "web1", CHAP_NONE);
    assert_int_equal(of_node(site, "web1").mode, CHAP_NONE);
    set_mode(site, "web1", CHAP_ONE_WAY);
    assert_string_not_equal(of_node(site, "web1").initiator.secret, one.initiator.secret);
    assert_int_equal(of_node(site, "web2").mode, CHAP_NONE);
}

static void a_node_may_be_added_with_chap(void **state)
{
    struct site *site = *state;
    struct mac_address macs[] = {site_mac(3)};
    struct registry_node node = {.name = "web3", .macs = macs, .n_macs = 1, .chap = CHAP_MUTUAL};
    site_must(registry_node_add(site->registry, &node, NULL, &site->error), &site->error);
    assert_int_equal(of_node(site, "web3").mode, CHAP_MUTUAL);
    set_mode(site, "web1", CHAP_MUTUAL);
    assert_string_not_equal(of_node(site, "web3").initiator.secret,
                            of_node(site, "web1").initiator.secret);
}

static void secrets_are_made_anew(void **state)
{
    struct site *site = *state;
    assert_int_equal(change(site, "web1", false, CHAP_NONE, true), -EINVAL);
    site_assert_told(site, "has no CHAP secrets");
    assert_int_equal(change(site, "web1", true, CHAP_NONE, true), -EINVAL);
    site_must(change(site, "web1", true, CHAP_ONE_WAY, true), &site->error);
    struct chap_credentials old = of_node(site, "web1");
    assert_int_equal(old.mode, CHAP_ONE_WAY);
    site_must(change(site, "web1", false, CHAP_NONE, true), &site->error);
    assert_int_equal(of_node(site, "web1").mode, CHAP_ONE_WAY);
    assert_string_not_equal(of_node(site, "web1").initiator.secret, old.initiator.secret);
    set_mode(site, "web1", CHAP_MUTUAL);
    old = of_node(site, "web1");
    site_must(change(site, "web1", false, CHAP_NONE, true), &site->error);
    assert_string_not_equal(of_node(site, "web1").initiator.secret, old.initiator.secret);
    assert_string_not_equal(of_node(site, "web1").target.secret, old.target.secret);
}

static void secrets_survive_a_restart(void **state)
{
    struct site *site = *state;
    set_mode(site, "web1", CHAP_MUTUAL);
    struct chap_credentials before = of_node(site, "web1"), after;
    site_restart(site);
    after = of_node(site, "web1");
    assert_int_equal(after.mode, CHAP_MUTUAL);
    assert_string_equal(after.initiator.secret, before.initiator.secret);
    assert_string_equal(after.target.secret, before.target.secret);
}

static const struct chap_credentials backup = {
    CHAP_MUTUAL, {"backup", "correct-horse"}, {"disk", "battery-staple"}};

/* The user whose secret an initiator needs for a volume; "" for none. */
static void assert_needs(struct site *site, const char *initiator, const char *volume,
                         const char *user)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(site->slot);
    char name[IQN_MAX_LEN + 1];
    snprintf(name, sizeof(name), "%s:%s", SITE_IQN, initiator);
    const struct chap_credentials *chap =
        catalog_chap(catalog, name, catalog_volume_by_name(catalog, volume));
    assert_string_equal(chap ? chap->initiator.user : "", user);
}

static void who_needs_which_secret(void **state)
{
    struct site *site = *state;
    assert_needs(site, "web1", "disk", "");
    site_must(registry_volume_set_chap(site->registry, "disk", &backup, &site->error),
              &site->error);
    site_must(registry_volume_set_chap(site->registry, "shared", &backup, &site->error),
              &site->error);
    assert_needs(site, "somebody", "disk", "backup");
    assert_needs(site, "web1", "disk", ""); /* as the node says */
    assert_needs(site, "web1", "shared", "backup");
    assert_needs(site, "web2", "disk", "backup");
    set_mode(site, "web1", CHAP_ONE_WAY);
    assert_needs(site, "web1", "disk", "web1");
    assert_needs(site, "web1", "shared", "web1"); /* a node with CHAP has nothing else */
    assert_needs(site, "52-54-00-00-00-01", "disk", "web1");
    assert_needs(site, "web2", "shared", "backup");
    const struct chap_credentials none = {.mode = CHAP_NONE};
    site_must(registry_volume_set_chap(site->registry, "shared", &none, &site->error),
              &site->error);
    assert_needs(site, "web2", "shared", "");
    assert_int_equal(registry_volume_set_chap(site->registry, "nix", &none, &site->error), -ENOENT);
}

static void a_volume_may_be_made_with_chap(void **state)
{
    struct site *site = *state;
    struct registry_volume v = site_volume("data", "/x/data");
    v.chap = &backup;
    site_must(registry_volume_add(site->registry, &v, &site->error), &site->error);
    assert_needs(site, "somebody", "data", "backup");
    struct chap_credentials same = backup;
    memcpy(same.target.secret, same.initiator.secret, sizeof(same.target.secret));
    assert_int_equal(registry_volume_set_chap(site->registry, "data", &same, &site->error),
                     -EINVAL);
    site_assert_told(site, "must differ");
    assert_needs(site, "somebody", "data", "backup");
}

static void a_removed_node_leaves_no_secret(void **state)
{
    struct site *site = *state;
    char secret[CREDENTIALS_SECRET_MAX + 1], bytes[64 * 1024];
    set_mode(site, "web2", CHAP_ONE_WAY);
    str_copy(secret, sizeof(secret), of_node(site, "web2").initiator.secret);
    site_must(registry_node_remove(site->registry, "web2", &site->error), &site->error);
    site_restart(site); /* what was in the log of SQLite is in the file now */
    cleanup_fclose FILE *f = fopen(site->path, "re");
    assert_non_null(f);
    for (size_t kept = 0, n; (n = fread(bytes + kept, 1, sizeof(bytes) - kept, f)) > 0;) {
        assert_null(memmem(bytes, kept + n, secret, strlen(secret)));
        size_t all = kept + n;
        kept = MIN(all, strlen(secret));
        memmove(bytes, bytes + all - kept, kept);
    }
}

/* Somebody copied it back from a backup as he pleased. */
static void the_database_is_its_owners_alone(void **state)
{
    struct site *site = *state;
    struct stat st;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    registry_stop(take_ptr(site->registry));
    assert_int_equal(chmod(site->path, 0644), 0);
    site_start(site);
    set_mode(site, "web1", CHAP_ONE_WAY);
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char name[PATH_MAX + 8];
        snprintf(name, sizeof(name), "%s%s", site->path, suffixes[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

#define CHAP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHAP_TEST(secrets_are_made_for_what_the_mode_needs),
        CHAP_TEST(a_node_may_be_added_with_chap),
        CHAP_TEST(secrets_are_made_anew),
        CHAP_TEST(secrets_survive_a_restart),
        CHAP_TEST(who_needs_which_secret),
        CHAP_TEST(a_volume_may_be_made_with_chap),
        CHAP_TEST(a_removed_node_leaves_no_secret),
        CHAP_TEST(the_database_is_its_owners_alone),
    };
    return RUN_TESTS(tests);
}
