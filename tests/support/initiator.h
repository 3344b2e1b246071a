/*
 * An iSCSI initiator for tests: builds PDUs, sends them in pieces of any size, and takes the
 * answers apart. It talks to a struct iscsi_conn directly, and then also plays the one who runs
 * the connection; or to a real portal over TCP.
 */
#pragma once

#include "fake_thread.h"
#include "iscsi/target.h"
#include "memdisk.h"

#define LAB_TARGET    "iqn.2026-11.lan.example:disk"
#define LAB_INITIATOR "iqn.2026-11.lan.example:node"

#define LAB_FURTHER 2

/* A target on a memdisk, and the thread that both belong to. */
struct lab {
    struct io_thread *thread;
    struct memdisk *disk;
    struct iscsi_target *target;
    struct iscsi_login_policy policy;
    enum iscsi_login_status admit_status; /* what the policy answers */
    const char *alias;                    /* of the target; NULL: none */
    enum iscsi_login_status check_status; /* the same, when the session is to begin */
    struct chap_credentials credentials;  /* what has to be proved */
    bool redirects;                       /* to `elsewhere` */
    struct endpoint elsewhere;
    bool full;        /* no session more */
    bool two_portals; /* the other one on port 3261 */
    /* Whose targets are LUN 1.. of the sessions here, each on a thread of its own. */
    struct lab *further[LAB_FURTHER];
    unsigned n_further;
    bool holds_messages; /* between threads: not delivered but by lab_deliver() and lab_deliver_to()
                          */
};

struct lab *lab_new(uint64_t disk_size, uint32_t block_size);
void lab_free(struct lab *lab);
/* Delivers the messages between its threads and those of `further`, and what follows from them. */
void lab_deliver(struct lab *lab);
/* Only those that wait for the thread of this one; returns how many. */
size_t lab_deliver_to(struct lab *lab);

/* A PDU that came from the target. */
struct answer {
    uint8_t bhs[ISCSI_BHS_SIZE];
    uint32_t size;
    uint8_t data[BUFFER_MAX_SIZE + 1]; /* with a NUL behind */
};

struct initiator {
    int fd; /* to the portal; 0: there is none, `conn` is talked to */
    struct lab *lab;
    struct iscsi_conn conn;
    bool attaches;          /* the connection wants its target (at the end of the call) */
    bool connects;          /* its further LUNs are being connected */
    const char *lun_reason; /* why the last one of these was not; NULL: it was */
    bool released;
    bool dropped;
    unsigned probes, logins, refusals, ends;
    enum iscsi_login_status refused_with;
    size_t piece;  /* bytes fed at a time; 0: all at once */
    size_t n_fed;  /* times that there was a place for them */
    bool collects; /* bytes are kept for initiator_send_collected() */
    uint8_t *collected;
    size_t n_collected;
    bool header_digest, data_digest;
    uint32_t itt, cmdsn;
    unsigned lun;           /* of its commands and task management */
    uint8_t isid_qualifier; /* the last byte of its ISID */
    uint16_t tsih, cid;     /* of its login requests */
    bool has_statsn;
    uint32_t statsn; /* of the last answer that had one; each is checked */
    /* bytes that the target sent; those before `taken` were answers of initiator_next() */
    uint8_t *received;
    size_t taken, n_received, room;
};

/* address: the last byte of 10.0.0.x that it comes from. */
struct initiator *initiator_new(struct lab *lab, uint8_t address);
/* Connects to a portal from an address of this machine ("127.0.0.2"). */
struct initiator *initiator_connect(const struct endpoint *portal, const char *from);
/* Closes the connection and frees it; the disk (of a lab) must have let go. */
void initiator_free(struct initiator *initiator);

/* What the runner of connections does: attach, send everything, drop what is closed. */
void initiator_run(struct initiator *initiator);

/* Attaches one of lab->further to its session, as this LUN, when messages are delivered. */
void initiator_attach_lun(struct initiator *initiator, unsigned number);

/* Sends a PDU: header (length and padding are filled in), data. */
void initiator_send(struct initiator *initiator, uint8_t bhs[static ISCSI_BHS_SIZE],
                    const void *data, uint32_t size);
void initiator_send_bytes(struct initiator *initiator, const void *data, size_t size);
/* All that was collected, in one piece. */
void initiator_send_collected(struct initiator *initiator);
/* The next PDU of the target, or NULL if there is none. Valid until the next call. Over TCP it is
 * waited for; NULL: the target has closed the connection. */
const struct answer *initiator_next(struct initiator *initiator);

/* --- PDUs --- */

/* flags: T, C, CSG, NSG as on the wire. text: pairs, each ended by NUL, as a literal. */
void send_login(struct initiator *initiator, uint8_t flags, const char *text, size_t size);
#define SEND_LOGIN(initiator, flags, text) send_login(initiator, flags, text, sizeof(text) - 1)
/* Logs in like iPXE (two stages) or like Linux; the session is in full feature phase then. */
void login_like_ipxe(struct initiator *initiator);
void login_like_linux(struct initiator *initiator);

/* A SCSI command; flags: F, R, W. Returns its ITT. */
uint32_t send_command(struct initiator *initiator, uint8_t flags, const uint8_t *cdb,
                      size_t cdb_size, uint32_t expected_length, const void *immediate,
                      uint32_t immediate_size);
void send_data_out(struct initiator *initiator, uint32_t itt, uint32_t ttt, uint32_t datasn,
                   uint32_t offset, const void *data, uint32_t size, bool final);
void send_task_management(struct initiator *initiator, uint8_t function, uint32_t referenced,
                          uint32_t ref_cmdsn);

uint32_t read_10(struct initiator *initiator, uint32_t lba, uint16_t blocks, uint32_t block_size);
