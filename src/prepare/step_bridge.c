/* The step that puts the boot card under a bridge or a bond, for the guests of a hypervisor. */
#include "prepare/boot_network.h"
#include "prepare/interfaces.h"
#include "prepare/recipe.h"

#define INTERFACES "etc/network/interfaces"

static bool has_ifupdown(struct plan *plan)
{
    return plan_exists(plan, "sbin/ifup") || plan_exists(plan, "usr/sbin/ifup");
}

/* A bridge that ifupdown makes of the boot card moves the disk's connection; whether it is the boot
 * card's is not to be seen here. */
static void tell_of_bridges(struct plan *plan, const char *text)
{
    struct interfaces_stanza stanza;
    for (const char *cursor = text; interfaces_next(&cursor, &stanza);)
        if (stanza.is_bridge && stanza.ports[0] && !str_eq(stanza.ports, "none"))
            plan_note(plan,
                      "the bridge %s in /" INTERFACES " has the ports %s: if the boot card is one "
                      "of them, run nodisk prepare --bridge %s",
                      stanza.name, stanza.ports, stanza.name);
}

/* So that ifupdown, and what shows it (Proxmox), knows the bridge, and leaves it as it is. */
static void put_interfaces(struct plan *plan, const struct boot_network *network)
{
    const char *text = plan_text(plan, INTERFACES);
    const char *port = network->bond[0] ? network->bond : BOOT_NETWORK_CARD;
    if (!has_ifupdown(plan) || !text)
        return;
    if (!network->bridge[0]) {
        tell_of_bridges(plan, text);
        return;
    }
    cleanup_free char *edited = interfaces_edit(text, network->bridge, port);
    if (edited)
        plan_file(plan, INTERFACES, 0, edited, strlen(edited));
}

void step_bridge(struct plan *plan)
{
    const struct boot_network network = boot_network_of(plan);
    const bool any = network.bridge[0] || network.bond[0];
    const char *text =
        plan_format(plan,
                    "# What the initramfs makes of the boot card before it logs in to the disk\n"
                    "# (nodisk prepare --bridge, --bond); %s brings it there.\n"
                    "BRIDGE='%s'\nBOND='%s'\nBOND_CARDS='%s'\n",
                    plan->system & SYSTEM_DRACUT ? "dracut --force" : "update-initramfs",
                    network.bridge, network.bond, network.bond_cards);
    if (any)
        plan_file(plan, BOOT_NETWORK_FILE, 0644, text, strlen(text));
    else
        plan_remove(plan, BOOT_NETWORK_FILE);
    put_interfaces(plan, &network);
}
