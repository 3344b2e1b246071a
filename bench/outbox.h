/*
 * What is still to be sent over a connection: headers are copied together, data are named where
 * they lie, and all of it leaves with as few calls as the socket lets.
 */
#pragma once

#include "core/util.h"

struct outbox_piece {
    const uint8_t *data; /* NULL: in `bytes`, at `at` */
    size_t at, length;
};

struct outbox {
    uint8_t *bytes;
    size_t used, size;
    struct outbox_piece *pieces;
    size_t first, count, room;
};

void outbox_clear(struct outbox *box);
/* Both end the program when there is no memory. */
void outbox_copy(struct outbox *box, const void *data, size_t length);
/* The data stay as they are until they have left. */
void outbox_refer(struct outbox *box, const uint8_t *data, size_t length);
static inline bool outbox_empty(const struct outbox *box)
{
    return box->first == box->count;
}
/* As much as the socket takes now; negative errno. */
int outbox_send(struct outbox *box, int fd) MUST_CHECK;
