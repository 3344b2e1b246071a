/* A tree is not left, nothing is there in part, and what is put there is what was said. */
#include "scratch_dir.h"

#include "prepare/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct lab {
    char *directory;
    char root[PATH_MAX];
    struct tree tree;
    struct arena arena;
};

static int set_up(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    struct error error;
    lab->directory = scratch_dir_make();
    snprintf(lab->root, sizeof(lab->root), "%s/root", lab->directory);
    assert_int_equal(mkdir(lab->root, 0755), 0);
    assert_int_equal(tree_open(lab->root, &lab->tree, &error), 0);
    *state = lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *lab = *state;
    tree_close(&lab->tree);
    arena_free(&lab->arena);
    scratch_dir_remove(lab->directory);
    free(lab);
    return 0;
}

static struct tree_entry file_of(const char *text)
{
    return (struct tree_entry){.kind = TREE_FILE,
                               .mode = 0640,
                               .uid = geteuid(),
                               .gid = getegid(),
                               .modified = {1000000, 5},
                               .data = text,
                               .size = strlen(text)};
}

static struct tree_entry link_to(const char *target)
{
    return (struct tree_entry){.kind = TREE_LINK,
                               .uid = geteuid(),
                               .gid = getegid(),
                               .data = target,
                               .size = strlen(target)};
}

static void put(struct lab *lab, const char *path, struct tree_entry entry)
{
    assert_int_equal(tree_put(&lab->tree, path, &entry), 0);
}

static void what_is_put_is_there(void **state)
{
    struct lab *lab = *state;
    struct tree_entry entry;
    put(lab, "etc", (struct tree_entry){.kind = TREE_DIRECTORY, .mode = 0755});
    put(lab, "etc/file", file_of("text"));
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "etc/file", &entry), 0);
    assert_int_equal(entry.kind, TREE_FILE);
    assert_int_equal(entry.mode, 0640);
    assert_int_equal(entry.modified.tv_sec, 1000000);
    assert_int_equal(entry.modified.tv_nsec, 5);
    assert_string_equal(entry.data, "text");
    put(lab, "etc/file", link_to("elsewhere"));
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "etc/file", &entry), 0);
    assert_int_equal(entry.kind, TREE_LINK);
    assert_string_equal(entry.data, "elsewhere");
    put(lab, "etc/file", (struct tree_entry){.kind = TREE_ABSENT});
    put(lab, "etc/file", (struct tree_entry){.kind = TREE_ABSENT});
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "etc/file", &entry), 0);
    assert_int_equal(entry.kind, TREE_ABSENT);
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "no/such/file", &entry), 0);
    assert_int_equal(entry.kind, TREE_ABSENT);
}

/* Access control lists are such: this one gives a user what others have not. */
static void a_file_keeps_what_it_had_beside_its_mode(void **state)
{
    static const uint8_t acl[] = {
        2,    0, 0, 0,                         /* version */
        0x01, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* owner */
        0x02, 0, 6, 0, 0xfe, 0xff, 0,    0,    /* user 65534 */
        0x04, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* group */
        0x10, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* mask */
        0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* others */
    };
    static const char acl_name[] = "system.posix_acl_access";
    struct lab *lab = *state;
    struct tree_entry entry = file_of("new");
    char path[PATH_MAX + 16], value[sizeof(acl) + 1];
    snprintf(path, sizeof(path), "%s/file", lab->root);
    put(lab, "file", file_of("old"));
    if (setxattr(path, acl_name, acl, sizeof(acl), 0) < 0)
        skip();        /* this file system has none */
    entry.mode = 0660; /* as the list makes it */
    put(lab, "file", entry);
    assert_string_equal(tree_text(&lab->tree, &lab->arena, "file"), "new");
    assert_int_equal(getxattr(path, acl_name, value, sizeof(value)), sizeof(acl));
    assert_memory_equal(value, acl, sizeof(acl));
}

static void links_stay_inside(void **state)
{
    struct lab *lab = *state;
    char outside[PATH_MAX + 16];
    snprintf(outside, sizeof(outside), "%s/secret", lab->directory);
    int fd = open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "secret", 6), 6);
    close(fd);
    put(lab, "up", link_to("../secret"));
    put(lab, "absolute", link_to(outside));
    put(lab, "parent", link_to(".."));
    put(lab, "inside", link_to("/file"));
    put(lab, "file", file_of("mine"));
    assert_null(tree_text(&lab->tree, &lab->arena, "up"));
    assert_null(tree_text(&lab->tree, &lab->arena, "absolute"));
    assert_null(tree_text(&lab->tree, &lab->arena, "parent/secret"));
    assert_string_equal(tree_text(&lab->tree, &lab->arena, "parent/inside"), "mine");
    /* ".." of the root is the root */
    put(lab, "parent/secret", file_of("changed"));
    assert_string_equal(tree_text(&lab->tree, &lab->arena, "secret"), "changed");
    struct tree_entry other = file_of("x");
    assert_int_equal(tree_put(&lab->tree, "parent/..", &other), -EINVAL);
    assert_int_equal(access(outside, F_OK), 0);
}

static void a_link_is_replaced_and_not_followed(void **state)
{
    struct lab *lab = *state;
    struct tree_entry entry;
    put(lab, "other", file_of("other"));
    put(lab, "link", link_to("other"));
    put(lab, "link", file_of("new"));
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "link", &entry), 0);
    assert_int_equal(entry.kind, TREE_FILE);
    assert_string_equal(tree_text(&lab->tree, &lab->arena, "other"), "other");
}

static void what_is_no_file_is_not_waited_for(void **state)
{
    struct lab *lab = *state;
    char path[PATH_MAX + 16];
    struct tree_entry entry;
    snprintf(path, sizeof(path), "%s/fifo", lab->root);
    assert_int_equal(mkfifo(path, 0644), 0);
    assert_null(tree_text(&lab->tree, &lab->arena, "fifo"));
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "fifo", &entry), 0);
    assert_int_equal(entry.kind, TREE_OTHER);
}

/* A driver may do something when its device is opened; this one, that there is none. */
static void a_device_is_not_even_opened(void **state)
{
    struct lab *lab = *state;
    char path[PATH_MAX + 16];
    int fd = -1;
    snprintf(path, sizeof(path), "%s/device", lab->root);
    if (mknod(path, S_IFCHR | 0600, makedev(4000, 0)) < 0)
        skip();
    assert_int_equal(tree_open_file(&lab->tree, "device", &fd), -EISDIR);
    assert_int_equal(fd, -1);
}

static void names_are_sorted_and_plain(void **state)
{
    struct lab *lab = *state;
    struct tree_names names;
    put(lab, "b", file_of(""));
    put(lab, "a", file_of(""));
    put(lab, "c\nd", file_of(""));
    assert_int_equal(tree_list(&lab->tree, &lab->arena, ".", &names), 0);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.names[0], "a");
    assert_string_equal(names.names[1], "b");
    assert_int_equal(tree_list(&lab->tree, &lab->arena, "none", &names), 0);
    assert_int_equal(names.count, 0);
}

static void a_directory_in_use_stays(void **state)
{
    struct lab *lab = *state;
    static const struct tree_entry nothing = {.kind = TREE_ABSENT};
    put(lab, "d", (struct tree_entry){.kind = TREE_DIRECTORY, .mode = 0755});
    put(lab, "d/file", file_of(""));
    assert_int_equal(tree_put(&lab->tree, "d", &nothing), -ENOTEMPTY);
    put(lab, "d/file", nothing);
    put(lab, "d", nothing);
    assert_false(tree_exists(&lab->tree, "d"));
}

static void a_directory_that_is_there_is_made(void **state)
{
    struct lab *lab = *state;
    struct tree_entry entry;
    const struct tree_entry directory = {.kind = TREE_DIRECTORY, .mode = 0755};
    put(lab, "d", (struct tree_entry){.kind = TREE_DIRECTORY, .mode = 0700});
    put(lab, "d", directory);
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "d", &entry), 0);
    assert_int_equal(entry.mode, 0700);
    put(lab, "file", file_of(""));
    put(lab, "link", link_to("d"));
    assert_int_equal(tree_put(&lab->tree, "file", &directory), -EEXIST);
    assert_int_equal(tree_put(&lab->tree, "link", &directory), -EEXIST);
}

static void a_file_that_is_too_large_is_not_read(void **state)
{
    struct lab *lab = *state;
    char path[PATH_MAX + 16];
    struct tree_entry entry;
    snprintf(path, sizeof(path), "%s/large", lab->root);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, (off_t)TREE_MAX_FILE + 1), 0);
    close(fd);
    assert_int_equal(tree_read(&lab->tree, &lab->arena, "large", &entry), -EFBIG);
    assert_null(tree_text(&lab->tree, &lab->arena, "large"));
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(what_is_put_is_there),
        LAB_TEST(a_file_keeps_what_it_had_beside_its_mode),
        LAB_TEST(links_stay_inside),
        LAB_TEST(a_link_is_replaced_and_not_followed),
        LAB_TEST(what_is_no_file_is_not_waited_for),
        LAB_TEST(a_device_is_not_even_opened),
        LAB_TEST(names_are_sorted_and_plain),
        LAB_TEST(a_directory_in_use_stays),
        LAB_TEST(a_directory_that_is_there_is_made),
        LAB_TEST(a_file_that_is_too_large_is_not_read),
    };
    return RUN_TESTS(tests);
}
