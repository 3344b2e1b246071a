/*
 * Operational parameters: a table of keys, each with its result function (RFC 7143 13).
 * Pure; used by the login.
 */
#pragma once

#include "iscsi/text.h"

/* What was agreed, or the default of the standard for what was not. */
struct iscsi_parameters {
    bool header_digest; /* CRC32C */
    bool data_digest;
    bool initial_r2t;
    bool immediate_data;
    bool data_pdu_in_order;
    bool data_sequence_in_order;
    uint32_t max_connections;
    uint32_t max_burst_length;        /* bytes */
    uint32_t first_burst_length;      /* bytes */
    uint32_t max_send_segment_length; /* the initiator's MaxRecvDataSegmentLength, bytes */
    uint32_t default_time2wait;       /* seconds */
    uint32_t default_time2retain;
    uint32_t max_outstanding_r2t;
    uint32_t error_recovery_level;
    uint32_t protocol_level; /* iSCSIProtocolLevel: RFC 7144 */
    uint32_t negotiated;     /* private: a bit for each key of the table that has been taken */
};

/* Our own MaxRecvDataSegmentLength: what a data segment may have, full feature phase. */
#define ISCSI_MAX_RECEIVE_SEGMENT 262144
/* The limit of both directions until the login has agreed on another one. */
#define ISCSI_DEFAULT_SEGMENT     8192

void iscsi_parameters_init(struct iscsi_parameters *parameters);

enum iscsi_negotiation {
    NEGOTIATION_DONE,    /* answered, if it needs an answer */
    NEGOTIATION_UNKNOWN, /* not an operational key */
    NEGOTIATION_TWICE,   /* it was negotiated before: a protocol error (RFC 7143 6.3) */
    NEGOTIATION_INVALID, /* the value is none that the key may have: answered "Reject" */
};

/* Takes one key of the initiator's, in a discovery session or a normal one, and adds our answer. */
enum iscsi_negotiation iscsi_negotiate(struct iscsi_parameters *parameters, const char *key,
                                       const char *value, bool discovery,
                                       struct iscsi_text *answer);
/* Calls each() for what holds of every operational key that such a session has, as the standard
 * writes it. MaxRecvDataSegmentLength is the initiator's. */
void iscsi_parameters_list(const struct iscsi_parameters *parameters, bool discovery,
                           void (*each)(void *context, const char *key, const char *value),
                           void *context);
/* Is it a key of RFC 7143, of any stage? Those are never NotUnderstood. */
bool iscsi_key_is_standard(const char *key);
