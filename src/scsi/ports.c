#include "scsi/ports.h"

#include "core/names.h"
#include "scsi/command.h"

#define ISCSI_PROTOCOL 0x50 /* PROTOCOL IDENTIFIER, in the high half of a designator's byte 0 */
#define CODE_BINARY    0x01
#define CODE_UTF8      0x03

#define PIV              0x80 /* the protocol identifier is valid */
#define OF_TARGET_PORT   0x10 /* ASSOCIATION */
#define OF_TARGET_DEVICE 0x20

enum designator_type { RELATIVE_PORT = 4, PORT_GROUP = 5, SCSI_NAME = 8 };

/* What a port is called behind the name of its target: 't' and the portal group (RFC 7143 4.4.1);
 * SPC-4 has four hexadecimal digits. */
#define PORT_SUFFIX ",t,0x0001"

#define NAME_ROOM (IQN_MAX_LEN + sizeof(PORT_SUFFIX) + 4)

static void put_number(struct wire_writer *w, enum designator_type type, uint16_t number)
{
    wire_put_u8(w, ISCSI_PROTOCOL | CODE_BINARY);
    wire_put_u8(w, (uint8_t)(PIV | OF_TARGET_PORT | type));
    wire_put_be16(w, 4); /* reserved, and the length */
    wire_put_be16(w, 0);
    wire_put_be16(w, number);
}

/* A SCSI name string ends with a NUL and is filled with others to a multiple of four bytes. */
static void put_name(struct wire_writer *w, uint8_t association, const char *name,
                     const char *suffix)
{
    char text[NAME_ROOM] = {0};
    size_t length = (size_t)snprintf(text, sizeof(text), "%s%s", name, suffix);
    size_t padded = (length + 4) / 4 * 4;
    wire_put_u8(w, ISCSI_PROTOCOL | CODE_UTF8);
    wire_put_u8(w, (uint8_t)(PIV | association | SCSI_NAME));
    wire_put_u8(w, 0);
    wire_put_u8(w, (uint8_t)padded);
    wire_put_padded(w, text, padded, 0);
}

void scsi_ports_put_designators(const struct scsi_target *target, struct wire_writer *w)
{
    put_name(w, OF_TARGET_PORT, target->name, PORT_SUFFIX);
    put_number(w, RELATIVE_PORT, SCSI_RELATIVE_PORT);
    put_number(w, PORT_GROUP, SCSI_PORT_GROUP);
    put_name(w, OF_TARGET_DEVICE, target->name, "");
}

void scsi_ports_put_page(const struct scsi_target *target, struct wire_writer *w)
{
    uint8_t names[NAME_ROOM + 4];
    struct wire_writer descriptors = wire_writer_of(names, sizeof(names));
    put_name(&descriptors, OF_TARGET_PORT, target->name, PORT_SUFFIX);
    wire_put_be16(w, 0);
    wire_put_be16(w, SCSI_RELATIVE_PORT);
    wire_put_be16(w, 0);
    wire_put_be16(w, 0); /* no initiator port in it: no TransportID */
    wire_put_be16(w, 0);
    wire_put_be16(w, (uint16_t)wire_writer_used(&descriptors));
    wire_put_bytes(w, names, wire_writer_used(&descriptors));
}

/* --- REPORT TARGET PORT GROUPS (SPC-4 6.37) --- */

#define EXTENDED_HEADER 0x10 /* FORMAT TYPE of the longer header */

enum parameter_data_format { LENGTH_ONLY = 0, EXTENDED = 1 };

#define ACTIVE_OPTIMIZED 0x00
#define AO_SUP           0x01 /* and that is the only state there is */

static void put_group(struct wire_writer *w)
{
    wire_put_u8(w, ACTIVE_OPTIMIZED);
    wire_put_u8(w, AO_SUP);
    wire_put_be16(w, SCSI_PORT_GROUP);
    wire_put_u8(w, 0);
    wire_put_u8(w, 0); /* the state has never changed */
    wire_put_u8(w, 0);
    wire_put_u8(w, 1); /* one port: */
    wire_put_be16(w, 0);
    wire_put_be16(w, SCSI_RELATIVE_PORT);
}

void scsi_report_target_port_groups(struct scsi_task *task)
{
    enum parameter_data_format format = task->cdb[1] >> 5;
    struct wire_reader cdb = wire_reader_of(task->cdb + 6, 4);
    struct wire_writer w;
    if (format != LENGTH_ONLY && format != EXTENDED) {
        scsi_task_check_field(task, 1);
        return;
    }
    if (!scsi_reply_begin(task, 64, &w))
        return;
    wire_put_be32(&w, format == EXTENDED ? 16 : 12);
    if (format == EXTENDED) {
        wire_put_u8(&w, EXTENDED_HEADER);
        wire_put_zeros(&w, 3); /* implicit transitions take no time: there are none */
    }
    put_group(&w);
    scsi_reply_end(task, &w, wire_get_be32(&cdb));
}
