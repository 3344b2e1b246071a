/*
 * What a boot loader's file says of itself: what firmware it is for, and if it is iPXE, which
 * version and what that can do.
 *
 * iPXE has no record of its features. But its commands have names, and so have the features that
 * it prints when it starts: each a string of its own in the file, if that is not compressed, which
 * the programs for UEFI are not and those for BIOS are.
 *
 * Pure; any bytes.
 */
#pragma once

#include "core/util.h"

enum loader_format {
    LOADER_FORMAT_UNKNOWN,
    LOADER_FORMAT_UEFI, /* a program in the PE format (UEFI 2.10, 2.1.1) */
    LOADER_FORMAT_PXE,  /* iPXE, for PXE of BIOS; compressed */
};

struct loader_file {
    enum loader_format format;
    uint16_t machine;  /* of a program for UEFI, as PE has it: 0x8664 */
    uint64_t size;     /* bytes that the file has at least if it is whole, by what it says; or 0 */
    bool is_ipxe;      /* known to be; not all that are can be known */
    char version[64];  /* printable; "": not known */
    uint32_t features; /* bits, by loader_file_features(): they are in it */
    uint32_t missing;  /* they are not; one that is in neither cannot be told */
};

/* Looks at the beginning of a file, or at all of it. Without the whole file nothing is missing. */
void loader_file_look(const uint8_t *data, size_t size, bool whole, struct loader_file *ret_file);

struct loader_feature {
    const char *name;   /* "HTTPS" */
    const char *string; /* that is in the file if iPXE has it */
};

/* All that are looked for: up to 32. */
const struct loader_feature *loader_file_features(size_t *ret_count);

/* Each string of the file: what can be printed, between a byte that cannot (or its beginning) and a
 * zero. Not terminated. */
void loader_file_strings(const uint8_t *data, size_t size,
                         void (*take)(void *context, const char *text, size_t size), void *context);
