/*
 * Who is at the two ends of an I_T nexus, and the TransportID that names one of them on the wire
 * (SPC-4 7.6.4.6).
 *
 * An initiator port is an iSCSI name and an ISID; the name is the whole device's.
 */
#pragma once

#include "core/names.h"
#include "core/wire.h"

#define SCSI_ISID_SIZE 6

/* Each target has one port; so its relative target port identifier is always this. */
#define SCSI_TARGET_PORT 1

struct scsi_initiator_port {
    char name[IQN_MAX_LEN + 1];
    uint8_t isid[SCSI_ISID_SIZE];
};

/* An I_T nexus: the same for every session between these two, one after the other. */
struct scsi_nexus_id {
    struct scsi_initiator_port initiator;
    char target[IQN_MAX_LEN + 1];
};

/* As it comes: of a port, or (format 00b) of a device with all its ports. */
struct scsi_transport_id {
    struct scsi_initiator_port port;
    bool names_port; /* false: port.isid means nothing */
};

/* Header, name, ",i,0x", ISID, a null, padding. */
#define SCSI_TRANSPORT_ID_MAX_SIZE (4 + (IQN_MAX_LEN + 5 + 2 * SCSI_ISID_SIZE + 1 + 3) / 4 * 4)

bool scsi_nexus_id_equal(const struct scsi_nexus_id *a, const struct scsi_nexus_id *b);

/* Reads one, with its padding. False: it is none of iSCSI's, or it is not formed as it should be;
 * what was read is unspecified then. */
bool scsi_transport_id_get(struct wire_reader *r, struct scsi_transport_id *ret_id);
/* That of a port, format 01b: a multiple of four bytes. */
void scsi_transport_id_put(struct wire_writer *w, const struct scsi_initiator_port *port);
