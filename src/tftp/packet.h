/*
 * TFTP packets as bytes: RFC 1350, options of RFC 2347 with blksize (2348), timeout and tsize
 * (2349) and windowsize (7440). Only what a server that is read from needs.
 */
#pragma once

#include "core/wire.h"

#define TFTP_PORT 69

/* RFC 2347: a request, options included, is at most this long. */
#define TFTP_MAX_REQUEST 512

#define TFTP_DEFAULT_BLKSIZE 512
#define TFTP_MIN_BLKSIZE     8
#define TFTP_MAX_BLKSIZE     65464
#define TFTP_HEADER_SIZE     4 /* of a DATA packet */

enum tftp_opcode {
    TFTP_RRQ = 1,
    TFTP_WRQ = 2,
    TFTP_DATA = 3,
    TFTP_ACK = 4,
    TFTP_ERROR = 5,
    TFTP_OACK = 6,
};

enum tftp_error {
    TFTP_ERROR_OTHER = 0,
    TFTP_ERROR_NOT_FOUND = 1,
    TFTP_ERROR_ACCESS = 2,
    TFTP_ERROR_ILLEGAL = 4,
    TFTP_ERROR_OPTIONS = 8,
};

/* 0: the option was not given, or with a value that its RFC does not allow. */
struct tftp_options {
    uint32_t blksize;
    uint32_t timeout; /* seconds */
    uint32_t windowsize;
    bool tsize; /* wants to know the size */
};

static inline bool tftp_options_eq(const struct tftp_options *a, const struct tftp_options *b)
{
    return a->blksize == b->blksize && a->timeout == b->timeout && a->windowsize == b->windowsize &&
           a->tsize == b->tsize;
}

struct tftp_request {
    const char *file; /* inside the packet, as the client wrote it */
    const char *mode;
    struct tftp_options options;
};

/* Takes a read request apart. -EBADMSG: malformed; -EOPNOTSUPP: a well-formed request for
 * something else, such as to write. */
int tftp_parse_request(const void *data, size_t size, struct tftp_request *ret_request) MUST_CHECK;

/* What a client says during a transfer. */
struct tftp_answer {
    enum tftp_opcode opcode; /* TFTP_ACK or TFTP_ERROR */
    uint16_t block;          /* ACK */
    uint16_t code;           /* ERROR */
    char text[64];           /* ERROR: printable part of its message */
};

int tftp_parse_answer(const void *data, size_t size, struct tftp_answer *ret_answer) MUST_CHECK;

/* Each returns the packet's size. */
#define TFTP_MAX_ERROR 128
size_t tftp_build_error(uint8_t packet[static TFTP_MAX_ERROR], enum tftp_error code,
                        const char *text);
/* Acknowledges the options that are set; file_size goes with tsize. */
#define TFTP_MAX_OACK 128
size_t tftp_build_oack(uint8_t packet[static TFTP_MAX_OACK], const struct tftp_options *options,
                       uint64_t file_size);
void tftp_build_data_header(uint8_t header[static TFTP_HEADER_SIZE], uint16_t block);
