/*
 * Direct boot: which kernel, initramfs and command line the loader on a disk would boot, and where
 * they lie, so that they can be sent whole instead of being read by that loader in thousands of
 * small pieces.
 *
 * Nothing is assumed. The operating system has written down what its loader does and from what it
 * derived that (boot/loader_record.h); here the record is held against the disk as it is:
 *
 * - where the loader itself lies: the SHA-256 of the first 440 bytes of the disk and of the first
 *   MiB, or all, of each BIOS boot and EFI system partition, in the order of the table, must be the
 *   record's;
 * - each file that the loader reads must have the record's SHA-256;
 * - kernel and initramfs are looked up by name, through links, as the loader does.
 *
 * So whatever changes on the disk, either the same is booted as the loader would boot, or nothing
 * fits any more and the loader has to do it itself. A disk without a GUID partition table, or whose
 * record is not in an ext4 file system of its own partition, never fits.
 */
#pragma once

#include "boot/ext4.h"
#include "boot/loader_record.h"

#define DIRECT_BOOT_TOKEN_SIZE 33   /* with its NUL */
#define DIRECT_BOOT_READS      2048 /* of the disk, at most, for one look */

struct direct_boot {
    struct loader_record record;
    char *text;                         /* of the record */
    struct ext4_file *kernel, *initrd;  /* where they lie on the disk */
    char token[DIRECT_BOOT_TOKEN_SIZE]; /* another one if any of this, or where it lies, changes */
};

/* Looks at the disk. check_loader: also at where the loader lies, which need not be done twice
 * in one boot. direct_boot_release() what comes of it. What keeps it from being booted so is told
 * in a sentence; -EIO and other errors of disk->read() are told apart from that by their code. */
int direct_boot_find(struct boot_disk *disk, bool check_loader, struct direct_boot *ret_boot,
                     struct error *ret_error) MUST_CHECK;
void direct_boot_release(struct direct_boot *boot);
