/* The steps of the security stage, with requests as they come out of the text parser. */
#include "test.h"

#include "iscsi/security.h"

#include <sys/types.h>

#define CHALLENGE_BYTE 0x5a

ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags);

static bool no_random;

ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags)
{
    if (no_random)
        return -1;
    memset(data, CHALLENGE_BYTE, size);
    return (ssize_t)size;
}

static const struct chap_credentials one_way = {.mode = CHAP_ONE_WAY,
                                                .initiator = {"node", "correct-horse"}};
static const struct chap_credentials mutual = {
    CHAP_MUTUAL, {"node", "correct-horse"}, {"disk", "battery-staple"}};

static struct iscsi_security security;
static const struct chap_credentials *credentials;
static const char *reason;
static char text[8192];
static struct iscsi_text answer;

static int setup(void **state)
{
    security = (struct iscsi_security){0};
    credentials = &one_way;
    no_random = false;
    reason = NULL;
    return 0;
}

/* keys: pairs of key and value, then NULL. */
static enum iscsi_login_status request(bool transit, const char *const *keys)
{
    answer = (struct iscsi_text){.data = text, .size = sizeof(text)};
    memset(text, 0, sizeof(text));
    for (; *keys; keys += 2) {
        assert_true(iscsi_security_is_key(keys[0]));
        enum iscsi_login_status status = iscsi_security_take(&security, keys[0], keys[1], &reason);
        if (status != ISCSI_LOGIN_OK)
            return status;
    }
    return iscsi_security_step(&security, credentials, transit, &answer, &reason);
}

#define REQUEST(transit, ...) request(transit, (const char *const[]){__VA_ARGS__, NULL})

static const char *answered(const char *key)
{
    size_t n = strlen(key);
    for (const char *p = text; p < text + answer.used; p += strlen(p) + 1)
        if (strncmp(p, key, n) == 0 && p[n] == '=')
            return p + n + 1;
    return NULL;
}

static void expect_refusal(enum iscsi_login_status got, enum iscsi_login_status status,
                           const char *words)
{
    assert_int_equal(got, status);
    assert_contains(reason, words);
    assert_false(iscsi_security_is_over(&security));
}

/* Up to the challenge, with a list of algorithms. */
static void get_challenge(const char *algorithms)
{
    assert_int_equal(REQUEST(true, "AuthMethod", "CHAP,None"), ISCSI_LOGIN_OK);
    assert_string_equal(answered("AuthMethod"), "CHAP");
    assert_false(iscsi_security_is_over(&security));
    assert_int_equal(REQUEST(true, "CHAP_A", algorithms), ISCSI_LOGIN_OK);
    assert_false(iscsi_security_is_over(&security));
}

static const char *response(enum chap_algorithm algorithm, uint8_t identifier, const char *secret)
{
    static char value[256];
    uint8_t challenge[CHAP_HASH_MAX], hash[CHAP_HASH_MAX];
    struct iscsi_text out = {.data = value, .size = sizeof(value)};
    memset(challenge, CHALLENGE_BYTE, sizeof(challenge));
    chap_respond(algorithm, identifier, secret, challenge, chap_hash_size(algorithm), hash);
    chap_add_binary(&out, "R", hash, chap_hash_size(algorithm));
    return value + 2;
}

static const char *right_response(void)
{
    return response(CHAP_MD5, CHALLENGE_BYTE, "correct-horse");
}

static void nothing_to_prove(void **state)
{
    credentials = NULL;
    assert_int_equal(REQUEST(true, "AuthMethod", "CHAP,None"), ISCSI_LOGIN_OK);
    assert_string_equal(answered("AuthMethod"), "None");
    assert_true(iscsi_security_is_over(&security));
    assert_int_equal(security.proven, CHAP_NONE);

    setup(state);
    credentials = &(const struct chap_credentials){.mode = CHAP_NONE};
    assert_int_equal(request(true, (const char *const[]){NULL}), ISCSI_LOGIN_OK);
    assert_int_equal(answer.used, 0);
    assert_true(iscsi_security_is_over(&security));

    setup(state);
    credentials = NULL;
    assert_int_equal(iscsi_security_skip(&security, credentials, &reason), ISCSI_LOGIN_OK);
    assert_true(iscsi_security_is_over(&security));
}

static void who_wants_chap_where_there_is_no_secret(void **state)
{
    credentials = NULL;
    expect_refusal(REQUEST(true, "AuthMethod", "CHAP"), ISCSI_LOGIN_AUTH_FAILED, "no secret");
    setup(state);
    credentials = NULL;
    expect_refusal(REQUEST(false, "AuthMethod", "KRB5,SRP"), ISCSI_LOGIN_AUTH_FAILED, "no secret");
}

static void who_has_to_prove_and_does_not_want_to(void **state)
{
    static const char *const offers[] = {"None", "KRB5,None", "chap", "CHAPS", ""};
    for (size_t i = 0; i < ARRAY_SIZE(offers); i++) {
        setup(state);
        expect_refusal(REQUEST(true, "AuthMethod", offers[i]), ISCSI_LOGIN_AUTH_FAILED,
                       "did not offer CHAP");
    }
    setup(state);
    expect_refusal(request(true, (const char *const[]){NULL}), ISCSI_LOGIN_AUTH_FAILED,
                   "did not offer CHAP");
    setup(state);
    expect_refusal(iscsi_security_skip(&security, credentials, &reason), ISCSI_LOGIN_AUTH_FAILED,
                   "did not offer CHAP");
    setup(state); /* it may still come */
    assert_int_equal(request(false, (const char *const[]){NULL}), ISCSI_LOGIN_OK);
    assert_false(iscsi_security_is_over(&security));
    assert_int_equal(REQUEST(false, "AuthMethod", "None,KRB5,CHAP"), ISCSI_LOGIN_OK);
    assert_string_equal(answered("AuthMethod"), "CHAP");
}

static void one_way_with_every_algorithm(void **state)
{
    static const enum chap_algorithm algorithms[] = {CHAP_MD5, CHAP_SHA1, CHAP_SHA256,
                                                     CHAP_SHA3_256};
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        char list[16];
        uint8_t data[CHAP_BINARY_MAX];
        size_t size;
        setup(state);
        snprintf(list, sizeof(list), "9,%u,5", (unsigned)algorithms[i]);
        get_challenge(list);
        assert_int_equal(strtoul(answered("CHAP_A"), NULL, 10), algorithms[i]);
        assert_string_equal(answered("CHAP_I"), "90");
        assert_int_equal(chap_decode(answered("CHAP_C"), data, &size), 0);
        assert_int_equal(size, chap_hash_size(algorithms[i]));
        const char *r = response(algorithms[i], 90, "correct-horse");
        assert_int_equal(REQUEST(true, "CHAP_R", r, "CHAP_N", "node"), ISCSI_LOGIN_OK);
        assert_true(iscsi_security_is_over(&security));
        assert_int_equal(security.proven, CHAP_ONE_WAY);
        assert_int_equal(answer.used, 0);
    }
}

static void no_algorithm_that_we_know(void **state)
{
    assert_int_equal(REQUEST(false, "AuthMethod", "CHAP"), ISCSI_LOGIN_OK);
    expect_refusal(REQUEST(false, "CHAP_A", "1,4,9,4294967301"), ISCSI_LOGIN_AUTH_FAILED,
                   "algorithms");
    setup(state);
    assert_int_equal(REQUEST(false, "AuthMethod", "CHAP"), ISCSI_LOGIN_OK);
    expect_refusal(request(true, (const char *const[]){NULL}), ISCSI_LOGIN_INITIATOR_ERROR,
                   "named no algorithm");
}

static void without_random_bytes_there_is_no_challenge(void **state)
{
    assert_int_equal(REQUEST(false, "AuthMethod", "CHAP"), ISCSI_LOGIN_OK);
    no_random = true;
    expect_refusal(REQUEST(false, "CHAP_A", "5"), ISCSI_LOGIN_TARGET_ERROR, "random");
}

static void wrong_names_and_secrets(void **state)
{
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_N", "Node", "CHAP_R", right_response()),
                   ISCSI_LOGIN_AUTH_FAILED, "user name");
    setup(state);
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_N", "node", "CHAP_R",
                           response(CHAP_MD5, CHALLENGE_BYTE, "correct-horsf")),
                   ISCSI_LOGIN_AUTH_FAILED, "secret");
    setup(state);
    get_challenge("5"); /* the right hash behind which more comes */
    char longer[256];
    snprintf(longer, sizeof(longer), "%s00", right_response());
    expect_refusal(REQUEST(true, "CHAP_N", "node", "CHAP_R", longer), ISCSI_LOGIN_AUTH_FAILED,
                   "secret");
    setup(state);
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_N", "node", "CHAP_R", "0x"), ISCSI_LOGIN_INITIATOR_ERROR,
                   "no number");
    assert_int_equal(security.proven, CHAP_NONE);
}

static void keys_that_are_missing(void **state)
{
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_R", right_response()), ISCSI_LOGIN_INITIATOR_ERROR,
                   "left out");
    setup(state);
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_N", "node"), ISCSI_LOGIN_INITIATOR_ERROR, "left out");
    setup(state);
    credentials = &mutual;
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_N", "node", "CHAP_R", right_response(), "CHAP_I", "1"),
                   ISCSI_LOGIN_INITIATOR_ERROR, "challenge");
}

static void keys_out_of_order(void **state)
{
    expect_refusal(REQUEST(true, "CHAP_A", "5"), ISCSI_LOGIN_INITIATOR_ERROR, "out of order");
    setup(state);
    expect_refusal(REQUEST(true, "AuthMethod", "CHAP", "CHAP_A", "5"), ISCSI_LOGIN_INITIATOR_ERROR,
                   "out of order");
    setup(state);
    expect_refusal(REQUEST(true, "AuthMethod", "None", "AuthMethod", "CHAP"),
                   ISCSI_LOGIN_INITIATOR_ERROR, "twice");
    setup(state);
    get_challenge("5");
    expect_refusal(REQUEST(true, "AuthMethod", "None"), ISCSI_LOGIN_INITIATOR_ERROR,
                   "out of order");
    setup(state);
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_A", "5"), ISCSI_LOGIN_INITIATOR_ERROR, "out of order");
}

static void mutual_with_numbers_in_every_form(void **state)
{
    static const char *const challenges[] = {"0x000102030405060708090a0b0c0d0e0f",
                                             "0X000102030405060708090A0B0C0D0E0F",
                                             "0bAAECAwQFBgcICQoLDA0ODw=="};
    for (size_t i = 0; i < ARRAY_SIZE(challenges); i++) {
        uint8_t expected[CHAP_HASH_MAX], got[CHAP_BINARY_MAX], challenge[CHAP_BINARY_MAX];
        size_t size;
        setup(state);
        credentials = &mutual;
        get_challenge("7,5");
        assert_int_equal(REQUEST(true, "CHAP_N", "node", "CHAP_R",
                                 response(CHAP_SHA256, CHALLENGE_BYTE, "correct-horse"), "CHAP_I",
                                 i ? "0xff" : "255", "CHAP_C", challenges[i]),
                         ISCSI_LOGIN_OK);
        assert_true(iscsi_security_is_over(&security));
        assert_int_equal(security.proven, CHAP_MUTUAL);
        assert_string_equal(answered("CHAP_N"), "disk");
        assert_int_equal(chap_decode(challenges[i], challenge, &size), 0);
        assert_int_equal(size, 16);
        chap_respond(CHAP_SHA256, 255, "battery-staple", challenge, size, expected);
        assert_int_equal(chap_decode(answered("CHAP_R"), got, &size), 0);
        assert_int_equal(size, 32);
        assert_memory_equal(got, expected, 32);
    }
}

static void one_way_where_mutual_would_do(void **state)
{
    credentials = &mutual;
    get_challenge("5");
    assert_int_equal(REQUEST(true, "CHAP_N", "node", "CHAP_R", right_response()), ISCSI_LOGIN_OK);
    assert_int_equal(security.proven, CHAP_ONE_WAY);
}

#define CHALLENGE_AGAIN "0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"

/* Nobody gets a response of ours with which he could answer our own challenge. */
static void challenges_that_get_no_response(void **state)
{
    static const struct chap_credentials same = {
        CHAP_MUTUAL, {"node", "correct-horse"}, {"disk", "correct-horse"}};
    static const struct {
        const struct chap_credentials *credentials;
        const char *identifier, *challenge;
        enum iscsi_login_status status;
        const char *words;
    } cases[] = {
        {&mutual, "1", CHALLENGE_AGAIN, ISCSI_LOGIN_AUTH_FAILED, "our own"},
        {&same, "1", "0x01", ISCSI_LOGIN_AUTH_FAILED, "same CHAP secret"},
        {&one_way, "1", "0x01", ISCSI_LOGIN_AUTH_FAILED, "no secret is set"},
        {&mutual, "256", "0x01", ISCSI_LOGIN_INITIATOR_ERROR, "challenge"},
        {&mutual, "x", "0x01", ISCSI_LOGIN_INITIATOR_ERROR, "challenge"},
        {&mutual, "1", "", ISCSI_LOGIN_INITIATOR_ERROR, "challenge"},
        {&mutual, "1", "17", ISCSI_LOGIN_INITIATOR_ERROR, "challenge"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(state);
        credentials = cases[i].credentials;
        get_challenge("5");
        expect_refusal(REQUEST(true, "CHAP_N", "node", "CHAP_R", right_response(), "CHAP_I",
                               cases[i].identifier, "CHAP_C", cases[i].challenge),
                       cases[i].status, cases[i].words);
        assert_null(answered("CHAP_R"));
    }
}

/* Who has not proved himself gets no response either. */
static void a_challenge_with_a_wrong_response(void **state)
{
    credentials = &mutual;
    get_challenge("5");
    expect_refusal(REQUEST(true, "CHAP_N", "node", "CHAP_R", "0x00000000000000000000000000000000",
                           "CHAP_I", "1", "CHAP_C", "0x01"),
                   ISCSI_LOGIN_AUTH_FAILED, "secret");
    assert_null(answered("CHAP_R"));
}

/* --- several secrets --- */

static const struct chap_credentials oldest = {.mode = CHAP_ONE_WAY,
                                               .initiator = {"node", "oldest-secret"}};
static const struct chap_credentials older = {.mode = CHAP_MUTUAL,
                                              .initiator = {"node", "older-secret"},
                                              .target = {"disk", "older-staple"},
                                              .tag = 6,
                                              .older = &oldest};
static const struct chap_credentials present = {.mode = CHAP_MUTUAL,
                                                .initiator = {"node", "correct-horse"},
                                                .target = {"disk", "battery-staple"},
                                                .tag = 7,
                                                .older = &older};

static void any_of_several_secrets_will_do(void **state)
{
    static const struct {
        const char *secret;
        uint64_t tag;
    } cases[] = {{"correct-horse", 7}, {"older-secret", 6}, {"oldest-secret", 0}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(state);
        credentials = &present;
        get_challenge("5");
        assert_int_equal(REQUEST(true, "CHAP_N", "node", "CHAP_R",
                                 response(CHAP_MD5, CHALLENGE_BYTE, cases[i].secret)),
                         ISCSI_LOGIN_OK);
        assert_true(iscsi_security_is_over(&security));
        assert_int_equal(security.proven, CHAP_ONE_WAY);
        assert_int_equal(security.proven_tag, cases[i].tag);
    }
    static const char *const wrong[] = {"older-staple", "battery-staple", "another-secret"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        setup(state);
        credentials = &present;
        get_challenge("5");
        expect_refusal(
            REQUEST(true, "CHAP_N", "node", "CHAP_R", response(CHAP_MD5, CHALLENGE_BYTE, wrong[i])),
            ISCSI_LOGIN_AUTH_FAILED, "wrong CHAP secret");
        assert_int_equal(security.proven, CHAP_NONE);
    }
}

/* Who has an older secret knows the other one that came with it. */
static void we_prove_ourselves_by_what_goes_with_it(void **state)
{
    static const struct {
        const char *secret, *target_secret;
    } cases[] = {{"correct-horse", "battery-staple"}, {"older-secret", "older-staple"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(state);
        credentials = &present;
        get_challenge("5");
        char own[256];
        str_copy(own, sizeof(own), response(CHAP_MD5, CHALLENGE_BYTE, cases[i].secret));
        assert_int_equal(REQUEST(true, "CHAP_N", "node", "CHAP_R", own, "CHAP_I", "1", "CHAP_C",
                                 "0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"),
                         ISCSI_LOGIN_OK);
        uint8_t challenge[15], hash[CHAP_HASH_MAX];
        char value[256];
        struct iscsi_text out = {.data = value, .size = sizeof(value)};
        memset(challenge, CHALLENGE_BYTE, sizeof(challenge));
        chap_respond(CHAP_MD5, 1, cases[i].target_secret, challenge, sizeof(challenge), hash);
        chap_add_binary(&out, "R", hash, chap_hash_size(CHAP_MD5));
        assert_string_equal(answered("CHAP_R"), value + 2);
        assert_int_equal(security.proven, CHAP_MUTUAL);
    }
    setup(state);
    credentials = &present;
    get_challenge("5");
    char own[256];
    str_copy(own, sizeof(own), response(CHAP_MD5, CHALLENGE_BYTE, "oldest-secret"));
    expect_refusal(REQUEST(true, "CHAP_N", "node", "CHAP_R", own, "CHAP_I", "1", "CHAP_C", "0x01"),
                   ISCSI_LOGIN_AUTH_FAILED, "no secret is set");
}

#define SECURITY_TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SECURITY_TEST(nothing_to_prove),
        SECURITY_TEST(who_wants_chap_where_there_is_no_secret),
        SECURITY_TEST(who_has_to_prove_and_does_not_want_to),
        SECURITY_TEST(one_way_with_every_algorithm),
        SECURITY_TEST(no_algorithm_that_we_know),
        SECURITY_TEST(without_random_bytes_there_is_no_challenge),
        SECURITY_TEST(wrong_names_and_secrets),
        SECURITY_TEST(keys_that_are_missing),
        SECURITY_TEST(keys_out_of_order),
        SECURITY_TEST(mutual_with_numbers_in_every_form),
        SECURITY_TEST(one_way_where_mutual_would_do),
        SECURITY_TEST(challenges_that_get_no_response),
        SECURITY_TEST(a_challenge_with_a_wrong_response),
        SECURITY_TEST(any_of_several_secrets_will_do),
        SECURITY_TEST(we_prove_ourselves_by_what_goes_with_it),
    };
    return RUN_TESTS(tests);
}
