/*
 * One file on its way to one client, as a state machine: packets and time in, packets out. It
 * knows the size of the file, never its bytes: a DATA packet is told as a place in the file, for
 * the caller to fill in.
 *
 * Lost packets are sent again after the client's timeout, always the same one. A repeated ACK is
 * not a reason to send anything again (RFC 1123 4.2.3.1), except, once, to a client that takes
 * several blocks at a time: there it is how a loss is told (RFC 7440 4).
 */
#pragma once

#include "tftp/packet.h"

#define TFTP_DEFAULT_TIMEOUT 1  /* seconds */
#define TFTP_MAX_WINDOW      64 /* blocks: what the socket's buffer takes in one go */

/* How often something is sent again in vain: to a client that never said a word (its address may
 * be forged), and to one that did. Never for longer than TFTP_MAX_IDLE seconds, however. Whatever
 * timeout it asks for, a client that never said a word hears its first answer again each second. */
#define TFTP_TRIES_UNHEARD 5
#define TFTP_TRIES_HEARD   20
#define TFTP_MAX_IDLE      120

enum tftp_state {
    TFTP_OFFERING, /* OACK sent, not answered yet */
    TFTP_SENDING,
    TFTP_FINISHED,
    TFTP_ABORTED, /* by the client; `answer` says why. Firmware that only asks for the size does it
                   */
    TFTP_LOST,    /* the client is gone */
};

struct tftp_transfer {
    enum tftp_state state;
    struct tftp_options options; /* as agreed */
    uint64_t file_size;
    uint32_t blksize, window;
    uint64_t timeout;      /* usec */
    uint64_t n_blocks;     /* the last one is shorter than the others, or empty */
    uint64_t acknowledged; /* blocks, counted from 1: this one and all before it have arrived */
    uint64_t next;         /* the next to be sent */
    uint64_t deadline;     /* monotonic usec: look again then (tftp_transfer_tick) */
    uint64_t progress_at;  /* when the client last got on */
    unsigned tries;        /* in vain, since then */
    bool heard;            /* any ACK at all */
    bool went_back;        /* a repeated ACK has been honoured since the last progress */
    bool offer_due;        /* the OACK is to be sent */
    struct tftp_answer answer;
};

/* max_blksize: what fits a frame on the way to the client. */
void tftp_transfer_start(struct tftp_transfer *transfer, const struct tftp_options *wanted,
                         uint64_t file_size, uint32_t max_blksize, uint64_t now);

/* A packet from the client; anything but an ACK or ERROR that makes sense now is ignored. */
void tftp_transfer_receive(struct tftp_transfer *transfer, const void *data, size_t size,
                           uint64_t now);

/* The client asked for the file once more before it said anything else: the first answer was lost
 * or slow. */
void tftp_transfer_repeat_first(struct tftp_transfer *transfer);

/* To be called when `deadline` has come (or at any other time). */
void tftp_transfer_tick(struct tftp_transfer *transfer, uint64_t now);

/* The packet to send now: `size` bytes of header, then file_bytes of the file from `offset` on. */
struct tftp_output {
    uint8_t header[TFTP_MAX_OACK];
    size_t size;
    uint64_t offset;
    size_t file_bytes;
};

/* False if there is nothing to send for now. Call until it gives false, after each of the above. */
bool tftp_transfer_next(struct tftp_transfer *transfer, uint64_t now,
                        struct tftp_output *ret_output);

static inline bool tftp_transfer_is_over(const struct tftp_transfer *transfer)
{
    return transfer->state >= TFTP_FINISHED;
}

/* Bytes that have arrived for certain. */
uint64_t tftp_transfer_bytes(const struct tftp_transfer *transfer);
