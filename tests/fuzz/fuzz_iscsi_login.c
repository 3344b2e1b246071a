/*
 * Login requests of one connection: a header of 48 bytes each, with the data segment that it
 * announces (cut to what is left).
 *
 * Whatever comes: the answer fits, in parts if it must, is key=value, grants nothing that was not
 * asked for, and ends in a session only for somebody with a name and with parameters that the
 * standard allows, who has proved who he is if he had to: targets whose name ends in "chap" or
 * "mutual" ask for it. What is random is the same every time, so that inputs know the right
 * response.
 */
#include "core/wire.h"
#include "iscsi/login.h"

#include <assert.h>
#include <sys/types.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags)
{
    memset(data, 0x5a, size);
    return (ssize_t)size;
}

/* What was admitted is what has to be proved. */
static struct chap_credentials one_way = {.mode = CHAP_ONE_WAY,
                                          .initiator = {"node", "correct-horse"}};
static const struct chap_credentials older = {
    .mode = CHAP_ONE_WAY, .initiator = {"node", "older-horse-1"}, .tag = 1};
static struct chap_credentials mutual = {.mode = CHAP_MUTUAL,
                                         .initiator = {"node", "correct-horse"},
                                         .target = {"disk", "battery-staple"},
                                         .tag = 2,
                                         .older = &older};
static struct chap_credentials nothing;

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && str_eq(text + n - m, end);
}

static const struct chap_credentials *credentials(void *context, const void *admission)
{
    return admission;
}

static enum iscsi_login_status admit(void *context, const struct iscsi_login_identity *identity,
                                     void **ret_admission, const char **ret_reason)
{
    assert(identity->initiator[0] && strlen(identity->initiator) <= IQN_MAX_LEN);
    assert(identity->discovery || identity->target[0]);
    for (const char *p = identity->initiator; *p; p++)
        assert(*p > ' ' && *p <= '~' && !(*p >= 'A' && *p <= 'Z'));
    *ret_reason = "no such target";
    if (str_eq(identity->target, "iqn.2026-11.x:no"))
        return ISCSI_LOGIN_TARGET_NOT_FOUND;
    *ret_admission = ends_with(identity->target, "chap")     ? &one_way
                     : ends_with(identity->target, "mutual") ? &mutual
                                                             : &nothing;
    return ISCSI_LOGIN_OK;
}

/* An answer, as far as it has come. */
static char whole[72 * KIB + 1];
static size_t whole_size;

static void check_answer(const struct iscsi_text *answer, bool continued)
{
    size_t cursor = 0;
    const char *key, *value;
    int r;
    assert(answer->used <= ISCSI_DEFAULT_SEGMENT && answer->used < sizeof(whole) - whole_size);
    memcpy(whole + whole_size, answer->data, answer->used);
    whole_size += answer->used;
    whole[whole_size] = '\0';
    if (continued) {
        assert(answer->used >= 512); /* the least that an initiator takes */
        return;
    }
    while ((r = iscsi_text_next(whole, whole_size, &cursor, &key, &value)) > 0)
        ;
    assert(r == 0);
    whole_size = 0;
}

static void check_parameters(const struct iscsi_parameters *p)
{
    assert(p->max_burst_length >= 512 && p->max_burst_length <= ISCSI_DATA_SIZE_MAX);
    assert(p->first_burst_length >= 512 && p->first_burst_length <= 262144);
    assert(p->max_send_segment_length >= 512);
    assert(p->max_connections == 1 && p->error_recovery_level == 0);
    assert(p->max_outstanding_r2t >= 1 && p->max_outstanding_r2t <= 8);
    assert(p->data_pdu_in_order && p->data_sequence_in_order);
}

static void check_response(const struct iscsi_login *login, enum iscsi_login_result result,
                           const uint8_t *request, const uint8_t *bhs,
                           const struct iscsi_text *answer)
{
    uint8_t asked = request[BHS_FLAGS], granted = bhs[BHS_FLAGS];
    bool ok = bhs[BHS_STATUS_CLASS] == 0, continued = granted & ISCSI_FLAG_CONTINUE;
    assert(bhs_opcode(bhs) == ISCSI_LOGIN_RESPONSE);
    assert(bhs_get24(bhs, BHS_DATA_LENGTH) == answer->used);
    assert(ok == (result != LOGIN_REFUSED));
    assert(ok || (login->reason && bhs_get16(bhs, (enum iscsi_field)BHS_STATUS_CLASS) >= 0x0200));
    assert(!(granted & ISCSI_FLAG_TRANSIT) || asked & ISCSI_FLAG_TRANSIT);
    assert(!(granted & ISCSI_FLAG_TRANSIT) || !continued);
    assert(!ok || (granted & 0x3f) == (asked & 0x0f & granted));
    assert(ok || !continued);
    assert(!ok || bhs_get32(bhs, BHS_ITT) == bhs_get32(request, BHS_ITT));
    if (!ok)
        whole_size = 0; /* what had come of another answer */
    check_answer(answer, continued);
}

static void check_proof(const struct iscsi_login *login)
{
    const struct chap_credentials *wanted = login->admission;
    assert((login->traits.proven == CHAP_NONE) == (wanted->mode == CHAP_NONE));
    assert(login->traits.proven <= wanted->mode);
}

static void attach(struct iscsi_login *login, uint8_t *bhs)
{
    check_proof(login);
    check_parameters(&login->parameters);
    assert(login->identity.initiator[0]);
    if (login->cmdsn & 1) {
        iscsi_login_finish(login, 7, login->cmdsn + 31, bhs);
        assert(bhs_get16(bhs, BHS_TSIH) == 7 && bhs[BHS_STATUS_CLASS] == 0);
    } else {
        iscsi_login_refuse(login, ISCSI_LOGIN_UNAVAILABLE, "no", bhs);
        assert(bhs[BHS_STATUS_CLASS] == 3 && bhs_get24(bhs, BHS_DATA_LENGTH) == 0);
    }
}

/* False: the connection ends. */
static bool request(struct iscsi_login *login, struct wire_reader *r)
{
    static char text[ISCSI_DEFAULT_SEGMENT];
    struct iscsi_text answer = {.data = text, .size = sizeof(text)};
    uint8_t bhs[ISCSI_BHS_SIZE], response[ISCSI_BHS_SIZE];
    wire_get_copy(r, bhs, sizeof(bhs));
    if (!wire_reader_ok(r))
        return false;
    uint32_t length = bhs_get24(bhs, BHS_DATA_LENGTH) % (ISCSI_DEFAULT_SEGMENT + 1);
    length = (uint32_t)MIN(length, wire_reader_left(r));
    const uint8_t *segment = wire_get_bytes(r, length);
    enum iscsi_login_result result =
        iscsi_login_request(login, bhs, segment, length, response, &answer);
    if (result == LOGIN_DROP)
        return false;
    check_response(login, result, bhs, response, &answer);
    if (result == LOGIN_ATTACH)
        attach(login, response);
    return result == LOGIN_REPLY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct iscsi_login_policy policy = {.admit = admit, .credentials = credentials};
    const struct endpoint source = {.v4 = {.sin_family = AF_INET}};
    struct wire_reader r = wire_reader_of(data, size);
    struct iscsi_login login;
    unsigned requests = 0;
    iscsi_login_init(&login, &policy, &source);
    whole_size = 0;
    while (request(&login, &r))
        assert(whole_size > 0 || ++requests <= 64); /* nobody negotiates for ever */
    iscsi_login_clear(&login);
    return 0;
}
