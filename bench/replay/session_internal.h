/* Shared by session.c (connection, login, steps) and session_wire.c (bytes out and in). */
#pragma once

#include "node.h"

/* How many bytes of data can be sent at once: nodes write the same bytes over and over. */
#define SEND_DATA_MAX (256 * 1024)

/* A header with opcode, flags and a new or given tag. */
void session_header(struct session *session, uint8_t *header, enum iscsi_opcode opcode,
                    uint8_t flags, uint32_t tag);
/* Sends a PDU; what the socket does not take now goes later. data may be NULL. */
void session_send(struct session *session, uint8_t *header, const void *data, size_t size);
void session_flush(struct session *session);
/* Reads what is there and calls session_take for each PDU. */
void session_receive(struct session *session);

/* A whole PDU: its header, and its text if it is a login response. */
void session_take(struct session *session, const uint8_t *header);
/* The connection is gone. */
void session_lost(struct session *session, const char *why);
