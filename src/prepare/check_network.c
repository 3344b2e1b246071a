/* What takes the boot disk away while the node runs: network managers and services. */
#include "prepare/check_rules.h"
#include "prepare/edit.h"
#include "prepare/packages.h"

#define ERROR   CHECK_ERROR
#define WARNING CHECK_WARNING

#define UNITS "etc/systemd/system/"

/* The first word of the line behind the blanks. */
static bool line_begins(const char *line, const char *word)
{
    line += strspn(line, " \t");
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && (line[length] == ' ' || line[length] == '\t');
}

static const char *next_line(const char *line)
{
    const char *newline = strchr(line, '\n');
    return newline ? newline + 1 : NULL;
}

static void check_interfaces(struct check *check, const char *path, bool guarded)
{
    bool cards = false, below = false;
    const char *text = plan_text(&check->plan, path);
    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *name = line + strspn(line, " \t");
        if (line_begins(line, "iface")) {
            name += strcspn(name, " \t");
            name += strspn(name, " \t");
            cards |= !(str_has_prefix(name, "lo ") || str_has_prefix(name, "lo\t"));
        }
        below |= line_begins(line, "bridge_ports") || line_begins(line, "bridge-ports") ||
                 line_begins(line, "bond-slaves") || line_begins(line, "slaves");
    }
    if (cards && !guarded)
        check_found(check, ERROR, "ifupdown", "system", NULL,
                    "/%s configures network cards: ifupdown sets up the boot card anew, and takes "
                    "it down at shutdown, before the disk is written",
                    path);
    if (below)
        check_found(check, WARNING, "ifupdown-bridge", "system",
                    "leave the boot card out of it, or prove that the node survives it",
                    "/%s puts cards under a bridge or a bond: if the boot card is one of them, the "
                    "disk is gone when it moves",
                    path);
}

static void check_ifupdown(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!plan_exists(plan, "sbin/ifup") && !plan_exists(plan, "usr/sbin/ifup"))
        return;
    bool guarded = plan_exists(plan, UNITS "networking.service.d/nodisk.conf") &&
                   plan_exists(plan, UNITS "ifup@.service.d/nodisk.conf");
    struct tree_names names = plan_list(plan, "etc/network/interfaces.d");
    check_interfaces(check, "etc/network/interfaces", guarded);
    for (size_t i = 0; i < names.count; i++)
        check_interfaces(check, plan_format(plan, "etc/network/interfaces.d/%s", names.names[i]),
                         guarded);
}

/* NetworkManager leaves the card alone by a file that the initramfs writes to /run; /etc wins. */
static void check_network_manager(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!plan_exists(plan, "usr/sbin/NetworkManager"))
        return;
    if (!plan_exists(plan, "etc/initramfs-tools/scripts/local-top/nodisk"))
        check_found(check, ERROR, "network-manager", "system", NULL,
                    "NetworkManager manages the boot card: it sets it up anew, and the disk is "
                    "away meanwhile");
    struct tree_names names = plan_list(plan, "etc/NetworkManager/conf.d");
    for (size_t i = 0; i < names.count; i++) {
        const char *path = plan_format(plan, "etc/NetworkManager/conf.d/%s", names.names[i]);
        const char *text = plan_text(plan, path);
        if (text && strstr(text, "unmanaged-devices="))
            check_found(check, WARNING, "network-manager-unmanaged", "system",
                        "write unmanaged-devices+= there",
                        "/%s sets unmanaged-devices: that the boot card is left alone, which the "
                        "initramfs writes to /run, does not count any more",
                        path);
    }
}

static void check_networkd(struct check *check)
{
    struct plan *plan = &check->plan;
    struct tree_names names = plan_list(plan, "etc/systemd/network");
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.names[i]);
        if (size > 8 && str_eq(names.names[i] + size - 8, ".network") &&
            strcmp(names.names[i], "05-nodisk-boot.network") <= 0)
            check_found(check, WARNING, "networkd-file", "system",
                        "give it a name that sorts behind 05-nodisk-boot.network",
                        "/etc/systemd/network/%s sorts before 05-nodisk-boot.network: if it is for "
                        "the boot card, too, networkd takes its address away",
                        names.names[i]);
    }
    if (!plan_exists(plan, UNITS "multi-user.target.wants/systemd-networkd.service") &&
        plan_get(plan, UNITS "multi-user.target.wants/systemd-networkd.service")->kind != TREE_LINK)
        check_found(
            check, WARNING, "networkd-off", "up", NULL,
            "systemd-networkd is not enabled: nobody renews the boot card's DHCP lease, and "
            "the server may give its address away");
}

static void check_cloud_init(struct check *check)
{
    struct plan *plan = &check->plan;
    if (plan_exists(plan, "usr/bin/cloud-init") &&
        !plan_exists(plan, "etc/cloud/cloud.cfg.d/99-nodisk.cfg") &&
        !plan_exists(plan, "etc/cloud/cloud-init.disabled"))
        check_found(check, ERROR, "cloud-init", "system", NULL,
                    "cloud-init writes network configuration: the boot card is set up anew");
}

static void check_netplan(struct check *check)
{
    struct plan *plan = &check->plan;
    struct tree_names names = plan_list(plan, "etc/netplan");
    for (size_t i = 0; i < names.count; i++) {
        const char *path = plan_format(plan, "etc/netplan/%s", names.names[i]);
        const char *text = plan_text(plan, path);
        if (text && (strstr(text, "bridges:") || strstr(text, "bonds:")))
            check_found(check, WARNING, "netplan-bridge", "system",
                        "leave the boot card out of it, or prove that the node survives it",
                        "/%s puts cards under a bridge or a bond: if the boot card is one of them, "
                        "the disk is gone when it moves",
                        path);
    }
}

/* The first of the words that is in the text, at the beginning of a line but for blanks. */
static const char *line_with(const char *text, const char *const *words, size_t count)
{
    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *begin = line + strspn(line, " \t-");
        for (size_t i = 0; i < count; i++)
            if (strncasecmp(begin, words[i], strlen(words[i])) == 0)
                return words[i];
    }
    return NULL;
}

/* Addresses and MACs that are one machine's, in whatever configures the network. */
static void check_fixed(struct check *check, const char *directory, const char *const *words,
                        size_t count)
{
    struct plan *plan = &check->plan;
    struct tree_names names = plan_list(plan, directory);
    for (size_t i = 0; i < names.count; i++) {
        const char *path = plan_format(plan, "%s/%s", directory, names.names[i]);
        const char *text = strstr(names.names[i], ".link") ? NULL : plan_text(plan, path);
        const char *word = line_with(text, words, count);
        if (word)
            check_found(check, WARNING, "fixed-address", "system",
                        "take it out; each node has its address from the iBFT and from DHCP",
                        "/%s has a line %s...: it is one machine's, and all nodes have it", path,
                        word);
    }
}

static void check_all_fixed(struct check *check)
{
    static const char *const networkd[] = {"Address=", "MACAddress=", "PermanentMACAddress="};
    static const char *const manager[] = {"address1=", "mac-address=", "addresses="};
    static const char *const netplan[] = {"macaddress:", "addresses:"};
    static const char *const ifupdown[] = {"address ", "hwaddress "};
    check_fixed(check, "etc/systemd/network", networkd, ARRAY_SIZE(networkd));
    check_fixed(check, "etc/NetworkManager/system-connections", manager, ARRAY_SIZE(manager));
    check_fixed(check, "etc/netplan", netplan, ARRAY_SIZE(netplan));
    check_fixed(check, "etc/network/interfaces.d", ifupdown, ARRAY_SIZE(ifupdown));
    const char *word = line_with(plan_text(&check->plan, "etc/network/interfaces"), ifupdown,
                                 ARRAY_SIZE(ifupdown));
    if (word)
        check_found(check, WARNING, "fixed-address", "system",
                    "take it out; each node has its address from the iBFT and from DHCP",
                    "/etc/network/interfaces has a line %s...: it is one machine's, and all nodes "
                    "have it",
                    word);
}

void check_network(struct check *check)
{
    check_all_fixed(check);
    check_ifupdown(check);
    check_network_manager(check);
    check_networkd(check);
    check_cloud_init(check);
    check_netplan(check);
}

static void check_iscsid(struct check *check)
{
    char value[EDIT_MAX_FIELD] = "120";
    struct plan *plan = &check->plan;
    const char *conf = plan_text(plan, "etc/iscsi/iscsid.conf");
    const char *name = "node.session.timeo.replacement_timeout";
    const char *at = conf;
    while (at && (at = strstr(at, name))) {
        bool begins = at == conf || at[-1] == '\n';
        at += strlen(name) + strspn(at + strlen(name), " \t");
        if (begins && *at == '=') {
            at += 1 + strspn(at + 1, " \t");
            snprintf(value, sizeof(value), "%.*s", (int)MIN(strcspn(at, " \t\r\n"), 20), at);
        }
    }
    if (conf && !str_eq(value, "-1"))
        check_found(check, WARNING, "iscsid-timeout", "up", NULL,
                    "/etc/iscsi/iscsid.conf gives a disk up whose server is away for %s s: then "
                    "programs get I/O errors, and root is read-only",
                    value);
}

void check_services(struct check *check)
{
    struct plan *plan = &check->plan;
    const char *status = tree_large_text(plan->tree, &plan->arena, "var/lib/dpkg/status");
    if (!status || !packages_installed(status, "open-iscsi"))
        check_found(check, ERROR, "open-iscsi", "initramfs", NULL,
                    "open-iscsi is not installed: nothing can log in to the disk");
    if (!plan_exists(plan, "lib/systemd/systemd"))
        check_found(check, ERROR, "no-systemd", "shutdown",
                    "nothing here: other init systems are not known so far",
                    "there is no systemd: what stops the network at shutdown before the disk is "
                    "written was not checked");
    check_iscsid(check);
    if (!plan_exists(plan, UNITS "iscsid.service"))
        check_found(
            check, WARNING, "iscsid-takes-over", "system", NULL,
            "open-iscsi's own iscsid.service takes the session over: a second login, and two "
            "seconds in which nobody brings the disk back");
    if (!plan_exists(plan, "etc/udev/rules.d/60-nodisk-disk.rules"))
        check_found(check, WARNING, "disk-timeout", "up", NULL,
                    "disks have the SCSI layer's timeout of 30 s: after an outage of three minutes "
                    "it fails what was under way");
}
