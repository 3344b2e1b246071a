#include "ibft_tables.h"
#include "scratch_dir.h"

#include <errno.h>
#include <sys/stat.h>

static void make_directories(const char *root, const char *path)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    for (char *p = whole + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(whole, 0755);
        *p = '/';
    }
}

static void put_bytes(const char *root, const char *path, size_t at, const void *data, size_t size)
{
    char whole[PATH_MAX];
    make_directories(root, path);
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    FILE *f = fopen(whole, "w");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static int read_machine(const char *root, struct ibft *ret_ibft, struct ibft_source *ret_source,
                        struct error *ret_error)
{
    struct ibft_faults faults = {0};
    return ibft_read_machine(root, ret_ibft, ret_source, &faults, ret_error);
}

/* From the last place to the first: each newcomer is preferred. */
static void the_best_place_is_read(void **state)
{
    char *root = scratch_dir_make();
    const struct ibft whole = ibft_table();
    const struct table_bytes table = ibft_bytes(&whole);
    struct ibft got;
    struct ibft_source source;
    struct error error;
    assert_int_equal(read_machine(root, &got, &source, &error), -ENOENT);
    assert_contains(error.text, "has not booted from iSCSI");

    put_bytes(root, "/sys/firmware/ibft/initiator/initiator-name", 0, "iqn.x:a\n", 8);
    assert_int_equal(read_machine(root, &got, &source, &error), 0);
    assert_true(source.kernel);
    assert_int_equal(got.length, 0);

    put_bytes(root, "/dev/mem", 0x9e620, table.bytes, table.size);
    assert_int_equal(read_machine(root, &got, &source, &error), 0);
    assert_contains(source.name, "/dev/mem at 0x9e620");
    assert_false(source.kernel);

    put_bytes(root, "/sys/firmware/acpi/tables/BIFT", 0, table.bytes, table.size);
    put_bytes(root, "/sys/firmware/acpi/tables/iBFT", 0, table.bytes, table.size);
    assert_int_equal(read_machine(root, &got, &source, &error), 0);
    assert_contains(source.name, "/tables/iBFT");
    assert_string_equal(got.nics[0].host_name, "web1");

    put_bytes(root, "/sys/firmware/acpi/tables/iBFT", 0, table.bytes, 20);
    assert_int_equal(read_machine(root, &got, &source, &error), -EBADMSG);
    scratch_dir_remove(root);
}

static void a_file_without_one_is_refused(void **state)
{
    char *root = scratch_dir_make(), path[PATH_MAX];
    struct ibft got;
    struct ibft_source source;
    struct ibft_faults faults = {0};
    struct error error;
    put_bytes(root, "/file", 200000, "x", 1);
    snprintf(path, sizeof(path), "%s/file", root);
    assert_int_equal(ibft_read_path(path, &got, &source, &faults, &error), -ENOENT);
    assert_contains(error.text, "there is no iBFT in it");
    put_bytes(root, "/file", 0, "", 0);
    assert_int_equal(ibft_read_path(path, &got, &source, &faults, &error), -ENOENT);
    snprintf(path, sizeof(path), "%s/none", root);
    assert_int_equal(ibft_read_path(path, &got, &source, &faults, &error), -ENOENT);
    assert_contains(error.text, "cannot be opened");
    scratch_dir_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_best_place_is_read),
        TEST(a_file_without_one_is_refused),
    };
    return RUN_TESTS(tests);
}
