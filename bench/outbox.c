/* See the header. */
#include "outbox.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define AT_ONCE      512
#define COMPACT_FROM ((size_t)64 * 1024)

static void *grow(void *old, size_t *size, size_t needed, size_t of)
{
    size_t wanted = MAX(*size, 16);
    while (wanted < needed)
        wanted *= 2;
    if (wanted == *size)
        return old;
    void *bigger = realloc(old, wanted * of);
    if (!bigger) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    *size = wanted;
    return bigger;
}

void outbox_clear(struct outbox *box)
{
    free(box->bytes);
    free(box->pieces);
    *box = (struct outbox){0};
}

static void add(struct outbox *box, struct outbox_piece piece)
{
    box->pieces = grow(box->pieces, &box->room, box->count + 1, sizeof(*box->pieces));
    box->pieces[box->count++] = piece;
}

void outbox_copy(struct outbox *box, const void *data, size_t length)
{
    struct outbox_piece *last = outbox_empty(box) ? NULL : &box->pieces[box->count - 1];
    if (length == 0)
        return;
    box->bytes = grow(box->bytes, &box->size, box->used + length, 1);
    memcpy(box->bytes + box->used, data, length);
    if (last && !last->data && last->at + last->length == box->used)
        last->length += length;
    else
        add(box, (struct outbox_piece){.at = box->used, .length = length});
    box->used += length;
}

void outbox_refer(struct outbox *box, const uint8_t *data, size_t length)
{
    if (length > 0)
        add(box, (struct outbox_piece){.data = data, .length = length});
}

static void take_away(struct outbox *box, size_t sent)
{
    while (sent > 0) {
        struct outbox_piece *piece = &box->pieces[box->first];
        size_t n = MIN(sent, piece->length);
        piece->length -= n;
        piece->at += n;
        if (piece->data)
            piece->data += n;
        sent -= n;
        if (piece->length == 0)
            box->first++;
    }
}

/* Where `bytes` begin to be needed. */
static size_t first_byte(const struct outbox *box)
{
    for (size_t i = box->first; i < box->count; i++) {
        if (!box->pieces[i].data)
            return box->pieces[i].at;
    }
    return box->used;
}

static void compact(struct outbox *box)
{
    size_t gone = first_byte(box);
    if (!outbox_empty(box) && gone < COMPACT_FROM && box->first < COMPACT_FROM)
        return;
    memmove(box->bytes, box->bytes + gone, box->used - gone);
    memmove(box->pieces, box->pieces + box->first,
            (box->count - box->first) * sizeof(*box->pieces));
    box->count -= box->first;
    box->first = 0;
    box->used -= gone;
    for (size_t i = 0; i < box->count; i++)
        box->pieces[i].at -= box->pieces[i].data ? 0 : gone;
}

static ssize_t send_some(const struct outbox *box, int fd)
{
    struct iovec parts[AT_ONCE];
    struct msghdr message = {.msg_iov = parts};
    for (size_t i = box->first; i < box->count && message.msg_iovlen < AT_ONCE; i++) {
        const struct outbox_piece *piece = &box->pieces[i];
        const uint8_t *data = piece->data ? piece->data : box->bytes + piece->at;
        parts[message.msg_iovlen++] = (struct iovec){(void *)(uintptr_t)data, piece->length};
    }
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

int outbox_send(struct outbox *box, int fd)
{
    while (!outbox_empty(box)) {
        ssize_t n = send_some(box, fd);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN)
            break;
        if (n < 0)
            return (int)n;
        take_away(box, (size_t)n);
    }
    if (box->first > 0)
        compact(box);
    return 0;
}
