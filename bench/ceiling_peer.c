/* One connection of bench_ceiling: what each PDU means, and what is answered. */
#include "ceiling.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WINDOW   1024
#define AT_ONCE  256 /* parts of one sendmsg() */
#define MAX_TEXT 65536
#define TEXT_END 4096

struct buffer {
    struct buffer *next;
    size_t size;
    uint8_t data[];
};

static void *must(void *memory)
{
    if (!memory)
        ceiling_fail("out of memory", "");
    return memory;
}

struct peer *peer_new(struct ceiling *ceiling, int fd)
{
    struct peer *peer = must(calloc(1, sizeof(*peer)));
    *peer =
        (struct peer){.ceiling = ceiling, .fd = fd, .header_size = ISCSI_BHS_SIZE, .segment = 8192};
    return peer;
}

static void give_buffer(struct ceiling *ceiling, struct buffer *buffer)
{
    if (!buffer)
        return;
    buffer->next = ceiling->buffers;
    ceiling->buffers = buffer;
}

static struct buffer *take_buffer(struct ceiling *ceiling, size_t size)
{
    struct buffer *buffer = ceiling->buffers;
    if (buffer && buffer->size >= size) {
        ceiling->buffers = buffer->next;
        return buffer;
    }
    buffer = must(malloc(sizeof(*buffer) + size));
    buffer->size = size;
    return buffer;
}

void peer_free(struct peer *peer)
{
    for (unsigned i = peer->first; i < peer->first + peer->queued; i++)
        give_buffer(peer->ceiling, peer->answers[i].buffer);
    close(peer->fd);
    free(peer->answers);
    free(peer->text);
    free(peer);
}

/* --- answers --- */

static struct answer *answer_new(struct peer *peer, uint8_t opcode, uint8_t flags)
{
    if (peer->first + peer->queued == peer->room) {
        unsigned room = MAX(peer->room, 16);
        if (peer->first > 0) /* from the beginning again */
            memmove(peer->answers, peer->answers + peer->first,
                    peer->queued * sizeof(*peer->answers));
        peer->first = 0;
        room = peer->queued * 2 > room ? room * 2 : room;
        peer->answers = must(realloc(peer->answers, room * sizeof(*peer->answers)));
        peer->room = room;
    }
    struct answer *answer = &peer->answers[peer->first + peer->queued++];
    memset(answer, 0, sizeof(*answer));
    answer->header_size = ISCSI_BHS_SIZE;
    answer->header[BHS_OPCODE] = opcode;
    answer->header[BHS_FLAGS] = flags;
    memcpy(answer->header + BHS_ITT, peer->header + BHS_ITT, 4);
    return answer;
}

static void put_numbers(struct peer *peer, struct answer *answer, bool status)
{
    if (status)
        bhs_put32(answer->header, BHS_STATSN, peer->statsn++);
    bhs_put32(answer->header, BHS_EXPCMDSN, peer->cmdsn);
    bhs_put32(answer->header, BHS_MAXCMDSN, peer->cmdsn + WINDOW);
}

/* Length, padding, digests; the data are there by now. */
static void answer_finish(struct peer *peer, struct answer *answer)
{
    uint32_t crc, padding = iscsi_padding(answer->data_size);
    bhs_put24(answer->header, BHS_DATA_LENGTH, answer->data_size);
    answer->tail_size = padding;
    if (!peer->digests)
        return;
    crc = ~crc32_iscsi(answer->header, ISCSI_BHS_SIZE, UINT32_MAX);
    memcpy(answer->header + ISCSI_BHS_SIZE, &crc, sizeof(crc));
    answer->header_size += ISCSI_DIGEST_SIZE;
    if (answer->data_size == 0)
        return;
    if (answer->from_file)
        ceiling_fail("--from sendfile", "there are no digests then");
    crc = crc32_iscsi((unsigned char *)(uintptr_t)answer->data, (int)answer->data_size, UINT32_MAX);
    crc = ~crc32_iscsi(answer->tail, (int)padding, crc);
    memcpy(answer->tail + padding, &crc, sizeof(crc));
    answer->tail_size += ISCSI_DIGEST_SIZE;
}

static void answer_status(struct peer *peer)
{
    struct answer *answer = answer_new(peer, ISCSI_SCSI_RESPONSE, ISCSI_FLAG_FINAL);
    put_numbers(peer, answer, true);
    answer_finish(peer, answer);
}

/* A few bytes that are made for this answer. */
static void answer_bytes(struct peer *peer, struct answer *answer, const void *data, size_t size)
{
    answer->buffer = take_buffer(peer->ceiling, size);
    memcpy(answer->buffer->data, data, size);
    answer->data = answer->buffer->data;
    answer->data_size = (uint32_t)size;
}

static void answer_small_read(struct peer *peer, const uint8_t *data, size_t size)
{
    uint32_t wanted = bhs_get32(peer->header, BHS_EXPECTED_LENGTH);
    struct answer *answer = answer_new(peer, ISCSI_DATA_IN,
                                       (uint8_t)(ISCSI_FLAG_FINAL | ISCSI_FLAG_DATA_STATUS |
                                                 (wanted > size ? ISCSI_FLAG_DATA_UNDERFLOW : 0)));
    bhs_put32(answer->header, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(answer->header, BHS_RESIDUAL, wanted > size ? wanted - (uint32_t)size : 0);
    put_numbers(peer, answer, true);
    answer_bytes(peer, answer, data, MIN(size, wanted));
    answer_finish(peer, answer);
}

static void find_data(struct ceiling *ceiling, struct answer *answer, uint64_t offset, uint32_t n)
{
    answer->data_size = n;
    if (ceiling->from == FROM_MEMORY) {
        answer->data = ceiling->memory + offset;
    } else if (ceiling->from == FROM_SENDFILE) {
        answer->from_file = true;
        answer->file_at = offset;
    } else {
        answer->buffer = take_buffer(ceiling, n);
        answer->data = answer->buffer->data;
        if (pread(ceiling->file, answer->buffer->data, n, (off_t)offset) != (ssize_t)n)
            ceiling_fail("the file", strerror(errno));
    }
}

static void answer_read(struct peer *peer, uint64_t offset, uint32_t length)
{
    for (uint32_t at = 0, sn = 0; at < length; sn++) {
        uint32_t n = MIN(length - at, peer->segment);
        bool last = at + n == length;
        struct answer *answer =
            answer_new(peer, ISCSI_DATA_IN, last ? ISCSI_FLAG_FINAL | ISCSI_FLAG_DATA_STATUS : 0);
        bhs_put32(answer->header, BHS_TTT, ISCSI_RESERVED_TAG);
        bhs_put32(answer->header, BHS_DATASN, sn);
        bhs_put32(answer->header, BHS_BUFFER_OFFSET, at);
        put_numbers(peer, answer, last);
        find_data(peer->ceiling, answer, offset + at, n);
        answer_finish(peer, answer);
        at += n;
    }
}

/* --- commands --- */

struct range {
    uint64_t offset;
    uint32_t length;
};

static struct range range_of(const struct peer *peer)
{
    const uint8_t *bhs = peer->header;
    bool is_long = bhs[BHS_CDB] & 0x80;
    uint64_t lba = is_long ? bhs_get64(bhs, (enum iscsi_field)(BHS_CDB + 2))
                           : bhs_get32(bhs, (enum iscsi_field)(BHS_CDB + 2));
    uint64_t blocks = is_long ? bhs_get32(bhs, (enum iscsi_field)(BHS_CDB + 10))
                              : bhs_get16(bhs, (enum iscsi_field)(BHS_CDB + 7));
    uint64_t all = peer->ceiling->size / CEILING_BLOCK;
    if (lba > all || blocks > all - lba || blocks * CEILING_BLOCK > UINT32_MAX)
        ceiling_fail("a command", "goes beyond the end");
    return (struct range){lba * CEILING_BLOCK, (uint32_t)(blocks * CEILING_BLOCK)};
}

static void do_read(struct peer *peer)
{
    struct range range = range_of(peer);
    answer_read(peer, range.offset, range.length);
}

static void do_inquiry(struct peer *peer)
{
    static const uint8_t data[36 + 1] = "\0\0\6\2\37\0\0\2nodisk  bench ceiling   1   ";
    answer_small_read(peer, data, 36);
}

static void do_read_capacity(struct peer *peer)
{
    uint8_t data[32] = {0};
    uint64_t last = peer->ceiling->size / CEILING_BLOCK - 1;
    for (unsigned i = 0; i < 8; i++)
        data[i] = (uint8_t)(last >> (56 - 8 * i));
    data[10] = CEILING_BLOCK >> 8;
    answer_small_read(peer, data, sizeof(data));
}

struct command {
    void (*run)(struct peer *peer);
    bool write;
};

static const struct command commands[256] = {
    [0x00] = {answer_status},
    [0x12] = {do_inquiry},
    [0x9e] = {do_read_capacity},
    [0x28] = {do_read},
    [0x88] = {do_read},
    [0x2a] = {answer_status, true},
    [0x8a] = {answer_status, true},
};

static void handle_command(struct peer *peer)
{
    peer->cmdsn = bhs_get32(peer->header, BHS_CMDSN) + 1;
    commands[peer->header[BHS_CDB]].run(peer);
}

static void begin_write(struct peer *peer)
{
    struct range range = range_of(peer);
    if (peer->data_left != range.length)
        ceiling_fail("a write", "must come with all of its data; see --first-burst");
    peer->write_at = range.offset;
    peer->large_writes = range.length >= 16384;
}

/* --- login --- */

static void put_key(char **at, const char *key, const char *value)
{
    *at += sprintf(*at, "%s=%s", key, value) + 1;
}

/* Every offer is taken as it is. */
static void take_offer(struct peer *peer, const char *key, const char *value, char **at)
{
    static const char *const agreed[] = {
        "InitialR2T",        "ImmediateData",      "FirstBurstLength",   "MaxBurstLength",
        "MaxOutstandingR2T", "MaxConnections",     "DataPDUInOrder",     "DataSequenceInOrder",
        "DefaultTime2Wait",  "DefaultTime2Retain", "ErrorRecoveryLevel", "HeaderDigest",
        "DataDigest"};
    if (str_eq(key, "MaxRecvDataSegmentLength")) {
        peer->segment = (uint32_t)strtoul(value, NULL, 0);
        put_key(at, key, "16777212");
    }
    if (str_eq(key, "HeaderDigest"))
        peer->digests_next = str_eq(value, "CRC32C");
    for (size_t i = 0; i < ARRAY_SIZE(agreed); i++) {
        if (str_eq(key, agreed[i]))
            put_key(at, key, value);
    }
}

static size_t answer_keys(struct peer *peer, char *text)
{
    char *at = text;
    for (uint32_t i = 0; i < peer->text_length && at - text < TEXT_END;) {
        char *key = (char *)peer->text + i, *equals = strchr(key, '=');
        i += (uint32_t)strlen(key) + 1;
        if (equals && strlen(key) < 256) {
            *equals = '\0';
            take_offer(peer, key, equals + 1, &at);
        }
    }
    put_key(&at, "TargetPortalGroupTag", "1");
    return (size_t)(at - text);
}

static void handle_login(struct peer *peer)
{
    char text[TEXT_END + 1024];
    struct answer *answer = answer_new(peer, ISCSI_LOGIN_RESPONSE, peer->header[BHS_FLAGS]);
    memcpy(answer->header + BHS_ISID, peer->header + BHS_ISID, 6);
    bhs_put16(answer->header, BHS_TSIH, 1);
    peer->cmdsn = bhs_get32(peer->header, BHS_CMDSN);
    put_numbers(peer, answer, true);
    size_t length = answer_keys(peer, text);
    answer_bytes(peer, answer, text, length);
    answer_finish(peer, answer);
    peer->full_feature = (peer->header[BHS_FLAGS] & 3) == 3;
    peer->digests = peer->digests_next;
    peer->header_size = ISCSI_BHS_SIZE + (peer->digests ? ISCSI_DIGEST_SIZE : 0);
}

static void handle_logout(struct peer *peer)
{
    struct answer *answer = answer_new(peer, ISCSI_LOGOUT_RESPONSE, ISCSI_FLAG_FINAL);
    put_numbers(peer, answer, true);
    answer_finish(peer, answer);
    peer->leaving = true;
}

/* --- PDUs --- */

static bool is_write(const struct peer *peer)
{
    return bhs_opcode(peer->header) == ISCSI_SCSI_COMMAND && commands[peer->header[BHS_CDB]].write;
}

static bool is_known(const struct peer *peer)
{
    switch (bhs_opcode(peer->header)) {
    case ISCSI_LOGIN:
        return !peer->full_feature;
    case ISCSI_LOGOUT:
        return peer->full_feature;
    case ISCSI_SCSI_COMMAND:
        return peer->full_feature && commands[peer->header[BHS_CDB]].run;
    default:
        return false;
    }
}

void peer_begin_pdu(struct peer *peer)
{
    peer->data_left = bhs_get24(peer->header, BHS_DATA_LENGTH);
    peer->tail_left = iscsi_padding(peer->data_left);
    if (peer->digests && peer->data_left > 0)
        peer->tail_left += ISCSI_DIGEST_SIZE;
    peer->text_length = 0;
    if (!is_known(peer))
        ceiling_fail("a PDU", "is none of those that the load generator sends");
    if (is_write(peer))
        begin_write(peer);
    else if (peer->data_left > MAX_TEXT)
        ceiling_fail("a PDU", "is too long");
    else if (peer->data_left > 0)
        peer->text = must(calloc(1, peer->data_left + 1));
}

static void write_out(struct ceiling *ceiling, uint64_t at, const uint8_t *data, size_t n)
{
    if (ceiling->writes == WRITES_MEMORY)
        memcpy(ceiling->memory + at, data, n);
    else if (ceiling->writes == WRITES_FILE && pwrite(ceiling->file, data, n, (off_t)at) < 0)
        ceiling_fail("the file", strerror(errno));
}

void peer_take_data(struct peer *peer, const uint8_t *data, size_t n)
{
    if (peer->text) {
        memcpy(peer->text + peer->text_length, data, n);
        peer->text_length += (uint32_t)n;
    } else {
        write_out(peer->ceiling, peer->write_at, data, n);
        peer->write_at += n;
    }
    peer->data_left -= (uint32_t)n;
}

void peer_end_pdu(struct peer *peer)
{
    uint8_t opcode = bhs_opcode(peer->header);
    if (opcode == ISCSI_LOGIN)
        handle_login(peer);
    else if (opcode == ISCSI_LOGOUT)
        handle_logout(peer);
    else
        handle_command(peer);
    free(take_ptr(peer->text));
}

/* --- sending --- */

static size_t answer_size(const struct answer *answer)
{
    return answer->header_size + answer->data_size + answer->tail_size;
}

static void sent(struct peer *peer, size_t n)
{
    while (n > 0) {
        struct answer *answer = &peer->answers[peer->first];
        size_t part = MIN(n, answer_size(answer) - answer->sent);
        answer->sent += part;
        n -= part;
        if (answer->sent < answer_size(answer))
            return;
        give_buffer(peer->ceiling, answer->buffer);
        peer->first++;
        peer->queued--;
    }
}

static unsigned add_part(struct iovec *part, const void *data, size_t size, size_t *skip)
{
    size_t gone = MIN(*skip, size);
    *skip -= gone;
    *part = (struct iovec){(uint8_t *)(uintptr_t)data + gone, size - gone};
    return size > gone;
}

/* What can be sent from memory; the data of a file come after what they belong to. */
static ssize_t send_memory(struct peer *peer)
{
    struct iovec parts[AT_ONCE];
    struct msghdr message = {.msg_iov = parts};
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    for (unsigned i = 0; i < peer->queued && message.msg_iovlen + 3 <= AT_ONCE; i++) {
        const struct answer *answer = &peer->answers[peer->first + i];
        size_t skip = answer->sent, *n = &message.msg_iovlen;
        *n += add_part(&parts[*n], answer->header, answer->header_size, &skip);
        if (answer->from_file) {
            flags |= MSG_MORE;
            break;
        }
        *n += add_part(&parts[*n], answer->data, answer->data_size, &skip);
        *n += add_part(&parts[*n], answer->tail, answer->tail_size, &skip);
    }
    return sendmsg(peer->fd, &message, flags);
}

static ssize_t send_file(struct peer *peer, const struct answer *answer)
{
    size_t gone = answer->sent - answer->header_size;
    off_t at = (off_t)(answer->file_at + gone);
    return sendfile(peer->fd, peer->ceiling->file, &at, answer->data_size - gone);
}

void peer_send(struct peer *peer)
{
    while (peer->queued > 0 && !peer->gone) {
        const struct answer *answer = &peer->answers[peer->first];
        bool file = answer->from_file && answer->sent >= answer->header_size;
        ssize_t n = file ? send_file(peer, answer) : send_memory(peer);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 && errno != EINTR) {
            peer->gone = true;
            return;
        }
        sent(peer, n > 0 ? (size_t)n : 0);
    }
    if (peer->queued == 0)
        peer->first = 0;
}
