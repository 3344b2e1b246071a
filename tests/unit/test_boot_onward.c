/* Firmware that goes on in its boot order, and comes to the network once more on its way to the
 * disk. */
#include "test.h"

#include "boot/onward.h"

static const uint64_t soon = 90 * USEC_PER_SEC, late = 6 * 60 * USEC_PER_SEC;

/* A boot that has come to its script by PXE. */
static struct boot_onward begun(bool left, bool chosen)
{
    struct boot_onward onward = {0};
    assert_false(boot_onward_asks(&onward, BOOT_WAY_PXE, 0));
    boot_onward_gets_further(&onward);
    boot_onward_decide(&onward, left, chosen);
    return onward;
}

static void who_is_left_to_firmware_goes_on_by_each_other_way(void **state)
{
    (void)state;
    struct boot_onward onward = begun(true, false);
    for (enum boot_way way = BOOT_WAY_PXE6; way <= BOOT_WAY_HTTP6; way++) {
        assert_true(boot_onward_asks(&onward, way, soon));
        assert_true(boot_onward_asks(&onward, way, soon)); /* an answer got lost */
        boot_onward_gets_further(&onward);
        boot_onward_decide(&onward, true, false);
        assert_false(boot_onward_is_chosen(&onward));
    }
    assert_false(boot_onward_asks(&onward, BOOT_WAY_PXE, soon));
}

static void the_same_way_is_another_boot(void **state)
{
    (void)state;
    struct boot_onward onward = begun(true, true);
    assert_false(boot_onward_asks(&onward, BOOT_WAY_PXE, soon));
    onward = begun(true, true);
    assert_true(boot_onward_asks(&onward, BOOT_WAY_HTTP, soon));
    boot_onward_gets_further(&onward);
    assert_false(boot_onward_asks(&onward, BOOT_WAY_HTTP, soon));
}

static void so_is_one_after_a_long_time_or_of_who_was_not_left(void **state)
{
    (void)state;
    struct boot_onward onward = begun(true, true);
    assert_false(boot_onward_asks(&onward, BOOT_WAY_HTTP, late));
    onward = begun(false, true);
    assert_false(boot_onward_asks(&onward, BOOT_WAY_HTTP, soon));
    assert_false(boot_onward_is_chosen(&onward));
}

static void a_choice_holds_on_the_way_and_not_before(void **state)
{
    (void)state;
    struct boot_onward onward = begun(true, true);
    assert_false(boot_onward_is_chosen(&onward)); /* BIOS, which comes back to the menu */
    assert_true(boot_onward_asks(&onward, BOOT_WAY_HTTP, soon));
    assert_true(boot_onward_is_chosen(&onward));
    boot_onward_decide(&onward, true, true);
    assert_true(boot_onward_is_chosen(&onward));
    boot_onward_decide(&onward, false, false); /* it is told something else meanwhile */
    assert_false(boot_onward_is_chosen(&onward));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_left_to_firmware_goes_on_by_each_other_way),
        TEST(the_same_way_is_another_boot),
        TEST(so_is_one_after_a_long_time_or_of_who_was_not_left),
        TEST(a_choice_holds_on_the_way_and_not_before),
    };
    return RUN_TESTS(tests);
}
