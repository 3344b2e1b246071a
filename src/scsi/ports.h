/*
 * Target ports and their groups (SPC-4 5.15, SAM-5 4.6): how an LU is reached, for hosts that know
 * several ways to it.
 *
 * Over iSCSI a target port is a target's name and a portal group (RFC 7143 4.4.1, "SCSI port
 * name"). All our portals are one group, so a target has one port, in one target port group,
 * through which everything is reached equally well: access is asymmetric by the letter (implicit,
 * TPGS 01b) so that hosts which ask learn that, and so that a second server can be a group of its
 * own.
 */
#pragma once

#include "scsi/task.h"

#define SCSI_RELATIVE_PORT 1 /* of the one port of a target */
#define SCSI_PORT_GROUP    1 /* that it belongs to */

#define SCSI_TPGS_IMPLICIT 0x10 /* of byte 5 of standard INQUIRY data */

/* Largest of what the functions below write. */
#define SCSI_PORTS_MAX_SIZE 512

/* Designation descriptors (SPC-4 7.8.6) of the target and of its port: for page 83h. */
void scsi_ports_put_designators(const struct scsi_target *target, struct wire_writer *w);
/* The body of page 88h, SCSI Ports. */
void scsi_ports_put_page(const struct scsi_target *target, struct wire_writer *w);
/* REPORT TARGET PORT GROUPS. */
void scsi_report_target_port_groups(struct scsi_task *task);
