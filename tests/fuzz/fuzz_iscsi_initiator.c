/*
 * Whole sessions: up to three at once, on two disks of two threads, driven by the input, and a
 * model that knows what must come of it (session_model.h). Nothing is sent that the standard
 * forbids: what is wrong in itself is what the other fuzzers of iSCSI send.
 *
 * The input: a byte of options, then actions: a byte that says what and to which session, and
 * bytes that say how.
 */
#include "session_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_ACTIONS 400

/* options */
#define FURTHER_LUN     0x01
#define DISKS_IMMEDIATE 0x02
#define HEADER_DIGEST   0x04
#define INITIAL_R2T     0x08
#define IMMEDIATE_DATA  0x10
#define HOLD_MESSAGES   0x20
#define SMALL_SEGMENTS  0x40
#define TWO_R2TS        0x80

/* Sessions: the first two of the first target, the last of the second; and those that are about to
 * be replaced by them. */
#define SESSIONS 3

struct world {
    struct wire_reader input;
    struct lab *labs[2];
    struct model_disk disks[2];
    struct session_model *sessions[2 * SESSIONS]; /* NULL: none */
    uint8_t options;
    bool attention_possible;
};

static struct lab *lab_of(const struct world *w, unsigned slot)
{
    return w->labs[slot == SESSIONS - 1 ? 1 : 0];
}

static void deliver(struct world *w)
{
    lab_deliver(w->labs[0]);
    lab_deliver_to(w->labs[1]);
}

/* What has come of it; who is gone goes. */
static void look(struct world *w)
{
    for (unsigned i = 0; i < 2 * SESSIONS; i++) {
        struct session_model *m = w->sessions[i];
        if (!m)
            continue;
        session_model_poll(m);
        if (m->node->released) {
            session_model_free(m);
            w->sessions[i] = NULL;
        }
    }
    for (unsigned i = 0; i < SESSIONS; i++) /* nothing of the old one lands after this */
        if (w->sessions[i] && w->sessions[i]->logged_in && w->sessions[SESSIONS + i])
            session_model_forget(w->sessions[SESSIONS + i]);
}

/* Replaces the one that is there, if one is. */
static void open_session(struct world *w, unsigned slot)
{
    static const uint32_t segments[] = {8192, 262144}, bursts[] = {65536, 262144};
    bool small = w->options & SMALL_SEGMENTS;
    const struct model_parameters parameters = {
        .initial_r2t = w->options & INITIAL_R2T,
        .immediate_data = w->options & IMMEDIATE_DATA,
        .first_burst = small ? 8192 : 65536,
        .max_burst = bursts[!small],
        .max_receive = segments[!small],
        .max_r2ts = w->options & TWO_R2TS ? 2 : 1,
    };
    struct model_disk *disks[] = {&w->disks[0], &w->disks[1]};
    bool second = slot == SESSIONS - 1;
    if (w->sessions[SESSIONS + slot])
        return; /* one at a time */
    if (w->sessions[slot])
        session_model_give_up(w->sessions[slot]);
    w->sessions[SESSIONS + slot] = w->sessions[slot];
    w->sessions[slot] =
        session_model_new(lab_of(w, slot), second ? disks + 1 : disks, (uint8_t)(slot + 1),
                          w->options & HEADER_DIGEST, &parameters, &w->attention_possible);
}

/* As a broken network does. */
static void break_connection(struct session_model *m)
{
    session_model_give_up(m);
    iscsi_conn_close(&m->node->conn, "connection lost");
}

static void act_command(struct world *w, struct session_model *m)
{
    uint8_t what = wire_get_u8(&w->input), where = wire_get_u8(&w->input);
    uint8_t count = wire_get_u8(&w->input), how = wire_get_u8(&w->input);
    uint32_t lba = where < 250 ? where % 16 * 4U : MODEL_BLOCKS - 2U;
    uint32_t blocks = count < 240 ? count % 64 : 600; /* more than two bursts */
    uint32_t expected = what & 0x40 ? blocks + 3 : what & 0x80 ? blocks / 2 : blocks;
    unsigned lun = what >> 2 & 0x0f ? what >> 2 & 1U : 5;
    if (session_model_may_send(m))
        session_model_command(m, what & 3, lun, lba, blocks, expected, (how & 0x0f) * 700U,
                              (how >> 4) * 1100U);
}

static void act_data(struct world *w, struct session_model *m)
{
    uint8_t number = wire_get_u8(&w->input), size = wire_get_u8(&w->input);
    session_model_send_data(m, number, size < 128 ? size * 300U : MODEL_MAX_DATA);
}

static void act_function(struct world *w, struct session_model *m)
{
    static const enum model_function functions[] = {MODEL_ABORT_TASK,     MODEL_ABORT_TASK,
                                                    MODEL_ABORT_TASK_SET, MODEL_CLEAR_TASK_SET,
                                                    MODEL_LUN_RESET,      MODEL_WARM_RESET};
    uint8_t which = wire_get_u8(&w->input), number = wire_get_u8(&w->input);
    session_model_task_management(m, functions[which % ARRAY_SIZE(functions)], which >> 7, number,
                                  w->sessions, ARRAY_SIZE(w->sessions));
}

static void act_disk(struct world *w, struct session_model *m)
{
    uint8_t how = wire_get_u8(&w->input);
    struct memdisk *disk = w->labs[how & 1]->disk;
    if (how & 2)
        memdisk_run(disk, how & 4);
    else
        memdisk_run_one(disk, how & 4);
}

static void act_deliver(struct world *w, struct session_model *m)
{
    lab_deliver_to(w->labs[wire_get_u8(&w->input) & 1]);
}

static void act_ping(struct world *w, struct session_model *m)
{
    session_model_ping(m, wire_get_u8(&w->input));
}

static void act_text(struct world *w, struct session_model *m)
{
    session_model_text(m);
}

static void act_logout(struct world *w, struct session_model *m)
{
    session_model_logout(m);
}

static void act_break(struct world *w, struct session_model *m)
{
    break_connection(m);
}

static void act_pieces(struct world *w, struct session_model *m)
{
    m->node->piece = wire_get_u8(&w->input) * 7U; /* 0: all at once */
}

static void (*const actions[])(struct world *w, struct session_model *m) = {
    act_command, act_command, act_command,  act_data, act_data, act_data,   act_disk,  act_disk,
    act_deliver, act_deliver, act_function, act_ping, act_text, act_logout, act_break, act_pieces,
};

static void act(struct world *w)
{
    uint8_t what = wire_get_u8(&w->input);
    unsigned slot = (what >> 4) % SESSIONS;
    struct session_model *m = w->sessions[slot];
    if (!m || what >> 4 == 0x0f)
        open_session(w, slot);
    else
        actions[what & 0x0f](w, m);
    look(w);
}

/* All that can still come, comes. */
static bool go_on(struct world *w)
{
    bool more = false;
    for (unsigned i = 0; i < SESSIONS; i++)
        while (w->sessions[i] && session_model_send_data(w->sessions[i], 0, MODEL_MAX_DATA))
            more = true;
    deliver(w);
    for (size_t i = 0; i < 2; i++)
        more |= memdisk_run(w->labs[i]->disk, false) > 0;
    deliver(w);
    look(w);
    return more;
}

static void settle(struct world *w)
{
    look(w);
    for (unsigned idle = 0; idle < 2;) /* what one of them waited for may set off another */
        idle = go_on(w) ? 0 : idle + 1;
}

static void close_all(struct world *w)
{
    for (unsigned i = 0; i < 2 * SESSIONS; i++)
        if (w->sessions[i])
            break_connection(w->sessions[i]);
    settle(w);
    for (unsigned i = 0; i < 2 * SESSIONS; i++)
        if (w->sessions[i])
            session_model_free(w->sessions[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct world *w = &world;
    *w = (struct world){.input = wire_reader_of(data, size)};
    w->options = wire_get_u8(&w->input);
    for (size_t i = 0; i < 2; i++) {
        w->labs[i] = lab_new((uint64_t)MODEL_BLOCKS * MODEL_BLOCK, MODEL_BLOCK);
        w->labs[i]->target->single_writer = false;
        w->labs[i]->disk->immediate = w->options & DISKS_IMMEDIATE;
        model_disk_init(&w->disks[i]);
    }
    if (w->options & FURTHER_LUN)
        w->labs[0]->further[w->labs[0]->n_further++] = w->labs[1];
    w->labs[0]->holds_messages = w->options & HOLD_MESSAGES;
    for (unsigned i = 0; i < MAX_ACTIONS && wire_reader_left(&w->input) > 0; i++)
        act(w);
    w->labs[0]->holds_messages = false;
    settle(w);
    for (unsigned i = 0; i < SESSIONS; i++)
        if (w->sessions[i])
            session_model_check_answered(w->sessions[i]);
    close_all(w);
    lab_free(w->labs[0]);
    lab_free(w->labs[1]);
    return 0;
}
