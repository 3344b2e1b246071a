#include "test.h"

#include "core/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct tree {
    char root[64];
    int directory;
};

static void put(int directory, const char *name, const char *text)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
}

/* A directory of loaders with something secret beside it. */
static int set_up(void **state)
{
    struct tree *tree = calloc(1, sizeof(*tree));
    struct error error;
    char path[128];
    str_copy(tree->root, sizeof(tree->root), "/tmp/nodisk-test-XXXXXX");
    assert_non_null(mkdtemp(tree->root));
    int root = open(tree->root, O_PATH | O_DIRECTORY);
    put(root, "secret", "secret");
    assert_int_equal(mkdirat(root, "loaders", 0755), 0);
    assert_int_equal(mkdirat(root, "loaders/sub", 0755), 0);
    put(root, "loaders/a.kpxe", "0123456789");
    put(root, "loaders/sub/b.efi", "");
    assert_int_equal(symlinkat("a.kpxe", root, "loaders/inside"), 0);
    assert_int_equal(symlinkat("../a.kpxe", root, "loaders/sub/up"), 0);
    assert_int_equal(symlinkat("../secret", root, "loaders/outside"), 0);
    snprintf(path, sizeof(path), "%s/loaders/a.kpxe", tree->root);
    assert_int_equal(symlinkat(path, root, "loaders/absolute"), 0);
    assert_int_equal(symlinkat("loop", root, "loaders/loop"), 0);
    assert_int_equal(mkfifoat(root, "loaders/fifo", 0644), 0);
    close(root);
    snprintf(path, sizeof(path), "%s/loaders", tree->root);
    assert_int_equal(directory_open(path, &tree->directory, &error), 0);
    *state = tree;
    return 0;
}

static int tear_down(void **state)
{
    struct tree *tree = *state;
    static const char *const files[] = {"loaders/fifo",    "loaders/loop",      "loaders/absolute",
                                        "loaders/outside", "loaders/sub/up",    "loaders/inside",
                                        "loaders/a.kpxe",  "loaders/sub/b.efi", "secret"};
    close(tree->directory);
    int root = open(tree->root, O_PATH | O_DIRECTORY);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        unlinkat(root, files[i], 0);
    unlinkat(root, "loaders/sub", AT_REMOVEDIR);
    unlinkat(root, "loaders", AT_REMOVEDIR);
    close(root);
    assert_int_equal(rmdir(tree->root), 0);
    free(tree);
    return 0;
}

static void what_may_be_read(void **state)
{
    const struct tree *tree = *state;
    static const struct {
        const char *name;
        int result; /* size, or negative errno */
    } cases[] = {
        {"a.kpxe", 10},          {"/a.kpxe", 10},
        {"///a.kpxe", 10},       {"\\a.kpxe", 10},
        {"sub/b.efi", 0},        {"sub\\b.efi", 0},
        {"\\sub\\b.efi", 0},     {"./sub/../a.kpxe", 10},
        {"inside", 10},          {"sub/up", 10},
        {"none", -ENOENT},       {"sub/none", -ENOENT},
        {"a.kpxe/x", -ENOTDIR},  {"", -ENOENT},
        {"/", -ENOENT},          {"sub", -EISDIR},
        {".", -EISDIR},          {"fifo", -EISDIR},
        {"..", -EXDEV},          {"../secret", -EXDEV},
        {"..\\secret", -EXDEV},  {"sub/../../secret", -EXDEV},
        {"/../secret", -EXDEV},  {"outside", -EXDEV},
        {"absolute", -EXDEV},    {"loop", -ELOOP},
        {"etc/passwd", -ENOENT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int fd = -1;
        uint64_t size = 0;
        int r = directory_open_file(tree->directory, cases[i].name, &fd, &size);
        if (r >= 0) {
            close(fd);
            r = (int)size;
        } else {
            assert_int_equal(fd, -1);
        }
        if (r != cases[i].result)
            fail_msg("'%s': %d", cases[i].name, r);
    }
}

static void a_name_can_be_too_long(void **state)
{
    const struct tree *tree = *state;
    char name[600];
    int fd;
    uint64_t size;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(directory_open_file(tree->directory, name, &fd, &size), -ENAMETOOLONG);
}

static void names_are_cleaned_for_messages(void **state)
{
    char clean[PATH_MAX];
    directory_clean_name("\\\\//boot\\x.efi", clean);
    assert_string_equal(clean, "boot/x.efi");
    directory_clean_name("a\nb\x1b[2Jc", clean);
    assert_string_equal(clean, "a?b?[2Jc");
}

static void a_missing_directory_is_told(void **state)
{
    struct error error;
    int fd;
    assert_int_equal(directory_open("/nonexistent/loaders", &fd, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/loaders"));
    assert_non_null(strstr(error.text, "install"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_may_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_can_be_too_long, set_up, tear_down),
        TEST(names_are_cleaned_for_messages),
        TEST(a_missing_directory_is_told),
    };
    return RUN_TESTS(tests);
}
