#include "session_model.h"

#include <assert.h>

#define SENSE_KEY_ATTENTION 0x06
#define SENSE_KEY_ILLEGAL   0x05

/* --- what the blocks of a disk may hold --- */

void model_disk_init(struct model_disk *disk)
{
    memset(disk, 0, sizeof(*disk));
    for (size_t i = 0; i < MODEL_BLOCKS; i++)
        disk->blocks[i].n = 1; /* zeroes */
}

static bool may_hold(const struct model_block *block, uint32_t stamp)
{
    for (uint8_t i = 0; i < block->n; i++)
        if (block->stamps[i] == stamp)
            return true;
    return block->any;
}

static bool writes(const struct model_task *task)
{
    return task->kind == MODEL_WRITE || task->kind == MODEL_WRITE_AND_VERIFY;
}

static struct model_block *block_of(struct session_model *m, const struct model_task *task,
                                    uint32_t n)
{
    return &m->disks[task->lun]->blocks[task->lba + n];
}

static void begin_blocks(struct session_model *m, struct model_task *task)
{
    for (uint32_t i = 0; i < task->blocks; i++) {
        struct model_block *block = block_of(m, task, i);
        block->mixed |= block->busy > 0;
        block->busy++;
        if (!writes(task))
            continue;
        if (block->n == MODEL_STAMPS)
            block->any = true;
        else
            block->stamps[block->n++] = task->stamp;
    }
}

/* A write that nobody else was beside is all that the block can hold. */
static void end_blocks(struct session_model *m, struct model_task *task, bool good)
{
    for (uint32_t i = 0; i < task->blocks; i++) {
        struct model_block *block = block_of(m, task, i);
        assert(block->busy > 0);
        block->busy--;
        bool alone = !block->mixed;
        block->mixed &= block->busy > 0;
        if (!writes(task) || !good || !alone)
            continue;
        block->any = false;
        block->n = 1;
        block->stamps[0] = task->stamp;
    }
}

/* --- tasks --- */

static struct model_task *find_task(struct session_model *m, uint32_t itt)
{
    for (size_t i = 0; i < MODEL_TASKS; i++)
        if (m->tasks[i].state != MODEL_NONE && m->tasks[i].itt == itt)
            return &m->tasks[i];
    return NULL;
}

static struct model_task *free_task(struct session_model *m)
{
    for (size_t i = 0; i < MODEL_TASKS; i++)
        if (m->tasks[i].state == MODEL_NONE)
            return &m->tasks[i];
    return NULL;
}

static void end_task(struct session_model *m, struct model_task *task, bool good)
{
    end_blocks(m, task, good);
    free(take_ptr(task->data));
    *task = (struct model_task){0};
}

static uint32_t bytes_to_move(const struct model_task *task)
{
    return (uint32_t)MIN(task->wanted, task->expected);
}

static void fill(uint8_t *data, uint32_t size, uint32_t stamp, uint32_t offset)
{
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(stamp >> 8 * ((offset + i) & 3));
}

/* --- login --- */

static const char *yes_no(bool value)
{
    return value ? "Yes" : "No";
}

static void send_login_request(struct session_model *m, bool header_digest)
{
    const struct model_parameters *p = &m->parameters;
    char text[1024];
    int n = snprintf(text, sizeof(text),
                     "InitiatorName=" LAB_INITIATOR "%cTargetName=" LAB_TARGET
                     "%cHeaderDigest=%s%cInitialR2T=%s%cImmediateData=%s%cFirstBurstLength=%u"
                     "%cMaxBurstLength=%u%cMaxRecvDataSegmentLength=%u%cMaxOutstandingR2T=%u%c",
                     0, 0, header_digest ? "CRC32C" : "None", 0, yes_no(p->initial_r2t), 0,
                     yes_no(p->immediate_data), 0, p->first_burst, 0, p->max_burst, 0,
                     p->max_receive, 0, p->max_r2ts, 0);
    send_login(m->node, 0x87, text, (size_t)n);
}

struct session_model *session_model_new(struct lab *lab, struct model_disk *const *disks,
                                        uint8_t isid_qualifier, bool header_digest,
                                        const struct model_parameters *parameters,
                                        bool *attention_possible)
{
    struct session_model *m = calloc(1, sizeof(*m));
    m->node = initiator_new(lab, 11);
    m->node->isid_qualifier = isid_qualifier;
    m->lab = lab;
    m->n_luns = 1 + lab->n_further;
    for (unsigned i = 0; i < m->n_luns; i++)
        m->disks[i] = disks[i];
    m->parameters = *parameters;
    m->attention_possible = attention_possible;
    m->exp_cmdsn = m->node->cmdsn;
    m->max_cmdsn = m->node->cmdsn - 1;
    send_login_request(m, header_digest);
    m->node->header_digest = header_digest; /* of what follows the login response */
    return m;
}

void session_model_free(struct session_model *m)
{
    session_model_forget(m);
    m->node->header_digest = false;
    initiator_free(m->node);
    free(m);
}

static void end_request(struct model_request *request)
{
    for (size_t i = 0; i < ARRAY_SIZE(request->clears); i++)
        if (request->clears[i])
            request->clears[i]->clears--;
    *request = (struct model_request){0};
}

void session_model_forget(struct session_model *m)
{
    for (size_t i = 0; i < MODEL_REQUESTS; i++)
        end_request(&m->requests[i]);
    for (size_t i = 0; i < MODEL_TASKS; i++)
        if (m->tasks[i].state != MODEL_NONE)
            end_task(m, &m->tasks[i], false);
}

bool session_model_is_over(const struct session_model *m)
{
    return m->node->conn.state == ISCSI_CONN_CLOSED;
}

void session_model_give_up(struct session_model *m)
{
    m->given_up = true;
    for (size_t i = 0; i < MODEL_TASKS; i++)
        if (m->tasks[i].state != MODEL_NONE)
            m->tasks[i].state = MODEL_LOST;
}

/* --- answers --- */

static void check_window(struct session_model *m, const uint8_t *bhs)
{
    uint32_t exp_cmdsn = bhs_get32(bhs, BHS_EXPCMDSN), max_cmdsn = bhs_get32(bhs, BHS_MAXCMDSN);
    assert(serial_le(m->exp_cmdsn, exp_cmdsn) && serial_le(exp_cmdsn, m->node->cmdsn));
    assert(serial_le(m->max_cmdsn, max_cmdsn) && serial_le(exp_cmdsn, max_cmdsn + 1));
    m->exp_cmdsn = exp_cmdsn;
    m->max_cmdsn = max_cmdsn;
}

static void check_read_block(struct session_model *m, const struct model_task *task, uint32_t n)
{
    const uint8_t *data = task->data + (size_t)n * MODEL_BLOCK;
    assert(memcmp(data, data + 4, MODEL_BLOCK - 4) == 0); /* of one write */
    uint32_t stamp =
        data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
    assert(may_hold(block_of(m, task, n), stamp));
}

static void check_good(struct session_model *m, const struct model_task *task)
{
    assert(!task->refused);
    if (task->kind == MODEL_READ) {
        assert(task->got == bytes_to_move(task));
        for (uint32_t i = 0; i < task->blocks; i++)
            check_read_block(m, task, i);
    } else if (writes(task)) {
        assert(task->sent_unasked + task->asked >= bytes_to_move(task));
    }
}

static void check_residual(const struct model_task *task, const uint8_t *bhs)
{
    uint8_t flags =
        bhs[BHS_FLAGS] & (uint8_t)(ISCSI_FLAG_DATA_OVERFLOW | ISCSI_FLAG_DATA_UNDERFLOW);
    uint32_t residual = bhs_get32(bhs, BHS_RESIDUAL);
    if (task->wanted == task->expected)
        assert(flags == 0 && residual == 0);
    else if (task->wanted < task->expected)
        assert(flags == ISCSI_FLAG_DATA_UNDERFLOW && residual == task->expected - task->wanted);
    else
        assert(flags == ISCSI_FLAG_DATA_OVERFLOW && residual == task->wanted - task->expected);
}

static void check_sense(const struct session_model *m, const struct model_task *task,
                        const struct answer *a)
{
    assert(a->bhs[BHS_STATUS] == SCSI_CHECK_CONDITION && a->size >= 2 + 14);
    uint8_t key = a->data[2 + 2] & 0x0f;
    assert((key == SENSE_KEY_ILLEGAL && task->refused) ||
           (key == SENSE_KEY_ATTENTION && *m->attention_possible));
}

static void take_response(struct session_model *m, const struct answer *a)
{
    struct model_task *task = find_task(m, bhs_get32(a->bhs, BHS_ITT));
    assert(task); /* answered already, or aborted, or never sent */
    bool good = a->bhs[BHS_STATUS] == SCSI_GOOD;
    assert(a->bhs[BHS_RESPONSE] == 0);
    if (good) {
        check_good(m, task);
        check_residual(task, a->bhs);
    } else {
        check_sense(m, task, a);
    }
    end_task(m, task, good);
}

static void take_data_in(struct session_model *m, const struct answer *a)
{
    struct model_task *task = find_task(m, bhs_get32(a->bhs, BHS_ITT));
    assert(task && task->kind == MODEL_READ);
    assert(a->size > 0 && a->size <= m->parameters.max_receive);
    assert(bhs_get32(a->bhs, BHS_DATASN) == task->datasn++);
    assert(bhs_get32(a->bhs, BHS_BUFFER_OFFSET) == task->got);
    assert(a->size <= bytes_to_move(task) - task->got);
    memcpy(task->data + task->got, a->data, a->size);
    task->got += a->size;
    if (!(a->bhs[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS))
        return;
    assert(a->bhs[BHS_FLAGS] & ISCSI_FLAG_FINAL && a->bhs[BHS_STATUS] == SCSI_GOOD);
    check_good(m, task);
    check_residual(task, a->bhs);
    end_task(m, task, true);
}

static unsigned open_r2ts(const struct model_task *task)
{
    unsigned n = 0;
    for (size_t i = 0; i < SCSI_BURSTS; i++)
        n += task->r2ts[i].open;
    return n;
}

static void take_r2t(struct session_model *m, const struct answer *a)
{
    struct model_task *task = find_task(m, bhs_get32(a->bhs, BHS_ITT));
    assert(task && writes(task) && !task->unsolicited_open);
    assert(open_r2ts(task) < m->parameters.max_r2ts && open_r2ts(task) < SCSI_BURSTS);
    struct model_r2t *r2t = &task->r2ts[task->r2ts[0].open ? 1 : 0];
    uint32_t length = bhs_get32(a->bhs, BHS_DESIRED_LENGTH);
    *r2t = (struct model_r2t){.open = true,
                              .ttt = bhs_get32(a->bhs, BHS_TTT),
                              .offset = bhs_get32(a->bhs, BHS_BUFFER_OFFSET)};
    r2t->end = r2t->offset + length;
    assert(a->size == 0 && bhs_get32(a->bhs, BHS_R2TSN) == task->r2tsn++);
    assert(bhs_get64(a->bhs, BHS_LUN) == (uint64_t)task->lun << 48);
    assert(r2t->ttt != ISCSI_RESERVED_TAG);
    assert(length > 0 && length <= m->parameters.max_burst);
    assert(r2t->offset <= bytes_to_move(task) && length <= bytes_to_move(task) - r2t->offset);
    assert(r2t->offset >= task->sent_unasked || task->wanted < task->expected);
    task->asked += length;
}

static void take_request_answer(struct session_model *m, const struct answer *a)
{
    uint32_t itt = bhs_get32(a->bhs, BHS_ITT);
    struct model_request *request = NULL;
    for (size_t i = 0; i < MODEL_REQUESTS; i++)
        if (m->requests[i].opcode == bhs_opcode(a->bhs) && m->requests[i].itt == itt)
            request = &m->requests[i];
    assert(request); /* else an answer to nothing */
    if (request->opcode == ISCSI_NOP_IN) {
        assert(a->size == request->size);
        for (uint32_t i = 0; i < a->size; i++)
            assert(a->data[i] == (uint8_t)(itt + i));
    }
    end_request(request);
}

static void take_function_answer(struct session_model *m, const struct answer *a)
{
    uint32_t itt = bhs_get32(a->bhs, BHS_ITT);
    take_request_answer(m, a);
    for (size_t i = 0; i < MODEL_TASKS; i++)
        if (m->tasks[i].state == MODEL_DOOMED && m->tasks[i].doomed_by == itt)
            end_task(m, &m->tasks[i], false);
}

static void take_login_answer(struct session_model *m, const struct answer *a)
{
    assert(!m->logged_in && a->bhs[BHS_STATUS_CLASS] == 0);
    m->logged_in = true;
}

static void take_answer(struct session_model *m, const struct answer *a)
{
    check_window(m, a->bhs);
    switch (bhs_opcode(a->bhs)) {
    case ISCSI_LOGIN_RESPONSE:
        take_login_answer(m, a);
        break;
    case ISCSI_SCSI_RESPONSE:
        take_response(m, a);
        break;
    case ISCSI_DATA_IN:
        take_data_in(m, a);
        break;
    case ISCSI_R2T:
        take_r2t(m, a);
        break;
    case ISCSI_TASK_MANAGEMENT_RESPONSE:
        take_function_answer(m, a);
        break;
    case ISCSI_NOP_IN:
    case ISCSI_TEXT_RESPONSE:
    case ISCSI_LOGOUT_RESPONSE:
        take_request_answer(m, a);
        break;
    default:
        assert(!"an answer that nothing asks for");
    }
}

/* There are no digests during the login. */
static const struct answer *next_answer(struct session_model *m)
{
    struct initiator *node = m->node;
    bool header_digest = node->header_digest;
    node->header_digest &= m->logged_in;
    const struct answer *a = initiator_next(node);
    node->header_digest = header_digest;
    return a;
}

void session_model_poll(struct session_model *m)
{
    for (const struct answer *a; (a = next_answer(m));)
        take_answer(m, a);
    assert(m->given_up || m->node->conn.state <= ISCSI_CONN_FULL);
}

/* --- requests --- */

static bool is_up(const struct session_model *m)
{
    return m->logged_in && !m->given_up && m->node->conn.state == ISCSI_CONN_FULL;
}

static bool in_window(const struct session_model *m)
{
    return serial_le(m->node->cmdsn, m->max_cmdsn);
}

bool session_model_may_send(const struct session_model *m)
{
    return is_up(m) && in_window(m) && free_task((struct session_model *)m);
}

static void put_cdb(uint8_t *cdb, const struct model_task *task, uint32_t blocks)
{
    static const uint8_t opcodes[] = {
        [MODEL_READ] = SCSI_READ_10,
        [MODEL_WRITE] = SCSI_WRITE_10,
        [MODEL_WRITE_AND_VERIFY] = 0x2e,
        [MODEL_OTHER] = 0x35, /* SYNCHRONIZE CACHE */
    };
    struct wire_writer w = wire_writer_of(cdb, 10);
    wire_put_u8(&w, opcodes[task->kind]);
    wire_put_u8(&w, task->kind == MODEL_WRITE_AND_VERIFY ? 0x02 : 0); /* BYTCHK */
    wire_put_be32(&w, task->lba);
    wire_put_u8(&w, 0);
    wire_put_be16(&w, (uint16_t)blocks);
    wire_put_u8(&w, 0); /* control: no NACA */
}

/* How much comes unasked, and how much of that with the command. */
static uint32_t plan_unsolicited(const struct session_model *m, struct model_task *task,
                                 uint32_t immediate, uint32_t unsolicited)
{
    const struct model_parameters *p = &m->parameters;
    uint32_t most = MIN(p->first_burst, task->expected);
    immediate = p->immediate_data ? MIN(immediate, most) : 0;
    unsolicited = p->initial_r2t ? 0 : MIN(unsolicited, most);
    task->unsolicited_end = MAX(immediate, unsolicited);
    task->unsolicited_open = !p->initial_r2t && task->unsolicited_end > immediate;
    task->sent_unasked = immediate;
    return immediate;
}

/* Theirs may come to the disk before a command that was sent later, or after it. */
static bool is_cleared_by_others(const struct session_model *m, const struct model_disk *disk)
{
    unsigned own = 0;
    for (size_t i = 0; i < MODEL_REQUESTS; i++)
        for (size_t k = 0; k < ARRAY_SIZE(m->requests[i].clears); k++)
            own += m->requests[i].clears[k] == disk;
    return disk->clears > own;
}

void session_model_command(struct session_model *m, enum model_kind kind, unsigned lun,
                           uint32_t lba, uint32_t blocks, uint32_t expected, uint32_t immediate,
                           uint32_t unsolicited)
{
    static uint8_t data[MODEL_MAX_DATA];
    struct model_task *task = free_task(m);
    uint8_t cdb[10], flags = ISCSI_FLAG_FINAL;
    bool in_bounds = lba <= MODEL_BLOCKS && blocks <= MODEL_BLOCKS - lba;
    *task = (struct model_task){.state = MODEL_OPEN,
                                .lun = lun,
                                .kind = kind,
                                .lba = lba,
                                .expected = kind == MODEL_OTHER ? 0 : expected * MODEL_BLOCK,
                                .refused = lun >= m->n_luns || !in_bounds};
    put_cdb(cdb, task, blocks);
    if (!task->refused && kind != MODEL_OTHER) {
        task->wanted = (uint64_t)blocks * MODEL_BLOCK;
        task->blocks = MIN(blocks, expected);
    }
    uint32_t size = 0;
    if (kind == MODEL_READ) {
        flags |= ISCSI_FLAG_READ;
        task->data = malloc(task->expected + 1);
    } else if (writes(task)) {
        flags |= ISCSI_FLAG_WRITE;
        task->stamp = task->refused ? 0 : ++m->disks[lun]->last_stamp;
        size = plan_unsolicited(m, task, immediate, unsolicited);
        flags &= task->unsolicited_open ? (uint8_t)~ISCSI_FLAG_FINAL : 0xff;
        fill(data, size, task->stamp, 0);
    }
    if (lun < m->n_luns && is_cleared_by_others(m, m->disks[lun]))
        task->state = MODEL_LOST;
    begin_blocks(m, task);
    task->itt = m->node->itt + 1;
    task->cmdsn = m->node->cmdsn;
    m->node->lun = lun;
    send_command(m->node, flags, cdb, sizeof(cdb), task->expected, data, size);
}

static void send_piece(struct session_model *m, const struct model_task *task, uint32_t ttt,
                       uint32_t datasn, uint32_t offset, uint32_t size, bool final)
{
    static uint8_t data[MODEL_MAX_DATA];
    fill(data, size, task->stamp, offset);
    send_data_out(m->node, task->itt, ttt, datasn, offset, data, size, final);
}

/* What is sent may end the task: nothing of it is touched afterwards. */
static void send_unsolicited(struct session_model *m, struct model_task *task, uint32_t size)
{
    uint32_t offset = task->sent_unasked;
    size = MIN(size, task->unsolicited_end - offset);
    task->sent_unasked += size;
    task->unsolicited_open = task->sent_unasked < task->unsolicited_end;
    send_piece(m, task, ISCSI_RESERVED_TAG, task->unsolicited_datasn++, offset, size,
               !task->unsolicited_open);
}

static void send_solicited(struct session_model *m, struct model_task *task, struct model_r2t *r2t,
                           uint32_t size)
{
    uint32_t offset = r2t->offset;
    size = MIN(size, r2t->end - offset);
    r2t->offset += size;
    r2t->open = r2t->offset < r2t->end;
    send_piece(m, task, r2t->ttt, r2t->datasn++, offset, size, !r2t->open);
}

static bool has_data_to_send(const struct model_task *task)
{
    return task->state != MODEL_NONE && (task->unsolicited_open || open_r2ts(task) > 0);
}

bool session_model_send_data(struct session_model *m, unsigned number, uint32_t size)
{
    if (!is_up(m))
        return false;
    for (size_t i = 0; i < MODEL_TASKS; i++) {
        struct model_task *task = &m->tasks[(number + i) % MODEL_TASKS];
        if (!has_data_to_send(task))
            continue;
        if (task->unsolicited_open)
            send_unsolicited(m, task, MAX(size, 1));
        else
            send_solicited(m, task, &task->r2ts[task->r2ts[0].open ? 0 : 1], MAX(size, 1));
        return true;
    }
    return false;
}

static struct model_request *free_request(struct session_model *m)
{
    for (size_t i = 0; i < MODEL_REQUESTS; i++)
        if (m->requests[i].opcode == 0)
            return &m->requests[i];
    return NULL;
}

static void doom(struct session_model *m, const struct model_disk *disk, const uint32_t *only_itt,
                 uint32_t function)
{
    for (size_t i = 0; i < MODEL_TASKS; i++) {
        struct model_task *task = &m->tasks[i];
        if (task->state != MODEL_OPEN || (only_itt && task->itt != *only_itt) ||
            (disk && (task->lun >= m->n_luns || m->disks[task->lun] != disk)))
            continue;
        task->state = MODEL_DOOMED;
        task->doomed_by = function;
    }
}

static void lose(struct session_model *m, const struct model_disk *disk)
{
    for (size_t i = 0; i < MODEL_TASKS; i++) {
        struct model_task *task = &m->tasks[i];
        if (task->state != MODEL_NONE && task->lun < m->n_luns && m->disks[task->lun] == disk)
            task->state = MODEL_LOST;
    }
}

/* CLEAR TASK SET and the resets are for those of all sessions. */
static void clear_disk(struct session_model *m, struct model_disk *disk,
                       struct model_request *request, struct session_model *const *others, size_t n)
{
    doom(m, disk, NULL, request->itt);
    disk->clears++;
    for (size_t i = 0; i < ARRAY_SIZE(request->clears); i++)
        if (!request->clears[i]) {
            request->clears[i] = disk;
            break;
        }
    for (size_t i = 0; i < n; i++)
        if (others[i] && others[i] != m)
            lose(others[i], disk);
    *m->attention_possible = true;
}

void session_model_task_management(struct session_model *m, enum model_function function,
                                   unsigned lun, unsigned number,
                                   struct session_model *const *others, size_t n)
{
    struct model_request *request = free_request(m);
    const struct model_task *task = &m->tasks[number % MODEL_TASKS];
    if (!is_up(m) || !request || lun >= m->n_luns)
        return;
    uint32_t itt = m->node->itt + 1, referenced = ISCSI_RESERVED_TAG, cmdsn = 0;
    *request = (struct model_request){.opcode = ISCSI_TASK_MANAGEMENT_RESPONSE, .itt = itt};
    switch (function) {
    case MODEL_ABORT_TASK:
        referenced = task->state == MODEL_NONE ? itt - 1 : task->itt;
        cmdsn = task->cmdsn;
        lun = task->state == MODEL_NONE || task->lun >= m->n_luns ? lun : task->lun;
        doom(m, NULL, &referenced, itt);
        break;
    case MODEL_ABORT_TASK_SET:
        doom(m, m->disks[lun], NULL, itt);
        break;
    case MODEL_CLEAR_TASK_SET:
    case MODEL_LUN_RESET:
        clear_disk(m, m->disks[lun], request, others, n);
        break;
    case MODEL_WARM_RESET:
        for (unsigned i = 0; i < m->n_luns; i++)
            clear_disk(m, m->disks[i], request, others, n);
        break;
    }
    m->node->lun = lun;
    send_task_management(m->node, (uint8_t)function, referenced, cmdsn);
}

/* A numbered request other than a command, without more fields than these. */
static void send_request(struct session_model *m, uint8_t opcode, uint8_t flags, uint8_t answer,
                         const void *data, uint32_t size)
{
    struct model_request *request = free_request(m);
    uint8_t bhs[ISCSI_BHS_SIZE] = {opcode, flags};
    uint32_t itt = ++m->node->itt;
    *request = (struct model_request){.opcode = answer, .itt = itt, .size = size};
    bhs_put32(bhs, BHS_ITT, itt);
    if (opcode != ISCSI_LOGOUT)
        bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, m->node->cmdsn++);
    initiator_send(m->node, bhs, data, size);
}

static bool may_request(struct session_model *m)
{
    return is_up(m) && in_window(m) && free_request(m);
}

void session_model_ping(struct session_model *m, uint32_t size)
{
    uint8_t data[256];
    if (!may_request(m))
        return;
    size = MIN(size, MIN(sizeof(data), m->parameters.max_receive));
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(m->node->itt + 1 + i);
    send_request(m, ISCSI_NOP_OUT, ISCSI_FLAG_FINAL, ISCSI_NOP_IN, data, size);
}

void session_model_text(struct session_model *m)
{
    static const char text[] = "SendTargets=";
    if (may_request(m))
        send_request(m, ISCSI_TEXT, ISCSI_FLAG_FINAL, ISCSI_TEXT_RESPONSE, text, sizeof(text));
}

/* All that it has under way ends with it. */
void session_model_logout(struct session_model *m)
{
    if (!may_request(m))
        return;
    session_model_give_up(m);
    send_request(m, ISCSI_LOGOUT, ISCSI_FLAG_FINAL, ISCSI_LOGOUT_RESPONSE, NULL, 0);
}

void session_model_check_answered(const struct session_model *m)
{
    if (m->given_up)
        return;
    assert(m->logged_in);
    assert(m->node->conn.session->exp_cmdsn == m->node->cmdsn);
    for (size_t i = 0; i < MODEL_TASKS; i++)
        assert(m->tasks[i].state == MODEL_NONE || m->tasks[i].state == MODEL_LOST);
    for (size_t i = 0; i < MODEL_REQUESTS; i++)
        assert(m->requests[i].opcode == 0);
}
