/* The stages of a boot, in the order in which a node reaches them. */
#pragma once

#include "core/util.h"

enum boot_stage {
    BOOT_ADDRESS,   /* its firmware or iPXE has an address */
    BOOT_LOADER,    /* the loader was fetched over TFTP or HTTP */
    BOOT_SCRIPT,    /* iPXE has its script */
    BOOT_FIRMWARE,  /* login of iPXE: loader, kernel and initramfs are read */
    BOOT_KERNEL,    /* kernel and initramfs were fetched over HTTP (direct boot) */
    BOOT_INITRAMFS, /* login of the initramfs: the root file system is mounted */
    BOOT_SYSTEM,    /* login of the system's iscsid, which holds the session from now on */
    BOOT_UP,        /* the system says that it is up */
    BOOT_STAGES,
};

/* "address", "loader", ...; what is stored, shown and sent. */
const char *boot_stage_name(enum boot_stage stage);
/* BOOT_STAGES if there is none of this name. */
enum boot_stage boot_stage_from_name(const char *name);

/* What tells that a stage was reached. */
enum boot_sign {
    BOOT_SIGN_FIRMWARE_DHCP, /* a PXE ROM asks, or UEFI for HTTP boot */
    BOOT_SIGN_IPXE_DHCP,     /* iPXE asks: first thing of a ROM, or after it was loaded */
    BOOT_SIGN_LOADER,
    BOOT_SIGN_SCRIPT,
    BOOT_SIGN_FIRMWARE_LOGIN,
    BOOT_SIGN_KERNEL,
    BOOT_SIGN_INITRAMFS_LOGIN,
    BOOT_SIGN_SYSTEM_LOGIN,
    BOOT_SIGN_UP,
};

enum boot_stage boot_sign_stage(enum boot_sign sign);

/* Does a node that has come so far and gave its last sign so long ago (usec) still need its script?
 */
bool boot_stage_needs_script(enum boot_stage reached, uint64_t silence);

/* The same of a node whose disk is elsewhere, so that none of its logins is seen: it has had its
 * script for so long (usec), if it has come to that. */
bool boot_stage_needs_script_elsewhere(enum boot_stage reached, uint64_t silence,
                                       uint64_t since_script);

/* Boots in a row that came to nothing, with one that is over or may still come further; before:
 * those before it. tries: it is one of a volume of ours. It has failed if it has come to that and
 * not to its initramfs. */
uint32_t boot_stage_failures(uint32_t before, bool tries, enum boot_stage reached);

/* Does this sign, from a node whose last boot has come as far as `reached` (BOOT_STAGES: it never
 * booted) and gave its last sign so long ago (usec), begin a new boot? Otherwise it belongs to that
 * one. */
bool boot_sign_begins(enum boot_sign sign, enum boot_stage reached, uint64_t silence);
