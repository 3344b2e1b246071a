/* The bytes of a table; for decode.c and encode.c. Sizes and offsets in bytes; little-endian. */
#pragma once

#define IBFT_HEADER_SIZE    48 /* ACPI's 36 bytes and what is reserved behind them */
#define IBFT_CHECKSUM_AT    9
#define IBFT_CONTROL_AT     IBFT_HEADER_SIZE
#define IBFT_CONTROL_SIZE   18
#define IBFT_FIXED_SIZE     (IBFT_CONTROL_AT + IBFT_CONTROL_SIZE)
#define IBFT_PART_HEADER    6 /* id, version, length, index, flags */
#define IBFT_INITIATOR_SIZE 74
#define IBFT_NIC_SIZE       102
#define IBFT_TARGET_SIZE    54
#define IBFT_ALIGNMENT      16

enum ibft_part_id {
    IBFT_ID_CONTROL = 1,
    IBFT_ID_INITIATOR = 2,
    IBFT_ID_NIC = 3,
    IBFT_ID_TARGET = 4,
};
