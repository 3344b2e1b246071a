/*
 * A load generator for iSCSI targets: what its parts share. One process, one epoll, many sessions.
 *
 * load.c has the command line and the phases of a run, load_session.h names the files of a session,
 * load_data.c has what is written and what reads are compared with, load_report.c what is printed.
 */
#pragma once

#include "outbox.h"

#include "core/net.h"
#include "iscsi/pdu.h"

#define LOAD_MAX_PIDS 16

struct load_options {
    struct endpoint portal;
    const char *target, *initiator; /* %d: the number of the session */
    unsigned targets;               /* so many different numbers in `target`; 0: no limit */
    unsigned lun, sessions, depth, at_once;
    unsigned requests; /* to measure; 0: by time */
    uint32_t block, segment, first_burst, max_burst;
    unsigned reads; /* percent */
    bool sequential, digests, immediate, initial_r2t, verify, fill, json, copy, idle;
    unsigned storm; /* logins under way at once; 0: none */
    uint64_t offset, span;
    double seconds, warm_up;
    int cpu; /* to run on; -1: any */
    pid_t pids[LOAD_MAX_PIDS];
    unsigned n_pids;
    const char *against;
};

/* Times in nanoseconds, to about 1.5 percent. */
#define HISTOGRAM_SHARES 64
#define HISTOGRAM_SIZE   (HISTOGRAM_SHARES * 40)

struct histogram {
    uint64_t counts[HISTOGRAM_SIZE];
    uint64_t total, sum, max;
};

void histogram_add(struct histogram *histogram, uint64_t nsec);
/* What `share` (0 to 1) of all are not above. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

/* What is counted between two moments. */
struct load_counts {
    uint64_t reads, writes, bytes, logins;
    struct histogram times;
};

struct load_data {
    uint64_t *filler;       /* for writes that nobody compares */
    const uint8_t *against; /* a file, mapped; NULL: the pattern */
    uint64_t against_size;
};

struct load;
struct session;

struct load {
    struct load_options options;
    int epoll;
    uint8_t *scratch; /* for everything that is received */
    struct load_data data;
    struct session *sessions;
    struct session *again; /* have more to be read than they were given time for */
    unsigned n_sessions;
    bool running;   /* new requests are made */
    bool measuring; /* and counted */
    bool discard;   /* data of reads are thrown away by the kernel */
    uint64_t now;   /* nsec, when the last bytes came */
    uint64_t random;
    struct load_counts counts;
    /* Over the whole run. */
    uint64_t errors, mismatches, outstanding, async_messages, pings;
    unsigned setting_up, ready;
};

#define SCRATCH_SIZE ((size_t)256 * 1024)

enum session_state {
    SESSION_CLOSED,
    SESSION_CONNECTING,
    SESSION_LOGIN,
    SESSION_CHECK, /* TEST UNIT READY, until nothing is to be told any more; READ CAPACITY */
    SESSION_READY,
    SESSION_LOGOUT,
};

struct task {
    uint64_t started, offset;
    uint32_t received; /* of data, or: solicited and sent */
    uint16_t generation;
    bool busy, write;
    uint8_t *data; /* of a write that will be compared; owned */
};

/* Of the PDU that is being received. */
struct incoming {
    uint8_t header[ISCSI_BHS_SIZE + ISCSI_DIGEST_SIZE];
    unsigned have, tail_have;
    uint32_t data_left, tail, crc;
    uint8_t tail_bytes[3 + ISCSI_DIGEST_SIZE];
    uint8_t *text; /* data that are looked at; NULL: a read's */
    uint32_t text_length;
};

struct session {
    struct load *load;
    struct session *next_again;
    unsigned index;
    int fd;
    enum session_state state;
    bool in_again, storm, digests;
    uint8_t isid[6];
    uint16_t tsih;
    uint32_t cmdsn, max_cmdsn, exp_statsn;
    uint32_t segment, first_burst, max_burst; /* that were agreed on; segment: the target's */
    bool immediate, initial_r2t;
    unsigned checks; /* commands of SESSION_CHECK */
    bool asked_capacity;
    uint64_t started; /* of a login */
    uint64_t capacity, next, fill_left;
    uint32_t block_size;
    struct task *tasks;
    uint16_t *free_tasks;
    unsigned n_free;
    struct incoming in;
    struct outbox out;
};

uint64_t load_now(void);
/* Prints why, and ends the program. */
_Noreturn void load_fail(const struct session *session, const char *format, ...) PRINTF_LIKE(2, 3);

/* Connects and logs in; the rest is done by session_event(). */
void session_open(struct session *session);
void session_event(struct session *session);
/* As many commands as its window and depth let; and sends what there is. */
void session_refill(struct session *session);
void session_logout(struct session *session);

/* load_data.c */
void load_data_open(struct load *load);
/* What is written at `offset`. */
const uint8_t *load_data_for_write(struct load *load, struct task *task);
/* Are these the bytes at `offset` of the LU? Counts and tells if not. */
void load_data_compare(struct session *session, uint64_t offset, const uint8_t *data,
                       size_t length);
uint32_t load_crc(uint32_t crc, const void *data, size_t length);

/* load_report.c */
struct load_usage {
    uint64_t time, client, targets; /* nsec */
    uint64_t memory;                /* of the targets, bytes (Pss) */
};
struct load_usage load_usage_now(const struct load *load, bool memory);
void load_report(const struct load *load, const struct load_usage *before,
                 const struct load_usage *after);
