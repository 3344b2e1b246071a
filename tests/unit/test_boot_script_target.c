/* What a machine does that is to boot no volume, run as iPXE runs it. */
#include "test.h"

#include "ipxe.h"

#include "boot/script.h"

static const struct mac_address mac = {{0x52, 0x54, 0x00, 0xab, 0xcd, 0x0f}};
static const struct catalog_node node = {.name = "web1"};
static const char *const initrds[] = {"/srv/a", "/srv/b"};
static const struct catalog_entry live = {.name = "rescue",
                                          .title = "",
                                          .kind = BOOT_ENTRY_LIVE,
                                          .file = "/srv/k",
                                          .arguments = "quiet console=ttyS0",
                                          .initrds = initrds,
                                          .n_initrds = 2};
static const struct catalog_entry script = {
    .name = "own", .title = "", .kind = BOOT_ENTRY_SCRIPT, .file = "/srv/s", .arguments = ""};

static const struct catalog_volume volume = {.name = "disk1", .state = VOLUME_READY};

static struct catalog_entry installer_of(enum answer_format format)
{
    struct catalog_entry entry = live;
    entry.name = "inst";
    entry.kind = BOOT_ENTRY_INSTALLER;
    entry.format = format;
    entry.answer = "/srv/p";
    entry.arguments = "console=ttyS0";
    entry.n_initrds = 1;
    return entry;
}

static bool works;

/* What has to be fetched works or not; the server answers. */
static enum ipxe_outcome outcome(struct ipxe *ipxe, const char *command)
{
    return works || str_eq(command, "chain") ? IPXE_WORKS : IPXE_FAILS;
}

static struct ipxe ipxe;

static enum ipxe_end run(struct plan plan, bool succeeds, const char *chosen)
{
    const struct boot_site site = {.portal = "10.0.0.1",
                                   .portal_port = 3260,
                                   .base_url = "http://10.0.0.1",
                                   .system_url = "http://10.0.0.1",
                                   .base_iqn = "iqn.2026-11.lan.example",
                                   .chosen = chosen};
    bool efi = ipxe.efi, poweroff = ipxe.poweroff;
    plan.node = &node;
    cleanup_free char *text = boot_script_render(&plan, mac, &site);
    works = succeeds;
    ipxe = (struct ipxe){.outcome = outcome, .mac = mac, .efi = efi, .poweroff = poweroff};
    enum ipxe_end end = ipxe_run(&ipxe, text);
    if (end == IPXE_BROKEN)
        fail_msg("%s\n%s", ipxe.problem, text);
    ipxe.efi = ipxe.poweroff = false;
    return end;
}

static struct plan plan_of(enum plan_kind kind, enum boot_target_kind target)
{
    return (struct plan){.kind = kind, .target.kind = target};
}

#define ASKS "http://10.0.0.1/boot.ipxe?mac=52-54-00-ab-cd-0f"

static void the_own_disk_is_booted_or_left_to_firmware(void **state)
{
    const struct plan local = plan_of(PLAN_LOCAL, BOOT_TARGET_LOCAL);
    assert_int_equal(run(local, true, NULL), IPXE_LOCAL);
    assert_int_equal(run(local, false, NULL), IPXE_GAVE_UP); /* which has further devices */
    assert_contains(ipxe.screen, "has no first disk that boots");
    ipxe.efi = true;
    assert_int_equal(run(local, true, NULL), IPXE_GAVE_UP);
    assert_int_equal(run(local, false, "local"), IPXE_REPLACED); /* back to the menu */
    assert_string_equal(ipxe.url, ASKS "&failed=local");
}

static void a_shell_comes_back_to_the_server(void **state)
{
    assert_int_equal(run(plan_of(PLAN_SHELL, BOOT_TARGET_SHELL), true, "shell"), IPXE_REPLACED);
    assert_int_equal(ipxe.shells, 1);
    assert_string_equal(ipxe.url, ASKS); /* that it was left, is no failure */
}

static void off_is_off_or_waits(void **state)
{
    const struct plan off = plan_of(PLAN_OFF, BOOT_TARGET_OFF);
    assert_int_equal(run(off, true, NULL), IPXE_REPLACED);
    assert_true(ipxe.slept >= 30 && !ipxe.off);
    ipxe.poweroff = true;
    assert_int_equal(run(off, true, NULL), IPXE_EXITED);
    assert_true(ipxe.off);
}

static void memtest_is_the_one_for_the_firmware(void **state)
{
    const struct plan memtest = plan_of(PLAN_MEMTEST, BOOT_TARGET_MEMTEST);
    assert_int_equal(run(memtest, true, NULL), IPXE_BOOTED);
    assert_contains(ipxe.kernel, "http://10.0.0.1/memtest.bin?");
    ipxe.efi = true;
    assert_int_equal(run(memtest, true, NULL), IPXE_BOOTED);
    assert_contains(ipxe.kernel, "http://10.0.0.1/memtest.efi?");
    assert_int_equal(run(memtest, false, NULL), IPXE_REPLACED);
    assert_contains(ipxe.screen, "web1 cannot boot memtest86+");
}

static void a_live_system_gets_its_files_and_arguments(void **state)
{
    struct plan plan = plan_of(PLAN_ENTRY, BOOT_TARGET_ENTRY);
    plan.entry = &live;
    assert_int_equal(run(plan, true, NULL), IPXE_BOOTED);
    assert_string_equal(ipxe.kernel, "http://10.0.0.1/entry/rescue/kernel?mac=52-54-00-ab-cd-0f "
                                     "quiet console=ttyS0 initrd=initrd0 initrd=initrd1");
    assert_contains(ipxe.initrd, "/entry/rescue/initrd1?");
    assert_string_equal(ipxe.hostname, "web1");
    assert_int_equal(run(plan, false, "entry:rescue"), IPXE_REPLACED);
    assert_string_equal(ipxe.url, ASKS "&failed=entry:rescue");
    assert_contains(ipxe.screen, "web1 cannot boot entry rescue");
}

#define INSTALL "http://10.0.0.1/install/52-54-00-ab-cd-0f/inst/"
#define BOOTIF  " BOOTIF=01-52-54-00-ab-cd-0f console=ttyS0 initrd=initrd0"
#define KERNEL  "http://10.0.0.1/entry/inst/kernel?mac=52-54-00-ab-cd-0f "

static void an_installer_finds_the_disk_and_its_answers(void **state)
{
    static const char *const kernels[ANSWER_FORMATS] = {
        [ANSWER_PRESEED] = KERNEL "auto=true priority=critical interface=auto hostname=web1 "
                                  "netcfg/get_nameservers= url=" INSTALL "preseed.cfg" BOOTIF,
        [ANSWER_AUTOINSTALL] = KERNEL "autoinstall ds=nocloud-net;s=" INSTALL BOOTIF,
        [ANSWER_KICKSTART] = KERNEL "rd.iscsi.firmware=1 inst.ks=" INSTALL "ks.cfg" BOOTIF,
    };
    for (int i = 0; i < ANSWER_FORMATS; i++) {
        const struct catalog_entry entry = installer_of(i);
        struct plan plan = plan_of(PLAN_ENTRY, BOOT_TARGET_ENTRY);
        plan.entry = &entry;
        plan.volume = &volume;
        assert_int_equal(run(plan, true, NULL), IPXE_BOOTED);
        assert_string_equal(ipxe.kernel, kernels[i]);
        assert_string_equal(ipxe.root_path, "iscsi:10.0.0.1::3260:0:iqn.2026-11.lan.example:disk1");
        assert_string_equal(ipxe.initiator, "iqn.2026-11.lan.example:web1");
        assert_true(ipxe.hooked);
        assert_int_equal(ipxe.sanhooks, 1);
        assert_contains(ipxe.screen, "web1 is installed by inst onto volume disk1");
    }
}

/* What was hooked is let go, so that what is booted next can hook it. */
static void an_installer_that_cannot_be_had_asks_again(void **state)
{
    const struct catalog_entry entry = installer_of(ANSWER_PRESEED);
    struct plan plan = plan_of(PLAN_ENTRY, BOOT_TARGET_ENTRY);
    plan.entry = &entry;
    plan.volume = &volume;
    assert_int_equal(run(plan, false, "entry:inst"), IPXE_REPLACED);
    assert_false(ipxe.hooked);
    assert_string_equal(ipxe.url, ASKS "&failed=entry:inst");
    assert_contains(ipxe.screen, "web1 cannot boot installer inst");
}

static void a_script_of_the_operators_is_run(void **state)
{
    struct plan plan = plan_of(PLAN_ENTRY, BOOT_TARGET_ENTRY);
    plan.entry = &script;
    assert_int_equal(run(plan, true, NULL), IPXE_BOOTED);
    assert_contains(ipxe.direct_url, "http://10.0.0.1/entry/own/script?");
    assert_int_equal(run(plan, false, NULL), IPXE_REPLACED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_own_disk_is_booted_or_left_to_firmware),
        TEST(a_shell_comes_back_to_the_server),
        TEST(off_is_off_or_waits),
        TEST(memtest_is_the_one_for_the_firmware),
        TEST(a_live_system_gets_its_files_and_arguments),
        TEST(an_installer_finds_the_disk_and_its_answers),
        TEST(an_installer_that_cannot_be_had_asks_again),
        TEST(a_script_of_the_operators_is_run),
    };
    return RUN_TESTS(tests);
}
