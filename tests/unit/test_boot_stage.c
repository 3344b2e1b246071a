#include "test.h"

#include "boot/stage.h"

static void names_go_there_and_back(void **state)
{
    static const char *const names[BOOT_STAGES] = {"address", "loader",    "script", "firmware",
                                                   "kernel",  "initramfs", "system", "up"};
    for (enum boot_stage stage = 0; stage < BOOT_STAGES; stage++) {
        assert_string_equal(boot_stage_name(stage), names[stage]); /* stored, shown and sent */
        assert_int_equal(boot_stage_from_name(names[stage]), stage);
    }
    assert_int_equal(boot_stage_from_name(""), BOOT_STAGES);
    assert_int_equal(boot_stage_from_name("Address"), BOOT_STAGES);
    assert_int_equal(boot_stage_from_name("up "), BOOT_STAGES);
}

static void every_sign_tells_of_its_stage(void **state)
{
    static const enum boot_stage stages[] = {
        [BOOT_SIGN_FIRMWARE_DHCP] = BOOT_ADDRESS,
        [BOOT_SIGN_IPXE_DHCP] = BOOT_ADDRESS,
        [BOOT_SIGN_LOADER] = BOOT_LOADER,
        [BOOT_SIGN_SCRIPT] = BOOT_SCRIPT,
        [BOOT_SIGN_FIRMWARE_LOGIN] = BOOT_FIRMWARE,
        [BOOT_SIGN_KERNEL] = BOOT_KERNEL,
        [BOOT_SIGN_INITRAMFS_LOGIN] = BOOT_INITRAMFS,
        [BOOT_SIGN_SYSTEM_LOGIN] = BOOT_SYSTEM,
        [BOOT_SIGN_UP] = BOOT_UP,
    };
    for (enum boot_sign sign = 0; sign < ARRAY_SIZE(stages); sign++)
        assert_int_equal(boot_sign_stage(sign), stages[sign]);
}

/* 'b' where the sign begins a new boot, at a node that has come as far as the column says. */
static void which_sign_begins_a_boot(void **state)
{
    static const struct {
        enum boot_sign sign;
        /* address, loader, script, firmware, kernel, initramfs, system, up, never booted */
        const char *begins;
    } table[] = {
        {BOOT_SIGN_FIRMWARE_DHCP, ".bbbbbbbb"},   /* a ROM that asks again is at the same boot */
        {BOOT_SIGN_IPXE_DHCP, "..bbbbbbb"},       /* iPXE that the ROM has loaded is, too */
        {BOOT_SIGN_LOADER, "........b"},          /* firmware has asked DHCP before */
        {BOOT_SIGN_SCRIPT, ".....bbbb"},          /* retries, up to GRUB */
        {BOOT_SIGN_FIRMWARE_LOGIN, ".....bbbb"},  /* GRUB logs in again */
        {BOOT_SIGN_KERNEL, "........b"},          /* and nothing else */
        {BOOT_SIGN_INITRAMFS_LOGIN, "........b"}, /* reconnections */
        {BOOT_SIGN_SYSTEM_LOGIN, "........b"},    {BOOT_SIGN_UP, "........b"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        for (enum boot_stage reached = 0; reached <= BOOT_STAGES; reached++)
            if (boot_sign_begins(table[i].sign, reached, 5 * 60 * USEC_PER_SEC) !=
                (table[i].begins[reached] == 'b'))
                fail_msg("sign %d at stage %d", table[i].sign, reached);
}

/* A machine that asks PXE every morning and then starts from its own disk. */
static void a_boot_that_came_no_further_is_over_some_day(void **state)
{
    static const uint64_t long_after = 5 * 60 * USEC_PER_SEC + 1;
    for (enum boot_stage reached = 0; reached < BOOT_STAGES; reached++) {
        assert_true(boot_sign_begins(BOOT_SIGN_FIRMWARE_DHCP, reached, long_after));
        assert_true(boot_sign_begins(BOOT_SIGN_IPXE_DHCP, reached, long_after));
        assert_true(boot_sign_begins(BOOT_SIGN_SCRIPT, reached, long_after));
        assert_int_equal(boot_sign_begins(BOOT_SIGN_FIRMWARE_LOGIN, reached, long_after),
                         reached > BOOT_KERNEL); /* somebody looks at GRUB's menu */
        assert_false(boot_sign_begins(BOOT_SIGN_LOADER, reached, long_after));
        assert_false(boot_sign_begins(BOOT_SIGN_INITRAMFS_LOGIN, reached, long_after));
        assert_false(boot_sign_begins(BOOT_SIGN_UP, reached, long_after));
    }
}

static void only_firmware_and_loaders_need_the_script(void **state)
{
    static const uint64_t long_after = 5 * 60 * USEC_PER_SEC + 1;
    for (enum boot_stage reached = 0; reached <= BOOT_STAGES; reached++) {
        assert_int_equal(boot_stage_needs_script(reached, 0), reached <= BOOT_KERNEL);
        assert_false(boot_stage_needs_script(reached, long_after));
    }
}

/* No login of it is seen: it is done with its script when it has had it for long, or says so. */
static void a_disk_elsewhere_ends_the_need_some_time_after_the_script(void **state)
{
    static const uint64_t patience = 5 * 60 * USEC_PER_SEC;
    for (enum boot_stage reached = 0; reached <= BOOT_STAGES; reached++)
        assert_int_equal(boot_stage_needs_script_elsewhere(reached, 0, 0), reached <= BOOT_SCRIPT);
    assert_true(boot_stage_needs_script_elsewhere(BOOT_ADDRESS, patience, UINT64_MAX));
    assert_false(boot_stage_needs_script_elsewhere(BOOT_LOADER, patience + 1, UINT64_MAX));
    assert_true(boot_stage_needs_script_elsewhere(BOOT_SCRIPT, 0, patience));
    assert_false(boot_stage_needs_script_elsewhere(BOOT_SCRIPT, 0, patience + 1));
    assert_false(boot_stage_needs_script_elsewhere(BOOT_SCRIPT, 0, UINT64_MAX));
}

static void which_boots_have_failed(void **state)
{
    for (enum boot_stage reached = 0; reached <= BOOT_STAGES; reached++) {
        bool disk = reached == BOOT_FIRMWARE || reached == BOOT_KERNEL;
        bool system = reached >= BOOT_INITRAMFS && reached < BOOT_STAGES;
        uint32_t expected = disk ? 8 : system ? 0 : 7;
        assert_int_equal(boot_stage_failures(7, true, reached), expected);
        assert_int_equal(boot_stage_failures(7, false, reached), 7); /* a live system, a menu... */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_go_there_and_back),
        TEST(every_sign_tells_of_its_stage),
        TEST(which_sign_begins_a_boot),
        TEST(a_boot_that_came_no_further_is_over_some_day),
        TEST(only_firmware_and_loaders_need_the_script),
        TEST(a_disk_elsewhere_ends_the_need_some_time_after_the_script),
        TEST(which_boots_have_failed),
    };
    return RUN_TESTS(tests);
}
