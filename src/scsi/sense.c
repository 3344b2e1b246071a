/* Sense data, in fixed and in descriptor format (SPC-4 4.5). */
#include "scsi/command.h"

#define CURRENT_FIXED       0x70
#define CURRENT_DESCRIPTORS 0x72
#define VALID               0x80

#define INFORMATION_DESCRIPTOR        0x00
#define COMMAND_SPECIFIC_DESCRIPTOR   0x01
#define SENSE_KEY_SPECIFIC_DESCRIPTOR 0x02

#define SKSV          0x80
#define COMMAND_FIELD 0x40 /* C/D: it is in the CDB, not in the parameters */

/* The sense key specific bytes: which field is wrong. */
static void put_field(struct wire_writer *w, const struct scsi_sense_data *data)
{
    if (data->in_parameters) {
        wire_put_u8(w, SKSV);
        wire_put_be16(w, data->parameter_field);
    } else {
        wire_put_u8(w, data->cdb_field ? SKSV | COMMAND_FIELD : 0);
        wire_put_be16(w, data->cdb_field);
    }
}

/* The first bytes of the command specific information (SPC-4 5.17.7.4): no sense of a source or a
 * destination is passed on. */
static void put_segment(struct wire_writer *w, const struct scsi_sense_data *data)
{
    wire_put_be16(w, 0);
    wire_put_be16(w, data->segment);
}

static uint8_t fill_fixed(uint8_t *sense, const struct scsi_sense_data *data)
{
    struct wire_writer w = wire_writer_of(sense, SCSI_SENSE_SIZE);
    wire_put_u8(&w, data->has_information ? CURRENT_FIXED | VALID : CURRENT_FIXED);
    wire_put_u8(&w, 0);
    wire_put_u8(&w, (uint8_t)(data->code >> 16));
    wire_put_be32(&w, data->information);
    wire_put_u8(&w, SCSI_SENSE_SIZE - 8);
    put_segment(&w, data);
    wire_put_be16(&w, (uint16_t)data->code);
    wire_put_u8(&w, 0);
    put_field(&w, data);
    return SCSI_SENSE_SIZE;
}

static void put_information(struct wire_writer *w, uint32_t information)
{
    wire_put_u8(w, INFORMATION_DESCRIPTOR);
    wire_put_u8(w, 10);
    wire_put_u8(w, VALID);
    wire_put_u8(w, 0);
    wire_put_be64(w, information);
}

static void put_segment_descriptor(struct wire_writer *w, const struct scsi_sense_data *data)
{
    wire_put_u8(w, COMMAND_SPECIFIC_DESCRIPTOR);
    wire_put_u8(w, 10);
    wire_put_zeros(w, 2);
    put_segment(w, data);
    wire_put_zeros(w, 4);
}

static void put_field_descriptor(struct wire_writer *w, const struct scsi_sense_data *data)
{
    wire_put_u8(w, SENSE_KEY_SPECIFIC_DESCRIPTOR);
    wire_put_u8(w, 6);
    wire_put_zeros(w, 2);
    put_field(w, data);
    wire_put_u8(w, 0);
}

static uint8_t fill_descriptors(uint8_t *sense, const struct scsi_sense_data *data)
{
    uint8_t body[SCSI_SENSE_MAX_SIZE - 8];
    struct wire_writer descriptors = wire_writer_of(body, sizeof(body));
    struct wire_writer w = wire_writer_of(sense, SCSI_SENSE_MAX_SIZE);
    if (data->has_information)
        put_information(&descriptors, data->information);
    if (data->has_segment)
        put_segment_descriptor(&descriptors, data);
    if (data->cdb_field || data->in_parameters)
        put_field_descriptor(&descriptors, data);
    size_t size = wire_writer_used(&descriptors);
    wire_put_u8(&w, CURRENT_DESCRIPTORS);
    wire_put_be24(&w, data->code);
    wire_put_zeros(&w, 3);
    wire_put_u8(&w, (uint8_t)size);
    wire_put_bytes(&w, body, size);
    return (uint8_t)wire_writer_used(&w);
}

/* Of a threshold it is told which one (SBC-4 4.7.3.7.6). */
struct scsi_sense_data scsi_sense_of(enum scsi_sense sense)
{
    struct scsi_sense_data data = {.code = sense};
    if (sense == SENSE_SOFT_THRESHOLD_REACHED) {
        data.has_information = true;
        data.information = SCSI_THRESHOLD_DESCRIPTOR;
    }
    return data;
}

uint8_t scsi_sense_fill(uint8_t sense[static SCSI_SENSE_MAX_SIZE],
                        const struct scsi_sense_data *data, bool in_descriptors)
{
    return in_descriptors ? fill_descriptors(sense, data) : fill_fixed(sense, data);
}
