/* A table with everything in it, and its bytes. */
#pragma once

#include "ibft/ibft.h"

#include "test.h"

#define TABLE_NIC    (80 + 80) /* offsets of what ibft_encode() writes */
#define TABLE_TARGET (80 + 80 + 112)

static inline struct ibft ibft_table(void)
{
    struct ibft ibft = {
        .signature = "iBFT",
        .oem_id = "NODISK",
        .oem_table_id = "test",
        .revision = 1,
        .initiator = {.present = true, .flags = 3, .name = "iqn.2026-11.lan.example:web1"},
        .nics[0] = {.present = true,
                    .flags = 3,
                    .address = ibft_ip_of_v4(0x0a000b11),
                    .prefix = 23,
                    .from = IBFT_FROM_MANUAL,
                    .gateway = ibft_ip_of_v4(0x0a000a01),
                    .dns = {ibft_ip_of_v4(0x0a000a02), ibft_ip_of_v4(0x0a000a03)},
                    .mac = {{0x52, 0x54, 0, 1, 2, 3}},
                    .pci = 0x0108,
                    .host_name = "web1"},
        .targets[0] = {.present = true,
                       .flags = 3,
                       .address = ibft_ip_of_v4(0x0a000a05),
                       .port = 3260,
                       .lun = {0, 1},
                       .chap = IBFT_CHAP_MUTUAL,
                       .name = "iqn.2026-11.lan.example:web1-disk",
                       .user = "web1",
                       .secret = "first secret's $word",
                       .reverse_user = "nodisk",
                       .reverse_secret = "second-secret-0123"},
    };
    return ibft;
}

struct table_bytes {
    uint8_t bytes[2048];
    size_t size;
};

static inline struct table_bytes ibft_bytes(const struct ibft *ibft)
{
    struct table_bytes table = {.size = 0};
    assert_int_equal(ibft_encode(ibft, table.bytes, sizeof(table.bytes), &table.size), 0);
    return table;
}

/* So that only what a test has broken is wrong. */
static inline void ibft_fix_checksum(struct table_bytes *table)
{
    uint8_t sum = 0;
    table->bytes[9] = 0;
    for (size_t i = 0; i < table->size; i++)
        sum = (uint8_t)(sum + table->bytes[i]);
    table->bytes[9] = (uint8_t)-sum;
}

static inline bool ibft_has_fault(const struct ibft_faults *faults, enum ibft_severity severity,
                                  const char *words)
{
    for (size_t i = 0; i < faults->count; i++)
        if (faults->list[i].severity == severity && strstr(faults->list[i].text, words))
            return true;
    return false;
}

static inline void ibft_assert_fault(const struct ibft_faults *faults, enum ibft_severity severity,
                                     const char *words)
{
    if (ibft_has_fault(faults, severity, words))
        return;
    for (size_t i = 0; i < faults->count; i++)
        print_error("%s\n", faults->list[i].text);
    fail_msg("there is no fault with '%s'", words);
}
