/* A machine that is made of files, but for its addresses: those are of the one that runs the test.
 */
#include "ibft/compare.h"
#include "ibft_tables.h"
#include "scratch_dir.h"

#include <sys/stat.h>

static void put(const char *root, const char *path, const char *text)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    for (char *p = whole + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(whole, 0755);
        *p = '/';
    }
    FILE *f = fopen(whole, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

#define SESSION    "/sys/class/iscsi_session/session7/"
#define CONNECTION "/sys/class/iscsi_connection/connection7:0/"

static void put_machine(const char *root)
{
    put(root, "/sys/class/net/br0/address", "52:54:00:01:02:03\n");
    put(root, "/sys/class/net/ens3/address", "52:54:00:01:02:03\n");
    put(root, "/sys/class/net/ens3/device/vendor", "0x1af4\n");
    put(root, "/proc/net/route",
        "Iface\tDestination\tGateway \tFlags\n"
        "ens4\t00000000\t010010AC\t0003\n"
        "ens3\t00000000\t010A000A\t0003\n"
        "ens3\t000A000A\t00000000\t0001\n");
    put(root, "/proc/sys/kernel/hostname", "web1.lab.example\n");
    put(root, "/sys/class/iscsi_session/session1/targetname", "iqn.other\n");
    put(root, SESSION "targetname", "iqn.2026-11.lan.example:web1-disk\n");
    put(root, SESSION "initiatorname", "iqn.2026-11.lan.example:web1\n");
    put(root, SESSION "username", "web1\n");
    put(root, SESSION "username_in", "(null)\n");
    put(root, "/sys/class/iscsi_connection/connection1:0/persistent_address", "10.9.9.9\n");
    put(root, CONNECTION "persistent_address", "10.0.10.5\n");
    put(root, CONNECTION "persistent_port", "3260\n");
}

static struct ibft table(void)
{
    struct ibft ibft = ibft_table();
    ibft.nics[0].address = ibft_ip_of_v4(0x7f000001); /* every machine has it */
    ibft.nics[0].prefix = 8;
    return ibft;
}

static size_t compare(const struct ibft *ibft, const char *root,
                      struct ibft_difference list[static IBFT_FIELDS])
{
    static struct ibft_view wanted, machine;
    ibft_view_of_table(ibft, &wanted);
    ibft_view_of_machine(ibft, root, &machine);
    return ibft_compare(&wanted, &machine, IBFT_MACHINE, list);
}

static void a_machine_that_is_what_it_should_be(void **state)
{
    char *root = scratch_dir_make();
    struct ibft_difference list[IBFT_FIELDS];
    struct ibft_view view;
    const struct ibft ibft = table();
    put_machine(root);
    assert_int_equal(compare(&ibft, root, list), 0);
    ibft_view_of_machine(&ibft, root, &view);
    for (enum ibft_field f = 0; f < IBFT_FIELDS; f++) {
        bool unknown = f == IBFT_FIELD_DNS || f == IBFT_FIELD_LUN || f == IBFT_FIELD_ORIGIN ||
                       f == IBFT_FIELD_CHAP || f == IBFT_FIELD_CHAP_TARGET_NAME;
        assert_int_equal(view.known[f], !unknown);
    }
    scratch_dir_remove(root);
}

static void a_machine_that_went_its_own_way(void **state)
{
    char *root = scratch_dir_make();
    struct ibft_difference list[IBFT_FIELDS];
    struct ibft ibft = table();
    put_machine(root);
    put(root, "/proc/sys/kernel/hostname", "web10\n");
    put(root, SESSION "initiatorname", "iqn.1993-08.org.debian:01:abc\n");
    ibft.nics[0].gateway = ibft_ip_of_v4(0x0a000afe);
    ibft.nics[0].prefix = 24;
    ibft.nics[0].mac.bytes[5] = 9;
    assert_int_equal(compare(&ibft, root, list), 5);
    assert_int_equal(list[0].field, IBFT_FIELD_CARD);
    assert_string_equal(list[0].other, "");
    assert_int_equal(list[1].field, IBFT_FIELD_PREFIX);
    assert_string_equal(list[1].other, "8");
    assert_int_equal(list[2].field, IBFT_FIELD_GATEWAY);
    assert_string_equal(list[2].other, "172.16.0.1");
    assert_int_equal(list[3].field, IBFT_FIELD_HOST_NAME);
    assert_int_equal(list[4].field, IBFT_FIELD_INITIATOR);
    for (size_t i = 0; i < 5; i++)
        assert_true(strlen(list[i].meaning) > 20);
    ibft.nics[0].address = ibft_ip_of_v4(0xc00002fe);
    assert_true(compare(&ibft, root, list) >= 5);
    assert_int_equal(list[1].field, IBFT_FIELD_ADDRESS);
    scratch_dir_remove(root);
}

/* Whichever the directory shows first. */
static void of_two_paths_the_one_of_the_table_is_shown(void **state)
{
    struct ibft_difference list[IBFT_FIELDS];
    const struct ibft ibft = table();
    for (unsigned number = 0; number < 10; number++) {
        char *root = scratch_dir_make(), path[128];
        put_machine(root);
        snprintf(path, sizeof(path), "/sys/class/iscsi_session/session%u/", 20 + number);
        char *end = path + strlen(path);
        strcpy(end, "targetname");
        put(root, path, "iqn.2026-11.lan.example:web1-disk\n");
        strcpy(end, "initiatorname");
        put(root, path, "iqn.2026-11.lan.example:web1\n");
        strcpy(end, "username");
        put(root, path, "web1\n");
        snprintf(path, sizeof(path), "/sys/class/iscsi_connection/connection%u:0/", 20 + number);
        end = path + strlen(path);
        strcpy(end, "persistent_address");
        put(root, path, "10.0.11.5\n");
        strcpy(end, "persistent_port");
        put(root, path, "3260\n");
        assert_int_equal(compare(&ibft, root, list), 0);
        /* and if there is only the other one, that is told */
        put(root, CONNECTION "persistent_address", "10.0.11.6\n");
        assert_int_equal(compare(&ibft, root, list), 1);
        assert_int_equal(list[0].field, IBFT_FIELD_PORTAL);
        scratch_dir_remove(root);
    }
}

static void a_machine_without_a_session(void **state)
{
    char *root = scratch_dir_make();
    struct ibft_difference list[IBFT_FIELDS];
    const struct ibft ibft = table();
    put(root, "/sys/class/net/ens3/address", "52:54:00:01:02:03\n");
    assert_int_equal(compare(&ibft, root, list), 1);
    assert_int_equal(list[0].field, IBFT_FIELD_TARGET);
    assert_contains(list[0].meaning, "no session with the table's target");
    scratch_dir_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_machine_that_is_what_it_should_be),
        TEST(a_machine_that_went_its_own_way),
        TEST(of_two_paths_the_one_of_the_table_is_shown),
        TEST(a_machine_without_a_session),
    };
    return RUN_TESTS(tests);
}
