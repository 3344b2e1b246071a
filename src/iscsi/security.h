/*
 * The security phase of a login, pure: which authentication method, and CHAP step by step (RFC
 * 7143 6.3.2, 12.1). The keys of one request are gathered first, since their order means nothing,
 * and then carried out together.
 */
#pragma once

#include "core/credentials.h"
#include "iscsi/chap.h"
#include "iscsi/status.h"

/* What the initiator has to send next. */
enum iscsi_security_step {
    SECURITY_METHOD,
    SECURITY_ALGORITHM,
    SECURITY_RESPONSE,
    SECURITY_OVER, /* nothing more: authenticated, or there was nothing to prove */
};

/* What one request brings; NULL: not there. They point into its text. */
struct iscsi_security_keys {
    const char *method, *algorithms, *name, *response, *identifier, *challenge;
};

struct iscsi_security {
    enum chap_mode proven; /* who has proved who he is */
    uint64_t proven_tag;   /* with which of the secrets: its tag */
    /* private */
    enum iscsi_security_step step;
    struct iscsi_security_keys keys;
    enum chap_algorithm algorithm;
    uint8_t identifier;
    uint8_t challenge[CHAP_HASH_MAX]; /* ours; chap_hash_size() bytes of it */
};

/* Is it a key of this phase? */
bool iscsi_security_is_key(const char *key);
/* Keeps one until iscsi_security_step(); value must live until then. A refusal's *ret_reason is
 * static, here and below. */
enum iscsi_login_status iscsi_security_take(struct iscsi_security *security, const char *key,
                                            const char *value, const char **ret_reason);
/* A whole request of the security stage has been taken. credentials: what there is to prove, or
 * NULL for nothing; older ones will do, too, and then those prove who we are; transit: the
 * initiator wants to go on to the next stage. */
enum iscsi_login_status iscsi_security_step(struct iscsi_security *security,
                                            const struct chap_credentials *credentials,
                                            bool transit, struct iscsi_text *answer,
                                            const char **ret_reason);
/* The initiator begins without a security stage. */
enum iscsi_login_status iscsi_security_skip(struct iscsi_security *security,
                                            const struct chap_credentials *credentials,
                                            const char **ret_reason);
/* May the security stage end? */
bool iscsi_security_is_over(const struct iscsi_security *security);
