/* Bridges and bonds above the boot card: what takes the disk's connection away from below them. */
#include "prepare/boot_network.h"
#include "prepare/check_rules.h"
#include "prepare/interfaces.h"

#define ERROR   CHECK_ERROR
#define WARNING CHECK_WARNING

/* The bridge that the initramfs has made, as ifupdown knows it. */
static void check_ours(struct check *check, const char *path,
                       const struct interfaces_stanza *stanza, const struct boot_network *network)
{
    const char *port = network->bond[0] ? network->bond : BOOT_NETWORK_CARD;
    if (strncmp(stanza->ports, port, strlen(port)) != 0)
        check_found(check, ERROR, "bridge-port", "system", NULL,
                    "/%s gives the bridge %s the ports %s: ifreload takes %s out of it, and the "
                    "disk with it",
                    path, stanza->name, stanza->ports[0] ? stanza->ports : "(none)", port);
    if (!str_eq(stanza->purge, "no") && plan_exists(&check->plan, "usr/share/ifupdown2"))
        check_found(check, ERROR, "bridge-address", "up", NULL,
                    "/%s does not say address-purge no for the bridge %s: ifreload takes the "
                    "node's address away, and the disk with it",
                    path, stanza->name);
    if (!str_eq(stanza->stp, "off") || !str_eq(stanza->delay, "0"))
        check_found(check, WARNING, "bridge-delay", "up", NULL,
                    "/%s does not say bridge-stp off and bridge-fd 0 for the bridge %s: with a "
                    "spanning tree, the disk is away for half a minute whenever a port changes",
                    path, stanza->name);
}

/* Is it made of cards of this machine? */
static bool has_cards(const struct interfaces_stanza *stanza)
{
    bool empty = !stanza->ports[0] || str_eq(stanza->ports, "none");
    return stanza->is_bond || (stanza->is_bridge && !empty);
}

static void check_interfaces(struct check *check, const char *path, const char *text,
                             const void *context)
{
    const struct boot_network *network = context;
    struct interfaces_stanza stanza;
    for (const char *cursor = text; interfaces_next(&cursor, &stanza);)
        if (stanza.is_bridge && str_eq(stanza.name, network->bridge))
            check_ours(check, path, &stanza, network);
        else if (has_cards(&stanza))
            check_found(check, WARNING, "ifupdown-bridge", "system",
                        "if the boot card is one of them: nodisk prepare --bridge NAME, which has "
                        "the initramfs make the bridge",
                        "/%s puts cards under the bridge or bond %s: if the boot card is one of "
                        "them, the disk is gone when it moves",
                        path, stanza.name);
}

static void check_netplan(struct check *check, const char *path, const char *text,
                          const void *context)
{
    (void)context;
    if (strstr(text, "bridges:") || strstr(text, "bonds:"))
        check_found(check, WARNING, "netplan-bridge", "system",
                    "if the boot card is one of them: take it out there, and nodisk prepare "
                    "--bridge NAME, which has the initramfs make the bridge",
                    "/%s puts cards under a bridge or a bond: if the boot card is one of them, "
                    "the disk is gone when it moves",
                    path);
}

/* The line Name=NAME of a .netdev file. */
static bool is_named(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = text; (at = strstr(at, "Name=")); at += 5)
        if ((at == text || at[-1] == '\n') && strncmp(at + 5, name, size) == 0 &&
            (at[5 + size] == '\n' || at[5 + size] == '\0'))
            return true;
    return false;
}

static void check_netdev(struct check *check, const char *path, const char *text,
                         const void *context)
{
    const struct boot_network *network = context;
    if (!strstr(path, ".netdev"))
        return;
    if ((network->bridge[0] && is_named(text, network->bridge)) ||
        (network->bond[0] && is_named(text, network->bond)))
        check_found(check, WARNING, "networkd-netdev", "up",
                    "remove it: the initramfs makes this interface",
                    "/%s is for an interface that carries the disk: networkd sets its MAC, its "
                    "spanning tree and its mode anew",
                    path);
}

static void check_initramfs_has_it(struct check *check, const struct boot_network *network)
{
    if ((network->bridge[0] || network->bond[0]) &&
        !plan_exists(&check->plan, "etc/initramfs-tools/scripts/local-top/nodisk") &&
        !plan_exists(&check->plan, "usr/lib/dracut/modules.d/91nodisk/module-setup.sh"))
        check_found(check, ERROR, "bridge-not-made", "initramfs", NULL,
                    "/" BOOT_NETWORK_FILE " wants %s above the boot card, and nothing in the "
                    "initramfs makes it",
                    network->bridge[0] ? network->bridge : network->bond);
}

void check_bridges(struct check *check)
{
    struct plan *plan = &check->plan;
    const struct boot_network network = boot_network_of(plan);
    const char *text = plan_text(plan, "etc/network/interfaces");
    if (text && (plan_exists(plan, "sbin/ifup") || plan_exists(plan, "usr/sbin/ifup"))) {
        check_interfaces(check, "etc/network/interfaces", text, &network);
        check_each_text(check, "etc/network/interfaces.d", check_interfaces, &network);
    }
    check_each_text(check, "etc/netplan", check_netplan, NULL);
    check_each_text(check, "etc/systemd/network", check_netdev, &network);
    check_initramfs_has_it(check, &network);
}
