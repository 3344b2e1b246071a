/* What a record of a boot loader may say, and that nothing else gets through. */
#include "test.h"

#include "boot/loader_record.h"

#include <errno.h>

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "nodisk-boot 1\n"
#define PLACES                                                                                     \
    "filesystem 3a1c0f2e-0000-4000-8000-00000000000f\nloader " HASH                                \
    "\nfile /boot/grub/grub.cfg " HASH "\n"
#define FILES     "kernel /vmlinuz\ninitrd /initrd.img\n"
#define ARGUMENTS "arguments root=UUID=3a1c0f2e ro console=ttyS0,115200 a.b=c:d@e%20^~+/-\n"

static struct loader_record record;
static char text[LOADER_RECORD_MAX_SIZE];

static int parse(const char *what)
{
    struct error error;
    str_copy(text, sizeof(text), what);
    return loader_record_parse(text, &record, &error);
}

static void a_whole_record_is_understood(void **state)
{
    assert_int_equal(parse(HEAD PLACES FILES ARGUMENTS "end\n"), 0);
    assert_string_equal(record.kernel, "/vmlinuz");
    assert_string_equal(record.initrd, "/initrd.img");
    assert_string_equal(record.arguments,
                        "root=UUID=3a1c0f2e ro console=ttyS0,115200 a.b=c:d@e%20^~+/-");
    assert_int_equal(record.n_files, 1);
    assert_string_equal(record.files[0].path, "/boot/grub/grub.cfg");
    assert_int_equal(record.files[0].sha256[1], 0x23);
    assert_int_equal(record.loader[31], 0xef);
    assert_int_equal(record.filesystem[0], 0x3a);
    assert_int_equal(record.filesystem[15], 0x0f);
    assert_int_equal(parse(HEAD PLACES FILES "arguments \nend\n"), 0);
    assert_string_equal(record.arguments, "");
}

static void one_that_is_not_whole_is_refused(void **state)
{
    static const char whole[] = HEAD PLACES FILES ARGUMENTS "end\n";
    char part[sizeof(whole)];
    for (size_t i = 0; i < sizeof(whole) - 1; i++) {
        str_copy(part, i + 1, whole);
        assert_int_equal(parse(part), -EBADMSG);
    }
}

static void what_is_strange_is_refused(void **state)
{
    static const char *const wrong[] = {
        "nodisk-boot 2\n" PLACES FILES ARGUMENTS "end\n",
        HEAD PLACES FILES ARGUMENTS "end\nkernel /other\n",
        HEAD PLACES FILES ARGUMENTS "kernel /other\nend\n",
        HEAD PLACES FILES ARGUMENTS "module /xen\nend\n",
        HEAD PLACES FILES ARGUMENTS "kernel\nend\n",
        HEAD PLACES "initrd /initrd.img\n" ARGUMENTS "end\n",
        HEAD PLACES FILES "end\n",
        HEAD FILES ARGUMENTS "end\n",
        HEAD PLACES "kernel vmlinuz\ninitrd /initrd.img\n" ARGUMENTS "end\n",
        HEAD PLACES "kernel /vm linuz\ninitrd /initrd.img\n" ARGUMENTS "end\n",
        HEAD PLACES FILES "arguments a ${b}\nend\n",
        HEAD PLACES FILES "arguments a || b\nend\n",
        HEAD PLACES FILES "arguments a && b\nend\n",
        HEAD PLACES FILES "arguments a;b\nend\n",
        HEAD PLACES FILES "arguments \"a b\"\nend\n",
        HEAD PLACES FILES "arguments a#b\nend\n",
        HEAD PLACES FILES "arguments a\\b\nend\n",
        HEAD PLACES FILES "arguments a\tb\nend\n",
        HEAD PLACES FILES "arguments a\rb\nend\n",
        HEAD PLACES "file /a " HASH "0\n" FILES ARGUMENTS "end\n",
        HEAD PLACES "file /a\n" FILES ARGUMENTS "end\n",
        HEAD PLACES "loader " HASH "\n" FILES ARGUMENTS "end\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        if (parse(wrong[i]) != -EBADMSG)
            fail_msg("%s", wrong[i]);
}

static void files_are_bounded(void **state)
{
    char many[LOADER_RECORD_MAX_SIZE] = HEAD PLACES;
    for (unsigned i = 1; i < LOADER_RECORD_MAX_FILES; i++)
        strcat(many, "file /a " HASH "\n");
    char more[LOADER_RECORD_MAX_SIZE];
    snprintf(more, sizeof(more), "%.4096s%s", many, FILES ARGUMENTS "end\n");
    assert_int_equal(parse(more), 0);
    assert_int_equal(record.n_files, LOADER_RECORD_MAX_FILES);
    snprintf(more, sizeof(more), "%.4096sfile /a " HASH "\n%s", many, FILES ARGUMENTS "end\n");
    assert_int_equal(parse(more), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_record_is_understood),
        TEST(one_that_is_not_whole_is_refused),
        TEST(what_is_strange_is_refused),
        TEST(files_are_bounded),
    };
    return RUN_TESTS(tests);
}
