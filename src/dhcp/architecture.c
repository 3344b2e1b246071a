#include "dhcp/architecture.h"

static const struct dhcp_loader_kind kinds[DHCP_LOADERS] = {
    [LOADER_BIOS] = {"loader-bios", "BIOS", "undionly.kpxe"},
    [LOADER_UEFI_IA32] = {"loader-uefi-ia32", "IA32 UEFI", ""},
    [LOADER_UEFI_X64] = {"loader-uefi-x64", "x86-64 UEFI", "snponly.efi"},
    [LOADER_UEFI_ARM32] = {"loader-uefi-arm32", "ARM UEFI", ""},
    [LOADER_UEFI_ARM64] = {"loader-uefi-arm64", "ARM64 UEFI", ""},
    [LOADER_UEFI_RISCV32] = {"loader-uefi-riscv32", "32-bit RISC-V UEFI", ""},
    [LOADER_UEFI_RISCV64] = {"loader-uefi-riscv64", "64-bit RISC-V UEFI", ""},
    [LOADER_UEFI_LOONGARCH32] = {"loader-uefi-loongarch32", "32-bit LoongArch UEFI", ""},
    [LOADER_UEFI_LOONGARCH64] = {"loader-uefi-loongarch64", "64-bit LoongArch UEFI", ""},
};

/* Firmware says 9 (and 17) that means x86-64: RFC 4578 as printed has the names the other way
 * round, its erratum and the registry call 7 x86-64 and 9 EBC, for which there are no loaders. */
static const struct dhcp_architecture architectures[] = {
    {0, LOADER_BIOS, false},
    {6, LOADER_UEFI_IA32, false},
    {7, LOADER_UEFI_X64, false},
    {9, LOADER_UEFI_X64, false},
    {10, LOADER_UEFI_ARM32, false},
    {11, LOADER_UEFI_ARM64, false},
    {15, LOADER_UEFI_IA32, true},
    {16, LOADER_UEFI_X64, true},
    {17, LOADER_UEFI_X64, true},
    {18, LOADER_UEFI_ARM32, true},
    {19, LOADER_UEFI_ARM64, true},
    {20, LOADER_BIOS, true},
    {25, LOADER_UEFI_RISCV32, false},
    {26, LOADER_UEFI_RISCV32, true},
    {27, LOADER_UEFI_RISCV64, false},
    {28, LOADER_UEFI_RISCV64, true},
    {37, LOADER_UEFI_LOONGARCH32, false},
    {38, LOADER_UEFI_LOONGARCH32, true},
    {39, LOADER_UEFI_LOONGARCH64, false},
    {40, LOADER_UEFI_LOONGARCH64, true},
};

const struct dhcp_loader_kind *dhcp_loader_kind(enum dhcp_loader loader)
{
    return &kinds[loader];
}

enum dhcp_loader dhcp_architecture_loader(uint16_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(architectures); i++)
        if (architectures[i].code == code)
            return architectures[i].loader;
    return DHCP_LOADERS;
}

const struct dhcp_architecture *dhcp_architectures(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(architectures);
    return architectures;
}
