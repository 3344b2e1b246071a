#include "site.h"

#include <errno.h>

#define URI "iscsi://10.9.0.5:860/iqn.2005-10.org.freenas.ctl:web1/12"

static const struct chap_credentials secrets = {CHAP_ONE_WAY,
                                                .initiator = {"web", "correct-horse"}};

static struct registry_volume volume_elsewhere(const char *name, const char *uri)
{
    return (struct registry_volume){.name = name,
                                    .path = uri,
                                    .kind = VOLUME_ISCSI,
                                    .state = VOLUME_READY,
                                    .block_size = 512,
                                    .chap = &secrets};
}

/* The volumes `there` and `here`. */
static int setup(void **state)
{
    struct site *b = calloc(1, sizeof(*b));
    site_make(b);
    *state = b;
    struct registry_volume v = volume_elsewhere("there", URI);
    site_must(registry_volume_add(b->registry, &v, &b->error), &b->error);
    v = site_volume("here", "/v/here.raw");
    site_must(registry_volume_add(b->registry, &v, &b->error), &b->error);
    return 0;
}

static int teardown(void **state)
{
    struct site *b = *state;
    site_remove(b);
    free(b);
    return 0;
}

static int set(struct site *b, struct registry_node_change change)
{
    return registry_node_set(b->registry, "web1", &change, NULL, &b->error);
}

static int attach(struct site *b, const char *volume)
{
    uint32_t lun;
    return registry_volume_attach(b->registry, volume, "web1", 0, &lun, &b->error);
}

static void it_is_kept_with_where_it_is(void **state)
{
    struct site *b = *state;
    site_add_node(b, "web1", 1, "there");
    for (int again = 0; again < 2; again++) {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        const struct catalog_volume *v = catalog_volume_by_name(c, "there");
        assert_int_equal(v->kind, VOLUME_ISCSI);
        assert_string_equal(v->path, URI);
        assert_string_equal(v->elsewhere->host, "10.9.0.5");
        assert_int_equal(v->elsewhere->port, 860);
        assert_string_equal(v->elsewhere->target, "iqn.2005-10.org.freenas.ctl:web1");
        assert_int_equal(v->elsewhere->lun, 12);
        assert_int_equal(v->size, 0);
        assert_string_equal(v->chap->initiator.secret, "correct-horse");
        assert_false(catalog_may_access(c, SITE_IQN ":web1", v));
        assert_null(catalog_volume_by_name(c, "here")->elsewhere);
        site_restart(b);
    }
}

static void one_lun_is_one_volume(void **state)
{
    struct site *b = *state;
    struct registry_volume v = volume_elsewhere("again", URI);
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), -EEXIST);
    site_assert_told(b, "is already volume 'there'");
}

static void one_node_boots_it(void **state)
{
    struct site *b = *state;
    site_add_node(b, "web1", 1, "there");
    site_add_node(b, "web2", 2, NULL);
    struct registry_node_change change = {.set_volume = true, .volume = "there"};
    assert_int_equal(registry_node_set(b->registry, "web2", &change, NULL, &b->error), -EBUSY);
    site_assert_told(b, "is already the disk of node 'web1'");
}

static void its_node_has_no_secrets_for_us(void **state)
{
    struct site *b = *state;
    struct mac_address mac = site_mac(9);
    const struct registry_node both = {
        .name = "web9", .macs = &mac, .n_macs = 1, .volume = "there", .chap = CHAP_MUTUAL};
    assert_int_equal(registry_node_add(b->registry, &both, NULL, &b->error), -EINVAL);
    site_assert_told(b, "node 'web9' is a LUN of a target elsewhere (volume 'there')");
    site_add_node(b, "web1", 1, "there");
    assert_int_equal(set(b, (struct registry_node_change){.set_chap = true, .chap = CHAP_MUTUAL}),
                     -EINVAL);
    site_assert_told(b, "nodisk volume set VOLUME --chap-user NAME");
    /* and the other way round */
    assert_int_equal(set(b, (struct registry_node_change){.set_volume = true, .volume = "here"}),
                     0);
    assert_int_equal(set(b, (struct registry_node_change){.set_chap = true, .chap = CHAP_ONE_WAY}),
                     0);
    const struct registry_node_change back = {.set_volume = true, .volume = "there"};
    assert_int_equal(set(b, back), -EINVAL);
    site_assert_told(b, "--chap none");
    const struct registry_node_change both_at_once = {
        .set_volume = true, .volume = "there", .set_chap = true, .chap = CHAP_NONE};
    assert_int_equal(set(b, both_at_once), 0);
}

static void its_node_has_no_data_volumes_of_ours(void **state)
{
    struct site *b = *state;
    site_add_node(b, "web1", 1, "there");
    assert_int_equal(attach(b, "here"), -EINVAL);
    site_assert_told(b, "it sees no data volumes of this server there");
    assert_int_equal(set(b, (struct registry_node_change){.set_volume = true}), 0);
    assert_int_equal(attach(b, "here"), 0);
    assert_int_equal(set(b, (struct registry_node_change){.set_volume = true, .volume = "there"}),
                     -EINVAL);
    site_assert_told(b, "detach them");
}

static void it_is_no_data_volume(void **state)
{
    struct site *b = *state;
    site_add_node(b, "web1", 1, "here");
    assert_int_equal(attach(b, "there"), -EINVAL);
    site_assert_told(b, "nodisk node set web1 --volume there");
}

/* The one way to a disk that nobody gives to the node. */
static void it_takes_the_place_of_no_failed_one_where_it_does_not_fit(void **state)
{
    struct site *b = *state;
    struct mac_address mac = site_mac(1);
    struct registry_volume v = site_volume("web1", "/v/web1.raw");
    v.state = VOLUME_CREATING;
    const struct registry_node node = {
        .name = "web1", .macs = &mac, .n_macs = 1, .chap = CHAP_MUTUAL};
    site_must(registry_node_add(b->registry, &node, &v, &b->error), &b->error);
    site_must(registry_volume_finish(b->registry, "web1", "broken", &b->error), &b->error);
    v = volume_elsewhere("web1", "iscsi://nas/iqn.2026-11.x:y/0");
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), -EINVAL);
    site_assert_told(b, "--chap none");
    assert_int_equal(set(b, (struct registry_node_change){.set_chap = true}), 0);
    site_must(registry_volume_add(b->registry, &v, &b->error), &b->error);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    const struct catalog_node *web1 = catalog_node_by_name(c, "web1");
    assert_non_null(catalog_volume_by_id(c, web1->volume_id)->elsewhere);
}

static void it_goes_without_a_file(void **state)
{
    struct site *b = *state;
    char *path = b->directory;
    site_must(registry_volume_remove_begin(b->registry, "there", NULL, &path, &b->error),
              &b->error);
    assert_null(path);
    site_must(registry_volume_remove_end(b->registry, "there", false, &b->error), &b->error);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    assert_null(catalog_volume_by_name(c, "there"));
}

#define ELSEWHERE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ELSEWHERE_TEST(it_is_kept_with_where_it_is),
        ELSEWHERE_TEST(one_lun_is_one_volume),
        ELSEWHERE_TEST(one_node_boots_it),
        ELSEWHERE_TEST(its_node_has_no_secrets_for_us),
        ELSEWHERE_TEST(its_node_has_no_data_volumes_of_ours),
        ELSEWHERE_TEST(it_is_no_data_volume),
        ELSEWHERE_TEST(it_takes_the_place_of_no_failed_one_where_it_does_not_fit),
        ELSEWHERE_TEST(it_goes_without_a_file),
    };
    return RUN_TESTS(tests);
}
