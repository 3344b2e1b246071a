/* dpkg's status: what is installed, and what only looks so. */
#include "test.h"

#include "prepare/packages.h"

static const char status[] = "Package: busybox-static\nStatus: install ok installed\n\n"
                             "Package: open-iscsi\nStatus: deinstall ok config-files\n"
                             "Description: x\n Status: install ok installed\n\n"
                             "Package: zstd\nPriority: optional\nStatus: hold ok installed\n\n"
                             "Package: kmod\nPriority: optional\n\n"
                             "Package: udev\nStatus: install ok half-installed\n\n"
                             "Package: last\nStatus: install ok installed";

static void what_is_installed(void **state)
{
    assert_true(packages_installed(status, "zstd"));
    assert_true(packages_installed(status, "busybox-static"));
    assert_true(packages_installed(status, "last"));
}

static void what_is_not(void **state)
{
    assert_false(packages_installed(status, "busybox"));
    assert_false(packages_installed(status, "open-iscsi"));
    assert_false(packages_installed(status, "udev"));
    /* the status behind it is the next one's */
    assert_false(packages_installed(status, "kmod"));
    assert_false(packages_installed(status, "iscsi"));
    assert_false(packages_installed("", "zstd"));
    assert_false(packages_installed("\n\n\n", "zstd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(what_is_installed), TEST(what_is_not)};
    return RUN_TESTS(tests);
}
