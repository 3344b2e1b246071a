/*
 * Finds files in an ext4 file system, as GRUB does: by name, through symbolic links, without
 * looking at the journal. Reads only.
 *
 * What GRUB cannot read, or what is unusual where a kernel lies (inline data, encryption, blocks
 * without extents, files in very many pieces), is refused, so that nothing is ever understood
 * otherwise than it is meant. All that is followed is bounded.
 */
#pragma once

#include "boot/disk.h"

#define EXT4_UUID_SIZE   16
#define EXT4_MAX_EXTENTS 512
#define EXT4_MAX_PATH    1024 /* of what is left to follow, links included */

struct ext4 {
    struct boot_disk *disk;
    uint64_t offset; /* of its first byte on the disk */
    uint64_t n_blocks;
    uint32_t block_size; /* bytes: 1024, 2048 or 4096 */
    uint32_t n_inodes, inodes_per_group;
    uint16_t inode_size, descriptor_size; /* bytes */
    uint32_t first_block;
    uint8_t uuid[EXT4_UUID_SIZE];
};

/* A run of a file's bytes; between them are holes, which read as zeroes. */
struct ext4_extent {
    uint64_t at;     /* in the file */
    uint64_t length; /* bytes */
    uint64_t disk;   /* on the disk */
};

struct ext4_file {
    uint64_t size; /* bytes */
    size_t n_extents;
    struct ext4_extent extents[EXT4_MAX_EXTENTS]; /* ordered, disjoint, within file and disk */
};

/* -ENOENT: no ext4 there. -ENOTSUP: one that has what is not understood. -EBADMSG: damaged. */
int ext4_open(struct boot_disk *disk, uint64_t offset, uint64_t size, struct ext4 *ret_fs,
              struct error *ret_error) MUST_CHECK;
/* The regular file that this path leads to; *file is undefined on failure. -ENOENT, -ELOOP, and as
 * above. */
int ext4_find(const struct ext4 *fs, const char *path, struct ext4_file *file,
              struct error *ret_error) MUST_CHECK;
/* The whole of it, from malloc(), terminated. -EFBIG: it has more than max bytes. */
int ext4_read(const struct ext4 *fs, const struct ext4_file *file, size_t max, char **ret_text,
              struct error *ret_error) MUST_CHECK;

/* From the byte at `at` (< size) on: up to how many of the file's bytes lie together on the disk,
 * and where (*ret_disk), or are a hole (false). */
bool ext4_file_run(const struct ext4_file *file, uint64_t at, uint64_t *ret_length,
                   uint64_t *ret_disk);
