/*
 * TransportIDs, one behind the other, as in the parameter list of a REGISTER with SPEC_I_PT. What
 * is read of a port and written again is read as the same.
 */
#include "scsi/transport_id.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_port(const struct scsi_initiator_port *port)
{
    uint8_t bytes[SCSI_TRANSPORT_ID_MAX_SIZE];
    struct wire_writer w = wire_writer_of(bytes, sizeof(bytes));
    struct scsi_transport_id again;
    scsi_transport_id_put(&w, port);
    assert(wire_writer_ok(&w) && wire_writer_used(&w) % 4 == 0);
    struct wire_reader r = wire_reader_of(bytes, wire_writer_used(&w));
    assert(scsi_transport_id_get(&r, &again) && wire_reader_left(&r) == 0 && again.names_port);
    assert(str_eq(again.port.name, port->name));
    assert(memcmp(again.port.isid, port->isid, SCSI_ISID_SIZE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_reader r = wire_reader_of(data, size);
    struct scsi_transport_id id;
    while (wire_reader_left(&r) > 0 && scsi_transport_id_get(&r, &id)) {
        assert(id.port.name[0] && strlen(id.port.name) <= IQN_MAX_LEN);
        if (id.names_port)
            check_port(&id.port);
    }
    return 0;
}
