/*
 * iSCSI PDUs: opcodes, where the fields of the 48-byte Basic Header Segment are, and access to
 * them (RFC 7143 section 11).
 *
 * The offsets are constants of an array of fixed size, so that access needs no run-time check.
 */
#pragma once

#include "core/util.h"

#define ISCSI_BHS_SIZE      48
#define ISCSI_DIGEST_SIZE   4
#define ISCSI_RESERVED_TAG  UINT32_MAX
#define ISCSI_MAX_AHS_SIZE  (255 * 4)
#define ISCSI_DATA_SIZE_MAX 0xffffff /* 24 bits on the wire */

enum iscsi_opcode {
    /* initiator to target */
    ISCSI_NOP_OUT = 0x00,
    ISCSI_SCSI_COMMAND = 0x01,
    ISCSI_TASK_MANAGEMENT = 0x02,
    ISCSI_LOGIN = 0x03,
    ISCSI_TEXT = 0x04,
    ISCSI_DATA_OUT = 0x05,
    ISCSI_LOGOUT = 0x06,
    ISCSI_SNACK = 0x10,
    /* target to initiator */
    ISCSI_NOP_IN = 0x20,
    ISCSI_SCSI_RESPONSE = 0x21,
    ISCSI_TASK_MANAGEMENT_RESPONSE = 0x22,
    ISCSI_LOGIN_RESPONSE = 0x23,
    ISCSI_TEXT_RESPONSE = 0x24,
    ISCSI_DATA_IN = 0x25,
    ISCSI_LOGOUT_RESPONSE = 0x26,
    ISCSI_R2T = 0x31,
    ISCSI_ASYNC_MESSAGE = 0x32,
    ISCSI_REJECT = 0x3f,
};

#define ISCSI_OPCODE_MASK 0x3f
#define ISCSI_IMMEDIATE   0x40 /* of the opcode byte */

/* Byte 1. */
#define ISCSI_FLAG_FINAL          0x80
#define ISCSI_FLAG_CONTINUE       0x40 /* Text, Login */
#define ISCSI_FLAG_READ           0x40 /* SCSI Command */
#define ISCSI_FLAG_WRITE          0x20
#define ISCSI_FLAG_ATTRIBUTE      0x07
#define ISCSI_FLAG_TRANSIT        0x80 /* Login */
#define ISCSI_FLAG_DATA_OVERFLOW  0x04 /* Data-In, SCSI Response */
#define ISCSI_FLAG_DATA_UNDERFLOW 0x02
#define ISCSI_FLAG_DATA_STATUS    0x01 /* Data-In */

/* Byte offsets of fields; a name is used by every PDU that has the field there. */
enum iscsi_field {
    BHS_OPCODE = 0,
    BHS_FLAGS = 1,
    BHS_RESPONSE = 2,
    BHS_STATUS = 3,      /* SCSI Response, Data-In */
    BHS_AHS_LENGTH = 4,  /* in 4-byte words */
    BHS_DATA_LENGTH = 5, /* 24 bits */
    BHS_LUN = 8,
    BHS_ISID = 8, /* Login: 6 bytes */
    BHS_TSIH = 14,
    BHS_ITT = 16,
    BHS_TTT = 20,
    BHS_REFERENCED_TAG = 20, /* Task Management */
    BHS_CID = 20,            /* Login, Logout: 16 bits */
    BHS_EXPECTED_LENGTH = 20,
    BHS_CMDSN = 24,
    BHS_STATSN = 24, /* target to initiator */
    BHS_EXPSTATSN = 28,
    BHS_EXPCMDSN = 28, /* target to initiator */
    BHS_CDB = 32,
    BHS_REFCMDSN = 32,
    BHS_MAXCMDSN = 32, /* target to initiator */
    BHS_DATASN = 36,
    BHS_R2TSN = 36,
    BHS_EXPDATASN = 36,
    BHS_STATUS_CLASS = 36, /* Login Response */
    BHS_STATUS_DETAIL = 37,
    BHS_TIME2WAIT = 40, /* Logout Response */
    BHS_TIME2RETAIN = 42,
    BHS_BUFFER_OFFSET = 40,
    BHS_RESIDUAL = 44,
    BHS_DESIRED_LENGTH = 44, /* R2T */
};

static inline uint16_t bhs_get16(const uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at)
{
    return (uint16_t)(bhs[at] << 8 | bhs[at + 1]);
}

static inline uint32_t bhs_get24(const uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at)
{
    return (uint32_t)bhs[at] << 16 | (uint32_t)bhs[at + 1] << 8 | bhs[at + 2];
}

static inline uint32_t bhs_get32(const uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at)
{
    return (uint32_t)bhs_get16(bhs, at) << 16 | bhs_get16(bhs, (enum iscsi_field)(at + 2));
}

static inline uint64_t bhs_get64(const uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at)
{
    return (uint64_t)bhs_get32(bhs, at) << 32 | bhs_get32(bhs, (enum iscsi_field)(at + 4));
}

static inline void bhs_put16(uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at, uint16_t v)
{
    bhs[at] = (uint8_t)(v >> 8);
    bhs[at + 1] = (uint8_t)v;
}

static inline void bhs_put24(uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at, uint32_t v)
{
    bhs[at] = (uint8_t)(v >> 16);
    bhs[at + 1] = (uint8_t)(v >> 8);
    bhs[at + 2] = (uint8_t)v;
}

static inline void bhs_put32(uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at, uint32_t v)
{
    bhs_put16(bhs, at, (uint16_t)(v >> 16));
    bhs_put16(bhs, (enum iscsi_field)(at + 2), (uint16_t)v);
}

static inline void bhs_put64(uint8_t bhs[static ISCSI_BHS_SIZE], enum iscsi_field at, uint64_t v)
{
    bhs_put32(bhs, at, (uint32_t)(v >> 32));
    bhs_put32(bhs, (enum iscsi_field)(at + 4), (uint32_t)v);
}

static inline uint8_t bhs_opcode(const uint8_t bhs[static ISCSI_BHS_SIZE])
{
    return bhs[BHS_OPCODE] & ISCSI_OPCODE_MASK;
}

/* Bytes that follow a data segment to fill its last 4-byte word. */
static inline uint32_t iscsi_padding(uint32_t length)
{
    return -length & 3;
}

/* a < b, a <= b in serial number arithmetic (RFC 1982, 32 bits). */
static inline bool serial_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool serial_le(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}
