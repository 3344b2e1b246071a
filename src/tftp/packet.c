/* RFC 1350 5, RFC 2347. */
#include "tftp/packet.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <strings.h>

#define OPTION_MAX 65535U

/* The next NUL-terminated string; NULL (and failed) if there is no end to it. */
static const char *get_string(struct wire_reader *r)
{
    const uint8_t *end = wire_reader_left(r) ? memchr(r->pos, 0, wire_reader_left(r)) : NULL;
    if (!end) {
        r->failed = true;
        return NULL;
    }
    return (const char *)wire_get_bytes(r, (size_t)(end - r->pos) + 1);
}

/* A decimal number from min to max, else 0. */
static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
    uint32_t n = 0;
    if (!*text)
        return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        n = n * 10 + (uint32_t)(*text - '0');
        if (n > max)
            return 0;
    }
    return n >= min ? n : 0;
}

static void read_option(const char *name, const char *value, struct tftp_options *options)
{
    if (strcasecmp(name, "blksize") == 0)
        options->blksize = number(value, TFTP_MIN_BLKSIZE, TFTP_MAX_BLKSIZE);
    else if (strcasecmp(name, "timeout") == 0)
        options->timeout = number(value, 1, 255);
    else if (strcasecmp(name, "windowsize") == 0)
        options->windowsize = number(value, 1, OPTION_MAX);
    else if (strcasecmp(name, "tsize") == 0)
        options->tsize = true;
}

/* Behind the last string some clients (old PXE ROMs) leave rubbish: what is no pair of strings
 * is not looked at. */
static void read_options(struct wire_reader *r, struct tftp_options *options)
{
    while (wire_reader_left(r) > 0) {
        const char *name = get_string(r);
        const char *value = name ? get_string(r) : NULL;
        if (!value)
            return;
        read_option(name, value, options);
    }
}

int tftp_parse_request(const void *data, size_t size, struct tftp_request *ret_request)
{
    struct wire_reader r = wire_reader_of(data, size);
    uint16_t opcode = wire_get_be16(&r);
    struct tftp_request request = {.file = get_string(&r)};
    request.mode = get_string(&r);
    if (!wire_reader_ok(&r) || size > TFTP_MAX_REQUEST || !*request.file)
        return -EBADMSG;
    if (opcode == TFTP_WRQ)
        return -EOPNOTSUPP;
    if (opcode != TFTP_RRQ)
        return -EBADMSG;
    read_options(&r, &request.options);
    *ret_request = request;
    return 0;
}

static void copy_printable(struct wire_reader *r, char *text, size_t size)
{
    size_t n = 0;
    for (uint8_t c; n + 1 < size && (c = wire_get_u8(r)) != 0;)
        text[n++] = isprint(c) ? (char)c : '?';
    text[n] = '\0';
}

int tftp_parse_answer(const void *data, size_t size, struct tftp_answer *ret_answer)
{
    struct wire_reader r = wire_reader_of(data, size);
    struct tftp_answer answer = {.opcode = wire_get_be16(&r)};
    uint16_t number = wire_get_be16(&r);
    if (!wire_reader_ok(&r) || (answer.opcode != TFTP_ACK && answer.opcode != TFTP_ERROR))
        return -EBADMSG;
    if (answer.opcode == TFTP_ACK) {
        answer.block = number;
    } else {
        answer.code = number;
        copy_printable(&r, answer.text, sizeof(answer.text));
    }
    *ret_answer = answer;
    return 0;
}

static void put_string(struct wire_writer *w, const char *text)
{
    wire_put_bytes(w, text, strlen(text) + 1);
}

size_t tftp_build_error(uint8_t packet[static TFTP_MAX_ERROR], enum tftp_error code,
                        const char *text)
{
    char cut[TFTP_MAX_ERROR - 4];
    struct wire_writer w = wire_writer_of(packet, TFTP_MAX_ERROR);
    str_copy(cut, sizeof(cut), text);
    wire_put_be16(&w, TFTP_ERROR);
    wire_put_be16(&w, (uint16_t)code);
    put_string(&w, cut);
    return wire_writer_used(&w);
}

static void put_option(struct wire_writer *w, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    put_string(w, name);
    put_string(w, text);
}

size_t tftp_build_oack(uint8_t packet[static TFTP_MAX_OACK], const struct tftp_options *options,
                       uint64_t file_size)
{
    struct wire_writer w = wire_writer_of(packet, TFTP_MAX_OACK);
    wire_put_be16(&w, TFTP_OACK);
    if (options->tsize)
        put_option(&w, "tsize", file_size);
    if (options->blksize)
        put_option(&w, "blksize", options->blksize);
    if (options->timeout)
        put_option(&w, "timeout", options->timeout);
    if (options->windowsize)
        put_option(&w, "windowsize", options->windowsize);
    return wire_writer_used(&w);
}

void tftp_build_data_header(uint8_t header[static TFTP_HEADER_SIZE], uint16_t block)
{
    struct wire_writer w = wire_writer_of(header, TFTP_HEADER_SIZE);
    wire_put_be16(&w, TFTP_DATA);
    wire_put_be16(&w, block);
}
