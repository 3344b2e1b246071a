#include "boot/stage.h"

static const char *const names[BOOT_STAGES] = {
    [BOOT_ADDRESS] = "address",   [BOOT_LOADER] = "loader", [BOOT_SCRIPT] = "script",
    [BOOT_FIRMWARE] = "firmware", [BOOT_KERNEL] = "kernel", [BOOT_INITRAMFS] = "initramfs",
    [BOOT_SYSTEM] = "system",     [BOOT_UP] = "up",
};

const char *boot_stage_name(enum boot_stage stage)
{
    return names[stage];
}

enum boot_stage boot_stage_from_name(const char *name)
{
    for (enum boot_stage stage = 0; stage < BOOT_STAGES; stage++)
        if (str_eq(name, names[stage]))
            return stage;
    return BOOT_STAGES;
}

enum boot_stage boot_sign_stage(enum boot_sign sign)
{
    switch (sign) {
    case BOOT_SIGN_FIRMWARE_DHCP:
    case BOOT_SIGN_IPXE_DHCP:
        return BOOT_ADDRESS;
    case BOOT_SIGN_LOADER:
        return BOOT_LOADER;
    case BOOT_SIGN_SCRIPT:
        return BOOT_SCRIPT;
    case BOOT_SIGN_FIRMWARE_LOGIN:
        return BOOT_FIRMWARE;
    case BOOT_SIGN_KERNEL:
        return BOOT_KERNEL;
    case BOOT_SIGN_INITRAMFS_LOGIN:
        return BOOT_INITRAMFS;
    case BOOT_SIGN_SYSTEM_LOGIN:
        return BOOT_SYSTEM;
    case BOOT_SIGN_UP:
        break;
    }
    return BOOT_UP;
}

/* Firmware and loaders that wait for something ask again at least this often. */
#define PATIENCE (5 * 60 * USEC_PER_SEC)

/*
 * A boot begins with firmware's DHCP; what firmware or a loader does again and again while it waits
 * for something belongs to the same boot. Where the first signs are missing (another DHCP server,
 * a daemon that was not there), a later one begins it. A boot that came no further (the machine
 * then started from somewhere else) is over when nothing was heard of it for long.
 */
bool boot_sign_begins(enum boot_sign sign, enum boot_stage reached, uint64_t silence)
{
    bool over = silence > PATIENCE;
    if (reached == BOOT_STAGES)
        return true;
    switch (sign) {
    case BOOT_SIGN_FIRMWARE_DHCP:
        return reached > BOOT_ADDRESS || over; /* a ROM that asks again has got no further */
    case BOOT_SIGN_IPXE_DHCP:
        return reached > BOOT_LOADER || over; /* before: what the ROM has loaded asks in its turn */
    case BOOT_SIGN_SCRIPT:
        return reached > BOOT_KERNEL || over; /* nobody goes back from the initramfs to iPXE */
    case BOOT_SIGN_FIRMWARE_LOGIN:
        return reached > BOOT_KERNEL; /* a loader may read for as long as somebody looks at it */
    default:
        return false; /* reconnections of a running system, or somebody who tries TFTP there */
    }
}

bool boot_stage_needs_script(enum boot_stage reached, uint64_t silence)
{
    return reached <= BOOT_KERNEL && silence <= PATIENCE;
}

/* iPXE that has to wait for longer asks DHCP again: another boot. */
bool boot_stage_needs_script_elsewhere(enum boot_stage reached, uint64_t silence,
                                       uint64_t since_script)
{
    return reached == BOOT_SCRIPT ? since_script <= PATIENCE
                                  : reached < BOOT_SCRIPT && silence <= PATIENCE;
}

/* One that has not come to its disk says nothing of that: the server was away, or somebody has
 * switched it off. */
uint32_t boot_stage_failures(uint32_t before, bool tries, enum boot_stage reached)
{
    if (!tries || reached == BOOT_STAGES || reached < BOOT_FIRMWARE)
        return before;
    return reached < BOOT_INITRAMFS ? before + 1 : 0;
}
