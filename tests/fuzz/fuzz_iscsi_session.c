/*
 * A session after its login, driven by the input: a byte of options, then PDUs, each a byte of
 * actions, a header and its data. Lengths are cut and, mostly, numbers put right, so that PDUs
 * reach what lies behind the first checks.
 */
#include "initiator.h"

#include <errno.h>

#define MAX_DATA 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* options */
#define LIKE_IPXE      0x01
#define DISK_IMMEDIATE 0x02
#define DISK_BROKEN    0x04
#define BYTE_BY_BYTE   0x08
#define BLOCKS_4096    0x10
#define SECOND_SESSION 0x20

/* actions, before a PDU */
#define WRONG_CMDSN  0x01
#define RUN_DISK     0x02
#define RUN_REVERSED 0x04
#define ANSWER_R2T   0x08 /* the tag of the last R2T instead of the one in the input */
#define FEW_TAGS     0x10 /* ITTs from 0 to 7 */

static uint32_t last_ttt;

static void take_answers(struct initiator *node)
{
    for (const struct answer *a; (a = initiator_next(node));)
        if (bhs_opcode(a->bhs) == ISCSI_R2T)
            last_ttt = bhs_get32(a->bhs, BHS_TTT);
}

static bool is_numbered(uint8_t opcode)
{
    return opcode <= ISCSI_LOGOUT && opcode != ISCSI_DATA_OUT;
}

static void send_pdu(struct initiator *node, struct wire_reader *r, uint8_t actions)
{
    uint8_t bhs[ISCSI_BHS_SIZE];
    wire_get_copy(r, bhs, sizeof(bhs));
    if (!wire_reader_ok(r) || node->conn.state != ISCSI_CONN_FULL)
        return;
    uint32_t length =
        (uint32_t)MIN(bhs_get24(bhs, BHS_DATA_LENGTH) % MAX_DATA, wire_reader_left(r));
    const uint8_t *pdu_data = wire_get_bytes(r, length);
    uint32_t exp_cmdsn = node->conn.session->exp_cmdsn;
    bhs[BHS_AHS_LENGTH] = 0;
    if (actions & FEW_TAGS)
        bhs_put32(bhs, BHS_ITT, bhs_get32(bhs, BHS_ITT) & 7);
    if (actions & ANSWER_R2T && bhs_opcode(bhs) == ISCSI_DATA_OUT)
        bhs_put32(bhs, BHS_TTT, last_ttt);
    if (!(actions & WRONG_CMDSN) && is_numbered(bhs_opcode(bhs)))
        bhs_put32(bhs, BHS_CMDSN, exp_cmdsn);
    initiator_send(node, bhs, pdu_data, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_reader r = wire_reader_of(data, size);
    uint8_t options = wire_get_u8(&r);
    struct lab *lab = lab_new(1 * MIB, options & BLOCKS_4096 ? 4096 : 512);
    struct initiator *node = initiator_new(lab, 11), *second = NULL;
    lab->target->single_writer = false;
    lab->disk->immediate = options & DISK_IMMEDIATE;
    lab->disk->fail_with = options & DISK_BROKEN ? -ENOSPC : 0;
    if (options & LIKE_IPXE)
        login_like_ipxe(node);
    else
        login_like_linux(node);
    if (options & SECOND_SESSION) {
        second = initiator_new(lab, 12);
        SEND_LOGIN(second, 0x87, "InitiatorName=" LAB_INITIATOR "2\0TargetName=" LAB_TARGET "\0");
        read_10(second, 0, 1, 512);
    }
    node->piece = options & BYTE_BY_BYTE ? 1 : 0;
    last_ttt = 0;
    while (wire_reader_left(&r) > ISCSI_BHS_SIZE) {
        uint8_t actions = wire_get_u8(&r);
        if (actions & RUN_DISK)
            memdisk_run(lab->disk, actions & RUN_REVERSED);
        send_pdu(node, &r, actions);
        take_answers(node);
    }
    iscsi_conn_close(&node->conn, "the input has ended");
    initiator_run(node);
    while (memdisk_run(lab->disk, false) > 0)
        initiator_run(node);
    initiator_free(node);
    if (second)
        initiator_free(second);
    lab_free(lab);
    return 0;
}
