#include "test.h"

#include "server/config.h"

#include <errno.h>
#include <syslog.h>

struct reports {
    unsigned count;
    char last[1024];
    char all[4096];
};

static void collect(void *context, const char *problem)
{
    struct reports *reports = context;
    reports->count++;
    str_copy(reports->last, sizeof(reports->last), problem);
    size_t used = strlen(reports->all);
    snprintf(reports->all + used, sizeof(reports->all) - used, "%s\n", problem);
}

static int read_text(const char *text, struct reports *reports, struct config *ret_config)
{
    char path[] = "/tmp/nodisk-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    *reports = (struct reports){0};
    int r = config_read(path, collect, reports, ret_config);
    unlink(path);
    return r;
}

static void an_empty_file_gives_the_defaults(void **state)
{
    struct config config;
    struct reports reports;
    assert_int_equal(read_text("", &reports, &config), 0);
    assert_string_equal(config.state_directory, "/var/lib/nodisk");
    assert_int_equal(config.iscsi.count, 1);
    assert_int_equal(endpoint_port(&config.iscsi.endpoints[0]), 3260);
    assert_int_equal(config.n_subnets, 0);
    const struct iscsi_limits limits = ISCSI_DEFAULT_LIMITS;
    assert_memory_equal(&config.iscsi_limits, &limits, sizeof(limits));
    config_free(&config);
}

static void the_limits_of_sessions(void **state)
{
    struct config config;
    struct reports reports;
    static const struct iscsi_limits limits = {
        .sessions = 500,
        .sessions_per_target = 4,
        .logins = 100,
        .login_seconds = 5,
        .queue_depth = 256,
        .ping_seconds = 0,
        .ping_timeout = 3,
    };
    assert_int_equal(read_text("[iscsi]\nmax-sessions = 500\nmax-sessions-per-volume = 4\n"
                               "max-logins = 100\nlogin-timeout = 5\nqueue-depth = 256\n"
                               "ping-interval = 0\nping-timeout = 3\n",
                               &reports, &config),
                     0);
    assert_memory_equal(&config.iscsi_limits, &limits, sizeof(limits));
    config_free(&config);
}

/* Every kind of machine has its key, and its file in the place that it has. */
static void the_loaders_of_a_subnet(void **state)
{
    struct config config;
    struct reports reports;
    char text[2048] = "[subnet lab]\ninterface = eth1\nnetwork = 10.0.0.0/24\n";
    assert_int_equal(read_text(text, &reports, &config), 0);
    for (enum dhcp_loader i = 0; i < DHCP_LOADERS; i++)
        assert_string_equal(config.subnets[0].loaders[i], dhcp_loader_kind(i)->file);
    assert_string_equal(config.subnets[0].loaders[LOADER_BIOS], "undionly.kpxe");
    assert_string_equal(config.subnets[0].loaders[LOADER_UEFI_X64], "snponly.efi");
    config_free(&config);
    for (enum dhcp_loader i = 0; i < DHCP_LOADERS; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s = file-%d.efi\n", dhcp_loader_kind(i)->key,
                 i);
    }
    assert_int_equal(read_text(text, &reports, &config), 0);
    for (enum dhcp_loader i = 0; i < DHCP_LOADERS; i++) {
        char file[32];
        snprintf(file, sizeof(file), "file-%d.efi", i);
        assert_string_equal(config.subnets[0].loaders[i], file);
    }
    config_free(&config);
    assert_int_equal(read_text("[subnet lab]\ninterface = eth1\nnetwork = 10.0.0.0/24\n"
                               "loader-bios =\n",
                               &reports, &config),
                     0);
    assert_string_equal(config.subnets[0].loaders[LOADER_BIOS], "");
    config_free(&config);
}

static void what_should_stay_free(void **state)
{
    struct config config;
    struct reports reports;
    assert_int_equal(read_text("", &reports, &config), 0);
    assert_int_equal(config.warn_free.percent, 10);
    config_free(&config);
    assert_int_equal(read_text("[storage]\nwarn-free = 3%\n", &reports, &config), 0);
    assert_int_equal(config.warn_free.percent, 3);
    config_free(&config);
    assert_int_equal(read_text("[storage]\nwarn-free = 20G\n", &reports, &config), 0);
    assert_int_equal(config.warn_free.percent, 0);
    assert_true(config.warn_free.bytes == 20 * GIB);
    config_free(&config);
    assert_int_equal(read_text("[storage]\nwarn-free = 0\n", &reports, &config), 0);
    assert_true(config.warn_free.percent == 0 && config.warn_free.bytes == 0);
    config_free(&config);
}

static void discovery_with_chap(void **state)
{
    struct config config;
    struct reports reports;
    assert_int_equal(read_text("[iscsi]\ndiscovery-chap-user = finder\n"
                               "discovery-chap-secret-file = /etc/nodisk/secret\n"
                               "discovery-chap-target-user = iqn.2026-11.lan.example:portal\n"
                               "discovery-chap-target-secret-file = /etc/nodisk/target-secret\n",
                               &reports, &config),
                     0);
    const struct discovery_chap *c = &config.discovery_chap;
    assert_string_equal(c->user, "finder");
    assert_string_equal(c->secret_file, "/etc/nodisk/secret");
    assert_string_equal(c->target_user, "iqn.2026-11.lan.example:portal");
    assert_string_equal(c->target_secret_file, "/etc/nodisk/target-secret");
    config_free(&config);
}

static void check_options(const struct dhcp_options *options)
{
    static const char *const texts[] = {"domain-search=lab.example,example",
                                        "ntp-servers=10.0.0.5,10.0.0.6",
                                        "mtu=9000",
                                        "routes=10.1.0.0/16:10.0.0.2",
                                        "always:224=text:two words",
                                        "tftp-server-addresses=10.0.0.1"};
    char text[DHCP_SETTING_TEXT_SIZE];
    struct dhcp_setting setting;
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_true(dhcp_options_next(options, &at, &setting));
        assert_string_equal(dhcp_setting_format(&setting, text), texts[i]);
    }
    assert_false(dhcp_options_next(options, &at, &setting));
}

static void a_full_file_is_understood(void **state)
{
    struct config config;
    struct reports reports;
    int r = read_text("[server]\n"
                      "state-directory = /srv/nodisk ; here\n"
                      "base-iqn = iqn.2026-11.lan.rack\n"
                      "log-level = debug\n"
                      "[images]\n"
                      "warm-up = yes\n"
                      "warm-up-limit = 2G\n"
                      "[boot]\n"
                      "direct = no\n"
                      "ibft-origin = dhcp\n"
                      "chap-rotation = boot\n"
                      "[iscsi]\n"
                      "listen = 10.0.0.1:3260, [::1]:0\n"
                      "listen = 10.0.1.1:3260\n"
                      "threads = 2\n"
                      "# a remark\n"
                      "[subnet lab]\n"
                      "interface = eth1\n"
                      "network = 10.0.0.0/24\n"
                      "range = 10.0.0.100-10.0.0.150 10.0.0.160-10.0.0.200\n"
                      "router = 10.0.0.1\n"
                      "dns = 9.9.9.9 1.1.1.1\n"
                      "network6 = 2001:db8:1::/64\n"
                      "dns6 = 2001:db8:1::1 2001:db8:1::2\n"
                      "domain = lab.example\n"
                      "domain-search = lab.example, example\n"
                      "ntp = 10.0.0.5 10.0.0.6\n"
                      "mtu = 9000\n"
                      "routes = 10.1.0.0/16:10.0.0.2\n"
                      "option = always:224=text:two words\n"
                      "option = tftp-server-addresses=10.0.0.1\n"
                      "lease-time = 2h\n"
                      "router-advertisement = no\n",
                      &reports, &config);
    assert_string_equal(reports.all, "");
    assert_int_equal(r, 0);
    assert_string_equal(config.state_directory, "/srv/nodisk");
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_true(config.warm_up);
    assert_int_equal(config.boot_ways.direct, DIRECT_NO);
    assert_int_equal(config.boot_ways.ibft_origin, IBFT_ORIGIN_DHCP);
    assert_int_equal(config.boot_ways.chap_rotation, CHAP_ROTATION_BOOT);
    assert_int_equal(config.warm_limit, 2 * GIB);
    assert_int_equal(config.iscsi.count, 3);
    assert_int_equal(config.n_subnets, 1);
    const struct subnet *subnet = &config.subnets[0];
    assert_string_equal(subnet->interface, "eth1");
    assert_true(subnet->network == 0x0a000000 && subnet->mask == 0xffffff00);
    assert_int_equal(subnet->n_ranges, 2);
    assert_true(subnet->ranges[1].last == 0x0a0000c8);
    assert_int_equal(subnet->n_dns, 2);
    assert_int_equal(subnet->network6.bits, 64);
    assert_int_equal(subnet->n_dns6, 2);
    assert_int_equal(subnet->dns6[1].s6_addr[15], 2);
    assert_int_equal(subnet->lease_time, 7200);
    assert_false(subnet->router_advertisement);
    check_options(&subnet->options);
    config_free(&config);
}

static void each_problem_names_line_and_key(void **state)
{
    static const struct {
        const char *text;
        const char *expect;
    } cases[] = {
        {"[sever]\nsocket = /x\n", ":2: [sever]: no such section"},
        {"[iscsi]\ndiscovery-chap-user = finder\n", "together with its secret-file"},
        {"[iscsi]\ndiscovery-chap-target-secret-file = /x\n", "together with its secret-file"},
        {"[iscsi]\ndiscovery-chap-target-user = t\ndiscovery-chap-target-secret-file = /x\n",
         "needs discovery-chap-user, too"},
        {"[iscsi]\ndiscovery-chap-secret-file = secret\n",
         ":2: [iscsi] discovery-chap-secret-file: 'secret' must be an absolute path"},
        {"[server]\ncolour = red\n", ":2: [server] colour: no such key"},
        {"[server]\nbase-iqn = iqn.example\n",
         ":2: [server] base-iqn: 'iqn.example' must look like"},
        {"[server]\nsocket = /a\nsocket = /b\n", ":3: [server] socket: is set twice"},
        {"[server]\nsocket = nodisk.sock\n",
         ":2: [server] socket: 'nodisk.sock' must be an absolute"},
        {"[iscsi]\n\nlisten = 10.0.0.1\n", ":3: [iscsi] listen: '10.0.0.1' must be ADDRESS:PORT"},
        {"[boot]\ndirect = perhaps\n", ":2: [boot] direct: 'perhaps' must be yes or no"},
        {"[images]\nwarm-up = on\n", ":2: [images] warm-up: 'on' must be yes or no"},
        {"[images]\nwarm-up-limit = 0\n", ":2: [images] warm-up-limit: '0' must be a size"},
        {"[images]\n\nwarm-up-limit = much\n", ":3: [images] warm-up-limit: 'much' must be"},
        {"[iscsi]\nthreads = many\n", ":2: [iscsi] threads"},
        {"[iscsi]\nqueue-depth = 0\n", ":2: [iscsi] queue-depth: '0' must be 1 to 256"},
        {"[iscsi]\nlogin-timeout = 0\n", ":2: [iscsi] login-timeout"},
        {"[iscsi]\nmax-logins = 0\n", ":2: [iscsi] max-logins"},
        {"[iscsi]\nmax-sessions = -1\n", ":2: [iscsi] max-sessions"},
        {"[iscsi]\nping-interval = 4000\n", ":2: [iscsi] ping-interval"},
        {"[storage]\nwarn-free = 100%\n", ":2: [storage] warn-free: '100%' must be a part such"},
        {"[storage]\nwarn-free = little\n", ":2: [storage] warn-free"},
        {"[storage]\nfree = 1%\n", ":2: [storage] free: no such key"},
        {"\njunk\n", ":2: is neither [section] nor key = value"},
        {"[subnet a]\nnetwork = 10.0.0.0/24\n", ":2: [subnet a] interface: is not set"},
        {"[subnet a]\ninterface = x\nnetwork = 10.0.0.1/24\n",
         ":3: [subnet a] network: '10.0.0.1/24' must"},
        {"[subnet a]\ninterface = x\nnetwork = 10.0.0.0/24\nrange = 10.0.1.1-10.0.1.9\n",
         "[subnet a] range: 10.0.1.1 is not a host address of the network"},
        {"[subnet a]\ninterface = x\nnetwork = 10.0.0.0/24\nrange = 10.0.0.1-10.0.0.255\n",
         "[subnet a] range: 10.0.0.255 is not a host address"},
        {"[subnet a]\ninterface = x\nnetwork = 10.0.0.0/24\nrange = 10.0.0.9-10.0.0.1\n",
         ":4: [subnet a] range: '10.0.0.9-10.0.0.1' has its last address before its first"},
        {"[subnet a]\ninterface = x\nnetwork = 10.0.0.0/8\n"
         "[subnet b]\ninterface = y\nnetwork = 10.1.0.0/16\n",
         ":5: [subnet b] network: overlaps that of [subnet a]"},
        {"[subnet a]\nnetwork6 = 2001:db8::1/64\n",
         ":2: [subnet a] network6: '2001:db8::1/64' must"},
        {"[subnet a]\nnetwork6 = 2001:db8::/64\ndns6 = 10.0.0.1\n",
         ":3: [subnet a] dns6: '10.0.0.1' must be IPv6 addresses"},
        {"[subnet a]\ninterface = x\nnetwork = 10.0.0.0/8\ndns6 = 2001:db8::1\n",
         ":2: [subnet a] network6: is not set; without it, dns6"},
        {"[subnet a]\ninterface = x\nnetwork = 10.0.0.0/24\nnetwork6 = 2001:db8::/48\n"
         "[subnet b]\ninterface = y\nnetwork = 10.1.0.0/16\nnetwork6 = 2001:db8:0:1::/64\n",
         ":6: [subnet b] network6: overlaps that of [subnet a]"},
        {"[subnet a]\nlease-time = 5\n", ":2: [subnet a] lease-time: '5' must be a time"},
        {"[subnet a]\nloader-bios = ../x\n", ":2: [subnet a] loader-bios"},
        {"[subnet a]\nmtu = 67\n", ":2: [subnet a] mtu: '67' must be a number from 68 to 65535"},
        {"[subnet a]\nmtu = 1500\noption = mtu=1400\n",
         ":3: [subnet a] option: 'mtu=1400' is set twice"},
        {"[subnet a]\noption = routers=10.0.0.1\n", "is set by the key `router`"},
        {"[subnet a]\noption = vendor-class=00\n", "says how a machine boots"},
        {"[subnet A]\nmode = off\n", "[subnet A]: a subnet's name has lower case"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config config;
        struct reports reports;
        assert_int_equal(read_text(cases[i].text, &reports, &config), -EINVAL);
        if (!strstr(reports.all, cases[i].expect))
            fail_msg("case %zu: expected '%s' in:\n%s", i, cases[i].expect, reports.all);
    }
}

static void what_is_wrong_is_not_called_missing_too(void **state)
{
    struct config config;
    struct reports reports;
    assert_int_equal(
        read_text("[subnet a]\ninterface = a/b\nnetwork = 10.0.0.0/33\n", &reports, &config),
        -EINVAL);
    assert_contains(reports.all, ":2: [subnet a] interface: 'a/b' is not an interface name");
    assert_contains(reports.all, ":3: [subnet a] network: '10.0.0.0/33' must");
    assert_null(strstr(reports.all, "is not set"));
}

static void a_line_that_is_too_long_is_told(void **state)
{
    char text[4096] = "[server]\nsocket = /";
    memset(text + strlen(text), 'x', 3000);
    struct config config;
    struct reports reports;
    assert_int_equal(read_text(text, &reports, &config), -EINVAL);
    assert_non_null(strstr(reports.all, ":2: "));
}

static void a_missing_file_is_told(void **state)
{
    struct config config;
    struct reports reports = {0};
    assert_int_equal(config_read("/nowhere/nodisk.conf", collect, &reports, &config), -ENOENT);
    assert_string_equal(reports.last,
                        "/nowhere/nodisk.conf: cannot be read: No such file or directory");
}

static const char subnet6[] = "[subnet lab]\ninterface = eth1\nnetwork = 10.0.0.0/24\n"
                              "network6 = 2001:db8:1::/64\n";

static void ipv6_is_listened_on_where_it_is_to_be_served(void **state)
{
    struct config config;
    struct reports reports;
    char text[ENDPOINT_TEXT_SIZE];
    assert_int_equal(read_text(subnet6, &reports, &config), 0);
    const struct listen_list *lists[] = {&config.iscsi, &config.http, &config.tftp};
    static const char *const expected[][2] = {
        {"0.0.0.0:3260", "[::]:3260"}, {"0.0.0.0:80", "[::]:80"}, {"0.0.0.0:69", "[::]:69"}};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        assert_int_equal(lists[i]->count, 2);
        for (size_t k = 0; k < 2; k++)
            assert_string_equal(endpoint_format(&lists[i]->endpoints[k], text), expected[i][k]);
    }
    config_free(&config);
}

static void what_is_set_to_be_listened_on_stays(void **state)
{
    struct config config;
    struct reports reports;
    char text[512];
    snprintf(text, sizeof(text), "%s[http]\nlisten = 10.0.0.1:80\n", subnet6);
    assert_int_equal(read_text(text, &reports, &config), 0);
    assert_int_equal(config.http.count, 1);
    assert_int_equal(config.iscsi.count, 2);
    config_free(&config);
}

#define CERTIFICATE "[https]\ncertificate = /c\nkey = /k\n"

static void https_is_beside_http(void **state)
{
    struct config config;
    struct reports reports;
    char text[ENDPOINT_TEXT_SIZE];
    assert_int_equal(read_text("", &reports, &config), 0);
    assert_int_equal(config.https.listen.count, 0);
    assert_int_equal(config.https.require, NODE_HTTPS_OPTIONAL);
    config_free(&config);
    assert_int_equal(read_text(CERTIFICATE "require = secrets\ninstallers = yes\n[http]\n"
                                           "listen = 10.0.0.1:80 10.0.0.1:81 [::1]:8080\n",
                               &reports, &config),
                     0);
    assert_int_equal(config.https.listen.count, 2);
    assert_string_equal(endpoint_format(&config.https.listen.endpoints[0], text), "10.0.0.1:443");
    assert_string_equal(endpoint_format(&config.https.listen.endpoints[1], text), "[::1]:443");
    assert_int_equal(config.https.require, NODE_HTTPS_SECRETS);
    assert_true(config.https.installers);
    config_free(&config);
    assert_int_equal(read_text(CERTIFICATE "listen = 0.0.0.0:8443\n", &reports, &config), 0);
    assert_int_equal(config.https.listen.count, 1);
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ipv6_is_listened_on_where_it_is_to_be_served),
        TEST(what_is_set_to_be_listened_on_stays),
        TEST(https_is_beside_http),
        TEST(an_empty_file_gives_the_defaults),
        TEST(discovery_with_chap),
        TEST(a_full_file_is_understood),
        TEST(the_limits_of_sessions),
        TEST(the_loaders_of_a_subnet),
        TEST(what_should_stay_free),
        TEST(each_problem_names_line_and_key),
        TEST(what_is_wrong_is_not_called_missing_too),
        TEST(a_line_that_is_too_long_is_told),
        TEST(a_missing_file_is_told),
    };
    return RUN_TESTS(tests);
}
