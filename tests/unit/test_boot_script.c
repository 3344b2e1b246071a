/* What a machine does with its script, run as iPXE runs it. */
#include "test.h"

#include "ipxe.h"

#include "boot/script.h"
#include "core/names.h"

#define IQN "iqn.2026-11.lan.example"

static const struct mac_address mac = {{0x52, 0x54, 0x00, 0xab, 0xcd, 0x0f}};
static const struct catalog_node node = {.name = "web1"};
static const struct catalog_volume volume = {.name = "web1.root"};
static const struct boot_site site = {
    .portal = "10.0.0.1", .portal_port = 3260, .base_url = "http://10.0.0.1", .base_iqn = IQN};

/* What comes of the sanboots, chains and DHCPs, one letter each: w(orks), f(ails), r(eturns); the
 * last one again and again. */
static const char *sanboot_plan, *chain_plan, *dhcp_plan;
/* Likewise: of sanhooks, of chains to a direct boot, and of all that it consists of. */
static const char *sanhook_plan, *direct_plan, *fetch_plan;

static enum ipxe_outcome letter(const char **plan)
{
    char c = **plan;
    if ((*plan)[1])
        ++*plan;
    return c == 'w' ? IPXE_WORKS : c == 'r' ? IPXE_RETURNS : IPXE_FAILS;
}

static enum ipxe_outcome outcome(struct ipxe *ipxe, const char *command)
{
    static const struct {
        const char *command;
        const char **plan;
    } plans[] = {
        {"sanboot", &sanboot_plan}, {"chain", &chain_plan},   {"dhcp", &dhcp_plan},
        {"sanhook", &sanhook_plan}, {"direct", &direct_plan},
    };
    for (size_t i = 0; i < ARRAY_SIZE(plans); i++)
        if (str_eq(command, plans[i].command))
            return letter(plans[i].plan);
    return letter(&fetch_plan);
}

static struct ipxe ipxe;

static enum ipxe_end run(const struct plan *plan, const struct boot_site *where,
                         const char *sanboots, const char *chains)
{
    cleanup_free char *script = boot_script_render(plan, mac, where);
    assert_non_null(script);
    ipxe = (struct ipxe){.outcome = outcome, .mac = mac};
    sanboot_plan = sanboots;
    chain_plan = chains;
    dhcp_plan = "fw";
    enum ipxe_end end = ipxe_run(&ipxe, script);
    if (end == IPXE_BROKEN)
        fail_msg("%s\n%s", ipxe.problem, script);
    return end;
}

static struct plan plan_of(enum plan_kind kind)
{
    struct plan plan = {.kind = kind};
    if (kind >= PLAN_ADOPTED)
        plan.node = &node;
    if (kind > PLAN_NO_VOLUME)
        plan.volume = &volume;
    return plan;
}

static enum ipxe_end run_kind(enum plan_kind kind, const char *sanboots, const char *chains)
{
    struct plan plan = plan_of(kind);
    return run(&plan, &site, sanboots, chains);
}

static void assert_shown(const char *words)
{
    assert_contains(ipxe.screen, words);
}

static void a_node_boots_its_volume_with_its_identity(void **state)
{
    assert_int_equal(run_kind(PLAN_VOLUME, "w", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.root_path, "iscsi:10.0.0.1::3260:0:" IQN ":web1.root");
    assert_string_equal(ipxe.hostname, "web1");
    assert_string_equal(ipxe.initiator, IQN ":web1");
    assert_true(ipxe.san_retries >= 720); /* 5 s each: firmware outlives an hour without server */
    assert_int_equal(ipxe.sanboots, 1);
    assert_int_equal(ipxe.chains, 0);
    assert_int_equal(ipxe.slept, 0);
    assert_shown("web1 boots volume web1.root of 10.0.0.1");
}

/* --- paths --- */

static const struct boot_path path = {.mac = {{0x52, 0x54, 0x00, 0xab, 0xcd, 0x10}},
                                      .address = 0x0a010014,
                                      .mask = 0xffffff00,
                                      .portal_port = 3261,
                                      .portal = "10.1.0.1"};

/* With net2 having that MAC. */
static void run_with_path(struct mac_address other, enum direct_way direct)
{
    struct boot_site with = site;
    with.paths = &path;
    with.n_paths = 1;
    with.ways.direct = direct;
    struct plan plan = plan_of(PLAN_VOLUME);
    cleanup_free char *script = boot_script_render(&plan, mac, &with);
    ipxe = (struct ipxe){
        .outcome = outcome, .mac = mac, .other = other, .path1 = "an older one", .paths = 1};
    sanboot_plan = sanhook_plan = direct_plan = "w";
    if (ipxe_run(&ipxe, script) != IPXE_BOOTED)
        fail_msg("%s\n%s", ipxe.problem, script);
    assert_string_equal(ipxe.root_path, "iscsi:10.0.0.1::3260:0:" IQN ":web1.root");
}

static void a_further_card_is_a_second_path(void **state)
{
    for (int i = 0; i < 2; i++) {
        run_with_path(path.mac, i ? DIRECT_YES : DIRECT_NO);
        assert_string_equal(ipxe.second_path, "iscsi:10.1.0.1::3261:0:" IQN ":web1.root");
        assert_string_equal(ipxe.second_ip, "10.1.0.20");
        assert_string_equal(ipxe.second_mask, "255.255.255.0");
        assert_true(ipxe.second_open);
    }
}

/* undionly and snponly know no other card than the one that they were loaded through. */
static void a_card_that_the_loader_does_not_see_is_none(void **state)
{
    const struct mac_address other = {{0x52, 0x54, 0x00, 0xab, 0xcd, 0x11}};
    for (int i = 0; i < 2; i++) {
        run_with_path(other, i ? DIRECT_YES : DIRECT_NO);
        assert_string_equal(ipxe.second_path, "");
        assert_string_equal(ipxe.second_ip, "");
        assert_false(ipxe.second_open);
    }
}

static void a_node_with_chap_gets_its_secrets_to_log_in_with(void **state)
{
    static const struct chap_credentials mutual = {
        CHAP_MUTUAL, {"web1", "0123456789abcdef"}, {"nodisk", "fedcba9876543210"}};
    static const struct chap_credentials one_way = {.mode = CHAP_ONE_WAY,
                                                    .initiator = {"web1", "0123456789abcdef"}};
    const struct catalog_node with_mutual = {.name = "web1", .chap = &mutual};
    const struct catalog_node with_one_way = {.name = "web1", .chap = &one_way};
    struct plan plan = {.kind = PLAN_VOLUME, .node = &with_mutual, .volume = &volume};
    assert_int_equal(run(&plan, &site, "w", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.username, "web1");
    assert_string_equal(ipxe.password, "0123456789abcdef");
    assert_string_equal(ipxe.reverse_username, "nodisk");
    assert_string_equal(ipxe.reverse_password, "fedcba9876543210");
    assert_null(strstr(ipxe.screen, "0123456789abcdef"));
    assert_null(strstr(ipxe.screen, "fedcba9876543210"));

    plan.node = &with_one_way;
    assert_int_equal(run(&plan, &site, "w", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.username, "web1");
    assert_string_equal(ipxe.reverse_username, "");

    plan.node = &with_mutual; /* there is no disk to log in to */
    plan.kind = PLAN_PREPARING;
    assert_int_equal(run(&plan, &site, "f", "w"), IPXE_REPLACED);
    assert_string_equal(ipxe.username, "");
}

/* iPXE would insist on CHAP because of what the last script has set. */
static void secrets_that_are_no_more_are_cleared(void **state)
{
    struct plan plan = plan_of(PLAN_VOLUME);
    cleanup_free char *script = boot_script_render(&plan, mac, &site);
    ipxe = (struct ipxe){.outcome = outcome,
                         .username = "web1",
                         .password = "0123456789abcdef",
                         .reverse_username = "nodisk",
                         .reverse_password = "fedcba9876543210"};
    sanboot_plan = "w";
    assert_int_equal(ipxe_run(&ipxe, script), IPXE_BOOTED);
    assert_string_equal(ipxe.username, "");
    assert_string_equal(ipxe.password, "");
    assert_string_equal(ipxe.reverse_username, "");
    assert_string_equal(ipxe.reverse_password, "");
}

/* --- HTTPS --- */

#define SECURE "https://boot.example:8443/boot.ipxe?mac=52-54-00-ab-cd-0f"
#define PLAIN  "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f&https=failed"

static void run_https(const char *chains)
{
    cleanup_free char *script =
        boot_script_render_https(mac, "http://10.0.0.1", "https://boot.example:8443");
    ipxe = (struct ipxe){.outcome = outcome, .mac = mac};
    chain_plan = chains;
    enum ipxe_end end = ipxe_run(&ipxe, script);
    if (end != IPXE_REPLACED)
        fail_msg("%d %s\n%s", end, ipxe.problem, script);
}

/* And where it cannot be had, the machine says so, to the server, too, and never gives up. */
static void a_script_over_http_leads_to_https(void **state)
{
    run_https("w");
    assert_string_equal(ipxe.url, SECURE);
    assert_null(strstr(ipxe.screen, "cannot fetch"));
    run_https("fw");
    assert_string_equal(ipxe.url, PLAIN);
    assert_non_null(strstr(ipxe.screen, "this iPXE cannot fetch from https://boot.example:8443: it "
                                        "was built without HTTPS, or does not trust"));
    run_https("fffffw");
    assert_string_equal(ipxe.url, PLAIN);
    run_https("ffffffw");
    assert_string_equal(ipxe.url, SECURE);
}

/* --- direct boot --- */

static const struct boot_site direct_site = {.portal = "10.0.0.1",
                                             .portal_port = 3260,
                                             .base_url = "http://10.0.0.1",
                                             .base_iqn = IQN,
                                             .ways.direct = DIRECT_YES};

static enum ipxe_end run_direct(const char *sanhooks, const char *directs, const char *sanboots)
{
    struct plan plan = plan_of(PLAN_VOLUME);
    sanhook_plan = sanhooks;
    direct_plan = directs;
    return run(&plan, &direct_site, sanboots, "f");
}

static void a_node_logs_in_and_then_asks_what_it_boots(void **state)
{
    assert_int_equal(run_direct("w", "w", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.root_path, "iscsi:10.0.0.1::3260:0:" IQN ":web1.root");
    assert_string_equal(ipxe.initiator, IQN ":web1");
    assert_string_equal(ipxe.direct_url, "http://10.0.0.1/direct.ipxe?mac=52-54-00-ab-cd-0f");
    assert_true(ipxe.hooked);
    assert_int_equal(ipxe.sanhooks, 1);
    assert_int_equal(ipxe.sanboots, 0);
}

static void its_loader_boots_from_the_same_disk_if_it_has_to(void **state)
{
    assert_int_equal(run_direct("w", "f", "w"), IPXE_BOOTED);
    assert_int_equal(ipxe.sanhooks, 1);
    assert_int_equal(ipxe.sanboots, 1);
    assert_int_equal(ipxe.slept, 0);
}

static void whatever_fails_is_tried_again(void **state)
{
    assert_int_equal(run_direct("ffw", "fw", "f"), IPXE_BOOTED);
    assert_int_equal(ipxe.sanhooks, 4);
    assert_int_equal(ipxe.sanboots, 1);
    assert_int_equal(ipxe.chains, 3); /* for a fresh script */
    assert_true(ipxe.slept > 0);
    assert_int_equal(run_direct("w", "f", "rw"), IPXE_BOOTED); /* the loader came back */
    assert_int_equal(ipxe.sanboots, 2);
}

static enum ipxe_end run_files(const char *fetches)
{
    struct direct_boot boot = {.record = {.kernel = "/vmlinuz",
                                          .initrd = "/initrd.img",
                                          .arguments = "root=UUID=1 ro console=ttyS0,115200"},
                               .token = "0123456789abcdef0123456789abcdef"};
    cleanup_free char *script = boot_script_render_direct(&boot, mac, "http://10.0.0.1", NULL);
    ipxe = (struct ipxe){.outcome = outcome};
    fetch_plan = fetches;
    enum ipxe_end end = ipxe_run(&ipxe, script);
    if (end == IPXE_BROKEN)
        fail_msg("%s\n%s", ipxe.problem, script);
    return end;
}

#define QUERY "mac=52-54-00-ab-cd-0f&token=0123456789abcdef0123456789abcdef"

static void kernel_and_initramfs_are_fetched_and_booted(void **state)
{
    assert_int_equal(run_files("w"), IPXE_BOOTED);
    assert_string_equal(ipxe.kernel, "http://10.0.0.1/direct/kernel?" QUERY
                                     " BOOT_IMAGE=/vmlinuz root=UUID=1 ro console=ttyS0,115200 "
                                     "initrd=initrd");
    assert_string_equal(ipxe.initrd, "http://10.0.0.1/direct/initrd?" QUERY);
}

static void what_cannot_be_fetched_or_booted_is_let_go(void **state)
{
    static const char *const plans[] = {"f", "wf", "wwf"};
    for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
        assert_int_equal(run_files(plans[i]), IPXE_GAVE_UP);
        assert_string_equal(ipxe.kernel, "");
        assert_string_equal(ipxe.initrd, "");
        assert_shown("booting by the disk's own loader");
    }
}

static void why_the_loader_has_to_boot_is_shown(void **state)
{
    cleanup_free char *script = boot_script_render_loader("grub.cfg was changed");
    ipxe = (struct ipxe){.outcome = outcome};
    assert_int_equal(ipxe_run(&ipxe, script), IPXE_GAVE_UP);
    assert_shown("the disk's own loader boots: grub.cfg was changed");
}

/* --- a disk elsewhere --- */

static const struct iscsi_uri elsewhere = {"nas.lan", 860, "iqn.2005-10.org.freenas.ctl:web1", 12};

static void a_disk_elsewhere_is_looked_for_there(void **state)
{
    static const struct {
        const char *uri, *root_path;
    } cases[] = {
        {"iscsi://10.9.0.5/iqn.2003-01.org.linux-iscsi.nas:sn.1/0",
         "iscsi:10.9.0.5::3260:0:iqn.2003-01.org.linux-iscsi.nas:sn.1"},
        {"iscsi://nas:860/eui.02004567A425678D/10", "iscsi:nas::860:a:eui.02004567A425678D"},
        {"iscsi://nas:65535/naa.52004567BA64678D/255", "iscsi:nas::65535:ff:naa.52004567BA64678D"},
        {"iscsi://[fd77::5]/iqn.2000-01.com.synology:DiskStation.T/256",
         "iscsi:[fd77::5]::3260:4100:iqn.2000-01.com.synology:DiskStation.T"},
        {"iscsi://nas/iqn.2026-11.x:a/16383", "iscsi:nas::3260:7fff:iqn.2026-11.x:a"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct iscsi_uri uri;
        struct error error;
        assert_int_equal(iscsi_uri_parse(cases[i].uri, &uri, &error), 0);
        const struct catalog_volume there = {.name = "v", .elsewhere = &uri};
        struct plan plan = {PLAN_VOLUME, &node, &there};
        assert_int_equal(run(&plan, &site, "w", "f"), IPXE_BOOTED);
        assert_string_equal(ipxe.root_path, cases[i].root_path);
        assert_string_equal(ipxe.initiator, IQN ":web1"); /* as everywhere */
        assert_string_equal(ipxe.username, "");
    }
}

static void one_that_cannot_be_had_says_where_to_look_and_asks_again(void **state)
{
    const struct catalog_volume there = {.name = "v", .elsewhere = &elsewhere};
    struct plan plan = {PLAN_VOLUME, &node, &there};
    assert_int_equal(run(&plan, &site, "ffw", "f"), IPXE_BOOTED);
    assert_int_equal(ipxe.chains, 2);
    assert_true(ipxe.slept >= 2);
    assert_shown("web1 boots volume v, which is LUN 12 of iqn.2005-10.org.freenas.ctl:web1 at "
                 "nas.lan:860");
    assert_shown("cannot boot volume v, LUN 12 of iqn.2005-10.org.freenas.ctl:web1 at nas.lan:860");
    assert_shown("whether " IQN ":web1 may log in without CHAP");
}

/* The volume's, with whatever characters; what the node has is for logins to us. */
static void the_secrets_are_those_that_are_asked_for_there(void **state)
{
    static const struct chap_credentials ours = {
        CHAP_MUTUAL, {"web1", "0123456789abcdef"}, {"nodisk", "fedcba9876543210"}};
    static const struct chap_credentials cases[] = {
        {CHAP_MUTUAL, {"web", "0123456789ab"}, {"nas", "abcdef012345"}},
        {CHAP_MUTUAL, {"-n", "${net0/mac}||#;&&"}, {"#a", "\\\"'`!{}[]()<>~"}},
        {CHAP_ONE_WAY, {"iqn.2026-11.lan.example:web1", "#0123456789;"}, {"", ""}},
        {CHAP_ONE_WAY, {"||", "-0123456789ab"}, {"", ""}},
    };
    const struct catalog_node with_ours = {.name = "web1", .chap = &ours};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct catalog_volume there = {
            .name = "v", .elsewhere = &elsewhere, .chap = &cases[i]};
        struct plan plan = {PLAN_VOLUME, &with_ours, &there};
        assert_int_equal(run(&plan, &site, "w", "f"), IPXE_BOOTED);
        assert_string_equal(ipxe.username, cases[i].initiator.user);
        assert_string_equal(ipxe.password, cases[i].initiator.secret);
        assert_string_equal(ipxe.reverse_username, cases[i].target.user);
        assert_string_equal(ipxe.reverse_password, cases[i].target.secret);
        assert_null(strstr(ipxe.screen, cases[i].initiator.secret));
    }
    const struct catalog_volume without = {.name = "v", .elsewhere = &elsewhere};
    struct plan plan = {PLAN_VOLUME, &with_ours, &without};
    assert_int_equal(run(&plan, &site, "w", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.password, "");
}

static void nodes_boot_by_the_operators_scripts(void **state)
{
    struct boot_site where = site;
    struct plan plan = plan_of(PLAN_VOLUME);
    where.scripts_url = "http://10.0.0.1/scripts/52-54-00-ab-cd-0f/boot.ipxe";
    where.boot_by_scripts = true;
    direct_plan = "ffw";
    assert_int_equal(run(&plan, &where, "f", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.direct_url, where.scripts_url);
    assert_string_equal(ipxe.hostname, "web1");
    assert_string_equal(ipxe.initiator, IQN ":web1");
    assert_int_equal(ipxe.sanboots + ipxe.sanhooks, 0);
    assert_int_equal(ipxe.chains, 2); /* its own script first, which may be another now */
    direct_plan = "r";
    assert_int_equal(run(&plan, &where, "f", "f"), IPXE_EXITED);
    direct_plan = "f";
    assert_int_equal(run(&plan, &where, "f", "w"), IPXE_REPLACED);
    assert_shown("web1 could not boot by http://10.0.0.1/scripts/52-54-00-ab-cd-0f/boot.ipxe");
    assert_true(ipxe.slept > 0);
}

/* That node alone, also one that has no disk. */
static void a_node_boots_by_scripts_if_it_is_told_so(void **state)
{
    struct boot_site where = site;
    struct plan plan = plan_of(PLAN_SCRIPTS);
    assert_int_equal(run(&plan, &where, "f", "w"), IPXE_REPLACED);
    assert_shown("there are no scripts to boot by");
    where.scripts_url = "http://10.0.0.1/scripts/52-54-00-ab-cd-0f/boot.ipxe";
    for (int i = 0; i < 2; i++) {
        direct_plan = "w";
        assert_int_equal(run(&plan, &where, "f", "f"), IPXE_BOOTED);
        assert_string_equal(ipxe.direct_url, where.scripts_url);
        assert_string_equal(ipxe.initiator, IQN ":web1");
        plan.volume = NULL;
    }
    plan = plan_of(PLAN_VOLUME);
    direct_plan = "";
    assert_int_equal(run(&plan, &where, "w", "f"), IPXE_BOOTED);
    assert_int_equal(ipxe.sanboots, 1);
}

static void a_disk_that_fails_has_it_ask_for_a_fresh_script(void **state)
{
    assert_int_equal(run_kind(PLAN_VOLUME, "f", "w"), IPXE_REPLACED);
    assert_string_equal(ipxe.url, "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f");
    assert_int_equal(ipxe.sanboots, 1);
    assert_int_equal(ipxe.chains, 1);
    assert_true(ipxe.slept > 0);
    assert_shown("web1 cannot boot volume web1.root of 10.0.0.1");
}

static void a_server_that_is_away_is_waited_for(void **state)
{
    assert_int_equal(run_kind(PLAN_VOLUME, "ffffffffffw", "f"), IPXE_BOOTED);
    assert_int_equal(ipxe.sanboots, 11);
    assert_int_equal(ipxe.chains, 10); /* each time the script first, it may be another now */
    assert_true(ipxe.slept >= 10);
}

static void a_loader_that_comes_back_is_tried_again(void **state)
{
    assert_int_equal(run_kind(PLAN_VOLUME, "rrw", "f"), IPXE_BOOTED);
    assert_int_equal(ipxe.sanboots, 3);
    assert_int_equal(ipxe.chains, 2);
}

static void what_is_not_ready_is_waited_for_and_says_why(void **state)
{
    static const struct {
        enum plan_kind kind;
        const char *shown;
    } cases[] = {
        {PLAN_NO_VOLUME, "nodisk: web1: has nothing to boot; on the server: nodisk node set NAME"},
        {PLAN_PREPARING, "nodisk: web1: its volume is still being made"},
        {PLAN_FAILED, "nodisk: web1: making its volume has failed; on the server: nodisk volume"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(run_kind(cases[i].kind, "f", "fffw"), IPXE_REPLACED);
        assert_int_equal(ipxe.chains, 4);
        assert_int_equal(ipxe.sanboots, 0);
        assert_true(ipxe.slept >= 4);
        assert_string_equal(ipxe.url, "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f");
        assert_shown(cases[i].shown);
    }
}

static void a_stranger_is_told_how_to_become_a_node_and_boots_its_own_disk(void **state)
{
    assert_int_equal(run_kind(PLAN_UNKNOWN, "f", "f"), IPXE_EXITED);
    assert_shown("the machine 52:54:00:ab:cd:0f is not known here");
    assert_shown("nodisk node add NAME --mac 52:54:00:ab:cd:0f");
    assert_int_equal(ipxe.chains, 0);
    assert_int_equal(ipxe.sanboots, 0);
    assert_true(ipxe.slept > 0); /* it can be read */
    assert_string_equal(ipxe.hostname, "");
    assert_string_equal(ipxe.initiator, "");
}

/* It says what it is, waits, and starts over when it has become a node. */
static void a_machine_that_is_registered_waits_and_asks(void **state)
{
    assert_int_equal(run_kind(PLAN_NEWCOMER, "f", "fw"), IPXE_REPLACED);
    assert_contains(ipxe.url, "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f&uuid=${uuid}&");
    assert_contains(ipxe.url, "&product=${product:hexraw}&");
    assert_int_equal(ipxe.chains, 2);
    assert_int_equal(run_kind(PLAN_PENDING, "f", "ffw"), IPXE_REPLACED);
    assert_shown("waits to become a node; on the server: nodisk node adopt 52:54:00:ab:cd:0f NAME");
    assert_contains(ipxe.url, "&uuid=${uuid}&");
    assert_int_equal(ipxe.chains, 3);
    assert_true(ipxe.slept >= 3);
    assert_int_equal(run_kind(PLAN_RENEW, "f", "w"), IPXE_REPLACED);
    assert_int_equal(ipxe.dhcps, 2); /* one was not answered */
    assert_string_equal(ipxe.url, "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f");
    assert_int_equal(run_kind(PLAN_ADOPTED, "f", "fw"), IPXE_REPLACED);
    assert_shown("this machine is web1 now; starting over");
    assert_int_equal(ipxe.dhcps, 3);
    assert_string_equal(ipxe.url, "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f");
}

/* It says what it is at once, and keeps on until it is heard. */
static void a_node_is_asked_what_it_is(void **state)
{
    assert_int_equal(run_kind(PLAN_TELL, "f", "fw"), IPXE_REPLACED);
    assert_contains(ipxe.url,
                    "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f&told=1&uuid=${uuid}&");
    assert_contains(ipxe.url, "&firmware=${platform}");
    assert_int_equal(ipxe.chains, 2);
    assert_int_equal(ipxe.sanboots, 0);
}

/* It may be right after all: the server forgot, or never knew, its address. */
static void a_node_at_a_wrong_address_asks_for_another_one(void **state)
{
    assert_int_equal(run_kind(PLAN_STRANGER, "f", "fw"), IPXE_REPLACED);
    assert_shown("the machine 52:54:00:ab:cd:0f does not ask from the address");
    assert_string_equal(ipxe.url, "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f");
    assert_int_equal(ipxe.dhcps, 3); /* one was not answered, and each chain needs a new one */
    assert_int_equal(ipxe.chains, 2);
    assert_true(ipxe.slept >= 3);
    assert_string_equal(ipxe.hostname, "");
    assert_string_equal(ipxe.initiator, "");
    assert_null(strstr(ipxe.screen, "web1"));
}

static void ports_and_addresses_are_those_that_the_machine_reaches(void **state)
{
    static const struct boot_site other = {.portal = "192.168.250.254",
                                           .portal_port = 65535,
                                           .base_url = "http://192.168.250.253:8080",
                                           .base_iqn = "iqn.2020-01.org.x:y"};
    struct plan plan = plan_of(PLAN_VOLUME);
    assert_int_equal(run(&plan, &other, "f", "w"), IPXE_REPLACED);
    assert_string_equal(ipxe.root_path,
                        "iscsi:192.168.250.254::65535:0:iqn.2020-01.org.x:y:web1.root");
    assert_string_equal(ipxe.url, "http://192.168.250.253:8080/boot.ipxe?mac=52-54-00-ab-cd-0f");
    assert_string_equal(ipxe.initiator, "iqn.2020-01.org.x:y:web1");
}

/* What DHCP gave is said to be set by hand, on the interface that it boots from and no other; the
 * node's own choice counts, else the site's; and it is taken back when that changes. */
static void the_address_is_of_the_origin_that_is_chosen(void **state)
{
    static const struct {
        enum ibft_origin origin;
        bool manual;
    } choices[] = {
        {IBFT_ORIGIN_MANUAL, true}, {IBFT_ORIGIN_DHCP, false}, {IBFT_ORIGIN_DEFAULT, true}};
    struct plan plan = plan_of(PLAN_VOLUME);
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
        struct boot_site where = site;
        where.ways.ibft_origin = choices[i].origin;
        assert_int_equal(run(&plan, &where, "w", "f"), IPXE_BOOTED);
        assert_int_equal(ipxe.manual, choices[i].manual);
    }
    assert_int_equal(run_kind(PLAN_STRANGER, "f", "w"), IPXE_REPLACED);
    assert_false(ipxe.manual);
    assert_int_equal(run_kind(PLAN_UNKNOWN, "f", "f"), IPXE_EXITED);
    assert_false(ipxe.manual);
}

/* --- over IPv6 --- */

#define SITE6                                                                                      \
    .portal = "10.0.0.1", .portal_port = 3260, .base_url = "http://[2001:db8::1]:8080",            \
    .base_iqn = IQN

/* The disk is looked for over IPv4, so that iPXE can tell the system of it. */
static void one_that_asks_over_ipv6_sets_its_ipv4_address(void **state)
{
    static const struct boot_site static_site = {SITE6, .ipv4_way = BOOT_IPV4_SET,
                                                 .ipv4 = {0x0a00000b, 0xffffff00, 0x0a0000fe}};
    static const struct boot_site no_router = {SITE6, .ipv4_way = BOOT_IPV4_SET,
                                               .ipv4 = {0x0a00000b, 0xffff0000, 0}};
    struct plan plan = plan_of(PLAN_VOLUME);
    assert_int_equal(run(&plan, &static_site, "fw", "f"), IPXE_BOOTED);
    assert_true(ipxe.manual);
    assert_string_equal(ipxe.ip, "10.0.0.11");
    assert_string_equal(ipxe.netmask, "255.255.255.0");
    assert_string_equal(ipxe.gateway, "10.0.0.254");
    assert_string_equal(ipxe.root_path, "iscsi:10.0.0.1::3260:0:" IQN ":web1.root");
    assert_string_equal(ipxe.url, "http://[2001:db8::1]:8080/boot.ipxe?mac=52-54-00-ab-cd-0f");
    assert_int_equal(run(&plan, &no_router, "w", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.netmask, "255.255.0.0");
    assert_string_equal(ipxe.gateway, "");
}

static void one_that_may_have_an_ipv4_address_is_asked_for_it(void **state)
{
    static const struct boot_site asking = {SITE6, .ipv4_way = BOOT_IPV4_ASK};
    struct plan plan = plan_of(PLAN_VOLUME);
    assert_int_equal(run(&plan, &asking, "w", "ffw"), IPXE_REPLACED);
    assert_string_equal(ipxe.url,
                        "http://[2001:db8::1]:8080/boot.ipxe?mac=52-54-00-ab-cd-0f&ip=${netX/ip}");
    assert_int_equal(ipxe.sanboots, 0);
    assert_true(ipxe.slept >= 2);
    plan = plan_of(PLAN_PREPARING); /* it has time */
    assert_int_equal(run(&plan, &asking, "w", "w"), IPXE_REPLACED);
    assert_null(strstr(ipxe.url, "ip="));
}

/* net4 and up, which no script names, while another one was opened after it. */
static void one_whose_card_is_not_found_has_none(void **state)
{
    static const struct boot_site asking = {SITE6, .ipv4_way = BOOT_IPV4_ASK};
    struct plan plan = plan_of(PLAN_VOLUME);
    cleanup_free char *script = boot_script_render(&plan, mac, &asking);
    ipxe = (struct ipxe){.outcome = outcome, .mac = {{2, 0, 0, 0, 0, 9}}};
    chain_plan = "fw";
    assert_int_equal(ipxe_run(&ipxe, script), IPXE_REPLACED);
    assert_string_equal(ipxe.url, "http://[2001:db8::1]:8080/boot.ipxe?mac=52-54-00-ab-cd-0f&ip=");
    assert_shown("no script from http://[2001:db8::1]:8080; trying again in 5 seconds");
}

static void where_dhcp_would_give_it_one_it_asks_for_that_before(void **state)
{
    struct boot_site where = {SITE6, .ipv4_way = BOOT_IPV4_ASK, .ipv4 = {.dhcp = true}};
    struct plan plan = plan_of(PLAN_VOLUME);
    assert_int_equal(run(&plan, &where, "w", "w"), IPXE_REPLACED);
    assert_int_equal(ipxe.dhcps, 0); /* it has one */
    cleanup_free char *script = boot_script_render(&plan, mac, &where);
    ipxe = (struct ipxe){.outcome = outcome, .mac = mac, .no_ipv4 = true};
    chain_plan = "w";
    dhcp_plan = "ffw";
    assert_int_equal(ipxe_run(&ipxe, script), IPXE_REPLACED);
    assert_int_equal(ipxe.dhcps, 3);
    assert_int_equal(ipxe.chains, 1);
    assert_false(ipxe.no_ipv4);
}

static void without_ipv4_its_disk_is_there_over_ipv6(void **state)
{
    static const struct boot_site only_ipv6 = {.portal = "[2001:db8::1]",
                                               .portal_port = 3261,
                                               .base_url = "http://[2001:db8::1]",
                                               .base_iqn = IQN,
                                               .ipv4_way = BOOT_IPV4_NONE};
    struct plan plan = plan_of(PLAN_VOLUME);
    assert_int_equal(run(&plan, &only_ipv6, "w", "f"), IPXE_BOOTED);
    assert_string_equal(ipxe.root_path, "iscsi:[2001:db8::1]::3261:0:" IQN ":web1.root");
    assert_false(ipxe.manual);
    assert_shown("web1 boots volume web1.root of [2001:db8::1]");
}

/* What DHCP says now is not to be hidden by what an earlier script has set. */
static void who_starts_over_lets_go_of_the_ipv4_that_was_set(void **state)
{
    struct boot_site where = {SITE6, .ipv4_way = BOOT_IPV4_NONE};
    struct plan plan = plan_of(PLAN_STRANGER);
    cleanup_free char *script = boot_script_render(&plan, mac, &where);
    ipxe = (struct ipxe){.outcome = outcome,
                         .mac = mac,
                         .ip = "10.0.0.11",
                         .netmask = "255.255.255.0",
                         .gateway = "10.0.0.254"};
    chain_plan = "w";
    dhcp_plan = "w";
    assert_int_equal(ipxe_run(&ipxe, script), IPXE_REPLACED);
    assert_string_equal(ipxe.ip, "");
    assert_string_equal(ipxe.netmask, "");
    assert_string_equal(ipxe.gateway, "");
}

/* Every name that is a name is one token of a line, whatever its characters. */
static void no_name_needs_quoting(void **state)
{
    static const char *const nodes[] = {"0", "a-b", "xn--bcher-kva", "exit", "sleep"};
    static const char *const volumes[] = {"0", "a-b.c", "a.-b", "echo", "0x80"};
    char longest[NAME_MAX_LEN + 1];
    memset(longest, 'z', NAME_MAX_LEN);
    longest[NAME_MAX_LEN] = '\0';
    for (size_t i = 0; i <= ARRAY_SIZE(nodes); i++) {
        bool last = i == ARRAY_SIZE(nodes);
        struct catalog_node n = {.name = last ? longest : nodes[i]};
        struct catalog_volume v = {.name = last ? longest : volumes[i]};
        struct plan plan = {PLAN_VOLUME, &n, &v};
        char root_path[512];
        assert_true(name_is_host(n.name) && name_is_object(v.name));
        assert_int_equal(run(&plan, &site, "w", "f"), IPXE_BOOTED);
        snprintf(root_path, sizeof(root_path), "iscsi:10.0.0.1::3260:0:" IQN ":%s", v.name);
        assert_string_equal(ipxe.root_path, root_path);
        assert_string_equal(ipxe.hostname, n.name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_script_over_http_leads_to_https),
        TEST(a_further_card_is_a_second_path),
        TEST(a_card_that_the_loader_does_not_see_is_none),
        TEST(one_that_asks_over_ipv6_sets_its_ipv4_address),
        TEST(one_that_may_have_an_ipv4_address_is_asked_for_it),
        TEST(one_whose_card_is_not_found_has_none),
        TEST(where_dhcp_would_give_it_one_it_asks_for_that_before),
        TEST(without_ipv4_its_disk_is_there_over_ipv6),
        TEST(who_starts_over_lets_go_of_the_ipv4_that_was_set),
        TEST(a_node_logs_in_and_then_asks_what_it_boots),
        TEST(its_loader_boots_from_the_same_disk_if_it_has_to),
        TEST(whatever_fails_is_tried_again),
        TEST(kernel_and_initramfs_are_fetched_and_booted),
        TEST(what_cannot_be_fetched_or_booted_is_let_go),
        TEST(why_the_loader_has_to_boot_is_shown),
        TEST(a_node_boots_its_volume_with_its_identity),
        TEST(a_node_with_chap_gets_its_secrets_to_log_in_with),
        TEST(secrets_that_are_no_more_are_cleared),
        TEST(a_disk_elsewhere_is_looked_for_there),
        TEST(one_that_cannot_be_had_says_where_to_look_and_asks_again),
        TEST(the_secrets_are_those_that_are_asked_for_there),
        TEST(nodes_boot_by_the_operators_scripts),
        TEST(a_node_boots_by_scripts_if_it_is_told_so),
        TEST(a_disk_that_fails_has_it_ask_for_a_fresh_script),
        TEST(a_server_that_is_away_is_waited_for),
        TEST(a_loader_that_comes_back_is_tried_again),
        TEST(what_is_not_ready_is_waited_for_and_says_why),
        TEST(a_stranger_is_told_how_to_become_a_node_and_boots_its_own_disk),
        TEST(a_machine_that_is_registered_waits_and_asks),
        TEST(a_node_is_asked_what_it_is),
        TEST(a_node_at_a_wrong_address_asks_for_another_one),
        TEST(ports_and_addresses_are_those_that_the_machine_reaches),
        TEST(the_address_is_of_the_origin_that_is_chosen),
        TEST(no_name_needs_quoting),
    };
    return RUN_TESTS(tests);
}
