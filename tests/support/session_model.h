/*
 * What an initiator may expect of its session, for whoever drives one at random.
 *
 * The model sends requests that the standard allows, in any order and half-way if so asked, and
 * asserts of all that comes back: each request is answered once, and not at all when it was
 * aborted; numbers count; R2Ts ask for what is missing and for no more than was agreed; data that
 * is read is what was written last, or one of those that were being written meanwhile.
 */
#pragma once

#include "initiator.h"

#define MODEL_BLOCK    512
#define MODEL_BLOCKS   1024 /* of a disk */
#define MODEL_TASKS    24   /* of a session, at once */
#define MODEL_STAMPS   6
#define MODEL_MAX_DATA ((uint32_t)MODEL_BLOCKS * MODEL_BLOCK)

/* What a block may hold: it is written with one number all over. */
struct model_block {
    uint8_t busy; /* commands under way that touch it */
    uint8_t n;
    bool any;   /* too many to keep */
    bool mixed; /* of those under way or through since it was idle, some overlap */
    uint32_t stamps[MODEL_STAMPS];
};

struct model_disk {
    struct model_block blocks[MODEL_BLOCKS];
    uint32_t last_stamp;
    unsigned clears; /* functions under way that clear it for all sessions */
};

enum model_state {
    MODEL_NONE,
    MODEL_OPEN,   /* will be answered */
    MODEL_DOOMED, /* may be answered, until the function that aborts it is */
    MODEL_LOST,   /* may be answered: it was aborted by another session, or its own is replaced */
};

enum model_kind { MODEL_READ, MODEL_WRITE, MODEL_WRITE_AND_VERIFY, MODEL_OTHER };

struct model_r2t {
    bool open;
    uint32_t ttt, offset, end, datasn;
};

struct model_task {
    enum model_state state;
    uint32_t itt, cmdsn;
    uint32_t doomed_by; /* tag of the function */
    unsigned lun;
    enum model_kind kind;
    uint32_t lba, blocks; /* blocks: that move */
    bool refused;         /* there is no such LUN, or no such block */
    uint32_t expected;    /* EDTL */
    uint64_t wanted;      /* bytes that the command would move */
    uint32_t stamp;       /* of a write */
    uint32_t sent_unasked, unsolicited_end, unsolicited_datasn;
    bool unsolicited_open;
    struct model_r2t r2ts[SCSI_BURSTS];
    uint32_t r2tsn, asked; /* asked: bytes, by all R2Ts */
    uint32_t datasn, got;  /* of Data-In */
    uint8_t *data;         /* that was read: `expected` bytes */
};

struct model_request { /* not a command: answered once */
    uint8_t opcode;    /* of the answer; 0: none */
    uint32_t itt;
    uint32_t size;                              /* of the echo of a ping */
    struct model_disk *clears[1 + LAB_FURTHER]; /* NULL: none */
};

/* What was agreed in the login. */
struct model_parameters {
    bool initial_r2t, immediate_data;
    uint32_t first_burst, max_burst, max_receive;
    uint8_t max_r2ts;
};

#define MODEL_REQUESTS 16

struct session_model {
    struct initiator *node;
    struct lab *lab;
    struct model_disk *disks[1 + LAB_FURTHER]; /* by LUN */
    unsigned n_luns;
    struct model_parameters parameters;
    bool logged_in;
    bool given_up;            /* the target may end it, and need not answer */
    bool *attention_possible; /* by any session: somebody has cleared or reset */
    struct model_task tasks[MODEL_TASKS];
    struct model_request requests[MODEL_REQUESTS];
    uint32_t exp_cmdsn, max_cmdsn;
};

void model_disk_init(struct model_disk *disk);

/* Logs in; the answer may come later. disks[0..lab->n_further]: of its LUNs. */
struct session_model *session_model_new(struct lab *lab, struct model_disk *const *disks,
                                        uint8_t isid_qualifier, bool header_digest,
                                        const struct model_parameters *parameters,
                                        bool *attention_possible);
/* Its connection is gone or goes now. The disks must have let go of what it wrote. */
void session_model_free(struct session_model *model);

/* Takes what has come. */
void session_model_poll(struct session_model *model);
/* Is its connection over? */
bool session_model_is_over(const struct session_model *model);
/* It is over soon: requests need not be answered any more. */
void session_model_give_up(struct session_model *model);
/* Nothing of it can land on the disks any more. */
void session_model_forget(struct session_model *model);

/* May it send a command (CmdSN is in the window), and is there room for a task? */
bool session_model_may_send(const struct session_model *model);
/* lba, blocks: of the CDB; expected: blocks of the EDTL; immediate, unsolicited: bytes that come
 * with it and that come unasked in all, at most and as far as was agreed. */
void session_model_command(struct session_model *model, enum model_kind kind, unsigned lun,
                           uint32_t lba, uint32_t blocks, uint32_t expected, uint32_t immediate,
                           uint32_t unsolicited);
/* A Data-Out of up to `size` bytes for one of the tasks that have something to send, by number;
 * false: none has. */
bool session_model_send_data(struct session_model *model, unsigned number, uint32_t size);

enum model_function {
    MODEL_ABORT_TASK = 1,
    MODEL_ABORT_TASK_SET = 2,
    MODEL_CLEAR_TASK_SET = 4,
    MODEL_LUN_RESET = 5,
    MODEL_WARM_RESET = 6,
};
/* others[0..n): the sessions whose tasks it may hit. number: chooses the task. */
void session_model_task_management(struct session_model *model, enum model_function function,
                                   unsigned lun, unsigned number,
                                   struct session_model *const *others, size_t n);
void session_model_ping(struct session_model *model, uint32_t size);
void session_model_text(struct session_model *model);
void session_model_logout(struct session_model *model);

/* Everything was delivered and the disks are through: asserts that nothing is left unanswered. */
void session_model_check_answered(const struct session_model *model);
