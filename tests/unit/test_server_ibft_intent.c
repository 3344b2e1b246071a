#include "server/ibft_intent.h"

#include "test.h"

#include <errno.h>

#define IQN "iqn.2026-11.lan.example"

static const struct mac_address macs[] = {{{0x52, 0x54, 0, 0, 0, 1}}, {{0x52, 0x54, 0, 0, 0, 2}}};

struct site_lab {
    struct subnet subnets[2];
    struct redirect_list redirects;
    struct boot_ways ways;
    uint32_t leased;
    bool has_portal;
};

static uint32_t leased(void *context, struct mac_address mac)
{
    const struct site_lab *lab = context;
    return lab->leased;
}

static bool network(void *context, uint32_t address, uint32_t *ret_mask,
                    struct endpoint *ret_portal)
{
    const struct site_lab *lab = context;
    *ret_mask = 0xfffffe00;
    *ret_portal = endpoint_of_ipv4((address & *ret_mask) + 1, 3261);
    return lab->has_portal;
}

static struct site_lab lab_new(void)
{
    struct site_lab lab = {
        .subnets = {{.name = "lab",
                     .mode = SUBNET_SERVER,
                     .network = 0x0a000000,
                     .mask = 0xfffffe00,
                     .routers = {0x0a0000fe},
                     .n_routers = 1,
                     .dns = {0x0a000035, 0x0a000036, 0x0a000037},
                     .n_dns = 3},
                    {.name = "theirs",
                     .mode = SUBNET_PROXY,
                     .network = 0x0a090000,
                     .mask = 0xffffff00,
                     .routers = {0x0a0900fe},
                     .n_routers = 1}},
        .ways = {DIRECT_YES, IBFT_ORIGIN_MANUAL},
        .has_portal = true,
    };
    return lab;
}

/* As the server would tell it; json_decref() it. */
static json_t *told(struct site_lab *lab, struct catalog *catalog, const char *what,
                    const struct mac_address *mac)
{
    json_t *json;
    struct error error;
    const struct ibft_site site = {
        .catalog = catalog,
        .subnets = lab->subnets,
        .n_subnets = ARRAY_SIZE(lab->subnets),
        .ways = &lab->ways,
        .redirects = &lab->redirects,
        .leased = leased,
        .network = network,
        .context = lab,
    };
    if (ibft_intent(&site, what, mac, &json, &error) < 0)
        fail_msg("%s", error.text);
    return json;
}

static void assert_told(json_t *json, const char *wanted)
{
    cleanup_free char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, wanted);
    json_decref(json);
}

static struct catalog *catalog_with(const struct catalog_node *node,
                                    const struct catalog_volume *volume)
{
    struct catalog *catalog = catalog_new(IQN, 1);
    struct dhcp_options options = {0};
    const struct catalog_group group = {.id = 1, .name = "rack1", .options = &options};
    assert_null(dhcp_options_parse(&options, "dns-servers=10.0.1.1"));
    assert_non_null(catalog);
    assert_int_equal(catalog_add_node(catalog, node), 0);
    if (volume)
        assert_int_equal(catalog_add_volume(catalog, volume), 0);
    assert_int_equal(catalog_add_group(catalog, &group), 0);
    assert_int_equal(catalog_seal(catalog), 0);
    return catalog;
}

static const struct catalog_volume disk = {
    .id = 7, .name = "web1-disk", .state = VOLUME_READY, .size = 1 << 20, .block_size = 512};

static struct catalog_node node_new(void)
{
    return (struct catalog_node){
        .id = 1, .name = "web1", .address = 0x0a000111, .volume_id = 7, .macs = macs, .n_macs = 2};
}

static void a_node_with_everything(void **state)
{
    struct site_lab lab = lab_new();
    struct catalog_node node = node_new();
    const struct chap_credentials chap = {.mode = CHAP_MUTUAL,
                                          .initiator = {"web1", "secret-of-web1"},
                                          .target = {"nodisk", "secret-of-nodisk"}};
    node.chap = &chap;
    cleanup_catalog struct catalog *catalog = catalog_with(&node, &disk);
    json_t *json = told(&lab, catalog, "web1", NULL);
    cleanup_free char *text = json_dumps(json, 0);
    assert_null(strstr(text, "secret"));
    assert_told(json, "{\"node\":\"web1\",\"macs\":[\"52:54:00:00:00:01\",\"52:54:00:00:00:02\"],"
                      "\"card\":\"52:54:00:00:00:01\",\"address\":\"10.0.1.17\",\"prefix\":23,"
                      "\"gateway\":\"10.0.0.254\",\"dns\":[\"10.0.0.53\",\"10.0.0.54\"],"
                      "\"host_name\":\"web1\",\"initiator\":\"" IQN ":web1\","
                      "\"origin\":\"manual\",\"target\":\"" IQN ":web1-disk\",\"lun\":0,"
                      "\"portal\":\"10.0.0.1\",\"port\":3261,\"chap\":\"mutual\","
                      "\"chap_name\":\"web1\",\"chap_target_name\":\"nodisk\"}");
}

static void assert_member(json_t *json, const char *key, const char *wanted)
{
    cleanup_free char *text = json_dumps(json_object_get(json, key), JSON_ENCODE_ANY);
    if (wanted)
        assert_string_equal(text ? text : "nothing", wanted);
    else
        assert_null(text);
}

static void what_is_the_nodes_own_comes_first(void **state)
{
    struct site_lab lab = lab_new();
    struct catalog_node node = node_new();
    struct dhcp_options options = {0};
    assert_null(dhcp_options_parse(&options, "routers=10.0.0.9"));
    node.options = &options;
    node.group = "rack1";
    node.ways.ibft_origin = IBFT_ORIGIN_DHCP;
    cleanup_catalog struct catalog *catalog = catalog_with(&node, &disk);
    json_t *json = told(&lab, catalog, "52-54-00-00-00-02", NULL);
    assert_member(json, "card", "\"52:54:00:00:00:02\"");
    assert_member(json, "gateway", "\"10.0.0.9\"");
    assert_member(json, "dns", "[\"10.0.1.1\"]");
    assert_member(json, "origin", "\"dhcp\"");
    assert_member(json, "chap", "\"none\"");
    assert_member(json, "chap_name", "\"\"");
    json_decref(json);
    json = told(&lab, catalog, "web1", &macs[1]);
    assert_member(json, "card", "\"52:54:00:00:00:02\"");
    json_decref(json);
    const struct mac_address other = {{2, 0, 0, 0, 0, 9}};
    json = told(&lab, catalog, "web1", &other);
    assert_member(json, "card", "\"52:54:00:00:00:01\"");
    json_decref(json);
}

/* Which of its cards has a gateway, is for the one to say through which it was started. */
static void of_a_node_with_paths_no_gateway_is_told(void **state)
{
    struct site_lab lab = lab_new();
    struct catalog_node node = node_new();
    const struct catalog_path path = {.mac = macs[1], .address = 0x0a000112};
    node.paths = &path;
    node.n_paths = 1;
    cleanup_catalog struct catalog *catalog = catalog_with(&node, &disk);
    json_t *json = told(&lab, catalog, "web1", &macs[1]);
    assert_member(json, "address", "\"10.0.1.18\"");
    assert_member(json, "gateway", NULL);
    json_decref(json);
}

static void what_is_not_known_is_not_told(void **state)
{
    struct site_lab lab = lab_new();
    struct catalog_node node = node_new();
    node.address = 0;
    lab.has_portal = false;
    cleanup_catalog struct catalog *catalog = catalog_with(&node, NULL);
    json_t *json = told(&lab, catalog, "web1", NULL);
    static const char *const unknown[] = {"address", "prefix", "gateway", "dns", "target",
                                          "portal",  "port",   "lun",     "chap"};
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
        assert_member(json, unknown[i], NULL);
    json_decref(json);
    lab.leased = 0x0a090022; /* in a network of another server's */
    json = told(&lab, catalog, "web1", NULL);
    assert_member(json, "address", "\"10.9.0.34\"");
    assert_member(json, "gateway", NULL);
    json_decref(json);
}

static void a_disk_that_is_elsewhere(void **state)
{
    struct site_lab lab = lab_new();
    const struct catalog_node node = node_new();
    struct iscsi_uri uri;
    struct error error;
    struct catalog_volume volume = disk;
    assert_int_equal(iscsi_uri_parse("iscsi://10.8.0.1/iqn.2005-10.org.nas:Disk/3", &uri, &error),
                     0);
    volume.kind = VOLUME_ISCSI;
    volume.elsewhere = &uri;
    cleanup_catalog struct catalog *catalog = catalog_with(&node, &volume);
    json_t *json = told(&lab, catalog, "web1", NULL);
    assert_member(json, "target", "\"iqn.2005-10.org.nas:Disk\"");
    assert_member(json, "lun", "3");
    assert_member(json, "portal", "\"10.8.0.1\"");
    assert_member(json, "port", "3260");
    json_decref(json);
}

static void a_disk_that_another_portal_serves(void **state)
{
    struct site_lab lab = lab_new();
    const struct catalog_node node = node_new();
    lab.redirects.count = 1;
    str_copy(lab.redirects.entries[0].volume, sizeof(lab.redirects.entries[0].volume), "web1-disk");
    lab.redirects.entries[0].portal = endpoint_of_ipv4(0x0a000007, 3262);
    cleanup_catalog struct catalog *catalog = catalog_with(&node, &disk);
    json_t *json = told(&lab, catalog, "web1", NULL);
    assert_member(json, "portal", "\"10.0.0.7\"");
    assert_member(json, "port", "3262");
    json_decref(json);
}

static void an_unknown_machine_is_refused(void **state)
{
    struct site_lab lab = lab_new();
    const struct catalog_node node = node_new();
    cleanup_catalog struct catalog *catalog = catalog_with(&node, &disk);
    json_t *json;
    struct error error;
    const struct ibft_site site = {.catalog = catalog, .ways = &lab.ways};
    assert_int_equal(ibft_intent(&site, "web2", NULL, &json, &error), -ENOENT);
    assert_int_equal(ibft_intent(&site, "02:00:00:00:00:09", NULL, &json, &error), -ENOENT);
    assert_contains(error.text, "there is no node '02:00:00:00:00:09'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_with_everything),
        TEST(what_is_the_nodes_own_comes_first),
        TEST(of_a_node_with_paths_no_gateway_is_told),
        TEST(what_is_not_known_is_not_told),
        TEST(a_disk_that_is_elsewhere),
        TEST(a_disk_that_another_portal_serves),
        TEST(an_unknown_machine_is_refused),
    };
    return RUN_TESTS(tests);
}
