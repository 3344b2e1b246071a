/*
 * Bounds-checked access to bytes from and for the wire.
 *
 * A reader or writer walks over a byte range that it does not own. Going over the end does not
 * read or write anything: it sets a flag that stays set, readers then give zero, and the caller
 * looks once, at the end (wire_reader_ok, wire_writer_ok). All integers are big-endian unless the
 * name says le.
 */
#pragma once

#include "core/util.h"

struct wire_reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};

static inline struct wire_reader wire_reader_of(const void *data, size_t size)
{
    const uint8_t *p = data;
    return (struct wire_reader){.pos = p, .end = p ? p + size : p};
}

static inline bool wire_reader_ok(const struct wire_reader *r)
{
    return !r->failed;
}

static inline size_t wire_reader_left(const struct wire_reader *r)
{
    return (size_t)(r->end - r->pos);
}

/* The next n bytes in place, or NULL (and failed) if there are fewer. */
static inline const uint8_t *wire_get_bytes(struct wire_reader *r, size_t n)
{
    if (r->failed || wire_reader_left(r) < n) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->pos;
    r->pos += n;
    return p;
}

/* Copies the next n bytes; leaves dst zeroed if there are fewer. */
static inline void wire_get_copy(struct wire_reader *r, void *dst, size_t n)
{
    const uint8_t *p = wire_get_bytes(r, n);
    if (p)
        memcpy(dst, p, n);
    else
        memset(dst, 0, n);
}

static inline void wire_skip(struct wire_reader *r, size_t n)
{
    (void)wire_get_bytes(r, n);
}

/* The next n bytes as a reader of their own (empty and failed if there are fewer). */
static inline struct wire_reader wire_get_sub(struct wire_reader *r, size_t n)
{
    const uint8_t *p = wire_get_bytes(r, n);
    struct wire_reader sub = wire_reader_of(p, p ? n : 0);
    sub.failed = r->failed;
    return sub;
}

static inline uint8_t wire_get_u8(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 1);
    return p ? p[0] : 0;
}

static inline uint16_t wire_get_be16(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t wire_get_be24(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 3);
    return p ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

static inline uint32_t wire_get_be32(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t wire_get_be64(struct wire_reader *r)
{
    uint64_t high = wire_get_be32(r);
    return high << 32 | wire_get_be32(r);
}

static inline uint16_t wire_get_le16(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

static inline uint32_t wire_get_le32(struct wire_reader *r)
{
    const uint8_t *p = wire_get_bytes(r, 4);
    return p ? p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

static inline uint64_t wire_get_le64(struct wire_reader *r)
{
    uint64_t low = wire_get_le32(r);
    return low | (uint64_t)wire_get_le32(r) << 32;
}

struct wire_writer {
    uint8_t *start;
    uint8_t *pos;
    uint8_t *end;
    bool overflow;
};

static inline struct wire_writer wire_writer_of(void *data, size_t size)
{
    uint8_t *p = data;
    return (struct wire_writer){.start = p, .pos = p, .end = p ? p + size : p};
}

static inline bool wire_writer_ok(const struct wire_writer *w)
{
    return !w->overflow;
}

static inline size_t wire_writer_used(const struct wire_writer *w)
{
    return (size_t)(w->pos - w->start);
}

static inline size_t wire_writer_left(const struct wire_writer *w)
{
    return (size_t)(w->end - w->pos);
}

/* Room for n bytes, to be filled by the caller, or NULL (and overflow) if there is less. */
static inline uint8_t *wire_put_room(struct wire_writer *w, size_t n)
{
    if (w->overflow || wire_writer_left(w) < n) {
        w->overflow = true;
        return NULL;
    }
    uint8_t *p = w->pos;
    w->pos += n;
    return p;
}

static inline void wire_put_bytes(struct wire_writer *w, const void *src, size_t n)
{
    uint8_t *p = wire_put_room(w, n);
    if (p && n > 0)
        memcpy(p, src, n);
}

static inline void wire_put_zeros(struct wire_writer *w, size_t n)
{
    uint8_t *p = wire_put_room(w, n);
    if (p)
        memset(p, 0, n);
}

static inline void wire_put_u8(struct wire_writer *w, uint8_t v)
{
    uint8_t *p = wire_put_room(w, 1);
    if (p)
        p[0] = v;
}

static inline void wire_put_be16(struct wire_writer *w, uint16_t v)
{
    uint8_t *p = wire_put_room(w, 2);
    if (p) {
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
    }
}

static inline void wire_put_be24(struct wire_writer *w, uint32_t v)
{
    uint8_t *p = wire_put_room(w, 3);
    if (p) {
        p[0] = (uint8_t)(v >> 16);
        p[1] = (uint8_t)(v >> 8);
        p[2] = (uint8_t)v;
    }
}

static inline void wire_put_be32(struct wire_writer *w, uint32_t v)
{
    uint8_t *p = wire_put_room(w, 4);
    if (p) {
        p[0] = (uint8_t)(v >> 24);
        p[1] = (uint8_t)(v >> 16);
        p[2] = (uint8_t)(v >> 8);
        p[3] = (uint8_t)v;
    }
}

static inline void wire_put_be64(struct wire_writer *w, uint64_t v)
{
    wire_put_be32(w, (uint32_t)(v >> 32));
    wire_put_be32(w, (uint32_t)v);
}

static inline void wire_put_le16(struct wire_writer *w, uint16_t v)
{
    uint8_t *p = wire_put_room(w, 2);
    if (p) {
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
    }
}

static inline void wire_put_le32(struct wire_writer *w, uint32_t v)
{
    uint8_t *p = wire_put_room(w, 4);
    if (p) {
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
        p[2] = (uint8_t)(v >> 16);
        p[3] = (uint8_t)(v >> 24);
    }
}

/* Text left-aligned in a field of n bytes, the rest filled with pad; cut if longer. */
static inline void wire_put_padded(struct wire_writer *w, const char *text, size_t n, char pad)
{
    uint8_t *p = wire_put_room(w, n);
    if (!p)
        return;
    size_t len = strnlen(text, n);
    memcpy(p, text, len);
    memset(p + len, pad, n - len);
}
