#include "initiator.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>

/* A portal that says nothing for so long has a bug. */
#define PATIENCE 120 /* seconds */

static struct initiator *initiator_of(struct iscsi_conn *conn)
{
    return container_of(conn, struct initiator, conn);
}

static void wake(struct iscsi_conn *conn)
{
}

static void attach(struct iscsi_conn *conn)
{
    initiator_of(conn)->attaches = true;
}

static void probe(struct iscsi_conn *conn)
{
    initiator_of(conn)->probes++;
}

static void released(struct iscsi_conn *conn)
{
    initiator_of(conn)->released = true;
}

static void list_targets(struct iscsi_conn *conn, const char *only,
                         void (*add)(struct iscsi_conn *conn, const char *target))
{
    if (!only || str_eq(only, LAB_TARGET))
        add(conn, LAB_TARGET);
}

static bool has_room(struct iscsi_conn *conn)
{
    return !initiator_of(conn)->lab->full;
}

static enum iscsi_login_status check(struct iscsi_conn *conn, const char **ret_reason)
{
    *ret_reason = "because the test says so";
    return initiator_of(conn)->lab->check_status;
}

static void list_portals(struct iscsi_conn *conn,
                         void (*add)(struct iscsi_conn *conn, const struct endpoint *portal))
{
    struct endpoint second = endpoint_with_port(&conn->local, 3261);
    if (initiator_of(conn)->lab->two_portals)
        add(conn, &second);
}

static void logged_in(struct iscsi_conn *conn)
{
    initiator_of(conn)->logins++;
}

static void refused(struct iscsi_conn *conn, enum iscsi_login_status status, const char *reason)
{
    assert(reason && *reason);
    initiator_of(conn)->refusals++;
    initiator_of(conn)->refused_with = status;
}

static void ended(struct iscsi_conn *conn, const char *reason)
{
    assert(reason && *reason);
    initiator_of(conn)->ends++;
}

static const struct iscsi_conn_operations operations = {
    .wake = wake,
    .attach = attach,
    .probe = probe,
    .has_room = has_room,
    .check = check,
    .released = released,
    .list_targets = list_targets,
    .list_portals = list_portals,
    .logged_in = logged_in,
    .refused = refused,
    .ended = ended,
};

static enum iscsi_login_status admit(void *context, const struct iscsi_login_identity *identity,
                                     void **ret_admission, const char **ret_reason)
{
    const struct lab *lab = context;
    *ret_reason = "because the test says so";
    if (!identity->discovery && !str_eq(identity->target, LAB_TARGET))
        return ISCSI_LOGIN_TARGET_NOT_FOUND;
    return lab->admit_status;
}

static const struct chap_credentials *credentials(void *context, const void *admission)
{
    const struct lab *lab = context;
    return &lab->credentials;
}

static const char *alias(void *context, const void *admission)
{
    const struct lab *lab = context;
    return lab->alias;
}

static bool redirect(void *context, const struct iscsi_login_identity *identity,
                     struct endpoint *ret_portal)
{
    const struct lab *lab = context;
    *ret_portal = lab->elsewhere;
    return lab->redirects;
}

struct lab *lab_new(uint64_t disk_size, uint32_t block_size)
{
    static const uint8_t serial[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    struct lab *lab = calloc(1, sizeof(*lab));
    lab->thread = fake_thread_new(8 * MIB);
    lab->disk = memdisk_new(disk_size);
    struct scsi_lu *lu = scsi_lu_new(lab->thread, &lab->disk->device, block_size, serial);
    lab->target = iscsi_target_new(lab->thread, LAB_TARGET, lu, true, NULL);
    lab->policy = (struct iscsi_login_policy){
        .admit = admit,
        .credentials = credentials,
        .alias = alias,
        .redirect = redirect,
        .context = lab,
    };
    return lab;
}

void lab_free(struct lab *lab)
{
    assert(iscsi_target_is_idle(lab->target));
    fake_thread_round(lab->thread);
    iscsi_target_free(lab->target);
    fake_thread_free(lab->thread);
    free(lab);
}

static struct initiator *new_initiator(void)
{
    struct initiator *i = calloc(1, sizeof(*i));
    i->cmdsn = 100;
    i->isid_qualifier = 1;
    return i;
}

struct initiator *initiator_new(struct lab *lab, uint8_t address)
{
    struct initiator *i = new_initiator();
    struct endpoint peer = {0}, local = {0};
    peer.v4.sin_family = local.v4.sin_family = AF_INET;
    peer.v4.sin_addr.s_addr = htonl(0x0a000000 | address);
    local.v4.sin_addr.s_addr = htonl(0x0a000001);
    local.v4.sin_port = htons(3260);
    i->lab = lab;
    int r = iscsi_conn_init(&i->conn, &operations, lab->thread, &lab->policy, &peer, &local);
    assert(r == 0);
    return i;
}

struct initiator *initiator_connect(const struct endpoint *portal, const char *from)
{
    struct initiator *i = new_initiator();
    const struct timeval patience = {.tv_sec = PATIENCE};
    struct sockaddr_in source = {.sin_family = AF_INET};
    inet_pton(AF_INET, from, &source.sin_addr);
    i->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(i->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    int r = bind(i->fd, (struct sockaddr *)&source, sizeof(source));
    assert(r == 0);
    r = connect(i->fd, &portal->any, endpoint_size(portal));
    assert(r == 0);
    return i;
}

static void keep_received(struct initiator *i, const void *data, size_t size)
{
    if (i->taken == i->n_received)
        i->taken = i->n_received = 0;
    if (i->n_received + size > i->room) {
        i->room = (i->n_received + size) * 2;
        i->received = realloc(i->received, i->room);
    }
    memcpy(i->received + i->n_received, data, size);
    i->n_received += size;
}

static void collect_output(struct initiator *i)
{
    struct iovec iov[64];
    size_t n;
    bool file_follows;
    while (i->conn.state != ISCSI_CONN_CLOSED &&
           (n = iscsi_conn_output(&i->conn, iov, ARRAY_SIZE(iov), &file_follows)) > 0) {
        size_t total = 0;
        for (size_t k = 0; k < n; k++) {
            keep_received(i, iov[k].iov_base, iov[k].iov_len);
            total += iov[k].iov_len;
        }
        iscsi_conn_sent(&i->conn, total);
    }
}

/* --- further LUNs --- */

static void open_lun(struct iscsi_lun *lun)
{
    const struct initiator *i = lun->luns->context;
    const struct lab *further = i->lab->further[lun->number - 1];
    lun->request.done(&lun->request, further->target, NULL);
}

/* As for a real socket: it may have been closed meanwhile. */
static void luns_connected(struct iscsi_luns *luns)
{
    struct initiator *i = luns->context;
    i->connects = false;
    i->conn.luns = luns;
    luns->conn = &i->conn;
    if (i->conn.state == ISCSI_CONN_ATTACHING)
        iscsi_target_attach(i->lab->target, &i->conn);
}

static void lun_opened(struct iscsi_lun *lun)
{
    struct initiator *i = lun->luns->context;
    i->lun_reason = lun->connected ? NULL : lun->reason;
}

static void lun_let_go(struct iscsi_lun *lun)
{
}

static void luns_freed(struct iscsi_luns *luns)
{
}

static struct iscsi_luns *luns_new(struct initiator *i, const struct iscsi_login_identity *identity)
{
    struct iscsi_luns *luns = iscsi_luns_new(i->lab->thread);
    luns->identity = *identity;
    luns->open = open_lun;
    luns->opened = lun_opened;
    luns->connected = luns_connected;
    luns->let_go = lun_let_go;
    luns->freed = luns_freed;
    luns->context = i;
    return luns;
}

static struct iscsi_lun *add_lun(struct iscsi_luns *luns, const struct initiator *i, unsigned k)
{
    return iscsi_luns_add(luns, k + 1, i->lab->further[k]->thread, k, NULL);
}

void initiator_attach_lun(struct initiator *i, unsigned number)
{
    if (!i->conn.luns) {
        i->conn.luns = luns_new(i, &i->conn.session->identity);
        i->conn.luns->conn = &i->conn;
        assert(iscsi_luns_begin(i->conn.luns, i->conn.session) == 0);
    }
    iscsi_luns_attach(add_lun(i->conn.luns, i, number - 1));
}

static void connect_luns(struct initiator *i)
{
    struct iscsi_luns *luns = luns_new(i, &i->conn.login->identity);
    for (unsigned k = 0; k < i->lab->n_further; k++)
        (void)add_lun(luns, i, k);
    i->connects = true;
    iscsi_luns_connect(luns);
}

size_t lab_deliver_to(struct lab *lab)
{
    size_t n = fake_thread_messages(lab->thread);
    fake_thread_round(lab->thread);
    return n;
}

void lab_deliver(struct lab *lab)
{
    size_t n;
    do {
        n = lab_deliver_to(lab);
        for (unsigned k = 0; k < lab->n_further; k++)
            n += lab_deliver_to(lab->further[k]);
    } while (n > 0);
}

/* --- the runner of connections --- */

static void attach_now(struct initiator *i)
{
    if (i->conn.login->identity.discovery)
        iscsi_discovery_attach(&i->conn);
    else if (i->lab->n_further > 0)
        connect_luns(i);
    else
        iscsi_target_attach(i->lab->target, &i->conn);
}

void initiator_run(struct initiator *i)
{
    if (i->attaches && i->conn.state == ISCSI_CONN_ATTACHING) {
        i->attaches = false;
        attach_now(i);
    }
    collect_output(i);
    if (i->conn.state == ISCSI_CONN_CLOSED && !i->dropped && !i->connects) {
        i->dropped = true;
        iscsi_conn_drop(&i->conn);
    }
    fake_thread_round(i->lab->thread);
    if (i->lab->n_further > 0 && !i->lab->holds_messages)
        lab_deliver(i->lab);
    collect_output(i);
}

void initiator_free(struct initiator *i)
{
    if (i->fd) {
        close(i->fd);
    } else {
        iscsi_conn_close(&i->conn, "the test is over");
        bool connects = i->connects;
        initiator_run(i);
        if (connects)
            initiator_run(i);
        assert(i->released);
        iscsi_conn_clear(&i->conn);
    }
    free(i->received);
    free(i);
}

/* --- bytes --- */

/* The target may have closed the connection: the test sees that when it reads. */
static void send_to_socket(struct initiator *i, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(i->fd, data, i->piece ? MIN(i->piece, size) : size, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        size -= (size_t)n;
    }
}

/* Every second time, what comes of a data segment is put where it belongs before it is given. */
static const uint8_t *put_in_place(struct initiator *i, const uint8_t *data, size_t *n)
{
    uint8_t *place;
    size_t missing = iscsi_conn_input_place(&i->conn, &place);
    if (missing == 0 || i->n_fed++ % 2 == 0)
        return data;
    *n = MIN(*n, missing);
    return memcpy(place, data, *n);
}

static void feed(struct initiator *i, const uint8_t *data, size_t size)
{
    while (size > 0 && i->conn.state != ISCSI_CONN_CLOSED) {
        size_t n = i->piece ? MIN(i->piece, size) : size;
        const uint8_t *given = put_in_place(i, data, &n);
        size_t taken = iscsi_conn_input(&i->conn, given, n);
        assert(taken <= n);
        initiator_run(i);
        if (taken < n && i->conn.state != ISCSI_CONN_FULL)
            return; /* it does not want any more */
        data += taken;
        size -= taken;
    }
}

void initiator_send_bytes(struct initiator *i, const void *data, size_t size)
{
    if (i->collects) {
        i->collected = realloc(i->collected, i->n_collected + size);
        memcpy(i->collected + i->n_collected, data, size);
        i->n_collected += size;
    } else if (i->fd) {
        send_to_socket(i, data, size);
    } else {
        feed(i, data, size);
    }
}

void initiator_send_collected(struct initiator *i)
{
    i->collects = false;
    initiator_send_bytes(i, i->collected, i->n_collected);
    free(take_ptr(i->collected));
    i->n_collected = 0;
}

/* CRC32C bit by bit, as RFC 7143 13.1 describes it: what the target computes is checked with it. */
static uint32_t digest_of(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    while (size-- > 0) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

void initiator_send(struct initiator *i, uint8_t bhs[static ISCSI_BHS_SIZE], const void *data,
                    uint32_t size)
{
    uint32_t padded = size + iscsi_padding(size);
    struct wire_writer w = wire_writer_of(malloc(ISCSI_BHS_SIZE + padded + 8), padded + 56);
    bhs_put24(bhs, BHS_DATA_LENGTH, size);
    wire_put_bytes(&w, bhs, ISCSI_BHS_SIZE);
    if (i->header_digest)
        wire_put_le32(&w, digest_of(bhs, ISCSI_BHS_SIZE));
    const uint8_t *segment = w.pos;
    wire_put_bytes(&w, data, size);
    wire_put_zeros(&w, padded - size);
    if (i->data_digest && size > 0)
        wire_put_le32(&w, digest_of(segment, padded));
    assert(wire_writer_ok(&w));
    initiator_send_bytes(i, w.start, wire_writer_used(&w));
    free(w.start);
}

static size_t waiting(const struct initiator *i)
{
    return i->n_received - i->taken;
}

/* Over TCP: waits until size bytes are there; false: the target has closed the connection. */
static bool wait_for(struct initiator *i, size_t size)
{
    static uint8_t bytes[64 * 1024];
    while (i->fd && waiting(i) < size) {
        ssize_t n = recv(i->fd, bytes, sizeof(bytes), 0);
        assert(n >= 0 || errno == ECONNRESET);
        if (n <= 0)
            break;
        keep_received(i, bytes, (size_t)n);
    }
    return waiting(i) >= size;
}

static const uint8_t *take(struct initiator *i, size_t size)
{
    const uint8_t *bytes = i->received + i->taken;
    i->taken += size;
    return bytes;
}

static void check_digest(struct initiator *i, const uint8_t *data, size_t size)
{
    struct wire_writer w = wire_writer_of((uint8_t[ISCSI_DIGEST_SIZE]){0}, ISCSI_DIGEST_SIZE);
    wire_put_le32(&w, digest_of(data, size));
    assert(memcmp(take(i, ISCSI_DIGEST_SIZE), w.start, ISCSI_DIGEST_SIZE) == 0);
}

/* Does a PDU of the target use up a StatSN (RFC 7143 4.2.2.2)? */
static bool has_status(const uint8_t *bhs)
{
    switch (bhs_opcode(bhs)) {
    case ISCSI_DATA_IN:
        return bhs[BHS_FLAGS] & ISCSI_FLAG_DATA_STATUS;
    case ISCSI_LOGIN_RESPONSE:
        return bhs[BHS_STATUS_CLASS] == 0;
    case ISCSI_NOP_IN:
        return bhs_get32(bhs, BHS_ITT) != ISCSI_RESERVED_TAG;
    default:
        return bhs_opcode(bhs) != ISCSI_R2T;
    }
}

static void check_statsn(struct initiator *i, const uint8_t *bhs)
{
    if (!has_status(bhs))
        return;
    uint32_t statsn = bhs_get32(bhs, BHS_STATSN);
    assert(!i->has_statsn || statsn == i->statsn + 1);
    i->has_statsn = true;
    i->statsn = statsn;
}

const struct answer *initiator_next(struct initiator *i)
{
    static struct answer answer;
    if (!i->fd)
        initiator_run(i);
    size_t header = ISCSI_BHS_SIZE + (i->header_digest ? ISCSI_DIGEST_SIZE : 0);
    if (!wait_for(i, header))
        return NULL;
    memcpy(answer.bhs, take(i, ISCSI_BHS_SIZE), ISCSI_BHS_SIZE);
    if (i->header_digest)
        check_digest(i, answer.bhs, ISCSI_BHS_SIZE);
    check_statsn(i, answer.bhs);
    answer.size = bhs_get24(answer.bhs, BHS_DATA_LENGTH);
    bool digest = i->data_digest && answer.size > 0;
    size_t padded = answer.size + iscsi_padding(answer.size);
    bool complete = wait_for(i, padded + (digest ? ISCSI_DIGEST_SIZE : 0));
    assert(complete && answer.size < sizeof(answer.data));
    const uint8_t *segment = take(i, padded);
    memcpy(answer.data, segment, answer.size);
    answer.data[answer.size] = 0;
    if (digest)
        check_digest(i, segment, padded);
    return &answer;
}

/* --- PDUs --- */

void send_login(struct initiator *i, uint8_t flags, const char *text, size_t size)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGIN | ISCSI_IMMEDIATE, flags};
    const uint8_t isid[6] = {0x00, 0x02, 0x3d, 0, 0, i->isid_qualifier};
    memcpy(bhs + BHS_ISID, isid, sizeof(isid));
    bhs_put16(bhs, BHS_TSIH, i->tsih);
    bhs_put16(bhs, BHS_CID, i->cid);
    bhs_put32(bhs, BHS_ITT, i->itt);
    bhs_put32(bhs, BHS_CMDSN, i->cmdsn);
    initiator_send(i, bhs, text, (uint32_t)size);
}

static void expect_login(struct initiator *i)
{
    const struct answer *a = initiator_next(i);
    assert(a && bhs_opcode(a->bhs) == ISCSI_LOGIN_RESPONSE && a->bhs[BHS_STATUS_CLASS] == 0);
}

void login_like_ipxe(struct initiator *i)
{
    SEND_LOGIN(i, 0x81,
               "InitiatorName=" LAB_INITIATOR "\0TargetName=" LAB_TARGET
               "\0SessionType=Normal\0AuthMethod=None\0");
    expect_login(i);
    SEND_LOGIN(i, 0x87,
               "HeaderDigest=None\0DataDigest=None\0MaxConnections=1\0InitialR2T=Yes\0"
               "ImmediateData=No\0MaxRecvDataSegmentLength=8192\0MaxBurstLength=262144\0"
               "FirstBurstLength=65536\0DefaultTime2Wait=0\0DefaultTime2Retain=0\0"
               "MaxOutstandingR2T=1\0DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0"
               "ErrorRecoveryLevel=0\0");
    expect_login(i);
}

void login_like_linux(struct initiator *i)
{
    SEND_LOGIN(i, 0x87,
               "InitiatorName=" LAB_INITIATOR "\0InitiatorAlias=node\0TargetName=" LAB_TARGET
               "\0SessionType=Normal\0HeaderDigest=None\0DataDigest=None\0"
               "DefaultTime2Wait=2\0DefaultTime2Retain=0\0IFMarker=No\0OFMarker=No\0"
               "ErrorRecoveryLevel=0\0InitialR2T=No\0ImmediateData=Yes\0"
               "MaxBurstLength=16776192\0FirstBurstLength=262144\0MaxOutstandingR2T=1\0"
               "MaxConnections=1\0DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0"
               "MaxRecvDataSegmentLength=262144\0");
    expect_login(i);
}

uint32_t send_command(struct initiator *i, uint8_t flags, const uint8_t *cdb, size_t cdb_size,
                      uint32_t expected_length, const void *immediate, uint32_t immediate_size)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_SCSI_COMMAND, flags};
    uint32_t itt = ++i->itt;
    bhs_put64(bhs, BHS_LUN, (uint64_t)i->lun << 48);
    bhs_put32(bhs, BHS_ITT, itt);
    bhs_put32(bhs, BHS_EXPECTED_LENGTH, expected_length);
    bhs_put32(bhs, BHS_CMDSN, i->cmdsn++);
    memcpy(bhs + BHS_CDB, cdb, cdb_size);
    initiator_send(i, bhs, immediate, immediate_size);
    return itt;
}

void send_data_out(struct initiator *i, uint32_t itt, uint32_t ttt, uint32_t datasn,
                   uint32_t offset, const void *data, uint32_t size, bool final)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_DATA_OUT, final ? ISCSI_FLAG_FINAL : 0};
    bhs_put32(bhs, BHS_ITT, itt);
    bhs_put32(bhs, BHS_TTT, ttt);
    bhs_put32(bhs, BHS_DATASN, datasn);
    bhs_put32(bhs, BHS_BUFFER_OFFSET, offset);
    initiator_send(i, bhs, data, size);
}

void send_task_management(struct initiator *i, uint8_t function, uint32_t referenced,
                          uint32_t ref_cmdsn)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_TASK_MANAGEMENT | ISCSI_IMMEDIATE,
                                   (uint8_t)(ISCSI_FLAG_FINAL | function)};
    bhs_put64(bhs, BHS_LUN, (uint64_t)i->lun << 48);
    bhs_put32(bhs, BHS_ITT, ++i->itt);
    bhs_put32(bhs, BHS_REFERENCED_TAG, referenced);
    bhs_put32(bhs, BHS_CMDSN, i->cmdsn);
    bhs_put32(bhs, BHS_REFCMDSN, ref_cmdsn);
    initiator_send(i, bhs, NULL, 0);
}

uint32_t read_10(struct initiator *i, uint32_t lba, uint16_t blocks, uint32_t block_size)
{
    uint8_t cdb[10] = {SCSI_READ_10};
    struct wire_writer w = wire_writer_of(cdb + 2, 8);
    wire_put_be32(&w, lba);
    wire_put_u8(&w, 0);
    wire_put_be16(&w, blocks);
    return send_command(i, ISCSI_FLAG_FINAL | ISCSI_FLAG_READ, cdb, sizeof(cdb),
                        blocks * block_size, NULL, 0);
}
