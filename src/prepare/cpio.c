#include "prepare/cpio.h"

#include <errno.h>

#define HEADER_SIZE 110
#define MAGIC_SIZE  6

struct header {
    uint32_t mode, size, name_size;
};

/* What is in the buffer, which is filled if it is empty. 0: the source has ended. */
static ssize_t take(struct cpio_source *source, char *buffer, size_t size)
{
    if (source->begin == source->end) {
        ssize_t n = source->read(source->context, source->buffer, sizeof(source->buffer));
        if (n <= 0)
            return n;
        source->begin = 0;
        source->end = (size_t)n;
    }
    size_t some = MIN(size, source->end - source->begin);
    memcpy(buffer, source->buffer + source->begin, some);
    source->begin += some;
    return (ssize_t)some;
}

/* All of size bytes; 0 if the source ends before the first, -EBADMSG if after it. */
static int read_exactly(struct cpio_source *source, char *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = take(source, buffer + done, size - done);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return done ? -EBADMSG : 0;
        done += (size_t)n;
        source->position += (uint64_t)n;
    }
    return source->position > CPIO_MAX_BYTES ? -E2BIG : 1;
}

static int skip(struct cpio_source *source, uint64_t size)
{
    char buffer[4096];
    while (size > 0) {
        size_t some = MIN(size, sizeof(buffer));
        int r = read_exactly(source, buffer, some);
        if (r <= 0)
            return r < 0 ? r : -EBADMSG;
        size -= some;
    }
    return 0;
}

/* To a multiple of 4, which archives count from their own beginning; those begin at such, too. */
static int align(struct cpio_source *source)
{
    return skip(source, (4 - source->position % 4) % 4);
}

/* Eight hexadecimal digits. */
static bool get_hex(const char *digits, uint32_t *ret_value)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 8; i++) {
        char c = digits[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

static bool get_header(const char *bytes, struct header *ret_header)
{
    const char *fields = bytes + MAGIC_SIZE;
    return get_hex(fields + 8, &ret_header->mode) && get_hex(fields + 6 * 8, &ret_header->size) &&
           get_hex(fields + 11 * 8, &ret_header->name_size);
}

static bool is_magic(const char *bytes)
{
    return memcmp(bytes, "070701", MAGIC_SIZE) == 0 || memcmp(bytes, "070702", MAGIC_SIZE) == 0;
}

static const char *plain_name(const char *name)
{
    while (name[0] == '/' || (name[0] == '.' && name[1] == '/'))
        name++;
    return name;
}

/* The content of an entry, with a NUL behind it, to be freed. 0: it is skipped, and none. */
static int read_content(struct cpio_source *source, uint64_t size, bool wanted, char **ret_data)
{
    if (!wanted)
        return skip(source, size);
    char *data = calloc(1, size + 1);
    if (!data)
        return -ENOMEM;
    int r = size > 0 ? read_exactly(source, data, size) : 1;
    if (r <= 0) {
        free(data);
        return r < 0 ? r : -EBADMSG;
    }
    *ret_data = data;
    return 0;
}

/* The rest of an entry, whose header is read. 1: it was the archive's trailer. */
static int read_entry(struct cpio_source *source, const struct header *header,
                      const struct cpio_visitor *visitor)
{
    char name[CPIO_MAX_NAME + 1], *data = NULL;
    if (header->name_size == 0 || header->name_size > CPIO_MAX_NAME)
        return -EBADMSG;
    int r = read_exactly(source, name, header->name_size);
    if (r <= 0)
        return r < 0 ? r : -EBADMSG;
    name[header->name_size] = '\0';
    r = align(source);
    if (r < 0)
        return r;
    struct cpio_entry entry = {
        .name = plain_name(name), .mode = header->mode, .size = header->size};
    bool trailer = str_eq(name, "TRAILER!!!");
    bool wanted =
        !trailer && header->size <= CPIO_MAX_KEPT && visitor->wants(visitor->context, entry.name);
    r = read_content(source, header->size, wanted, &data);
    if (r >= 0)
        r = align(source);
    entry.data = data;
    if (r >= 0 && !trailer)
        visitor->entry(visitor->context, &entry);
    free(data);
    return r < 0 ? r : trailer;
}

/* The zeros between archives, and the first four bytes behind them. 0: the source ended. */
static int skip_zeros(struct cpio_source *source, char bytes[static 4])
{
    const uint64_t begin = source->position;
    int r;
    do {
        r = source->position - begin > CPIO_MAX_ZEROS ? -E2BIG : read_exactly(source, bytes, 4);
    } while (r > 0 && memcmp(bytes, "\0\0\0\0", 4) == 0);
    /* padding need not be a multiple of 4 */
    return r == -EBADMSG ? 0 : r;
}

int cpio_read(struct cpio_source *source, const struct cpio_visitor *visitor, uint64_t *ret_at)
{
    char bytes[HEADER_SIZE];
    struct header header;
    for (unsigned count = 0; count < CPIO_MAX_ENTRIES; count++) {
        int r = skip_zeros(source, bytes);
        if (r <= 0) {
            *ret_at = source->position;
            return r < 0 ? r : 1;
        }
        uint64_t at = source->position - 4;
        r = read_exactly(source, bytes + 4, MAGIC_SIZE - 4);
        if (r < 0 && r != -EBADMSG)
            return r;
        if (r <= 0 || !is_magic(bytes)) {
            *ret_at = at;
            return 0;
        }
        r = read_exactly(source, bytes + MAGIC_SIZE, HEADER_SIZE - MAGIC_SIZE);
        if (r <= 0)
            return r < 0 ? r : -EBADMSG;
        if (!get_header(bytes, &header))
            return -EBADMSG;
        r = read_entry(source, &header, visitor);
        if (r < 0)
            return r;
    }
    return -E2BIG;
}
