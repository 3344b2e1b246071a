/* PERSISTENT RESERVE IN: what is registered and reserved, and what can be (SPC-4 6.15). */
#include "scsi/command.h"

#define STATUS_DESCRIPTOR_SIZE 24 /* without the TransportID */

static uint16_t allocation_length(const struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 7, 2);
    return wire_get_be16(&r);
}

/* False: there is no memory, and the task has ended. */
static bool begin(struct scsi_task *task, uint32_t size, struct wire_writer *ret_writer)
{
    if (!scsi_reply_begin(task, 8 + size, ret_writer))
        return false;
    wire_put_be32(ret_writer, task->nexus->lu->reservations->generation);
    wire_put_be32(ret_writer, size);
    return true;
}

void scsi_read_keys(struct scsi_task *task)
{
    const struct scsi_reservations *s = task->nexus->lu->reservations;
    struct wire_writer w;
    if (!begin(task, (uint32_t)(8 * s->n), &w))
        return;
    for (size_t i = 0; i < s->n; i++)
        wire_put_be64(&w, s->registrations[i].key);
    scsi_reply_end(task, &w, allocation_length(task));
}

/* The holder's key; 0 if all registrants hold it. */
static uint64_t key_of_holder(const struct scsi_reservations *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->registrations[i].holds)
            return s->registrations[i].key;
    return 0;
}

void scsi_read_reservation(struct scsi_task *task)
{
    const struct scsi_reservations *s = task->nexus->lu->reservations;
    struct wire_writer w;
    if (!begin(task, s->type ? 16 : 0, &w))
        return;
    if (s->type) {
        wire_put_be64(&w, key_of_holder(s));
        wire_put_zeros(&w, 5);
        wire_put_u8(&w, (uint8_t)s->type); /* of the whole LU */
        wire_put_zeros(&w, 2);
    }
    scsi_reply_end(task, &w, allocation_length(task));
}

void scsi_report_capabilities(struct scsi_task *task)
{
    const struct scsi_lu *lu = task->nexus->lu;
    struct wire_writer w;
    if (!scsi_reply_begin(task, 8, &w))
        return;
    wire_put_be16(&w, 8);
    wire_put_u8(&w, (uint8_t)(0x0c | (lu->save ? 0x01 : 0))); /* SIP_C, ATP_C; PTPL_C */
    /* TMV; ALLOW COMMANDS: the access column of dispatch.c; PTPL_A */
    wire_put_u8(&w, (uint8_t)(0xb0 | (lu->reservations->persist ? 0x01 : 0)));
    wire_put_be16(&w, 0xea01); /* all types */
    wire_put_zeros(&w, 2);
    scsi_reply_end(task, &w, allocation_length(task));
}

static void put_status(struct wire_writer *w, const struct scsi_reservations *s,
                       const struct scsi_registration *r)
{
    uint8_t id[SCSI_TRANSPORT_ID_MAX_SIZE];
    struct wire_writer content = wire_writer_of(id, sizeof(id));
    bool holds = scsi_reservations_holds(s, r);
    scsi_transport_id_put(&content, &r->nexus.initiator);
    wire_put_be64(w, r->key);
    wire_put_zeros(w, 4);
    wire_put_u8(w, (uint8_t)((r->all_target_ports ? 0x02 : 0) | (holds ? 0x01 : 0)));
    wire_put_u8(w, holds ? (uint8_t)s->type : 0);
    wire_put_zeros(w, 4);
    wire_put_be16(w, r->all_target_ports ? 0 : SCSI_TARGET_PORT);
    wire_put_be32(w, (uint32_t)wire_writer_used(&content));
    wire_put_bytes(w, id, wire_writer_used(&content));
}

void scsi_read_full_status(struct scsi_task *task)
{
    const struct scsi_reservations *s = task->nexus->lu->reservations;
    uint32_t most = (uint32_t)s->n * (STATUS_DESCRIPTOR_SIZE + SCSI_TRANSPORT_ID_MAX_SIZE);
    struct wire_writer w;
    if (!begin(task, most, &w))
        return;
    for (size_t i = 0; i < s->n; i++)
        put_status(&w, s, &s->registrations[i]);
    struct wire_writer length = wire_writer_of(w.start + 4, 4);
    wire_put_be32(&length, (uint32_t)wire_writer_used(&w) - 8);
    scsi_reply_end(task, &w, allocation_length(task));
}
