/* What the parts of bench_ceiling share: ceiling.c receives, ceiling_peer.c answers. */
#pragma once

#include "iscsi/pdu.h"

#define CEILING_BLOCK     512
#define PEER_QUEUE_ENOUGH 256 /* answers before they are sent */

enum ceiling_from {
    FROM_MEMORY,
    FROM_PAGE_CACHE,
    FROM_SENDFILE,
};

enum ceiling_writes {
    WRITES_DISCARD,
    WRITES_MEMORY,
    WRITES_FILE,
};

struct buffer; /* for what pread() has read; kept for the next one */

struct ceiling {
    uint64_t size;
    enum ceiling_from from;
    enum ceiling_writes writes;
    int file, epoll;
    uint8_t *memory, *scratch;
    struct buffer *buffers;
};

/* A PDU to be sent: header, data from memory, a buffer or the file, digest of the data. */
struct answer {
    uint8_t header[ISCSI_BHS_SIZE + ISCSI_DIGEST_SIZE];
    uint8_t tail[3 + ISCSI_DIGEST_SIZE]; /* padding and digest */
    unsigned header_size, tail_size;
    const uint8_t *data;
    uint64_t file_at; /* sendfile: where the data are */
    uint32_t data_size;
    bool from_file;
    struct buffer *buffer;
    size_t sent; /* of all of it */
};

/* One connection, which is a session. */
struct peer {
    struct ceiling *ceiling;
    int fd;
    bool digests, digests_next, full_feature, leaving, gone, large_writes;
    /* what comes */
    uint8_t header[ISCSI_BHS_SIZE + ISCSI_DIGEST_SIZE];
    unsigned have, header_size, tail_left;
    uint32_t data_left;
    uint64_t write_at;
    uint8_t *text;
    uint32_t text_length;
    /* what goes */
    uint32_t statsn, cmdsn, segment;
    struct answer *answers;
    unsigned first, queued, room; /* first..first+queued, in a row */
};

_Noreturn void ceiling_fail(const char *what, const char *why);

struct peer *peer_new(struct ceiling *ceiling, int fd);
void peer_free(struct peer *peer);
void peer_begin_pdu(struct peer *peer);
void peer_take_data(struct peer *peer, const uint8_t *data, size_t n);
void peer_end_pdu(struct peer *peer);
/* As much as the socket takes. */
void peer_send(struct peer *peer);
