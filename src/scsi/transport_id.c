#include "scsi/transport_id.h"

#define PROTOCOL_ISCSI 0x05
#define FORMAT_DEVICE  0x00
#define FORMAT_PORT    0x40
#define FORMAT_MASK    0xc0
#define PROTOCOL_MASK  0x0f

#define MIN_LENGTH 20 /* of what follows the header */
#define SEPARATOR  ",i,0x"

bool scsi_nexus_id_equal(const struct scsi_nexus_id *a, const struct scsi_nexus_id *b)
{
    return memcmp(a->initiator.isid, b->initiator.isid, SCSI_ISID_SIZE) == 0 &&
           str_eq(a->initiator.name, b->initiator.name) && str_eq(a->target, b->target);
}

/* --- reading --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* text: twice as many digits as there are bytes, lower case, and nothing else. */
static bool get_isid(const char *text, uint8_t isid[static SCSI_ISID_SIZE])
{
    if (strlen(text) != 2 * SCSI_ISID_SIZE)
        return false;
    for (size_t i = 0; i < SCSI_ISID_SIZE; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        isid[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
}

/* A text that ends with a null and is padded with nulls. False: it does not, or is too long. */
static bool get_text(struct wire_reader *r, size_t length,
                     char text[static SCSI_TRANSPORT_ID_MAX_SIZE])
{
    const uint8_t *bytes = wire_get_bytes(r, length);
    if (!bytes || length > SCSI_TRANSPORT_ID_MAX_SIZE)
        return false;
    memcpy(text, bytes, length);
    size_t size = strnlen(text, length);
    for (size_t i = size; i < length; i++)
        if (text[i])
            return false;
    return size < length;
}

bool scsi_transport_id_get(struct wire_reader *r, struct scsi_transport_id *ret_id)
{
    char text[SCSI_TRANSPORT_ID_MAX_SIZE];
    uint8_t first = wire_get_u8(r);
    wire_skip(r, 1);
    uint16_t length = wire_get_be16(r);
    uint8_t format = first & FORMAT_MASK;
    if (!wire_reader_ok(r) || (first & PROTOCOL_MASK) != PROTOCOL_ISCSI || length < MIN_LENGTH ||
        length % 4 != 0 || !get_text(r, length, text))
        return false;
    struct scsi_transport_id id = {.names_port = format == FORMAT_PORT};
    lower(text); /* names are compared as the login has them */
    char *separator = id.names_port ? strstr(text, SEPARATOR) : NULL;
    if (format > FORMAT_PORT ||
        (id.names_port && (!separator || !get_isid(separator + strlen(SEPARATOR), id.port.isid))))
        return false;
    if (separator)
        *separator = '\0';
    if (text[0] == '\0' || strlen(text) > IQN_MAX_LEN)
        return false;
    str_copy(id.port.name, sizeof(id.port.name), text);
    *ret_id = id;
    return true;
}

/* --- writing --- */

void scsi_transport_id_put(struct wire_writer *w, const struct scsi_initiator_port *port)
{
    char text[SCSI_TRANSPORT_ID_MAX_SIZE];
    const uint8_t *i = port->isid;
    int size = snprintf(text, sizeof(text), "%s" SEPARATOR "%02x%02x%02x%02x%02x%02x", port->name,
                        i[0], i[1], i[2], i[3], i[4], i[5]);
    size_t length = ((size_t)size + 1 + 3) / 4 * 4;
    length = MAX(length, MIN_LENGTH);
    wire_put_u8(w, FORMAT_PORT | PROTOCOL_ISCSI);
    wire_put_u8(w, 0);
    wire_put_be16(w, (uint16_t)length);
    wire_put_padded(w, text, length, '\0');
}
