/*
 * One iSCSI connection, pure: bytes of the stream in, bytes to send out. No sockets, no system
 * calls. Belongs to one thread at a time.
 *
 * Life: LOGIN until the negotiation is over; ATTACHING while it changes to the thread of its
 * target and waits for an old session to end; FULL; CLOSING when what is queued is still to be sent
 * and then nothing more; CLOSED when it is over and only what is under way (a send, disk requests)
 * holds it.
 *
 * Input is assembled into PDUs without buffering data segments: their bytes go straight to where
 * they belong. Output is a queue of PDUs whose data stays in the buffers that it was read into.
 */
#pragma once

#include "iscsi/limits.h"
#include "iscsi/login.h"
#include "scsi/task.h"

#include <sys/uio.h>

/* Data of a file from which on sendfile() is cheaper than a copy of it. */
#define ISCSI_FILE_OUTPUT_MIN (64 * KIB)

struct iscsi_conn;
struct iscsi_luns;
struct iscsi_session;

enum iscsi_conn_state {
    ISCSI_CONN_LOGIN,
    ISCSI_CONN_ATTACHING,
    ISCSI_CONN_FULL,
    ISCSI_CONN_CLOSING,
    ISCSI_CONN_CLOSED,
};

/* What a connection asks of whoever runs it. */
struct iscsi_conn_operations {
    /* There is output, or the state changed: look at it at the end of this round. */
    void (*wake)(struct iscsi_conn *conn);
    /* The login is ready for its target. When the call of iscsi_conn_input() that this is part of
     * has returned and nothing is being sent: bring the connection to the target's thread (set
     * conn->thread) and call iscsi_target_attach() there. */
    void (*attach)(struct iscsi_conn *conn);
    /* Find out whether the peer still lives, and soon: another login waits for its place. */
    void (*probe)(struct iscsi_conn *conn);
    /* May there be one session more, in all? */
    bool (*has_room)(struct iscsi_conn *conn);
    /* Its login was admitted before it had to wait, for its volume or for an old session: is it
     * still? Else the status, and *ret_reason, static, for the log. */
    enum iscsi_login_status (*check)(struct iscsi_conn *conn, const char **ret_reason);
    /* The session of a connection is gone, or it never had one: it may be freed. */
    void (*released)(struct iscsi_conn *conn);
    /* Discovery: calls add() for each target that this initiator may see, or for the one named. */
    void (*list_targets)(struct iscsi_conn *conn, const char *only,
                         void (*add)(struct iscsi_conn *conn, const char *target));
    /* Discovery: calls add() for each portal but conn->local that this initiator may reach. */
    void (*list_portals)(struct iscsi_conn *conn,
                         void (*add)(struct iscsi_conn *conn, const struct endpoint *portal));
    /* For logs and boot stages. */
    void (*logged_in)(struct iscsi_conn *conn);
    void (*refused)(struct iscsi_conn *conn, enum iscsi_login_status status, const char *reason);
    void (*ended)(struct iscsi_conn *conn, const char *reason);
};

/* A PDU to be sent. */
struct iscsi_out {
    struct iscsi_out *next;
    uint8_t header[ISCSI_BHS_SIZE + ISCSI_DIGEST_SIZE];
    uint8_t header_size;
    uint8_t trailer[3 + ISCSI_DIGEST_SIZE]; /* padding, data digest */
    uint8_t trailer_size;
    bool bears_status;
    const uint8_t *data;
    uint32_t data_size;
    struct buffer *buffer;    /* holds data; one reference; may be NULL */
    struct scsi_burst *burst; /* to be told when this PDU has left; may be NULL */
    int file;                 /* data is these bytes of a file, for sendfile(); -1: it is not */
    off_t file_offset;
};

enum iscsi_input_step { INPUT_BHS, INPUT_AHS, INPUT_HEADER_DIGEST, INPUT_DATA, INPUT_TRAILER };

struct iscsi_input {
    enum iscsi_input_step step;
    uint32_t got; /* bytes of this step */
    uint8_t bhs[ISCSI_BHS_SIZE];
    uint8_t trailer[3 + ISCSI_DIGEST_SIZE]; /* also receives the header digest */
    uint32_t crc;            /* of the header, then of the data, as far as it has come */
    uint32_t ahs_size;       /* bytes */
    uint32_t data_size;      /* bytes of the data segment */
    uint8_t *place;          /* where the data goes; NULL: nowhere */
    struct buffer *buffer;   /* made for this PDU's data; NULL if it goes elsewhere */
    struct iscsi_task *task; /* whose burst `place` points into */
};

struct iscsi_conn {
    const struct iscsi_conn_operations *operations;
    struct io_thread *thread;
    struct endpoint peer;              /* the initiator */
    struct endpoint local;             /* the portal that it came to */
    const struct iscsi_limits *limits; /* set by the runner, or the defaults */
    enum iscsi_conn_state state;
    struct iscsi_login *login; /* until FULL; owned */
    struct iscsi_session *session;
    struct iscsi_luns *luns; /* beside LUN 0; NULL: none */
    uint32_t statsn;         /* of the next response that bears status */
    bool header_digest, data_digest;
    const char *end_reason;       /* why it is CLOSING or CLOSED; static */
    bool violated;                /* because the peer broke the protocol */
    bool orderly;                 /* because the peer logged out */
    const struct endpoint *rival; /* while it is refused because its disk is in use from there */

    struct iscsi_input in;
    struct iscsi_out *out_first, *out_last;
    size_t out_offset; /* bytes of out_first that have left */
    bool sending;      /* the runner's: it waits until more of the queue can be sent */

    /* The login response that waits while ATTACHING. */
    uint8_t login_response[ISCSI_BHS_SIZE];
    char
        *login_text; /* ISCSI_DEFAULT_SEGMENT bytes; not of a thread's pool: it may change thread */
    struct list attach_link; /* in target->attaching */
    bool replaces;           /* its login has closed the session with this TSIH */
};

/* The caller provides the memory, zeroed. -ENOMEM. */
int iscsi_conn_init(struct iscsi_conn *conn, const struct iscsi_conn_operations *operations,
                    struct io_thread *thread, const struct iscsi_login_policy *policy,
                    const struct endpoint *peer, const struct endpoint *local) MUST_CHECK;
/* Only after operations->released(), with no send under way. */
void iscsi_conn_clear(struct iscsi_conn *conn);

/* Takes the bytes that came. Returns how many: fewer than size only when the state has become
 * ATTACHING (give the rest again when it is FULL), CLOSING or CLOSED (drop the rest). */
size_t iscsi_conn_input(struct iscsi_conn *conn, const uint8_t *data, size_t size);
/* Where the bytes that come next belong, and how many; 0: it does not matter. Whoever puts them
 * there gives that place to iscsi_conn_input(), next: it is good until the connection, or one of
 * its tasks, is called for anything else. */
size_t iscsi_conn_input_place(const struct iscsi_conn *conn, uint8_t **ret_place);

/* The bytes to send next, in up to max pieces, and before the next that are of a file; they stay
 * valid until iscsi_conn_sent() or, if the connection ends, until `sending` is false and the queue
 * is dropped. 0: nothing to send. Whoever asks sends them: from here on the initiator may know the
 * window that they grant. */
size_t iscsi_conn_output(const struct iscsi_conn *conn, struct iovec *iov, size_t max,
                         bool *ret_file_follows);
/* The bytes to send next are of a file: size of them. False: they are not. */
bool iscsi_conn_file_output(const struct iscsi_conn *conn, int *ret_file, off_t *ret_offset,
                            size_t *ret_size);
/* size bytes of it have left. */
void iscsi_conn_sent(struct iscsi_conn *conn, size_t size);
static inline bool iscsi_conn_has_output(const struct iscsi_conn *conn)
{
    return conn->out_first != NULL;
}

/* Ends it: at once (the stream is broken or the peer misbehaves), or after what is queued was
 * sent. reason: static text for the log. No-op if it is CLOSED (or CLOSING already, the second). */
void iscsi_conn_close(struct iscsi_conn *conn, const char *reason);
/* The same, at once, for a peer that breaks the protocol: it is counted and told. */
void iscsi_conn_violation(struct iscsi_conn *conn, const char *reason);
void iscsi_conn_close_after_output(struct iscsi_conn *conn, const char *reason);
/* The runner calls this when the connection is CLOSED and no send is under way: lets go of what is
 * queued. operations->released() follows, now or when the disk has let go, too. */
void iscsi_conn_drop(struct iscsi_conn *conn);

/* --- for the target: the end of ATTACHING --- */

/* Sends the last login response; the state becomes FULL. -ENOMEM: nothing was done. */
int iscsi_conn_start_session(struct iscsi_conn *conn, struct iscsi_session *session) MUST_CHECK;
/* Sends a refusal instead, and closes. */
void iscsi_conn_refuse(struct iscsi_conn *conn, enum iscsi_login_status status, const char *reason);

/* --- for the session --- */

/* A PDU with the common fields set: opcode, F bit, ITT, ExpCmdSN and MaxCmdSN. NULL: no memory;
 * the connection is then closed. */
struct iscsi_out *iscsi_out_new(struct iscsi_conn *conn, enum iscsi_opcode opcode, uint32_t itt);
/* Adds a data segment. buffer (may be NULL if data is static): takes over one reference. */
void iscsi_out_set_data(struct iscsi_out *out, const uint8_t *data, uint32_t size,
                        struct buffer *buffer);
/* Puts the StatSN of this connection in and counts it up. */
void iscsi_out_take_statsn(struct iscsi_conn *conn, struct iscsi_out *out);
/* Puts in the StatSN that comes next without counting it (R2T, Data-In without status, ...). */
void iscsi_out_show_statsn(struct iscsi_conn *conn, struct iscsi_out *out);
/* Makes digests and queues it. */
void iscsi_conn_queue(struct iscsi_conn *conn, struct iscsi_out *out);
