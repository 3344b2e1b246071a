/*
 * Tables of any firmware, and memory that one is looked for in. Input: the bytes.
 *
 * The corpus has three real ones: `ipxe-bios` from memory at 0x9e620 and `ipxe-uefi` from the ACPI
 * tables (iPXE 1.21.1 of Debian 12 in QEMU, the first with mutual CHAP), `ovmf` from the ACPI
 * tables (the iSCSI initiator of EDK II, ovmf 2022.11 of Debian 12).
 */
#include "ibft_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ibft ibft;
    struct ibft_faults faults = {0};
    struct error error;
    size_t at, length;
    if (ibft_find(data, size, &at, &length))
        assert(at % 16 == 0 && length <= size && at <= size - length);
    if (ibft_decode(data, size, &ibft, &faults, &error) < 0) {
        check_text(error.text);
        return 0;
    }
    check_table(&ibft, &faults, data, size);
    return 0;
}
