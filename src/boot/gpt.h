/* The GUID partition table of a disk (UEFI specification, chapter 5), as GRUB reads it: the first
 * copy, its checksums not looked at. */
#pragma once

#include "boot/disk.h"

#define GPT_MAX_PARTITIONS 128

enum gpt_kind {
    GPT_OTHER,
    GPT_BIOS_BOOT, /* GRUB's core image is in it */
    GPT_EFI,       /* EFI system partition */
};

struct gpt_partition {
    enum gpt_kind kind;
    uint64_t offset, size; /* bytes, within the disk */
};

struct gpt {
    size_t count;
    struct gpt_partition partitions[GPT_MAX_PARTITIONS]; /* those in use, in the table's order */
};

/* -ENOENT: there is none. -EBADMSG: something is wrong with it. */
int gpt_read(struct boot_disk *disk, struct gpt *ret_gpt, struct error *ret_error) MUST_CHECK;
