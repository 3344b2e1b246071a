#include "ibft/print.h"
#include "ibft_tables.h"
#include "scratch_dir.h"

#include <errno.h>
#include <sys/stat.h>

static void assert_written(const struct ibft *ibft, const char *format, bool secrets, size_t file,
                           const char *text)
{
    cleanup_ibft_output struct ibft_output output = {0};
    struct error error;
    assert_int_equal(ibft_write(ibft, format, secrets, &output, &error), 0);
    assert_true(file < output.n_files);
    assert_string_equal(output.files[file].text, text);
}

static void assert_refused(const struct ibft *ibft, const char *format, int code, const char *words)
{
    cleanup_ibft_output struct ibft_output output = {0};
    struct error error;
    assert_int_equal(ibft_write(ibft, format, true, &output, &error), code);
    assert_contains(error.text, words);
    assert_int_equal(output.n_files, 0);
}

static void options_of_iscsistart(void **state)
{
    struct ibft ibft = ibft_table();
    assert_written(&ibft, "iscsistart", true, 0,
                   "--initiatorname=iqn.2026-11.lan.example:web1"
                   " --targetname=iqn.2026-11.lan.example:web1-disk --tgpt=1"
                   " --address=10.0.10.5 --port=3260 --username=web1"
                   " --password='first secret'\\''s $word' --username_in=nodisk"
                   " --password_in=second-secret-0123\n");
    ibft.targets[0].user[0] = '\0';
    assert_written(&ibft, "iscsistart", true, 0,
                   "--initiatorname=iqn.2026-11.lan.example:web1"
                   " --targetname=iqn.2026-11.lan.example:web1-disk --tgpt=1"
                   " --address=10.0.10.5 --port=3260\n");
}

static void arguments_for_dracut(void **state)
{
    struct ibft ibft = ibft_table();
    assert_written(&ibft, "dracut", true, 0,
                   "rd.neednet=1 ifname=ibft0:52:54:00:01:02:03"
                   " ip=10.0.11.17::10.0.10.1:255.255.254.0:web1:ibft0:none:10.0.10.2:10.0.10.3"
                   " rd.iscsi.initiator=iqn.2026-11.lan.example:web1 rd.iscsi.username=web1"
                   " rd.iscsi.password=\"first secret's $word\" rd.iscsi.in.username=nodisk"
                   " rd.iscsi.in.password=second-secret-0123"
                   " netroot=iscsi:10.0.10.5::3260:1:iqn.2026-11.lan.example:web1-disk\n");
    ibft.targets[0].user[0] = '\0';
    ibft.nics[0].from = IBFT_FROM_DHCP;
    ibft.nics[0].vlan = 42;
    assert_written(&ibft, "dracut", true, 0,
                   "rd.neednet=1 ifname=ibft0:52:54:00:01:02:03 vlan=ibft0.42:ibft0"
                   " ip=ibft0.42:dhcp rd.iscsi.initiator=iqn.2026-11.lan.example:web1"
                   " netroot=iscsi:10.0.10.5::3260:1:iqn.2026-11.lan.example:web1-disk\n");
    str_copy(ibft.targets[0].user, IBFT_TEXT_SIZE, "a\"b");
    assert_refused(&ibft, "dracut", -EBADMSG, "double quote");
    str_copy(ibft.targets[0].name, IBFT_TEXT_SIZE, "iqn.x:a init=/bin/sh");
    assert_refused(&ibft, "dracut", -EBADMSG, "characters that none may have");
}

static void addresses_of_ipv6(void **state)
{
    struct ibft ibft = ibft_table();
    struct ibft_nic *nic = &ibft.nics[0];
    assert_int_equal(ibft_ip_parse("fd00::17", &nic->address), 0);
    assert_int_equal(ibft_ip_parse("fd00::1", &nic->gateway), 0);
    assert_int_equal(ibft_ip_parse("fd00::5", &ibft.targets[0].address), 0);
    nic->prefix = 64;
    nic->dns[0] = nic->gateway;
    nic->dns[1] = (struct ibft_ip){{0}};
    ibft.targets[0].user[0] = '\0';
    assert_written(&ibft, "dracut", true, 0,
                   "rd.neednet=1 ifname=ibft0:52:54:00:01:02:03"
                   " ip=[fd00::17/64]::[fd00::1]::web1:ibft0:none:[fd00::1]"
                   " rd.iscsi.initiator=iqn.2026-11.lan.example:web1"
                   " netroot=iscsi:[fd00::5]::3260:1:iqn.2026-11.lan.example:web1-disk\n");
}

static void secrets_are_left_out(void **state)
{
    static const char *const formats[] = {"iscsistart", "dracut", "networkd", "networkmanager"};
    const struct ibft ibft = ibft_table();
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        cleanup_ibft_output struct ibft_output output = {0};
        struct error error;
        assert_int_equal(ibft_write(&ibft, formats[i], false, &output, &error), 0);
        assert_int_equal(output.has_hidden, i < 2);
        for (size_t k = 0; k < output.n_files; k++)
            assert_null(strstr(output.files[k].text, "secret"));
    }
}

#define ABOUT "# from the iBFT, by nodisk ibft: the card that carries the root disk\n"
#define MATCH "[Match]\nPermanentMACAddress=52:54:00:01:02:03\n\n[Network]\n"

static void a_card_for_networkd(void **state)
{
    struct ibft ibft = ibft_table();
    assert_written(&ibft, "networkd", false, 0,
                   ABOUT MATCH "KeepConfiguration=yes\nIgnoreCarrierLoss=yes\nDHCP=no\n"
                               "Address=10.0.11.17/23\nGateway=10.0.10.1\nDNS=10.0.10.2\n"
                               "DNS=10.0.10.3\n");
    ibft.nics[0].from = IBFT_FROM_DHCP;
    assert_written(&ibft, "networkd", false, 0,
                   ABOUT MATCH "KeepConfiguration=yes\nIgnoreCarrierLoss=yes\nDHCP=ipv4\n"
                               "DNS=10.0.10.2\nDNS=10.0.10.3\n"
                               "\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\n");
}

static void a_vlan_for_networkd(void **state)
{
    struct ibft ibft = ibft_table();
    ibft.nics[0].vlan = 42;
    assert_written(&ibft, "networkd", false, 0,
                   ABOUT MATCH "KeepConfiguration=yes\nIgnoreCarrierLoss=yes\nVLAN=ibft-vlan\n"
                               "LinkLocalAddressing=no\n");
    assert_written(&ibft, "networkd", false, 1,
                   ABOUT "[NetDev]\nName=ibft-vlan\nKind=vlan\n\n[VLAN]\nId=42\n");
    assert_written(&ibft, "networkd", false, 2,
                   ABOUT "[Match]\nName=ibft-vlan\n\n[Network]\n"
                         "KeepConfiguration=yes\nIgnoreCarrierLoss=yes\nDHCP=no\n"
                         "Address=10.0.11.17/23\nGateway=10.0.10.1\nDNS=10.0.10.2\n"
                         "DNS=10.0.10.3\n");
}

static void a_card_for_networkmanager(void **state)
{
    struct ibft ibft = ibft_table();
    assert_written(&ibft, "networkmanager", false, 0,
                   ABOUT "[connection]\nid=iBFT\nuuid=6e6f6469-736b-8000-8000-525400010203\n"
                         "type=ethernet\nautoconnect-priority=100\nautoconnect-retries=0\n"
                         "\n[ethernet]\nmac-address=52:54:00:01:02:03\n"
                         "\n[ipv4]\nmethod=manual\nmay-fail=false\n"
                         "address1=10.0.11.17/23,10.0.10.1\ndns=10.0.10.2;10.0.10.3;\n"
                         "\n[ipv6]\nmethod=auto\nmay-fail=true\n");
    ibft.nics[0].from = IBFT_FROM_DHCP;
    ibft.nics[0].vlan = 42;
    assert_written(&ibft, "networkmanager", false, 0,
                   ABOUT "[connection]\nid=iBFT\nuuid=6e6f6469-736b-8000-802a-525400010203\n"
                         "type=vlan\ninterface-name=ibft-vlan\nautoconnect-priority=100\n"
                         "autoconnect-retries=0\n"
                         "\n[ethernet]\nmac-address=52:54:00:01:02:03\n\n[vlan]\nid=42\n"
                         "\n[ipv4]\nmethod=auto\ndhcp-client-id=mac\ndhcp-timeout=2147483647\n"
                         "may-fail=false\ndns=10.0.10.2;10.0.10.3;\n"
                         "\n[ipv6]\nmethod=auto\nmay-fail=true\n");
}

static void read_back(const char *directory, const char *name, unsigned mode,
                      char text[static 1024])
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, 1023, f)] = '\0';
    fclose(f);
}

static void files_are_written_whole(void **state)
{
    static const struct {
        const char *format, *name;
        unsigned mode;
    } files[] = {{"networkd", "05-ibft.network", 0644},
                 {"networkd", "05-ibft-vlan.netdev", 0644},
                 {"networkd", "05-ibft-vlan.network", 0644},
                 {"networkmanager", "ibft.nmconnection", 0600}};
    char *directory = scratch_dir_make(), text[1024];
    struct ibft ibft = ibft_table();
    struct error error;
    ibft.nics[0].vlan = 42;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        cleanup_ibft_output struct ibft_output output = {0};
        assert_int_equal(ibft_write(&ibft, files[i].format, false, &output, &error), 0);
        assert_int_equal(ibft_output_save(&output, directory, &error), 0);
        read_back(directory, files[i].name, files[i].mode, text);
        assert_string_equal(text, output.files[i < 3 ? i : 0].text);
    }
    cleanup_ibft_output struct ibft_output words = {0};
    assert_int_equal(ibft_write(&ibft, "iscsistart", true, &words, &error), 0);
    assert_int_equal(ibft_output_save(&words, directory, &error), -EINVAL);
    cleanup_ibft_output struct ibft_output output = {0};
    assert_int_equal(ibft_write(&ibft, "networkd", true, &output, &error), 0);
    assert_int_equal(ibft_output_save(&output, "/nowhere/at-all", &error), -ENOENT);
    scratch_dir_remove(directory);
}

static void what_is_missing_is_told(void **state)
{
    struct ibft ibft = ibft_table();
    assert_refused(&ibft, "dnsmasq", -EINVAL, "no format 'dnsmasq'");
    ibft.nics[0].prefix = 40;
    assert_refused(&ibft, "networkd", -EBADMSG, "netmask of 40 bits");
    ibft.nics[0].mac.bytes[0] |= 1;
    assert_refused(&ibft, "networkmanager", -EBADMSG, "a MAC that no card has");
    ibft.nics[0].present = false;
    assert_refused(&ibft, "networkd", -ENOENT, "no card");
    assert_refused(&ibft, "dracut", -ENOENT, "no card");
    ibft.targets[0].present = false;
    assert_refused(&ibft, "iscsistart", -ENOENT, "no target");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_of_iscsistart),     TEST(arguments_for_dracut),
        TEST(addresses_of_ipv6),         TEST(secrets_are_left_out),
        TEST(a_card_for_networkd),       TEST(a_vlan_for_networkd),
        TEST(a_card_for_networkmanager), TEST(what_is_missing_is_told),
        TEST(files_are_written_whole),
    };
    return RUN_TESTS(tests);
}
