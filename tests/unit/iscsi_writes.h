/* A lab whose node writes a pattern from block 0 on, a PDU at a time. */
#pragma once

#include "iscsi_lab.h"

#define BLOCK     512
#define DISK_SIZE (4 * MIB)

static uint8_t pattern[DISK_SIZE];

static inline void fill_pattern(void)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(1 + i * 7 + (i >> 8));
}

/* A WRITE(10) at block 0; expected: what the initiator says that it has. */
static inline uint32_t write_blocks(uint16_t blocks, bool final, uint32_t expected,
                                    uint32_t immediate)
{
    uint8_t cdb[10] = {SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, (uint8_t)(blocks >> 8), (uint8_t)blocks};
    return send_command(node, ISCSI_FLAG_WRITE | (final ? ISCSI_FLAG_FINAL : 0), cdb, 10, expected,
                        pattern, immediate);
}

static inline void send_unasked(uint32_t itt, uint32_t datasn, uint32_t offset, uint32_t size,
                                bool final)
{
    send_data_out(node, itt, ISCSI_RESERVED_TAG, datasn, offset, pattern + offset, size, final);
}

static inline const struct answer *expect_response(uint32_t itt, uint8_t status)
{
    const struct answer *a = expect_answer(node, ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(a->bhs[BHS_STATUS], status);
    return a;
}

static inline void expect_good(uint32_t itt)
{
    assert_int_equal(expect_response(itt, SCSI_GOOD)->bhs[BHS_FLAGS], 0x80);
}

/* The next R2T, copied. */
static inline struct answer expect_r2t(uint32_t itt, uint32_t offset, uint32_t length)
{
    struct answer r2t = *expect_answer(node, ISCSI_R2T, itt);
    assert_int_equal(bhs_get32(r2t.bhs, BHS_BUFFER_OFFSET), offset);
    assert_int_equal(bhs_get32(r2t.bhs, BHS_DESIRED_LENGTH), length);
    assert_int_equal(r2t.size, 0);
    return r2t;
}

/* Sends all that an R2T asks for. */
static inline void fulfil(const struct answer *r2t)
{
    uint32_t offset = bhs_get32(r2t->bhs, BHS_BUFFER_OFFSET);
    send_data_out(node, bhs_get32(r2t->bhs, BHS_ITT), bhs_get32(r2t->bhs, BHS_TTT), 0, offset,
                  pattern + offset, bhs_get32(r2t->bhs, BHS_DESIRED_LENGTH), true);
}
