/* What takes the boot disk away while the node runs: network managers and services. */
#include "prepare/check_rules.h"
#include "prepare/edit.h"
#include "prepare/packages.h"
#include "prepare/sysvinit.h"

#include <ctype.h>

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

/* context: a bool, whether drop-ins keep ifupdown from the boot card. */
static void check_interfaces(struct check *check, const char *path, const char *text,
                             const void *context)
{
    const bool *guarded = context;
    bool cards = false;
    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *name = line + strspn(line, " \t");
        if (line_begins(line, "iface")) {
            name += strcspn(name, " \t");
            name += strspn(name, " \t");
            cards |= !(str_has_prefix(name, "lo ") || str_has_prefix(name, "lo\t"));
        }
    }
    if (cards && !*guarded)
        check_found(check, ERROR, "ifupdown", "system", NULL,
                    "/%s configures network cards: ifupdown sets up the boot card anew, and takes "
                    "it down at shutdown, before the disk is written",
                    path);
}

static void check_ifupdown(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!plan_exists(plan, "sbin/ifup") && !plan_exists(plan, "usr/sbin/ifup"))
        return;
    bool guarded = sysvinit_is_init(plan->tree)
                       ? plan_exists(plan, "etc/network/if-pre-up.d/nodisk")
                       : plan_exists(plan, UNITS "networking.service.d/nodisk.conf") &&
                             plan_exists(plan, UNITS "ifup@.service.d/nodisk.conf");
    const char *text = plan_text(plan, "etc/network/interfaces");
    if (text)
        check_interfaces(check, "etc/network/interfaces", text, &guarded);
    check_each_text(check, "etc/network/interfaces.d", check_interfaces, &guarded);
}

/* Sets it, and does not add to it (+=). */
static bool sets_unmanaged(const char *text)
{
    static const char key[] = "unmanaged-devices";
    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *begin = line + strspn(line, " \t");
        if (!str_has_prefix(begin, key))
            continue;
        begin += strlen(key);
        if (begin[strspn(begin, " \t")] == '=')
            return true;
    }
    return false;
}

static void check_unmanaged(struct check *check, const char *path, const char *text,
                            const void *context)
{
    (void)context;
    if (sets_unmanaged(text))
        check_found(check, WARNING, "network-manager-unmanaged", "system",
                    "write unmanaged-devices+= there",
                    "/%s sets unmanaged-devices: that the boot card is left alone, which the "
                    "initramfs writes to /run, does not count any more",
                    path);
}

/* NetworkManager leaves the card alone by a file that the initramfs writes to /run; /etc wins. */
static void check_network_manager(struct check *check)
{
    struct plan *plan = &check->plan;
    if (!plan_exists(plan, "usr/sbin/NetworkManager"))
        return;
    if (!plan_exists(plan, system_script(plan->system)))
        check_found(check, ERROR, "network-manager", "system", NULL,
                    "NetworkManager manages the boot card: it sets it up anew, and the disk is "
                    "away meanwhile");
    const char *text = plan_text(plan, "etc/NetworkManager/NetworkManager.conf");
    if (text)
        check_unmanaged(check, "etc/NetworkManager/NetworkManager.conf", text, NULL);
    check_each_text(check, "etc/NetworkManager/conf.d", check_unmanaged, NULL);
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
    if (plan->system & SYSTEM_RPM && !plan_exists(plan, "usr/lib/systemd/systemd-networkd"))
        return;
    if (!sysvinit_is_init(plan->tree) &&
        !plan_exists(plan, UNITS "multi-user.target.wants/systemd-networkd.service") &&
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

/* What begins a line that is one machine's, but for blanks; a word that ends in a letter has a
 * blank behind it. */
struct fixed_words {
    const char *words[3];
    const char *except; /* what is indented below a line that begins so is something else */
};

static bool begins_so(const char *line, const char *word)
{
    size_t length = strlen(word);
    if (strncasecmp(line, word, length) != 0)
        return false;
    return !isalpha((unsigned char)word[length - 1]) || line[length] == ' ' || line[length] == '\t';
}

/* The first of the words that the text has; NULL: none. */
static const char *line_with(const char *text, const struct fixed_words *fixed)
{
    size_t below = SIZE_MAX; /* the indentation of what is excepted */
    for (const char *line = text; line && *line; line = next_line(line)) {
        size_t indent = strspn(line, " \t-");
        const char *begin = line + indent;
        if (*begin == '\n' || *begin == '#' || (below < indent && fixed->except))
            continue;
        below = fixed->except && begins_so(begin, fixed->except) ? indent : SIZE_MAX;
        for (size_t i = 0; i < ARRAY_SIZE(fixed->words) && fixed->words[i]; i++)
            if (begins_so(begin, fixed->words[i]))
                return fixed->words[i];
    }
    return NULL;
}

/* Addresses and MACs that are one machine's, in whatever configures the network. */
static void check_fixed(struct check *check, const char *path, const char *text,
                        const void *context)
{
    const char *word = strstr(path, ".link") ? NULL : line_with(text, context);
    if (word)
        check_found(check, WARNING, "fixed-address", "system",
                    "take it out; each node has its address from the iBFT and from DHCP",
                    "/%s has a line %s...: it is one machine's, and all nodes have it", path, word);
}

static void check_all_fixed(struct check *check)
{
    static const struct fixed_words networkd = {{"Address=", "MACAddress=", "PermanentMACAddress="},
                                                NULL},
                                    manager = {{"address1=", "mac-address=", "addresses="}, NULL},
                                    netplan = {{"macaddress:", "addresses:"}, "nameservers:"},
                                    ifupdown = {{"address", "hwaddress"}, NULL},
                                    ifcfg = {{"HWADDR=", "IPADDR=", "IPADDR0="}, NULL};
    const char *text = plan_text(&check->plan, "etc/network/interfaces");
    check_each_text(check, "etc/systemd/network", check_fixed, &networkd);
    check_each_text(check, "etc/NetworkManager/system-connections", check_fixed, &manager);
    check_each_text(check, "etc/netplan", check_fixed, &netplan);
    check_each_text(check, "etc/network/interfaces.d", check_fixed, &ifupdown);
    check_each_text(check, "etc/sysconfig/network-scripts", check_fixed, &ifcfg);
    check_each_text(check, "etc/sysconfig/network", check_fixed, &ifcfg);
    if (text)
        check_fixed(check, "etc/network/interfaces", text, &ifupdown);
}

static void check_ifcfg(struct check *check, const char *path, const char *text,
                        const void *context)
{
    const char *name = strrchr(path, '/') + 1;
    (void)text;
    if (str_has_prefix(name, "ifcfg-") && !str_eq(name, "ifcfg-lo"))
        check_found(check, ERROR, "network-scripts", "system",
                    "remove it, or have NetworkManager do it",
                    "/%s is for %s, which sets that card up anew and takes it down at shutdown, "
                    "the boot card, too: the disk is away then",
                    path, (const char *)context);
}

/* Who reads files ifcfg-* and asks nobody about the boot card. */
static void check_all_ifcfg(struct check *check)
{
    struct plan *plan = &check->plan;
    if (plan_exists(plan, "etc/rc.d/init.d/network"))
        check_each_text(check, "etc/sysconfig/network-scripts", check_ifcfg, "network.service");
    if (plan_exists(plan, "usr/sbin/wicked"))
        check_each_text(check, "etc/sysconfig/network", check_ifcfg, "wicked");
}

void check_network(struct check *check)
{
    check_all_fixed(check);
    check_ifupdown(check);
    check_all_ifcfg(check);
    check_network_manager(check);
    check_networkd(check);
    check_cloud_init(check);
    check_bridges(check);
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

static bool has_initiator(struct check *check)
{
    struct plan *plan = &check->plan;
    if (plan->system & SYSTEM_RPM)
        return tree_exists(plan->tree, "usr/sbin/iscsid");
    const char *status = tree_large_text(plan->tree, &plan->arena, "var/lib/dpkg/status");
    return status && packages_installed(status, "open-iscsi");
}

void check_services(struct check *check)
{
    struct plan *plan = &check->plan;
    bool rpm = plan->system & SYSTEM_RPM;
    if (!has_initiator(check))
        check_found(check, ERROR, "open-iscsi", "initramfs", NULL,
                    "open-iscsi (iscsi-initiator-utils) is not installed: nothing can log in to "
                    "the disk");
    if (!plan_exists(plan, "lib/systemd/systemd") && !sysvinit_is_init(plan->tree))
        check_found(check, ERROR, "no-systemd", "shutdown",
                    "nothing here: other init systems are not known so far",
                    "there is no systemd: what stops the network at shutdown before the disk is "
                    "written was not checked");
    check_iscsid(check);
    if (!sysvinit_is_init(plan->tree) &&
        !plan_exists(plan, rpm ? UNITS "iscsid.service.d/nodisk.conf" : UNITS "iscsid.service"))
        check_found(
            check, WARNING, "iscsid-takes-over", "system", NULL,
            "open-iscsi's own iscsid.service takes the session over: a second login, and two "
            "seconds in which nobody brings the disk back");
    if (!plan_exists(plan, "etc/udev/rules.d/60-nodisk-disk.rules"))
        check_found(check, WARNING, "disk-timeout", "up", NULL,
                    "disks have the SCSI layer's timeout of 30 s: after an outage of three minutes "
                    "it fails what was under way");
}
