/*
 * What an operating system wrote down of its own boot loader: which kernel, initramfs and command
 * line that would boot, and from what this was derived, so that anybody can see whether it still
 * holds. A file of lines, /boot/nodisk-boot:
 *
 *   nodisk-boot 1
 *   filesystem 3a1c0f2e-...         the UUID of the file system that all paths are in
 *   loader 9f86d081...              SHA-256 of where the loader itself lies, see direct_boot.h
 *   file /boot/grub/grub.cfg 60303ae2...   SHA-256 of a file that the loader reads; up to 8
 *   kernel /vmlinuz
 *   initrd /initrd.img
 *   arguments root=UUID=3a1c0f2e-... ro quiet
 *   end
 *
 * Whoever administers the machine may have written anything at all. Pure.
 */
#pragma once

#include "core/error.h"

#define LOADER_RECORD_PATH      "/boot/nodisk-boot"
#define LOADER_RECORD_MAX_SIZE  ((size_t)(8 * KIB))
#define LOADER_RECORD_MAX_FILES 8
#define LOADER_RECORD_HASH_SIZE 32
#define LOADER_RECORD_UUID_SIZE 16

struct loader_record_file {
    const char *path;
    uint8_t sha256[LOADER_RECORD_HASH_SIZE];
};

/* Its strings are in the text that it was parsed from. Paths begin with '/', and paths and
 * arguments have only characters that mean nothing to iPXE. */
struct loader_record {
    uint8_t filesystem[LOADER_RECORD_UUID_SIZE]; /* as in a superblock */
    uint8_t loader[LOADER_RECORD_HASH_SIZE];
    size_t n_files; /* at least one */
    struct loader_record_file files[LOADER_RECORD_MAX_FILES];
    const char *kernel, *initrd;
    const char *arguments; /* "" if there are none */
};

/* text is changed. -EBADMSG. */
int loader_record_parse(char *text, struct loader_record *ret_record,
                        struct error *ret_error) MUST_CHECK;
