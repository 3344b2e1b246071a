/*
 * UEFI that is left to its boot order: a node that is to boot its own disk (or whoever stands
 * before it has chosen that in the menu) leaves iPXE, and firmware goes on with its next entry.
 * That may be the network once more, in another way (HTTP after PXE, IPv6 after IPv4), before it
 * comes to the disk. It is one boot still: what was decided for it holds for each of these ways. A
 * way that was tried in it already is another boot: the machine was switched on again.
 */
#pragma once

#include "core/util.h"

enum boot_way {
    BOOT_WAY_PXE,
    BOOT_WAY_PXE6,
    BOOT_WAY_HTTP,
    BOOT_WAY_HTTP6,
};

/* Of a boot; zeroed when it begins. */
struct boot_onward {
    bool left;      /* to firmware, by the last script */
    bool chosen;    /* ... since that was chosen in the menu */
    bool went_on;   /* firmware is at another way */
    uint8_t asked;  /* the ways that it has asked in, by bit */
    uint8_t asking; /* the bit of the one that it asks in now; 0: it has got further in that */
};

/* Firmware asks DHCP. True: it goes on in the same boot, which gave its last sign so long ago
 * (usec). */
bool boot_onward_asks(struct boot_onward *onward, enum boot_way way, uint64_t silence);
/* It has come to its loader, or to anything further. */
void boot_onward_gets_further(struct boot_onward *onward);
/* What its script has it do: is it left to firmware, since that was chosen in the menu? */
void boot_onward_decide(struct boot_onward *onward, bool left, bool chosen);
/* Is its own disk what was chosen before, so that it is not to be asked again? */
bool boot_onward_is_chosen(const struct boot_onward *onward);
