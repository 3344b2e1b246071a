/*
 * One simulated node: where it is in the trace, and the protocols that it speaks.
 *
 * Everything that it needs beyond its MAC and the trace it learns as a real one does: address, boot
 * file and name from DHCP, target and initiator from the script.
 */
#pragma once

#include "core/net.h"
#include "loop.h"
#include "trace.h"

#include "iscsi/pdu.h"

enum retry_kind {
    RETRY_DHCP,    /* a message was sent again */
    RETRY_TFTP,    /* a packet was sent again */
    RETRY_HTTP,    /* a request was made again */
    RETRY_LOGIN,   /* refused or failed */
    RETRY_SESSION, /* lost while it was in use */
    RETRY_COMMAND, /* did not end with GOOD */
    RETRY_KINDS,
};

struct storm;
struct node;

struct dhcp_exchange {
    struct timer timer;
    const struct step *step; /* under way, or NULL */
    uint32_t xid, offered, server;
    uint64_t began;
    unsigned sent;  /* times */
    bool requested; /* REQUEST was sent, else DISCOVER */
};

struct transfer {
    struct source source;
    struct timer timer;
    struct node *node;
    const struct step *step;
    struct endpoint peer;
    unsigned sent; /* times, what was sent last */
    unsigned blksize, window;
    unsigned block, in_window; /* blocks received */
};

#define FETCH_MAX 8191

struct fetch {
    struct source source;
    struct timer timer;
    struct node *node;
    const struct step *step;
    unsigned tries;
    bool asked;
    char *answer; /* FETCH_MAX + 1 bytes while under way */
    size_t size;
};

struct task {
    const struct step *step; /* NULL: free */
    uint64_t sent_at;
    uint32_t tag;
    unsigned tries;
};

struct session {
    struct source source;
    struct timer timer;
    struct node *node;
    unsigned number;
    unsigned refused; /* logins in a row */
    bool connected, writable_wanted;
    uint32_t cmdsn, expstatsn, next_tag, login_tag;
    uint16_t tsih;
    const struct step *login; /* a login request that waits for its answer, or for the connection */
    const struct step *logout; /* likewise */
    unsigned n_tasks;
    struct task tasks[TRACE_MAX_DEPTH];
    /* as negotiated */
    uint32_t max_send, first_burst, max_burst;
    bool immediate, initial_r2t;
    /* what comes in: a header, then data */
    uint8_t header[ISCSI_BHS_SIZE];
    size_t header_size, data_left;
    char *text; /* of a login response, NULL else */
    size_t text_size, text_used;
    /* what the socket did not take yet */
    uint8_t *out;
    size_t out_size;
};

struct node {
    struct storm *storm;
    unsigned number;
    struct mac_address mac;
    size_t next_step;
    unsigned under_way;
    uint64_t last; /* the last answer or step: pauses begin here */
    bool advancing, failed;
    struct timer pause;
    /* learned */
    uint32_t address, server;
    char boot_file[256], name[64], initiator[224], target[224];
    struct endpoint portal;
    uint8_t lun[8];
    struct dhcp_exchange dhcp;
    struct transfer tftp;
    struct fetch http;
    struct session *sessions;
    /* measured */
    uint64_t powered_on, up; /* 0: not yet */
    uint64_t dhcp_time;      /* first DISCOVER to ACK, without the pause between; 0: not yet */
    unsigned retries[RETRY_KINDS];
};

/* Times by how long commands took, one bucket for each eighth of a power of two microseconds. */
#define LATENCY_BUCKETS 256

struct storm {
    struct loop loop;
    struct trace trace;
    const char *interface;
    unsigned interface_index;
    struct source dhcp; /* the raw socket of all nodes */
    struct node *nodes;
    unsigned n_nodes, n_up, n_failed;
    double pace, patience;
    uint64_t started, commands, bytes_read, bytes_written;
    uint64_t latencies[LATENCY_BUCKETS];
    uint64_t tcp_retransmissions;
    bool verbose;
};

/* The step that was under way has its answer. */
void node_step_done(struct node *node);
/* Goes on where it can. */
void node_advance(struct node *node);
/* Goes back to a step, with `lost` steps that were under way and never end. */
void node_go_back(struct node *node, size_t step, unsigned lost);
void node_retry(struct node *node, enum retry_kind kind, const char *why);
/* It will never be up. */
void node_fail(struct node *node, const char *format, ...) PRINTF_LIKE(2, 3);

/* 1, 2, 4, ... 32 seconds, from the first try on, times the patience. */
uint64_t backoff_usec(const struct storm *storm, unsigned tries);

/* A socket of the node's own address, close-on-exec and non-blocking; -errno. */
int node_socket(const struct node *node, int type) MUST_CHECK;
/* Counts what TCP had to send again, before a connection is closed. */
void node_note_tcp(struct node *node, int fd);

int dhcp_open(struct storm *storm, struct error *ret_error) MUST_CHECK;
void dhcp_begin(struct node *node, const struct step *step);
void dhcp_setup(struct node *node);
void tftp_begin(struct node *node, const struct step *step);
void tftp_setup(struct node *node);
void http_begin(struct node *node, const struct step *step);
void http_setup(struct node *node);
void session_setup(struct node *node, unsigned number);
void session_begin(struct node *node, const struct step *step); /* any step of a session */
void session_free(struct session *session);

/* What a boot script says of disk and names goes into the node. False: it boots nothing now. */
bool script_take(struct node *node, char *text);
