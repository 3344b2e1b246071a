/* Arguments of the kernel: which are found, and what stays to the byte. */
#include "test.h"

#include "prepare/kernel_args.h"

static void check(const char *text, const char *begins, const char *expected)
{
    cleanup_free char *edited = kernel_args_drop(text, begins);
    assert_string_equal(edited, expected);
    cleanup_free char *again = kernel_args_drop(edited, begins);
    assert_string_equal(again, expected);
}

static void words_are_dropped_and_nothing_else(void **state)
{
    check("GRUB_CMDLINE_LINUX=\"resume=UUID=1 rhgb  quiet ip=ibft\"\nOTHER=\"ip=x\"\n",
          "GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX=\"rhgb  quiet \"\nOTHER=\"ip=x\"\n");
    check("  GRUB_CMDLINE_LINUX_DEFAULT='rd.iscsi.ibft=1'", "GRUB_CMDLINE_LINUX",
          "  GRUB_CMDLINE_LINUX_DEFAULT=''");
    check("root=UUID=1 ro netroot=iscsi: rd.neednet rd.lvm.lv=vg/root\n", "",
          "root=UUID=1 ro rd.lvm.lv=vg/root\n");
    check("title ip=7\noptions ip=7", "options", "title ip=7\noptions ");
    check("ip", "", "");
    check("", "", "");
}

static void words_that_only_begin_so_stay(void **state)
{
    static const char text[] = "zip=1 ipv6.disable=1 noresume resume_offset=1 ro\n";
    char word[8] = "old";
    check(text, "", text);
    assert_false(kernel_args_find(text, "", word, sizeof(word)));
    assert_string_equal(word, "old");
}

static void the_first_is_found(void **state)
{
    char word[12] = "old";
    assert_true(kernel_args_find("a\nb\nx ro ip=dhcp resume=1", "x", word, sizeof(word)));
    assert_string_equal(word, "ip=dhcp");
    assert_true(kernel_args_find("resume=/dev/sda5", "", word, sizeof(word)));
    assert_string_equal(word, "resume=/dev");
    assert_false(kernel_args_find("y ip=dhcp\n", "x", word, sizeof(word)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words_are_dropped_and_nothing_else),
        TEST(words_that_only_begin_so_stay),
        TEST(the_first_is_found),
    };
    return RUN_TESTS(tests);
}
