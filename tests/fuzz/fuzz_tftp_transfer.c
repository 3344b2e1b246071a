/*
 * A whole transfer against a client that says anything. Input: a request, ended by its size in the
 * first byte; the file's size (3 bytes); then packets: size (1 byte) and bytes, where size 255
 * stands for "acknowledge what was sent last", 254 for a second that passes, and 253 for the
 * request once more.
 *
 * Whatever comes: only the file's own bytes are sent, in blocks of the agreed size, no more than
 * a window at once, and it ends.
 */
#include "tftp/transfer.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t last_sent;

static void send_due(struct tftp_transfer *transfer, uint64_t now)
{
    struct tftp_output output;
    unsigned burst = 0;
    while (tftp_transfer_next(transfer, now, &output)) {
        assert(++burst <= TFTP_MAX_WINDOW);
        if (transfer->state != TFTP_SENDING)
            continue;
        assert(output.size == TFTP_HEADER_SIZE);
        assert(output.offset % transfer->blksize == 0);
        assert(output.offset <= transfer->file_size);
        assert(output.offset + output.file_bytes <= transfer->file_size);
        assert(output.file_bytes == transfer->blksize ||
               output.offset + output.file_bytes == transfer->file_size);
        last_sent = output.offset / transfer->blksize + 1;
    }
}

static void say(struct tftp_transfer *transfer, struct wire_reader *r, uint64_t *now)
{
    uint8_t n = wire_get_u8(r);
    if (n == 255) {
        const uint8_t ack[] = {0, 4, (uint8_t)(last_sent >> 8), (uint8_t)last_sent};
        tftp_transfer_receive(transfer, ack, sizeof(ack), *now);
    } else if (n == 254) {
        *now += USEC_PER_SEC;
        tftp_transfer_tick(transfer, *now);
    } else if (n == 253) {
        tftp_transfer_repeat_first(transfer);
    } else {
        struct wire_reader packet = wire_get_sub(r, n);
        tftp_transfer_receive(transfer, packet.pos, wire_reader_left(&packet), *now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_reader r = wire_reader_of(data, size);
    struct wire_reader first = wire_get_sub(&r, wire_get_u8(&r));
    struct tftp_request request;
    uint64_t now = 1000 * USEC_PER_SEC;
    if (!wire_reader_ok(&r) ||
        tftp_parse_request(first.pos, wire_reader_left(&first), &request) < 0)
        return 0;
    struct tftp_transfer transfer;
    tftp_transfer_start(&transfer, &request.options, wire_get_be24(&r), 1468, now);
    last_sent = 0;
    send_due(&transfer, now);
    while (wire_reader_ok(&r) && wire_reader_left(&r) > 0 && !tftp_transfer_is_over(&transfer)) {
        uint64_t before = transfer.acknowledged;
        say(&transfer, &r, &now);
        assert(transfer.acknowledged >= before && transfer.acknowledged <= transfer.n_blocks);
        send_due(&transfer, now);
    }
    for (int i = 0; i < 1000 && !tftp_transfer_is_over(&transfer); i++) {
        now += USEC_PER_SEC;
        tftp_transfer_tick(&transfer, now);
        send_due(&transfer, now);
    }
    assert(tftp_transfer_is_over(&transfer)); /* nobody stays for ever */
    assert(tftp_transfer_bytes(&transfer) <= transfer.file_size);
    return 0;
}
