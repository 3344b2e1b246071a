/* fstab, hosts and variables of a shell: what is changed in them, and what stays to the byte. */
#include "test.h"

#include "prepare/edit.h"

static const struct fstab_wish wish = {.root_uuid = "0-1", .root_type = "xfs"};

static void check_fstab(const char *text, const char *expected)
{
    cleanup_free char *edited = fstab_edit(text, &wish);
    assert_string_equal(edited, expected);
    cleanup_free char *again = fstab_edit(edited, &wish);
    assert_string_equal(again, expected);
}

static void root_is_named_by_its_uuid(void **state)
{
    check_fstab("/dev/sda1 / ext4 errors=remount-ro 0 1\n",
                "UUID=0-1  /  ext4  errors=remount-ro,noatime  0 1\n");
    check_fstab("  /dev/nvme0n1p2\t/\text4\n", "UUID=0-1  /  ext4  defaults,noatime\n");
    check_fstab("UUID=0-1 / ext4 relatime 0 1\n", "UUID=0-1 / ext4 relatime 0 1\n");
    check_fstab("UUID=9 / ext4 relatime\n", "UUID=0-1  /  ext4  relatime\n");
    check_fstab("/dev/mapper/vg-root  /  ext4  noatime\n",
                "/dev/mapper/vg-root  /  ext4  noatime\n");
}

static void root_does_not_wait_for_the_network(void **state)
{
    check_fstab("UUID=0-1 / ext4 _netdev,noatime,x-systemd.requires=network-online.target 0 1\n",
                "UUID=0-1  /  ext4  noatime  0 1\n");
    check_fstab("UUID=0-1 / ext4 _netdev\n", "UUID=0-1  /  ext4  noatime\n");
}

static void a_root_that_is_missing_is_added(void **state)
{
    check_fstab("# none\n", "# none\nUUID=0-1  /  xfs  errors=remount-ro,noatime  0  1\n");
    cleanup_free char *edited = fstab_edit("# none", &(struct fstab_wish){0});
    assert_string_equal(edited, "# none\n");
}

static void swap_becomes_a_comment(void **state)
{
    static const char text[] = "UUID=0-1 / ext4 noatime\nUUID=8 none swap sw 0 0\n";
    check_fstab(text,
                "UUID=0-1 / ext4 noatime\n# not across the network: UUID=8 none swap sw 0 0\n");
    cleanup_free char *kept = fstab_edit(text, &(struct fstab_wish){.keep_swap = true});
    assert_string_equal(kept, text);
}

static void what_is_no_entry_stays(void **state)
{
    char line[3 * EDIT_MAX_FIELD];
    memset(line, 'x', sizeof(line));
    memcpy(line, "/dev/sda1 / ext4 ", 17);
    line[sizeof(line) - 2] = '\n';
    line[sizeof(line) - 1] = '\0';
    struct fstab_line found;
    const char *cursor = line;
    assert_true(fstab_next(&cursor, &found));
    assert_false(found.is_entry);
    assert_false(fstab_next(&cursor, &found));
    check_fstab("#/dev/sda1 / ext4\n\n  \nword\nUUID=0-1 / ext4 noatime\n",
                "#/dev/sda1 / ext4\n\n  \nword\nUUID=0-1 / ext4 noatime\n");
}

static void options_are_whole_words(void **state)
{
    assert_true(fstab_has_option("a,nofail,b", "nofail"));
    assert_false(fstab_has_option("nofailure,xnofail", "nofail"));
    assert_true(fstab_has_option("x=1,size=2", "size="));
    assert_false(fstab_has_option("", "size="));
    assert_true(fstab_is_unstable("/dev/vda"));
    assert_false(fstab_is_unstable("/dev/mapper/sda"));
}

static void a_machine_s_own_name_goes(void **state)
{
    cleanup_free char *edited =
        hosts_edit("127.0.0.1 localhost\n127.0.1.1\told old.example\n127.0.1.10 x\n  127.0.1.1 y");
    assert_string_equal(edited, "127.0.0.1 localhost\n127.0.1.10 x\n");
}

static void variables_are_read_and_dropped(void **state)
{
    static const char text[] = "A=1\n#A=2\n export A=\"three words\"  \nAB=4\nB='5\n";
    char value[32] = "old";
    assert_true(variable_get(text, "A", value, sizeof(value)));
    assert_string_equal(value, "three words");
    assert_true(variable_get(text, "B", value, sizeof(value)));
    assert_string_equal(value, "'5");
    assert_false(variable_get(text, "C", value, sizeof(value)));
    assert_false(variable_get(text, "A", value, 5));
    cleanup_free char *edited = variable_drop(text, "A");
    assert_string_equal(edited, "# A=1\n#A=2\n#  export A=\"three words\"  \nAB=4\nB='5\n");
    assert_false(variable_get(edited, "A", value, sizeof(value)));
}

static void the_kernels_of_grub_are_told_their_roots(void **state)
{
    static const char *const roots[] = {"UUID=1", "/dev/sda1", "", "LABEL=b", ""};
    const char *cursor = "# linux root=/dev/sdz\n set root='hd0,gpt2'\n"
                         "\tlinux /vmlinuz root=UUID=0 ro root=UUID=1\n"
                         "linux\t/vmlinuz\troot=/dev/sda1\n  linux /vmlinuz noroot=/dev/sdb quiet\n"
                         "### BEGIN /etc/grub.d/30_os-prober ###\nlinux /vmlinuz root=/dev/sda5\n"
                         "### END /etc/grub.d/30_os-prober ###\n"
                         "module2 /vmlinuz root=LABEL=b\nlinux /vmlinuz root=LABEL=a-long-label";
    char root[12] = "old";
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        assert_true(grub_next_root(&cursor, root, sizeof(root)));
        assert_string_equal(root, roots[i]);
    }
    assert_false(grub_next_root(&cursor, root, sizeof(root)));
    cursor = "### BEGIN /etc/grub.d/30_os-prober ###\nlinux root=x";
    assert_false(grub_next_root(&cursor, root, sizeof(root)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(root_is_named_by_its_uuid),
        TEST(root_does_not_wait_for_the_network),
        TEST(a_root_that_is_missing_is_added),
        TEST(swap_becomes_a_comment),
        TEST(what_is_no_entry_stays),
        TEST(options_are_whole_words),
        TEST(a_machine_s_own_name_goes),
        TEST(variables_are_read_and_dropped),
        TEST(the_kernels_of_grub_are_told_their_roots),
    };
    return RUN_TESTS(tests);
}
