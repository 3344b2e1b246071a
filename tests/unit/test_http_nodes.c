/* What machines fetch, over loopback: each 127.0.0.x is a machine of its own. */
#include "http_client.h"
#include "own_network.h"
#include "site.h"

#include "http/nodes.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define ANSWERED "HTTP/1.1 200 OK"

struct bench {
    struct site site;
    struct boot_tracker *tracker;
    struct node_http *http;
    struct endpoint where;
    enum node_http_giver giver;   /* of all addresses */
    struct mac_address neighbour; /* who has them all, of those who are proxied; zero: nobody */
    struct endpoint portal;
    struct registry *registry; /* what the HTTP side writes to; NULL: it cannot */
    atomic_uint rotated;

    sem_t told; /* once for each oddity */
    enum node_http_oddity_kind kind;
    char peer[ENDPOINT_TEXT_SIZE];
    char name[256]; /* path or node */
};

static bool has_own_network;

static void portal_for(void *context, const struct endpoint *local, struct endpoint *ret_portal)
{
    const struct bench *b = context;
    *ret_portal = endpoint_with_port(local, endpoint_port(&b->portal));
}

static enum node_http_giver giver(void *context, uint32_t address)
{
    return ((const struct bench *)context)->giver;
}

static bool neighbour(void *context, uint32_t address, struct mac_address *ret_mac)
{
    static const struct mac_address nobody;
    const struct bench *b = context;
    if (mac_eq(b->neighbour, nobody))
        return false;
    *ret_mac = b->neighbour;
    return true;
}

/* One file, and one that cannot be read. */
static int open_loader(void *context, const char *name, int *ret_fd, uint64_t *ret_size)
{
    static const char text[] = "MZ a loader";
    if (!str_eq(name, "dir/a b.efi") && !str_eq(name, "undionly.kpxe"))
        return -ENOENT;
    int fd = memfd_create("loader", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    *ret_fd = fd;
    *ret_size = sizeof(text) - 1;
    return 0;
}

static void on_oddity(void *context, const struct node_http_oddity *oddity)
{
    struct bench *b = context;
    b->kind = oddity->kind;
    endpoint_format_address(&oddity->peer, b->peer);
    str_copy(b->name, sizeof(b->name),
             oddity->kind == NODE_HTTP_WRONG        ? oddity->path
             : oddity->kind != NODE_HTTP_NO_REQUEST ? oddity->node
                                                    : "");
    sem_post(&b->told);
}

static void on_rotated(void *context, const char *node)
{
    struct bench *b = context;
    assert_string_equal(node, "web1");
    b->rotated++;
}

static uint32_t loopback(uint8_t last)
{
    return 0x7f000000U | last;
}

static struct registry_volume add_volume(struct bench *b, const char *name)
{
    struct registry_volume volume = site_volume(name, name);
    site_must(registry_volume_add(b->site.registry, &volume, &b->site.error), &b->site.error);
    return volume;
}

static void start_http(struct bench *b, const char *where)
{
    struct endpoint listen;
    assert_int_equal(endpoint_parse(where, &listen), 0);
    struct node_http_settings settings = {.listen = &listen,
                                          .n_listen = 1,
                                          .catalog = b->site.slot,
                                          .tracker = b->tracker,
                                          .portal = portal_for,
                                          .giver = giver,
                                          .neighbour = neighbour,
                                          .open_loader = open_loader,
                                          .oddity = on_oddity,
                                          .registry = b->registry,
                                          .rotated = on_rotated,
                                          .context = b};
    site_must(node_http_start(&settings, &b->http, &b->site.error), &b->site.error);
    size_t count;
    b->where = *node_http_endpoints(b->http, &count);
    assert_int_equal(count, 1);
}

/* web1 (MAC 1) has 127.0.0.11 and a volume; web2 (MAC 2) 127.0.0.12 and none. MAC 3, a stranger,
 * has 127.0.0.13. Nobody has been seen at 127.0.0.99. */
static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    site_make(&b->site);
    sem_init(&b->told, 0, 0);
    add_volume(b, "disk1");
    site_add_node(&b->site, "web1", 1, "disk1");
    site_add_node(&b->site, "web2", 2, NULL);
    site_must(boot_tracker_new(b->site.registry, b->site.slot, &b->tracker, &b->site.error),
              &b->site.error);
    for (uint8_t i = 1; i <= 3; i++)
        boot_tracker_set_address(b->tracker, loopback((uint8_t)(10 + i)), site_mac(i));
    b->giver = NODE_HTTP_OURS;
    assert_int_equal(endpoint_parse("0.0.0.0:3260", &b->portal), 0);
    start_http(b, "127.0.0.1:0");
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    node_http_stop(b->http);
    boot_tracker_free(b->tracker);
    site_remove(&b->site);
    sem_destroy(&b->told);
    free(b);
    return 0;
}

static char *get_script(struct bench *b, const char *from, unsigned mac)
{
    char request[128];
    snprintf(request, sizeof(request),
             "GET /boot.ipxe?mac=52-54-00-00-00-%02x HTTP/1.0\r\n"
             "User-Agent: iPXE/1.21.1+\r\n\r\n",
             mac);
    char *answer = http_ask(&b->where, from, request);
    if (!str_has_prefix(answer, ANSWERED) || !strstr(answer, "Content-Type: text/plain\r\n"))
        fail_msg("%s", answer);
    return answer;
}

static void assert_status(struct bench *b, const char *request, const char *status)
{
    cleanup_free char *answer = http_ask(&b->where, "127.0.0.11", request);
    char start[64];
    snprintf(start, sizeof(start), "HTTP/1.1 %s", status);
    if (!str_has_prefix(answer, start))
        fail_msg("'%s' gave '%s'", request, answer);
}

static uint64_t count(const struct bench *b, size_t offset)
{
    const char *counters = (const char *)node_http_counters(b->http);
    return counter_get((const struct counter *)(counters + offset));
}

#define COUNT(b, field) count(b, offsetof(struct node_http_counters, field))

/* Until what has gone out is counted: that is done behind the last byte. */
static void wait_for_loaders(const struct bench *b, uint64_t n)
{
    for (unsigned i = 0; COUNT(b, loaders) < n; i++) {
        if (i > 60000)
            fail_msg("%llu loaders", (unsigned long long)COUNT(b, loaders));
        usleep(1000);
    }
}

/* Waits for an oddity, and checks it. */
static void expect_oddity(struct bench *b, enum node_http_oddity_kind kind, const char *peer,
                          const char *name)
{
    sem_wait(&b->told);
    assert_int_equal(b->kind, kind);
    assert_string_equal(b->peer, peer);
    assert_string_equal(b->name, name);
}

static void assert_nothing_odd(struct bench *b)
{
    assert_int_equal(sem_trywait(&b->told), -1);
}

/* The stage that web1 is shown at; "" if it never booted. */
static void assert_stage(struct bench *b, const char *expected)
{
    struct stage_provider provider = boot_tracker_provider(b->tracker);
    json_t *all = provider.snapshot(provider.context);
    const char *stage = json_string_value(json_object_get(json_object_get(all, "web1"), "stage"));
    assert_string_equal(stage ? stage : "", expected);
    json_decref(all);
}

/* --- scripts --- */

static void a_node_gets_its_own_script(void **state)
{
    struct bench *b = *state;
    char url[128];
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(script, "\r\n\r\n#!ipxe\n");
    assert_contains(script, "set initiator-iqn " SITE_IQN ":web1\n");
    assert_contains(script, "sanboot iscsi:127.0.0.1::3260:0:" SITE_IQN ":disk1 ");
    snprintf(url, sizeof(url),
             "chain --timeout 30000 --replace http://127.0.0.1:%u/boot.ipxe?mac=52-54-00-00-00-01 ",
             endpoint_port(&b->where));
    assert_contains(script, url);
    assert_int_equal(COUNT(b, scripts), 1);
    assert_int_equal(COUNT(b, unknown), 0);
    assert_int_equal(COUNT(b, refused), 0);
    assert_stage(b, "script");
    assert_nothing_odd(b);
}

static void the_usual_port_is_left_out_of_urls(void **state)
{
    struct bench *b = *state;
    if (!has_own_network)
        skip();
    node_http_stop(take_ptr(b->http));
    start_http(b, "127.0.0.1:80");
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(
        script,
        "chain --timeout 30000 --replace http://127.0.0.1/boot.ipxe?mac=52-54-00-00-00-01 ");
}

static void a_node_without_a_volume_is_told_to_wait(void **state)
{
    struct bench *b = *state;
    cleanup_free char *script = get_script(b, "127.0.0.12", 2);
    assert_contains(script, "web2: has nothing to boot");
    assert_int_equal(COUNT(b, scripts), 1);
}

static void a_change_of_the_catalog_shows_in_the_next_script(void **state)
{
    struct bench *b = *state;
    struct registry_node_change change = {.set_volume = true, .volume = "disk2"};
    add_volume(b, "disk2");
    site_must(registry_node_set(b->site.registry, "web2", &change, NULL, &b->site.error),
              &b->site.error);
    cleanup_free char *script = get_script(b, "127.0.0.12", 2);
    assert_contains(script, SITE_IQN ":disk2 ");
}

static void the_portal_is_the_one_that_is_told(void **state)
{
    struct bench *b = *state;
    assert_int_equal(endpoint_parse("0.0.0.0:13260", &b->portal), 0);
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(script, "sanboot iscsi:127.0.0.1::13260:0:");
}

/* A script that tells nothing of any node. */
static void assert_stranger(struct bench *b, const char *from, unsigned mac, const char *words)
{
    cleanup_free char *script = get_script(b, from, mac);
    assert_contains(script, words);
    assert_null(strstr(script, "web1"));
    assert_null(strstr(script, "disk1"));
    assert_null(strstr(script, SITE_IQN));
}

#define UNKNOWN "is not known here"
#define WRONG   "does not ask from the address that was given to it"

static void an_unknown_machine_gets_the_generic_script(void **state)
{
    struct bench *b = *state;
    assert_stranger(b, "127.0.0.13", 3, UNKNOWN);
    assert_stranger(b, "127.0.0.99", 3, UNKNOWN); /* nobody says it for another */
    assert_int_equal(COUNT(b, unknown), 2);
    assert_int_equal(COUNT(b, scripts), 0);
    assert_int_equal(COUNT(b, refused), 0);
    assert_nothing_odd(b);
}

static void nobody_gets_the_script_of_another(void **state)
{
    struct bench *b = *state;
    assert_stranger(b, "127.0.0.12", 1, WRONG); /* another node */
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.12", "web1");
    assert_stranger(b, "127.0.0.13", 1, WRONG); /* another machine */
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.13", "web1");
    assert_stranger(b, "127.0.0.99", 1, WRONG); /* somebody without a lease */
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.99", "web1");
    assert_int_equal(COUNT(b, refused), 3);
    assert_int_equal(COUNT(b, unknown), 3);
    assert_int_equal(COUNT(b, scripts), 0);
    assert_stage(b, "");
}

static void where_somebody_else_hands_out_addresses_a_mac_is_believed(void **state)
{
    struct bench *b = *state;
    b->giver = NODE_HTTP_ELSEWHERE;
    for (unsigned from = 11; from <= 13; from++) { /* whatever we may have known of it */
        char address[32];
        snprintf(address, sizeof(address), "127.0.0.%u", from);
        cleanup_free char *script = get_script(b, address, 1);
        assert_contains(script, "set hostname web1\n");
    }
    assert_nothing_odd(b);
}

/* The lease was promised, but not stored yet, when the daemon was killed. */
static void a_reserved_address_is_its_nodes_if_nobody_has_it(void **state)
{
    struct bench *b = *state;
    struct registry_node_change change = {.set_address = true, .address = loopback(50)};
    site_must(registry_node_set(b->site.registry, "web1", &change, NULL, &b->site.error),
              &b->site.error);
    cleanup_free char *script = get_script(b, "127.0.0.50", 1);
    assert_contains(script, "set hostname web1\n");
    assert_stranger(b, "127.0.0.50", 2, WRONG);
    boot_tracker_set_address(b->tracker, loopback(50), site_mac(3)); /* now somebody has */
    assert_stranger(b, "127.0.0.50", 1, WRONG);
}

static void an_address_that_went_to_another_is_its_own_no_more(void **state)
{
    struct bench *b = *state;
    boot_tracker_set_address(b->tracker, loopback(11), site_mac(3));
    assert_stranger(b, "127.0.0.11", 1, WRONG);
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.11", "web1");
}

/* --- CHAP --- */

static void give_chap(struct bench *b, enum chap_mode mode)
{
    struct registry_node_change change = {.set_chap = true, .chap = mode};
    site_must(registry_node_set(b->site.registry, "web1", &change, NULL, &b->site.error),
              &b->site.error);
}

static void sign(struct bench *b, enum boot_sign sign)
{
    boot_tracker_sign_of_mac(b->tracker, site_mac(1), sign, "");
}

static void assert_secrets(struct bench *b, const char *from)
{
    cleanup_free char *script = get_script(b, from, 1);
    assert_contains(script, "set username web1\nset password ");
    assert_contains(script, "set reverse-username nodisk\nset reverse-password ");
}

static void secrets_go_out_while_the_node_boots(void **state)
{
    struct bench *b = *state;
    give_chap(b, CHAP_MUTUAL);
    sign(b, BOOT_SIGN_IPXE_DHCP);
    assert_secrets(b, "127.0.0.11");
    assert_stage(b, "script");
    assert_secrets(b, "127.0.0.11"); /* its disk failed, say */
    sign(b, BOOT_SIGN_FIRMWARE_LOGIN);
    assert_secrets(b, "127.0.0.11");
    assert_nothing_odd(b);
    assert_stranger(b, "127.0.0.12", 1, WRONG);
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.12", "web1");
}

static void secrets_stay_here_once_the_kernel_runs(void **state)
{
    static const enum boot_sign later[] = {BOOT_SIGN_INITRAMFS_LOGIN, BOOT_SIGN_SYSTEM_LOGIN,
                                           BOOT_SIGN_UP};
    struct bench *b = *state;
    give_chap(b, CHAP_MUTUAL);
    assert_stranger(b, "127.0.0.11", 1, WRONG); /* it was never seen to boot */
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
    sign(b, BOOT_SIGN_IPXE_DHCP);
    for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
        sign(b, later[i]);
        assert_stranger(b, "127.0.0.11", 1, WRONG);
        assert_stranger(b, "127.0.0.11", 1, WRONG); /* to ask is not to begin to boot */
        expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
        expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
    }
    assert_stage(b, "up");
    sign(b, BOOT_SIGN_IPXE_DHCP); /* it was reset */
    assert_secrets(b, "127.0.0.11");
}

static void secrets_go_to_no_address_that_is_not_ours(void **state)
{
    struct bench *b = *state;
    give_chap(b, CHAP_ONE_WAY);
    sign(b, BOOT_SIGN_IPXE_DHCP);
    b->giver = NODE_HTTP_ELSEWHERE;
    assert_stranger(b, "127.0.0.11", 1, WRONG);
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
    give_chap(b, CHAP_NONE);
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(script, "clear username ||\nclear password ||\nclear reverse-username ||\n");
}

static void use_registry(struct bench *b)
{
    node_http_stop(take_ptr(b->http));
    b->registry = b->site.registry;
    start_http(b, "127.0.0.1:0");
}

static void rotate_at_each_boot(struct bench *b)
{
    struct registry_node_change change = {.set_chap = true,
                                          .chap = CHAP_MUTUAL,
                                          .set_chap_rotation = true,
                                          .ways.chap_rotation = CHAP_ROTATION_BOOT};
    site_must(registry_node_set(b->site.registry, "web1", &change, NULL, &b->site.error),
              &b->site.error);
}

/* What a line of web1's script has behind these words, copied. */
static void get_setting(struct bench *b, const char *words, char value[static 80])
{
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    const char *at = strstr(script, words);
    assert_non_null(at);
    at += strlen(words);
    str_copy(value, MIN(80, strcspn(at, "\n") + 1), at);
}

/* How many sets of secrets of web1 hold; *ret_present: the present one's. */
static unsigned count_secrets(struct bench *b, char ret_present[static 80])
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(b->site.slot);
    const struct chap_credentials *chap = catalog_node_by_name(catalog, "web1")->chap;
    unsigned count = 0;
    str_copy(ret_present, 80, chap->initiator.secret);
    for (; chap; chap = chap->older)
        count++;
    return count;
}

static void each_boot_has_secrets_of_its_own(void **state)
{
    struct bench *b = *state;
    char first[80], again[80], second[80], reverse[80], of_second[80], held[80];
    use_registry(b);
    rotate_at_each_boot(b);
    sign(b, BOOT_SIGN_FIRMWARE_DHCP);
    get_setting(b, "set password ", first);
    assert_int_equal(count_secrets(b, held), 2);
    assert_string_equal(first, held); /* which was there before the script was */
    get_setting(b, "set reverse-password ", reverse);
    for (int i = 0; i < 2; i++) {
        get_setting(b, "set password ", again); /* its disk failed, say */
        assert_string_equal(again, first);
    }
    sign(b, BOOT_SIGN_FIRMWARE_LOGIN);
    get_setting(b, "set password ", again);
    assert_string_equal(again, first);
    assert_int_equal(count_secrets(b, held), 2);
    assert_int_equal(b->rotated, 1);

    sign(b, BOOT_SIGN_INITRAMFS_LOGIN);
    assert_stranger(b, "127.0.0.11", 1, WRONG); /* to ask is not to begin to boot */
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
    assert_int_equal(count_secrets(b, held), 2);
    sign(b, BOOT_SIGN_FIRMWARE_DHCP);
    get_setting(b, "set password ", second);
    get_setting(b, "set reverse-password ", of_second);
    assert_string_not_equal(second, first);
    assert_string_not_equal(of_second, reverse);
    assert_int_equal(count_secrets(b, held), 3);
    assert_int_equal(b->rotated, 2);
}

/* What is not written down is not handed out. */
static void without_a_note_there_are_no_secrets(void **state)
{
    struct bench *b = *state;
    char held[80];
    rotate_at_each_boot(b); /* and no registry */
    sign(b, BOOT_SIGN_FIRMWARE_DHCP);
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(script, "could not be written down");
    assert_null(strstr(script, "password"));
    assert_int_equal(count_secrets(b, held), 1);
}

static void other_boots_keep_the_secrets(void **state)
{
    struct bench *b = *state;
    char held[80], kept[80];
    use_registry(b);
    give_chap(b, CHAP_MUTUAL); /* by hand, as the site says */
    sign(b, BOOT_SIGN_FIRMWARE_DHCP);
    assert_secrets(b, "127.0.0.11");
    assert_int_equal(count_secrets(b, held), 1);
    rotate_at_each_boot(b); /* but it boots its own disk */
    const struct registry_boot_scope web1 = {.node = "web1"};
    const struct registry_boot_rule local = {.slot = BOOT_SLOT_STANDING,
                                             .target = {.kind = BOOT_TARGET_LOCAL}};
    site_must(registry_boot_rule_set(b->site.registry, &web1, &local, &b->site.error),
              &b->site.error);
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(script, "boots its own disk");
    assert_int_equal(count_secrets(b, kept), 1);
    assert_string_equal(kept, held);
    assert_int_equal(b->rotated, 0);
}

/* --- beside another DHCP server --- */

static void a_neighbour_is_the_node(void **state)
{
    struct bench *b = *state;
    give_chap(b, CHAP_MUTUAL);
    b->giver = NODE_HTTP_PROXIED;
    b->neighbour = site_mac(1);
    assert_stranger(b, "127.0.0.50", 1, WRONG); /* it does not boot */
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.50", "web1");
    sign(b, BOOT_SIGN_IPXE_DHCP);
    assert_secrets(b, "127.0.0.50");
    assert_stage(b, "script");
}

static void a_neighbour_that_is_another_gets_nothing(void **state)
{
    struct bench *b = *state;
    b->giver = NODE_HTTP_PROXIED;
    b->neighbour = site_mac(2);
    sign(b, BOOT_SIGN_IPXE_DHCP);
    assert_stranger(b, "127.0.0.11", 1, WRONG); /* whatever we may have known of the address */
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.11", "web1");
    assert_status(b, "POST /up?mac=52-54-00-00-00-01 HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "403");
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.11", "web1");
    assert_stage(b, "address");
}

/* Behind a router: nothing shows who it is. */
static void who_is_no_neighbour_is_believed_but_gets_no_secrets(void **state)
{
    struct bench *b = *state;
    b->giver = NODE_HTTP_PROXIED;
    sign(b, BOOT_SIGN_IPXE_DHCP);
    cleanup_free char *script = get_script(b, "127.0.0.50", 1);
    assert_contains(script, "set hostname web1\n");
    give_chap(b, CHAP_ONE_WAY);
    assert_stranger(b, "127.0.0.50", 1, WRONG);
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.50", "web1");
}

static void a_neighbours_loader_is_its_nodes(void **state)
{
    struct bench *b = *state;
    b->giver = NODE_HTTP_PROXIED;
    b->neighbour = site_mac(1);
    sign(b, BOOT_SIGN_FIRMWARE_DHCP);
    cleanup_free char *answer =
        http_ask(&b->where, "127.0.0.50", "GET /loaders/undionly.kpxe HTTP/1.0\r\n\r\n");
    assert_contains(answer, "MZ a loader");
    wait_for_loaders(b, 1);
    assert_stage(b, "loader");
}

/* --- a disk elsewhere --- */

/* web1 boots LUN 1 of a target at nas. */
static void put_elsewhere(struct bench *b, const struct chap_credentials *chap)
{
    const struct registry_volume volume = {.name = "there",
                                           .kind = VOLUME_ISCSI,
                                           .state = VOLUME_READY,
                                           .path = "iscsi://nas/iqn.2005-10.org.x:web1/1",
                                           .block_size = 512,
                                           .chap = chap};
    const struct registry_node_change change = {.set_volume = true, .volume = "there"};
    site_must(registry_volume_add(b->site.registry, &volume, &b->site.error), &b->site.error);
    site_must(registry_node_set(b->site.registry, "web1", &change, NULL, &b->site.error),
              &b->site.error);
}

static const struct chap_credentials asked_there = {
    CHAP_MUTUAL, {"web", "correcthorse"}, {"nas", "batterystaple"}};

static void a_disk_elsewhere_is_told_to_whoever_is_the_node(void **state)
{
    struct bench *b = *state;
    put_elsewhere(b, NULL);
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(script, "sanboot iscsi:nas::3260:1:iqn.2005-10.org.x:web1 ||");
    assert_contains(script, "set initiator-iqn " SITE_IQN ":web1\n");
    assert_contains(script, "clear username ||\nclear password ||\n");
    assert_stage(b, "script");
    assert_stranger(b, "127.0.0.12", 1, WRONG);
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.12", "web1");
}

static void assert_secrets_of_there(struct bench *b)
{
    cleanup_free char *script = get_script(b, "127.0.0.11", 1);
    assert_contains(script, "set username web\nset password correcthorse\n");
    assert_contains(script, "set reverse-username nas\nset reverse-password batterystaple\n");
}

static void its_secrets_go_out_until_the_node_is_up(void **state)
{
    struct bench *b = *state;
    put_elsewhere(b, &asked_there);
    assert_stranger(b, "127.0.0.11", 1, WRONG); /* it was never seen to boot */
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
    sign(b, BOOT_SIGN_IPXE_DHCP);
    assert_secrets_of_there(b);
    assert_secrets_of_there(b); /* the target was away, say */
    assert_stranger(b, "127.0.0.12", 1, WRONG);
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.12", "web1");
    sign(b, BOOT_SIGN_UP);
    assert_stranger(b, "127.0.0.11", 1, WRONG);
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
    sign(b, BOOT_SIGN_IPXE_DHCP);
    assert_secrets_of_there(b);
    b->giver = NODE_HTTP_ELSEWHERE;
    assert_stranger(b, "127.0.0.11", 1, WRONG);
    expect_oddity(b, NODE_HTTP_LATE, "127.0.0.11", "web1");
}

static void a_mac_may_be_written_in_every_way(void **state)
{
    struct bench *b = *state;
    static const char *const ways[] = {"52:54:00:00:00:01", "52%3a54%3A00%3a00%3a00%3a01",
                                       "525400000001", "52-54-00-00-00-01&uuid=1&x"};
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        char request[128];
        snprintf(request, sizeof(request), "GET /boot.ipxe?mac=%s HTTP/1.0\r\n\r\n", ways[i]);
        assert_status(b, request, "200");
    }
    assert_int_equal(COUNT(b, scripts), ARRAY_SIZE(ways));
}

/* --- "I am up" --- */

static char *post_up(struct bench *b, const char *from, unsigned mac)
{
    char request[160];
    snprintf(request, sizeof(request),
             "POST /up?mac=52-54-00-00-00-%02x HTTP/1.0\r\nContent-Length: 0\r\n\r\n", mac);
    return http_ask(&b->where, from, request);
}

static void a_node_says_that_it_is_up(void **state)
{
    struct bench *b = *state;
    cleanup_free char *answer = post_up(b, "127.0.0.11", 1);
    assert_true(str_has_prefix(answer, ANSWERED));
    assert_stage(b, "up");
    assert_int_equal(COUNT(b, up), 1);
}

static void who_is_no_node_does_not_count(void **state)
{
    struct bench *b = *state;
    free(post_up(b, "127.0.0.13", 3));
    assert_int_equal(COUNT(b, up), 0);
}

static void nobody_says_it_for_another(void **state)
{
    struct bench *b = *state;
    cleanup_free char *answer = post_up(b, "127.0.0.12", 1);
    assert_true(str_has_prefix(answer, "HTTP/1.1 403"));
    assert_stage(b, "");
    assert_int_equal(COUNT(b, up), 0);
    assert_int_equal(COUNT(b, refused), 1);
    expect_oddity(b, NODE_HTTP_STRANGER, "127.0.0.12", "web1");
}

/* --- what is wrong --- */

static void wrong_requests_are_refused_counted_and_told(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *request, *status, *path;
    } cases[] = {
        {"GET / HTTP/1.0\r\n\r\n", "404", "/"},
        {"GET /boot.ipxe/ HTTP/1.0\r\n\r\n", "404", "/boot.ipxe/"},
        {"GET /../etc/passwd HTTP/1.0\r\n\r\n", "404", "/../etc/passwd"},
        {"GET /v1/nodes HTTP/1.0\r\n\r\n", "404", "/v1/nodes"},
        {"GET /boot.ipxe HTTP/1.0\r\n\r\n", "400", "/boot.ipxe"},
        {"GET /boot.ipxe?mac HTTP/1.0\r\n\r\n", "400", "/boot.ipxe"},
        {"GET /boot.ipxe?mac= HTTP/1.0\r\n\r\n", "400", "/boot.ipxe"},
        {"GET /boot.ipxe?mac=web1 HTTP/1.0\r\n\r\n", "400", "/boot.ipxe"},
        {"GET /boot.ipxe?mac=52-54-00-00-00 HTTP/1.0\r\n\r\n", "400", "/boot.ipxe"},
        {"GET /boot.ipxe?mac=00-00-00-00-00-00 HTTP/1.0\r\n\r\n", "400", "/boot.ipxe"},
        {"GET /boot.ipxe?mac=ff-ff-ff-ff-ff-ff HTTP/1.0\r\n\r\n", "400", "/boot.ipxe"},
        {"POST /up HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "400", "/up"},
        {"GET /up?mac=52-54-00-00-00-01 HTTP/1.0\r\n\r\n", "404", "/up"},
        {"HEAD /boot.ipxe?mac=52-54-00-00-00-01 HTTP/1.0\r\n\r\n", "404", "/boot.ipxe"},
        {"DELETE /boot.ipxe?mac=52-54-00-00-00-01 HTTP/1.0\r\n\r\n", "404", "/boot.ipxe"},
        {"POST /boot.ipxe?mac=52-54-00-00-00-01 HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "404",
         "/boot.ipxe"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_status(b, cases[i].request, cases[i].status);
        expect_oddity(b, NODE_HTTP_WRONG, "127.0.0.11", cases[i].path);
    }
    assert_int_equal(COUNT(b, refused), ARRAY_SIZE(cases));
    assert_int_equal(COUNT(b, requests), ARRAY_SIZE(cases));
    assert_int_equal(COUNT(b, scripts), 0);
    assert_stage(b, "");
}

static void a_body_is_not_read(void **state)
{
    struct bench *b = *state;
    assert_status(b, "POST /up?mac=52-54-00-00-00-01 HTTP/1.0\r\nContent-Length: 3\r\n\r\nyes",
                  "413");
    assert_stage(b, "");
}

/* Nothing at all, no HTTP, and a head without end. */
static void a_connection_without_a_request_is_counted_and_told(void **state)
{
    struct bench *b = *state;
    static char endless[64 * 1024] = "GET /";
    memset(endless + 5, 'x', sizeof(endless) - 6);
    close(http_connect(&b->where, "127.0.0.13"));
    expect_oddity(b, NODE_HTTP_NO_REQUEST, "127.0.0.13", "");
    free(http_ask(&b->where, "127.0.0.12", "\x16\x03\x01 is TLS\r\n\r\n"));
    expect_oddity(b, NODE_HTTP_NO_REQUEST, "127.0.0.12", "");
    free(http_ask(&b->where, "127.0.0.99", endless));
    expect_oddity(b, NODE_HTTP_NO_REQUEST, "127.0.0.99", "");
    assert_int_equal(COUNT(b, dropped), 3);
    assert_int_equal(COUNT(b, requests), 0);
}

static void a_connection_may_be_used_again(void **state)
{
    struct bench *b = *state;
    cleanup_free char *answers =
        http_ask(&b->where, "127.0.0.11",
                 "GET /boot.ipxe?mac=52-54-00-00-00-01 HTTP/1.1\r\nHost: x\r\n\r\n"
                 "GET /boot.ipxe?mac=52-54-00-00-00-01 HTTP/1.1\r\nHost: x\r\n"
                 "Connection: close\r\n\r\n");
    const char *first = strstr(answers, "#!ipxe");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "#!ipxe"));
    assert_int_equal(COUNT(b, scripts), 2);
}

struct crowd {
    struct bench *bench;
    unsigned machine;
};

static void *fetch_often(void *argument)
{
    const struct crowd *c = argument;
    char from[32];
    snprintf(from, sizeof(from), "127.0.0.%u", 10 + c->machine);
    for (int i = 0; i < 25; i++)
        free(get_script(c->bench, from, c->machine));
    return NULL;
}

static void a_crowd_is_served(void **state)
{
    struct bench *b = *state;
    pthread_t threads[8];
    struct crowd crowd[8];
    for (unsigned i = 0; i < 8; i++) {
        crowd[i] = (struct crowd){b, 1 + i % 2};
        pthread_create(&threads[i], NULL, fetch_often, &crowd[i]);
    }
    for (unsigned i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(COUNT(b, scripts), 200);
    assert_int_equal(COUNT(b, requests), 200);
}

/* --- loaders --- */

static void expect_answer(struct bench *b, const char *request, const char *type, const char *body)
{
    char head[128];
    cleanup_free char *answer = http_ask(&b->where, "127.0.0.11", request);
    if (!str_has_prefix(answer, ANSWERED))
        fail_msg("%s", answer);
    snprintf(head, sizeof(head), "Content-Type: %s\r\n", type);
    assert_contains(answer, head);
    assert_contains(answer, "Content-Length: 11\r\n");
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static void firmware_fetches_its_loader(void **state)
{
    struct bench *b = *state;
    boot_tracker_sign_of_mac(b->tracker, site_mac(1), BOOT_SIGN_FIRMWARE_DHCP, "");
    expect_answer(b, "HEAD /loaders/dir/a%20b.efi HTTP/1.0\r\n\r\n", "application/efi", "");
    assert_stage(b, "address");
    expect_answer(b, "GET /loaders/dir/a%20b.efi HTTP/1.0\r\n\r\n", "application/efi",
                  "MZ a loader");
    wait_for_loaders(b, 1);
    assert_stage(b, "loader");
    expect_answer(b, "GET /loaders/undionly.kpxe HTTP/1.0\r\n\r\n", "application/octet-stream",
                  "MZ a loader");
    wait_for_loaders(b, 2);
    assert_int_equal(COUNT(b, loaders), 2);
    assert_nothing_odd(b);
}

static void there_is_nothing_but_loaders(void **state)
{
    struct bench *b = *state;
    static const char *const requests[] = {
        "GET /loaders/other.efi HTTP/1.0\r\n\r\n", "GET /loaders/ HTTP/1.0\r\n\r\n",
        "HEAD /loaders/other.efi HTTP/1.0\r\n\r\n", "POST /loaders/undionly.kpxe HTTP/1.0\r\n\r\n",
        "GET /loaders HTTP/1.0\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        assert_status(b, requests[i], "404");
        sem_wait(&b->told);
    }
    assert_int_equal(COUNT(b, refused), ARRAY_SIZE(requests));
    assert_int_equal(COUNT(b, loaders), 0);
}

static void a_port_that_is_taken_is_told(void **state)
{
    struct bench *b = *state;
    struct node_http *second = NULL;
    struct endpoint listen[2];
    assert_int_equal(endpoint_parse("127.0.0.1:0", &listen[0]), 0);
    listen[1] = b->where;
    struct node_http_settings settings = {.listen = listen, .n_listen = 2, .catalog = b->site.slot};
    assert_int_equal(node_http_start(&settings, &second, &b->site.error), -EADDRINUSE);
    assert_null(second);
    site_assert_told(&b->site, "http");
}

#define NODES_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODES_TEST(a_node_gets_its_own_script),
        NODES_TEST(the_usual_port_is_left_out_of_urls),
        NODES_TEST(a_node_without_a_volume_is_told_to_wait),
        NODES_TEST(a_change_of_the_catalog_shows_in_the_next_script),
        NODES_TEST(the_portal_is_the_one_that_is_told),
        NODES_TEST(an_unknown_machine_gets_the_generic_script),
        NODES_TEST(nobody_gets_the_script_of_another),
        NODES_TEST(where_somebody_else_hands_out_addresses_a_mac_is_believed),
        NODES_TEST(a_reserved_address_is_its_nodes_if_nobody_has_it),
        NODES_TEST(an_address_that_went_to_another_is_its_own_no_more),
        NODES_TEST(secrets_go_out_while_the_node_boots),
        NODES_TEST(secrets_stay_here_once_the_kernel_runs),
        NODES_TEST(secrets_go_to_no_address_that_is_not_ours),
        NODES_TEST(each_boot_has_secrets_of_its_own),
        NODES_TEST(without_a_note_there_are_no_secrets),
        NODES_TEST(other_boots_keep_the_secrets),
        NODES_TEST(a_neighbour_is_the_node),
        NODES_TEST(a_neighbour_that_is_another_gets_nothing),
        NODES_TEST(who_is_no_neighbour_is_believed_but_gets_no_secrets),
        NODES_TEST(a_neighbours_loader_is_its_nodes),
        NODES_TEST(a_disk_elsewhere_is_told_to_whoever_is_the_node),
        NODES_TEST(its_secrets_go_out_until_the_node_is_up),
        NODES_TEST(a_mac_may_be_written_in_every_way),
        NODES_TEST(a_node_says_that_it_is_up),
        NODES_TEST(who_is_no_node_does_not_count),
        NODES_TEST(nobody_says_it_for_another),
        NODES_TEST(wrong_requests_are_refused_counted_and_told),
        NODES_TEST(a_body_is_not_read),
        NODES_TEST(a_connection_without_a_request_is_counted_and_told),
        NODES_TEST(a_connection_may_be_used_again),
        NODES_TEST(a_crowd_is_served),
        NODES_TEST(firmware_fetches_its_loader),
        NODES_TEST(there_is_nothing_but_loaders),
        NODES_TEST(a_port_that_is_taken_is_told),
    };
    has_own_network = own_network_enter();
    if (has_own_network)
        own_network_raise("lo");
    return RUN_TESTS(tests);
}
