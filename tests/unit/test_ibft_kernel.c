/* Files as Linux 6.1 shows them; of the table that iPXE left (tests/fuzz/corpus/ibft_decode). */
#include "ibft_tables.h"
#include "scratch_dir.h"

#include <errno.h>
#include <sys/stat.h>

static void put(const char *root, const char *file, const char *value)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", root, file);
    *strrchr(path, '/') = '\0';
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/%s", root, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(value, f);
    fclose(f);
}

static void put_all(const char *root)
{
    static const char *const files[][2] = {
        {"initiator/index", "0\n"},
        {"initiator/flags", "3\n"},
        {"initiator/initiator-name", "iqn.2026-11.lan.example:web1\n"},
        {"ethernet0/index", "0\n"},
        {"ethernet0/flags", "3\n"},
        {"ethernet0/ip-addr", "10.0.11.17\n"},
        {"ethernet0/subnet-mask", "255.255.254.0"},
        {"ethernet0/prefix-len", "23\n"},
        {"ethernet0/origin", "3\n"},
        {"ethernet0/gateway", "10.0.10.1\n"},
        {"ethernet0/primary-dns", "fd00::53\n"},
        {"ethernet0/vlan", "7\n"},
        {"ethernet0/mac", "52:54:00:01:02:03\n"},
        {"ethernet0/hostname", "web1\n"},
        {"target0/index", "0\n"},
        {"target0/flags", "3\n"},
        {"target0/ip-addr", "10.0.10.5\n"},
        {"target0/port", "3260\n"},
        {"target0/lun", "01000000\n"},
        {"target0/nic-assoc", "0\n"},
        {"target0/chap-type", "1\n"},
        {"target0/target-name", "iqn.2026-11.lan.example:web1\n"},
        {"target0/chap-name", "web1\n"},
        {"target0/chap-secret", "a secret of 16 c\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        put(root, files[i][0], files[i][1]);
}

static struct ibft read_kernel(const char *root, struct ibft_faults *ret_faults)
{
    struct ibft ibft;
    struct error error;
    *ret_faults = (struct ibft_faults){0};
    assert_int_equal(ibft_read_kernel(root, &ibft, ret_faults, &error), 0);
    return ibft;
}

static void what_the_kernel_shows_is_read(void **state)
{
    char *root = scratch_dir_make(), text[IBFT_IP_TEXT_SIZE], link[PATH_MAX];
    struct ibft_faults faults;
    put_all(root);
    snprintf(link, sizeof(link), "%s/ethernet0/device", root);
    assert_int_equal(symlink("../../../devices/pci0000:00/0000:02:1f.3", link), 0);
    const struct ibft ibft = read_kernel(root, &faults);
    for (size_t i = 0; i < faults.count; i++)
        fail_msg("%s", faults.list[i].text);
    const struct ibft_nic *nic = ibft_boot_nic(&ibft);
    const struct ibft_target *target = ibft_boot_target(&ibft);
    assert_string_equal(ibft_ip_format(&nic->address, text), "10.0.11.17");
    assert_string_equal(ibft_ip_format(&nic->dns[0], text), "fd00::53");
    assert_int_equal(nic->prefix, 23);
    assert_int_equal(nic->from, IBFT_FROM_DHCP);
    assert_int_equal(nic->vlan, 7);
    assert_int_equal(nic->pci, 0x02fb);
    assert_string_equal(nic->host_name, "web1");
    assert_int_equal(ibft_lun_number(target->lun), 1);
    assert_string_equal(target->secret, "a secret of 16 c");
    assert_false(ibft.nics[1].present || ibft.targets[1].present);
    scratch_dir_remove(root);
}

/* Linux writes a byte below 16 as one digit. */
static void luns_are_read_back_where_they_can_be(void **state)
{
    static const struct {
        const char *shown;
        int lun;
    } luns[] = {{"00000000\n", 0},    {"0f000000\n", 15}, {"010000000\n", 16}, {"0ff000000\n", 255},
                {"4100000000\n", -1}, {"\n", 0},          {"0100x000\n", -1}};
    char *root = scratch_dir_make();
    put_all(root);
    for (size_t i = 0; i < ARRAY_SIZE(luns); i++) {
        struct ibft_faults faults;
        put(root, "target0/lun", luns[i].shown);
        const struct ibft ibft = read_kernel(root, &faults);
        assert_int_equal(ibft_lun_number(ibft.targets[0].lun), luns[i].lun);
        assert_int_equal(faults.count > 0, luns[i].lun < 0);
    }
    scratch_dir_remove(root);
}

static void files_that_say_nothing_are_told(void **state)
{
    char *root = scratch_dir_make(), *long_text = malloc(400);
    struct ibft_faults faults;
    assert_non_null(long_text);
    memset(long_text, 'x', 399);
    long_text[399] = '\0';
    put_all(root);
    put(root, "ethernet0/prefix-len", "-1\n");
    put(root, "ethernet0/ip-addr", "nowhere\n");
    put(root, "ethernet0/hostname", "\x1b[2J\n");
    put(root, "target0/target-name", long_text);
    (void)read_kernel(root, &faults);
    ibft_assert_fault(&faults, IBFT_ERROR, "ethernet0/prefix-len is no number");
    ibft_assert_fault(&faults, IBFT_ERROR, "ethernet0/ip-addr is no address");
    ibft_assert_fault(&faults, IBFT_ERROR, "ethernet0/hostname has characters");
    ibft_assert_fault(&faults, IBFT_ERROR, "target0/target-name has more than");
    ibft_assert_fault(&faults, IBFT_ERROR, "target 0 has no name");
    free(long_text);
    scratch_dir_remove(root);
}

static void a_directory_without_one_is_refused(void **state)
{
    char *root = scratch_dir_make();
    struct ibft ibft;
    struct ibft_faults faults = {0};
    struct error error;
    assert_int_equal(ibft_read_kernel(root, &ibft, &faults, &error), -ENOENT);
    assert_int_equal(ibft_read_kernel("/nowhere/at-all", &ibft, &faults, &error), -ENOENT);
    scratch_dir_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_kernel_shows_is_read),
        TEST(luns_are_read_back_where_they_can_be),
        TEST(files_that_say_nothing_are_told),
        TEST(a_directory_without_one_is_refused),
    };
    return RUN_TESTS(tests);
}
