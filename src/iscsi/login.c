#include "iscsi/login.h"

#include <ctype.h>
#include <errno.h>

/* A login takes 2 to 6 requests; one that takes more is not meant well. */
#define MAX_REQUESTS 32
#define MAX_TEXT     (16 * KIB)
#define MAX_ANSWER   (64 * KIB)

void iscsi_login_init(struct iscsi_login *login, const struct iscsi_login_policy *policy,
                      const struct endpoint *source)
{
    *login = (struct iscsi_login){
        .policy = policy, .identity.source = *source, .answer.limit = MAX_ANSWER};
    iscsi_parameters_init(&login->parameters);
}

static void clear_answer(struct iscsi_login *login)
{
    free(login->answer.data);
    login->answer = (struct iscsi_text){.limit = MAX_ANSWER};
    login->answered = 0;
}

void iscsi_login_clear(struct iscsi_login *login)
{
    free(login->text);
    login->text = NULL;
    clear_answer(login);
}

static int refuse(struct iscsi_login *login, enum iscsi_login_status status, const char *reason)
{
    login->status = status;
    login->reason = reason;
    return -EPROTO;
}

static enum iscsi_stage current_stage(const uint8_t *bhs)
{
    return bhs[BHS_FLAGS] >> 2 & 0x03;
}

static enum iscsi_stage next_stage(const uint8_t *bhs)
{
    return bhs[BHS_FLAGS] & 0x03;
}

static bool wants_transit(const uint8_t *bhs)
{
    return bhs[BHS_FLAGS] & ISCSI_FLAG_TRANSIT;
}

static bool is_continued(const uint8_t *bhs)
{
    return bhs[BHS_FLAGS] & ISCSI_FLAG_CONTINUE;
}

/* Takes over from the first request what all others must repeat. */
static void start(struct iscsi_login *login, const uint8_t *bhs)
{
    login->started = true;
    login->stage = current_stage(bhs);
    login->itt = bhs_get32(bhs, BHS_ITT);
    login->cmdsn = bhs_get32(bhs, BHS_CMDSN);
    memcpy(login->identity.isid, bhs + BHS_ISID, sizeof(login->identity.isid));
    login->identity.tsih = bhs_get16(bhs, BHS_TSIH);
    login->identity.cid = bhs_get16(bhs, BHS_CID);
}

/* iPXE counts its ITT up from one request to the next, against RFC 7143 11.12: not checked. */
static int check_header(struct iscsi_login *login, const uint8_t *bhs)
{
    if (bhs[3] > 0) /* Version-min: we speak version 0 */
        return refuse(login, ISCSI_LOGIN_UNSUPPORTED_VERSION,
                      "speaks only newer versions of iSCSI");
    if (wants_transit(bhs) && is_continued(bhs))
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "T and C in one login request");
    if (current_stage(bhs) > ISCSI_STAGE_OPERATIONAL ||
        (wants_transit(bhs) && (next_stage(bhs) <= current_stage(bhs) || next_stage(bhs) == 2)))
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "login stages out of order");
    if (!login->started)
        start(login, bhs);
    login->itt = bhs_get32(bhs, BHS_ITT);
    if (current_stage(bhs) != login->stage)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "login stages out of order");
    if (memcmp(bhs + BHS_ISID, login->identity.isid, sizeof(login->identity.isid)) != 0 ||
        bhs_get16(bhs, BHS_CID) != login->identity.cid ||
        bhs_get16(bhs, BHS_TSIH) != login->identity.tsih)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR,
                      "ISID, TSIH or CID changed during the login");
    return 0;
}

/* Collects the text of this request behind that of those which it continues. */
static int gather(struct iscsi_login *login, const uint8_t *text, uint32_t length)
{
    if (login->text_length + length > MAX_TEXT)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "too much login text");
    char *grown = realloc(login->text, login->text_length + length + 1);
    if (!grown)
        return refuse(login, ISCSI_LOGIN_OUT_OF_RESOURCES, "out of memory");
    login->text = grown;
    if (length > 0)
        memcpy(grown + login->text_length, text, length);
    login->text_length += length;
    grown[login->text_length] = '\0';
    return 0;
}

/* Names are compared in lower case and end up in the log: letters, digits and a few marks only. */
static int copy_name(struct iscsi_login *login, char *place, const char *value)
{
    size_t n = strlen(value);
    if (n == 0 || n > IQN_MAX_LEN)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "an iSCSI name of a wrong length");
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c && !isalnum(c) && !strchr(".:-_", c))
            return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR,
                          "an iSCSI name with strange characters");
        place[i] = (char)tolower(c);
    }
    return 0;
}

static void copy_alias(char *place, size_t size, const char *value)
{
    str_copy(place, size, value);
    for (char *p = place; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
}

static int take_session_type(struct iscsi_login *login, const char *value)
{
    login->identity.discovery = str_eq(value, "Discovery");
    if (!login->identity.discovery && !str_eq(value, "Normal"))
        return refuse(login, ISCSI_LOGIN_SESSION_TYPE, "asks for an unknown session type");
    return 0;
}

/* Of the security stage only. */
static int take_security(struct iscsi_login *login, const char *key, const char *value)
{
    const char *reason;
    if (login->stage != ISCSI_STAGE_SECURITY)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR,
                      "sent a key of the authentication out of order");
    enum iscsi_login_status status = iscsi_security_take(&login->security, key, value, &reason);
    return status == ISCSI_LOGIN_OK ? 0 : refuse(login, status, reason);
}

static void note_traits(struct iscsi_login *login, const char *key, const char *value)
{
    iscsi_program_note(&login->signs, key, value);
    const struct iscsi_program *program = iscsi_program_find(&login->signs);
    login->traits.program = program ? program->name : NULL;
    login->traits.firmware = program && program->firmware;
    login->traits.adopts_session = program && program->adopts_session;
}

static int take_operational(struct iscsi_login *login, const char *key, const char *value,
                            struct iscsi_text *answer)
{
    enum iscsi_negotiation r =
        iscsi_negotiate(&login->parameters, key, value, login->identity.discovery, answer);
    if (r == NEGOTIATION_TWICE)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "negotiates a key twice");
    if (r == NEGOTIATION_UNKNOWN) /* a key of the standard is never that */
        iscsi_text_add(answer, key, iscsi_key_is_standard(key) ? "Reject" : "NotUnderstood");
    return 0;
}

static int take_who(struct iscsi_login *login, const char *key, const char *value)
{
    if (str_eq(key, "InitiatorName"))
        return copy_name(login, login->identity.initiator, value);
    if (str_eq(key, "TargetName"))
        return copy_name(login, login->identity.target, value);
    return take_session_type(login, value);
}

/* Who wants what. After admit() it may be repeated, but not changed: what was admitted is what
 * there is a session for. */
static int take_identity(struct iscsi_login *login, const char *key, const char *value)
{
    struct iscsi_login_identity *now = &login->identity, before = *now;
    int r = take_who(login, key, value);
    if (r == 0 && login->named &&
        (!str_eq(now->initiator, before.initiator) || !str_eq(now->target, before.target) ||
         now->discovery != before.discovery))
        r = refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "changed its name during the login");
    if (r < 0)
        *now = before;
    return r;
}

static bool is_identity(const char *key)
{
    return str_eq(key, "InitiatorName") || str_eq(key, "TargetName") || str_eq(key, "SessionType");
}

static int take_key(struct iscsi_login *login, const char *key, const char *value,
                    struct iscsi_text *answer)
{
    struct iscsi_login_identity *identity = &login->identity;
    note_traits(login, key, value);
    if (is_identity(key))
        return take_identity(login, key, value);
    if (iscsi_security_is_key(key))
        return take_security(login, key, value);
    if (str_eq(key, "InitiatorAlias")) {
        copy_alias(identity->alias, sizeof(identity->alias), value);
        return 0;
    }
    if (iscsi_text_is_answer(value))
        return 0; /* to a key of ours */
    return take_operational(login, key, value, answer);
}

static int take_text(struct iscsi_login *login, struct iscsi_text *answer)
{
    size_t cursor = 0;
    const char *key, *value;
    int r;
    while ((r = iscsi_text_next(login->text, login->text_length, &cursor, &key, &value)) > 0) {
        int taken = take_key(login, key, value, answer);
        if (taken < 0)
            return taken;
    }
    login->text_length = 0;
    if (r < 0)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "login text that is not key=value");
    return 0;
}

/* RFC 7143 11.13.5, 13.8. Never to the portal that it has come to: it would come back for ever. */
static bool is_elsewhere(struct iscsi_login *login)
{
    const struct iscsi_login_policy *policy = login->policy;
    const struct iscsi_login_identity *identity = &login->identity;
    return !identity->discovery && policy->redirect &&
           policy->redirect(policy->context, identity, &login->moved_to) &&
           !(endpoint_same_host(&login->moved_to, &identity->portal) &&
             endpoint_port(&login->moved_to) == endpoint_port(&identity->portal));
}

/* RFC 7143 13.7. */
static void tell_alias(const struct iscsi_login *login, struct iscsi_text *answer)
{
    const struct iscsi_login_policy *policy = login->policy;
    const char *alias = policy->alias && !login->identity.discovery
                            ? policy->alias(policy->context, login->admission)
                            : NULL;
    if (alias)
        iscsi_text_add(answer, "TargetAlias", alias);
}

/* Once, with the first complete request: who is it, and may it? */
static int admit(struct iscsi_login *login, struct iscsi_text *answer)
{
    struct iscsi_login_identity *identity = &login->identity;
    if (login->named)
        return 0;
    login->named = true;
    if (!identity->initiator[0])
        return refuse(login, ISCSI_LOGIN_MISSING_PARAMETER, "gave no InitiatorName");
    if (!identity->target[0] && !identity->discovery)
        return refuse(login, ISCSI_LOGIN_MISSING_PARAMETER, "gave no TargetName");
    if (is_elsewhere(login))
        return refuse(login, ISCSI_LOGIN_MOVED_TEMPORARILY, "another portal serves this volume");
    const char *reason = "refused";
    enum iscsi_login_status status =
        login->policy->admit(login->policy->context, identity, &login->admission, &reason);
    if (status != ISCSI_LOGIN_OK)
        return refuse(login, status, reason);
    if (identity->target[0])
        iscsi_text_add(answer, "TargetPortalGroupTag", ISCSI_PORTAL_GROUP_TAG);
    tell_alias(login, answer);
    return 0;
}

/* What the policy wants proved, step by step; its credentials do not change on the way, since the
 * admission holds them. */
static int authenticate(struct iscsi_login *login, const uint8_t *bhs, struct iscsi_text *answer)
{
    const struct iscsi_login_policy *policy = login->policy;
    const struct chap_credentials *credentials =
        policy->credentials ? policy->credentials(policy->context, login->admission) : NULL;
    struct iscsi_security *security = &login->security;
    const char *reason = NULL;
    enum iscsi_login_status status = ISCSI_LOGIN_OK;
    if (login->stage == ISCSI_STAGE_SECURITY)
        status = iscsi_security_step(security, credentials, wants_transit(bhs), answer, &reason);
    else if (!iscsi_security_is_over(security))
        status = iscsi_security_skip(security, credentials, &reason);
    login->traits.proven = security->proven;
    login->traits.proven_tag = security->proven_tag;
    return status == ISCSI_LOGIN_OK ? 0 : refuse(login, status, reason);
}

/* Once, in the operational stage; RFC 7143 13.12. */
static void declare_segment(struct iscsi_login *login, struct iscsi_text *answer)
{
    if (login->segment_declared || login->stage != ISCSI_STAGE_OPERATIONAL)
        return;
    login->segment_declared = true;
    iscsi_text_addf(answer, "MaxRecvDataSegmentLength", "%u", ISCSI_MAX_RECEIVE_SEGMENT);
}

static void fill_response(const struct iscsi_login *login, uint8_t bhs[static ISCSI_BHS_SIZE])
{
    memset(bhs, 0, ISCSI_BHS_SIZE);
    bhs[BHS_OPCODE] = ISCSI_LOGIN_RESPONSE;
    memcpy(bhs + BHS_ISID, login->identity.isid, sizeof(login->identity.isid));
    bhs_put16(bhs, BHS_TSIH, login->identity.tsih);
    bhs_put32(bhs, BHS_ITT, login->itt);
    bhs_put32(bhs, BHS_STATSN, login->statsn);
    bhs_put32(bhs, BHS_EXPCMDSN, login->cmdsn);
    bhs_put32(bhs, BHS_MAXCMDSN, login->cmdsn);
    bhs_put16(bhs, (enum iscsi_field)BHS_STATUS_CLASS, (uint16_t)login->status);
}

static enum iscsi_login_result refused(struct iscsi_login *login, uint8_t *bhs,
                                       struct iscsi_text *answer)
{
    char portal[ENDPOINT_TEXT_SIZE];
    answer->used = 0;
    fill_response(login, bhs);
    bhs[BHS_FLAGS] = (uint8_t)(login->stage << 2);
    if (login->status == ISCSI_LOGIN_MOVED_TEMPORARILY) /* without a portal group, always a port */
        iscsi_text_add(answer, "TargetAddress", endpoint_format_portal(&login->moved_to, portal));
    bhs_put24(bhs, BHS_DATA_LENGTH, (uint32_t)answer->used);
    return LOGIN_REFUSED;
}

/* The security stage ends only when there is nothing left to prove. */
static bool grants_transit(const struct iscsi_login *login, const uint8_t *request)
{
    return wants_transit(request) &&
           (login->stage != ISCSI_STAGE_SECURITY || iscsi_security_is_over(&login->security));
}

/* Puts in the next part of the answer, cut wherever the initiator takes no more at once; true: it
 * is the last. */
static bool put_part(struct iscsi_login *login, struct iscsi_text *part)
{
    const struct iscsi_text *whole = &login->answer;
    size_t limit = MIN(part->size, login->parameters.max_send_segment_length);
    part->used = MIN(whole->used - login->answered, limit);
    if (part->used > 0)
        memcpy(part->data, whole->data + login->answered, part->used);
    login->answered += part->used;
    if (login->answered < whole->used)
        return false;
    clear_answer(login);
    return true;
}

/* The response to a request that is understood, granting the transition that it asks for. */
static enum iscsi_login_result respond(struct iscsi_login *login, const uint8_t *request,
                                       uint8_t *bhs, struct iscsi_text *answer)
{
    bool last = put_part(login, answer);
    bool transit = last && grants_transit(login, request);
    fill_response(login, bhs);
    bhs[BHS_FLAGS] = (uint8_t)(login->stage << 2 | (last ? 0 : ISCSI_FLAG_CONTINUE));
    if (transit)
        bhs[BHS_FLAGS] |= (uint8_t)(ISCSI_FLAG_TRANSIT | next_stage(request));
    bhs_put24(bhs, BHS_DATA_LENGTH, (uint32_t)answer->used);
    if (transit && next_stage(request) == ISCSI_STAGE_FULL_FEATURE)
        return LOGIN_ATTACH;
    if (transit)
        login->stage = next_stage(request);
    login->statsn++;
    return LOGIN_REPLY;
}

/* What is left of an answer is fetched by a request that says nothing but T and NSG. */
static int take_fetch(struct iscsi_login *login, const uint8_t *bhs, uint32_t length)
{
    bool fetches = length == 0 && !is_continued(bhs) && bhs_get32(bhs, BHS_ITT) == login->itt;
    if (check_header(login, bhs) < 0)
        return -EPROTO;
    return fetches ? 0
                   : refuse(login, ISCSI_LOGIN_INITIATOR_ERROR,
                            "asked something else before it had fetched the whole answer");
}

/* Answers all that was asked, as soon as it has come whole. */
static int take_request(struct iscsi_login *login, const uint8_t *bhs, const uint8_t *text,
                        uint32_t length)
{
    struct iscsi_text *answer = &login->answer;
    if (check_header(login, bhs) < 0)
        return -EPROTO;
    if (++login->requests > MAX_REQUESTS)
        return refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "too many login requests");
    if (gather(login, text, length) < 0)
        return -EPROTO;
    if (is_continued(bhs))
        return 0;
    if (take_text(login, answer) < 0 || admit(login, answer) < 0 ||
        authenticate(login, bhs, answer) < 0)
        return -EPROTO;
    declare_segment(login, answer);
    return answer->overflow
               ? refuse(login, ISCSI_LOGIN_INITIATOR_ERROR, "too many keys in one login request")
               : 0;
}

enum iscsi_login_result iscsi_login_request(struct iscsi_login *login,
                                            const uint8_t bhs[static ISCSI_BHS_SIZE],
                                            const uint8_t *text, uint32_t length,
                                            uint8_t ret_bhs[static ISCSI_BHS_SIZE],
                                            struct iscsi_text *answer)
{
    answer->used = 0;
    answer->overflow = false;
    if (bhs_opcode(bhs) != ISCSI_LOGIN)
        return LOGIN_DROP;
    int r = login->answer.used > 0 ? take_fetch(login, bhs, length)
                                   : take_request(login, bhs, text, length);
    return r < 0 ? refused(login, ret_bhs, answer) : respond(login, bhs, ret_bhs, answer);
}

void iscsi_login_finish(struct iscsi_login *login, uint16_t tsih, uint32_t max_cmdsn,
                        uint8_t bhs[static ISCSI_BHS_SIZE])
{
    bhs_put16(bhs, BHS_TSIH, tsih);
    bhs_put32(bhs, BHS_MAXCMDSN, max_cmdsn);
    login->statsn++;
}

void iscsi_login_refuse(struct iscsi_login *login, enum iscsi_login_status status,
                        const char *reason, uint8_t bhs[static ISCSI_BHS_SIZE])
{
    (void)refuse(login, status, reason);
    fill_response(login, bhs);
    bhs[BHS_FLAGS] = (uint8_t)(login->stage << 2);
}
