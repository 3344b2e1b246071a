/*
 * What is above the boot card of a system: /etc/nodisk/boot-network, which the initramfs reads. It
 * makes the bridge or the bond before anybody logs in, so that the disk's connection never moves.
 */
#pragma once

#include "prepare/plan.h"

#define BOOT_NETWORK_FILE "etc/nodisk/boot-network"
/* What the boot card is called then, on every node. */
#define BOOT_NETWORK_CARD "enboot"

struct boot_network {
    const char *bridge, *bond; /* their names; "": none */
    const char *bond_cards;    /* patterns of the names of the cards that join the boot card */
};

/* As the system is to have it: what the settings ask for, and else what it has. In the plan's
 * memory. */
struct boot_network boot_network_of(struct plan *plan);

/* Can an interface be called so? */
bool boot_network_is_name(const char *text);
/* Patterns of names, with blanks between them. */
bool boot_network_is_cards(const char *text);
