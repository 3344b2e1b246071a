/*
 * The login phase of one connection, pure: login requests in, login responses out (RFC 7143 6.3,
 * 11.12, 11.13). Who may log in to what is asked of a policy; the session itself is made by
 * whoever runs this, when the login is ready for it.
 */
#pragma once

#include "core/names.h"
#include "core/net.h"
#include "iscsi/negotiate.h"
#include "iscsi/pdu.h"
#include "iscsi/program.h"
#include "iscsi/security.h"
#include "iscsi/status.h"

/* All portals are one group: a session may come through any of them. */
#define ISCSI_PORTAL_GROUP_TAG "1"

enum iscsi_stage {
    ISCSI_STAGE_SECURITY = 0,
    ISCSI_STAGE_OPERATIONAL = 1,
    ISCSI_STAGE_FULL_FEATURE = 3,
};

/* Who wants to log in where; valid from the policy's admit() on. */
struct iscsi_login_identity {
    char initiator[IQN_MAX_LEN + 1]; /* lower case */
    char target[IQN_MAX_LEN + 1];    /* lower case; "" in a discovery session */
    char alias[256];                 /* InitiatorAlias: Linux puts its host name there */
    uint8_t isid[6];
    uint16_t tsih; /* 0: a new session, or the reinstatement of the one with this ISID */
    uint16_t cid;
    bool discovery;
    struct endpoint source;
    struct endpoint portal; /* that it came to */
};

/* Which program logs in; see program.h. */
struct iscsi_login_traits {
    const char *program; /* for people; NULL: unknown */
    bool firmware;
    bool adopts_session;
    enum chap_mode proven; /* by the authentication */
    uint64_t proven_tag;   /* with the credentials that have this tag */
};

struct iscsi_login_policy {
    /* May identity->initiator use identity->target (or discover)? A status; *ret_reason, a static
     * or catalog text, says why not, for the log. On ISCSI_LOGIN_OK the policy may store what it
     * found in *ret_admission; whoever runs the login hands it back. */
    enum iscsi_login_status (*admit)(void *context, const struct iscsi_login_identity *identity,
                                     void **ret_admission, const char **ret_reason);
    /* What must be proved by whom was admitted; NULL: nothing. Lives until the admission is
     * released; for discovery (which has none) as long as the policy. May be NULL. */
    const struct chap_credentials *(*credentials)(void *context, const void *admission);
    /* TargetAlias of what was admitted to, for people; NULL: none. Lives until the admission is
     * released. May be NULL. */
    const char *(*alias)(void *context, const void *admission);
    /* Is that target served by another portal? Asked before admit(); may be NULL. The port in
     * *ret_portal must not be 0; iPXE follows IPv4 addresses only. A login that has come to that
     * very portal is not sent there again. */
    bool (*redirect)(void *context, const struct iscsi_login_identity *identity,
                     struct endpoint *ret_portal);
    void *context;
};

struct iscsi_login {
    const struct iscsi_login_policy *policy;
    struct iscsi_login_identity identity;
    struct iscsi_login_traits traits;
    struct iscsi_program_signs signs;
    struct iscsi_parameters parameters;
    void *admission;
    const char *reason;       /* why it was refused; static */
    struct endpoint moved_to; /* MOVED_TEMPORARILY */
    enum iscsi_login_status status;
    uint32_t cmdsn;  /* of the first request: where the session's numbering begins */
    uint32_t statsn; /* of the next response */
    bool named;      /* it has said who it is, and the policy was asked */
    /* private */
    struct iscsi_security security;
    enum iscsi_stage stage;
    uint32_t itt;
    unsigned requests;
    char *text; /* of requests that are continued; owned */
    size_t text_length;
    struct iscsi_text answer; /* to the last of them, until it has left; owned */
    size_t answered;          /* bytes of it that have left */
    bool started, segment_declared;
};

enum iscsi_login_result {
    LOGIN_REPLY,   /* send the response and wait for the next request */
    LOGIN_ATTACH,  /* negotiation is over: make the session, then iscsi_login_finish() or _refuse()
                    */
    LOGIN_REFUSED, /* send the response and close the connection; status and reason tell why */
    LOGIN_DROP,    /* close without an answer: this is not a login */
};

void iscsi_login_init(struct iscsi_login *login, const struct iscsi_login_policy *policy,
                      const struct endpoint *source);
void iscsi_login_clear(struct iscsi_login *login);

/* One PDU of the login phase; text[0..length) is its data segment. The response's header goes to
 * ret_bhs, its text to `answer` (of at least ISCSI_DEFAULT_SEGMENT bytes, emptied here). An answer
 * that is longer than that, or than the initiator takes at once, goes in parts, each but the first
 * fetched by a request that says nothing (RFC 7143 6.2). After LOGIN_ATTACH both must be kept for
 * iscsi_login_finish(). */
enum iscsi_login_result iscsi_login_request(struct iscsi_login *login,
                                            const uint8_t bhs[static ISCSI_BHS_SIZE],
                                            const uint8_t *text, uint32_t length,
                                            uint8_t ret_bhs[static ISCSI_BHS_SIZE],
                                            struct iscsi_text *answer);

/* The session was made: completes the last response with its TSIH and its window. */
void iscsi_login_finish(struct iscsi_login *login, uint16_t tsih, uint32_t max_cmdsn,
                        uint8_t bhs[static ISCSI_BHS_SIZE]);
/* It could not be: turns the last response into a refusal (without text). */
void iscsi_login_refuse(struct iscsi_login *login, enum iscsi_login_status status,
                        const char *reason, uint8_t bhs[static ISCSI_BHS_SIZE]);
