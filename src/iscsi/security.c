#include "iscsi/security.h"

#include <sys/random.h>

/* In which step each key may come. */
static const struct security_key {
    const char *name;
    size_t offset; /* in struct iscsi_security_keys */
    enum iscsi_security_step step;
} security_keys[] = {
    {"AuthMethod", offsetof(struct iscsi_security_keys, method), SECURITY_METHOD},
    {"CHAP_A", offsetof(struct iscsi_security_keys, algorithms), SECURITY_ALGORITHM},
    {"CHAP_N", offsetof(struct iscsi_security_keys, name), SECURITY_RESPONSE},
    {"CHAP_R", offsetof(struct iscsi_security_keys, response), SECURITY_RESPONSE},
    {"CHAP_I", offsetof(struct iscsi_security_keys, identifier), SECURITY_RESPONSE},
    {"CHAP_C", offsetof(struct iscsi_security_keys, challenge), SECURITY_RESPONSE},
};

static const struct security_key *find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(security_keys); i++)
        if (str_eq(security_keys[i].name, name))
            return &security_keys[i];
    return NULL;
}

static enum iscsi_login_status refuse(const char **ret_reason, enum iscsi_login_status status,
                                      const char *reason)
{
    *ret_reason = reason;
    return status;
}

bool iscsi_security_is_key(const char *key)
{
    return find_key(key) != NULL;
}

enum iscsi_login_status iscsi_security_take(struct iscsi_security *security, const char *key,
                                            const char *value, const char **ret_reason)
{
    const struct security_key *known = find_key(key);
    const char **place = (const char **)((char *)&security->keys + known->offset);
    if (known->step != security->step)
        return refuse(ret_reason, ISCSI_LOGIN_INITIATOR_ERROR,
                      "sent a key of the authentication out of order");
    if (*place)
        return refuse(ret_reason, ISCSI_LOGIN_INITIATOR_ERROR,
                      "sent a key of the authentication twice");
    *place = value;
    return ISCSI_LOGIN_OK;
}

static bool must_prove(const struct chap_credentials *credentials)
{
    return credentials && credentials->mode != CHAP_NONE;
}

static enum iscsi_login_status no_method(const char **ret_reason)
{
    return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED,
                  "did not offer CHAP, but has to prove who it is");
}

/* RFC 7143 12.1: with nothing to prove None will do, and with something only CHAP. */
static enum iscsi_login_status choose_method(struct iscsi_security *security,
                                             const struct chap_credentials *credentials,
                                             bool transit, struct iscsi_text *answer,
                                             const char **ret_reason)
{
    const char *offered = security->keys.method;
    bool required = must_prove(credentials);
    if (!offered && !transit)
        return ISCSI_LOGIN_OK;
    if (required && (!offered || iscsi_text_list_find(offered, "CHAP") < 0))
        return no_method(ret_reason);
    if (!required && offered && iscsi_text_list_find(offered, "None") < 0)
        return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED,
                      "insists on authentication, but no secret is set for it");
    if (offered)
        iscsi_text_add(answer, "AuthMethod", required ? "CHAP" : "None");
    security->step = required ? SECURITY_ALGORITHM : SECURITY_OVER;
    return ISCSI_LOGIN_OK;
}

static enum iscsi_login_status send_challenge(struct iscsi_security *security,
                                              struct iscsi_text *answer, const char **ret_reason)
{
    if (!security->keys.algorithms)
        return refuse(ret_reason, ISCSI_LOGIN_INITIATOR_ERROR, "named no algorithm for CHAP");
    if (chap_choose_algorithm(security->keys.algorithms, &security->algorithm) < 0)
        return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED, "knows none of our algorithms for CHAP");
    size_t size = chap_hash_size(security->algorithm);
    if (getrandom(security->challenge, size, 0) != (ssize_t)size ||
        getrandom(&security->identifier, 1, 0) != 1)
        return refuse(ret_reason, ISCSI_LOGIN_TARGET_ERROR,
                      "the kernel gave no random bytes for a challenge");
    iscsi_text_addf(answer, "CHAP_A", "%u", (unsigned)security->algorithm);
    iscsi_text_addf(answer, "CHAP_I", "%u", security->identifier);
    chap_add_binary(answer, "CHAP_C", security->challenge, size);
    security->step = SECURITY_RESPONSE;
    return ISCSI_LOGIN_OK;
}

/* Each of the secrets is tried, whichever it is. */
static const struct chap_credentials *find_secret(const struct iscsi_security *security,
                                                  const struct chap_credentials *credentials,
                                                  const uint8_t *response, size_t size)
{
    uint8_t expected[CHAP_HASH_MAX];
    size_t hash_size = chap_hash_size(security->algorithm);
    const struct chap_credentials *found = NULL;
    const struct chap_credentials *c = credentials; /* of whom something is to be proved */
    do {
        chap_respond(security->algorithm, security->identifier, c->initiator.secret,
                     security->challenge, hash_size, expected);
        bool same = size == hash_size && chap_same(response, expected, hash_size);
        if (same && !found)
            found = c;
        c = c->older;
    } while (c);
    return found;
}

/* *ret_credentials: those that were proved. */
static enum iscsi_login_status check_response(const struct iscsi_security *security,
                                              const struct chap_credentials *credentials,
                                              const struct chap_credentials **ret_credentials,
                                              const char **ret_reason)
{
    uint8_t response[CHAP_BINARY_MAX];
    size_t size;
    if (!security->keys.name || !security->keys.response)
        return refuse(ret_reason, ISCSI_LOGIN_INITIATOR_ERROR, "left out a key of CHAP");
    if (chap_decode(security->keys.response, response, &size) < 0)
        return refuse(ret_reason, ISCSI_LOGIN_INITIATOR_ERROR, "sent a CHAP_R that is no number");
    const struct chap_credentials *found = find_secret(security, credentials, response, size);
    if (!str_eq(security->keys.name, (found ? found : credentials)->initiator.user))
        return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED, "has the wrong CHAP user name");
    if (!found)
        return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED, "has the wrong CHAP secret");
    *ret_credentials = found;
    return ISCSI_LOGIN_OK;
}

/* RFC 7143 9.2.1: nobody gets a response to a challenge of ours, or with a secret of theirs. */
static enum iscsi_login_status check_challenge(const struct iscsi_security *security,
                                               const struct chap_credentials *credentials,
                                               const uint8_t *challenge, size_t size,
                                               const char **ret_reason)
{
    if (size == chap_hash_size(security->algorithm) &&
        memcmp(challenge, security->challenge, size) == 0)
        return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED, "sent our own CHAP challenge back");
    if (credentials->mode != CHAP_MUTUAL)
        return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED,
                      "wants the target to prove itself, but no secret is set for that");
    if (str_eq(credentials->initiator.secret, credentials->target.secret))
        return refuse(ret_reason, ISCSI_LOGIN_AUTH_FAILED,
                      "has the same CHAP secret for both directions");
    return ISCSI_LOGIN_OK;
}

/* The initiator has proved itself and asks the same of us. */
static enum iscsi_login_status prove_ourselves(struct iscsi_security *security,
                                               const struct chap_credentials *credentials,
                                               struct iscsi_text *answer, const char **ret_reason)
{
    uint8_t challenge[CHAP_BINARY_MAX], response[CHAP_HASH_MAX];
    size_t size;
    uint32_t identifier;
    const struct iscsi_security_keys *keys = &security->keys;
    if (!keys->identifier || !keys->challenge ||
        iscsi_text_number(keys->identifier, &identifier) < 0 || identifier > UINT8_MAX ||
        chap_decode(keys->challenge, challenge, &size) < 0)
        return refuse(ret_reason, ISCSI_LOGIN_INITIATOR_ERROR,
                      "sent a CHAP challenge that is none");
    enum iscsi_login_status status =
        check_challenge(security, credentials, challenge, size, ret_reason);
    if (status != ISCSI_LOGIN_OK)
        return status;
    chap_respond(security->algorithm, (uint8_t)identifier, credentials->target.secret, challenge,
                 size, response);
    iscsi_text_add(answer, "CHAP_N", credentials->target.user);
    chap_add_binary(answer, "CHAP_R", response, chap_hash_size(security->algorithm));
    security->proven = CHAP_MUTUAL;
    return ISCSI_LOGIN_OK;
}

static enum iscsi_login_status finish(struct iscsi_security *security,
                                      const struct chap_credentials *credentials,
                                      struct iscsi_text *answer, const char **ret_reason)
{
    const struct iscsi_security_keys *keys = &security->keys;
    const struct chap_credentials *proved;
    enum iscsi_login_status status = check_response(security, credentials, &proved, ret_reason);
    if (status != ISCSI_LOGIN_OK)
        return status;
    security->proven = CHAP_ONE_WAY;
    security->proven_tag = proved->tag;
    if (keys->identifier || keys->challenge)
        status = prove_ourselves(security, proved, answer, ret_reason);
    if (status == ISCSI_LOGIN_OK)
        security->step = SECURITY_OVER;
    return status;
}

enum iscsi_login_status iscsi_security_step(struct iscsi_security *security,
                                            const struct chap_credentials *credentials,
                                            bool transit, struct iscsi_text *answer,
                                            const char **ret_reason)
{
    enum iscsi_login_status status = ISCSI_LOGIN_OK;
    switch (security->step) {
    case SECURITY_METHOD:
        status = choose_method(security, credentials, transit, answer, ret_reason);
        break;
    case SECURITY_ALGORITHM:
        status = send_challenge(security, answer, ret_reason);
        break;
    case SECURITY_RESPONSE:
        status = finish(security, credentials, answer, ret_reason);
        break;
    case SECURITY_OVER:
        break;
    }
    security->keys = (struct iscsi_security_keys){0};
    return status;
}

enum iscsi_login_status iscsi_security_skip(struct iscsi_security *security,
                                            const struct chap_credentials *credentials,
                                            const char **ret_reason)
{
    if (must_prove(credentials))
        return no_method(ret_reason);
    security->step = SECURITY_OVER;
    return ISCSI_LOGIN_OK;
}

bool iscsi_security_is_over(const struct iscsi_security *security)
{
    return security->step == SECURITY_OVER;
}
