/*
 * What a booting machine's processor and firmware are called, and which loader they take: IANA's
 * "Processor Architecture Types" (RFC 4578 2.1, RFC 5970 3.3), the codes of option 93.
 *
 * A loader is for a kind of machine. It is the same file whichever way firmware fetches it, which
 * has a code of its own.
 */
#pragma once

#include "core/util.h"

#define DHCP_ARCH_UNKNOWN UINT16_MAX

enum dhcp_loader {
    LOADER_BIOS,
    LOADER_UEFI_IA32,
    LOADER_UEFI_X64,
    LOADER_UEFI_ARM32,
    LOADER_UEFI_ARM64,
    LOADER_UEFI_RISCV32,
    LOADER_UEFI_RISCV64,
    LOADER_UEFI_LOONGARCH32,
    LOADER_UEFI_LOONGARCH64,
    DHCP_LOADERS, /* one more than the last; also: none */
};

struct dhcp_loader_kind {
    const char *key;  /* in the configuration: "loader-uefi-x64" */
    const char *word; /* for messages: "x86-64 UEFI" */
    const char *file; /* that Debian has for it, the default; "": none */
};

struct dhcp_architecture {
    uint16_t code;
    enum dhcp_loader loader;
    bool http; /* what firmware says that fetches by HTTP */
};

/* loader: less than DHCP_LOADERS. */
const struct dhcp_loader_kind *dhcp_loader_kind(enum dhcp_loader loader);
/* DHCP_LOADERS for a code that is not known here. */
enum dhcp_loader dhcp_architecture_loader(uint16_t code);
/* All that are known, by code. */
const struct dhcp_architecture *dhcp_architectures(size_t *ret_count);
