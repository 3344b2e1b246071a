#include "iscsi_lab.h"

static int setup(void **state)
{
    return lab_set_up(1 * MIB);
}

static void expect_refusal(enum iscsi_login_status status)
{
    assert_int_equal(login_status(initiator_next(node)), status);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_int_equal(node->refusals, 1);
    assert_int_equal(node->refused_with, status);
    assert_int_equal(node->logins, 0);
}

static void ipxe_logs_in_in_two_stages(void **state)
{
    SEND_LOGIN(node, 0x81, LAB_NAMES "SessionType=Normal\0AuthMethod=None\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x81);
    uint32_t statsn = bhs_get32(a->bhs, BHS_STATSN);
    assert_string_equal(text_value(a, "AuthMethod"), "None");
    assert_string_equal(text_value(a, "TargetPortalGroupTag"), "1");
    assert_int_equal(bhs_get32(a->bhs, BHS_EXPCMDSN), 100);
    node->itt++; /* as iPXE does */
    SEND_LOGIN(node, 0x87, "InitialR2T=Yes\0ImmediateData=No\0MaxRecvDataSegmentLength=8192\0");
    a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x87);
    assert_int_equal(bhs_get32(a->bhs, BHS_STATSN), statsn + 1);
    assert_true(bhs_get16(a->bhs, BHS_TSIH) != 0);
    assert_string_equal(text_value(a, "ImmediateData"), "No");
    assert_string_equal(text_value(a, "MaxRecvDataSegmentLength"), "262144");
    assert_null(text_value(a, "TargetPortalGroupTag")); /* only once */
    assert_true(serial_lt(bhs_get32(a->bhs, BHS_EXPCMDSN), bhs_get32(a->bhs, BHS_MAXCMDSN)));
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    assert_int_equal(node->logins, 1);
    assert_true(node->conn.session->traits.firmware);
    assert_false(node->conn.session->traits.adopts_session);
}

static void iscsistart_begins_at_the_operational_stage(void **state)
{
    login_like_linux(node);
    const struct iscsi_session *session = node->conn.session;
    assert_false(session->traits.firmware);
    assert_false(session->traits.adopts_session);
    assert_string_equal(session->identity.initiator, LAB_INITIATOR);
    assert_string_equal(session->identity.alias, "node");
    assert_int_equal(session->parameters.max_burst_length, 16776192);
    assert_int_equal(session->parameters.first_burst_length, 262144);
    assert_false(session->parameters.initial_r2t);
}

static void iscsid_that_adopts_a_session_leaves_the_digest_open(void **state)
{
    SEND_LOGIN(node, 0x87,
               LAB_NAMES "HeaderDigest=None,CRC32C\0DataDigest=None,CRC32C\0ImmediateData=Yes\0");
    const struct iscsi_session *session = node->conn.session;
    assert_int_equal(node->logins, 1);
    assert_true(session->traits.adopts_session);
    assert_false(session->traits.firmware);
    assert_false(session->parameters.header_digest);
}

/* RFC 7143 13.7: with the first response, in a normal session. */
static void the_alias_of_the_target_is_told(void **state)
{
    lab->alias = "data of web1";
    SEND_LOGIN(node, 0x81, LAB_NAMES "AuthMethod=None\0");
    assert_string_equal(text_value(initiator_next(node), "TargetAlias"), "data of web1");
    SEND_LOGIN(node, 0x87, "ImmediateData=Yes\0");
    assert_null(text_value(initiator_next(node), "TargetAlias"));
}

static void without_an_alias_or_in_discovery_none_is_told(void **state)
{
    struct initiator *seeker = initiator_new(lab, 12);
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    assert_null(text_value(initiator_next(node), "TargetAlias"));
    lab->alias = "data of web1";
    SEND_LOGIN(seeker, 0x87, "InitiatorName=" LAB_INITIATOR "\0SessionType=Discovery\0");
    const struct answer *a = initiator_next(seeker);
    assert_int_equal(login_status(a), ISCSI_LOGIN_OK);
    assert_null(text_value(a, "TargetAlias"));
    initiator_free(seeker);
}

static void it_may_come_byte_by_byte(void **state)
{
    node->piece = 1;
    login_like_ipxe(node);
    assert_int_equal(node->logins, 1);
}

static void text_may_be_continued(void **state)
{
    SEND_LOGIN(node, 0x40 | 0x04, "InitiatorName=" LAB_INITIATOR "\0TargetNa");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x04);
    assert_int_equal(a->size, 0);
    SEND_LOGIN(node, 0x87, "me=" LAB_TARGET "\0InitialR2T=No\0");
    assert_int_equal(login_status(initiator_next(node)), 0);
    assert_int_equal(node->logins, 1);
}

static void the_target_grants_no_transit_that_was_not_asked_for(void **state)
{
    SEND_LOGIN(node, 0x04, LAB_NAMES);
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x04);
    assert_int_equal(node->conn.state, ISCSI_CONN_LOGIN);
}

static void an_unknown_key_is_not_understood(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "X-com.example.Speed=high\0");
    assert_string_equal(text_value(initiator_next(node), "X-com.example.Speed"), "NotUnderstood");
    assert_int_equal(node->logins, 1);
}

static void names_are_compared_in_lower_case(void **state)
{
    SEND_LOGIN(node, 0x87,
               "InitiatorName=IQN.2026-11.LAN.example:Node\0"
               "TargetName=iqn.2026-11.lan.example:DISK\0");
    assert_int_equal(login_status(initiator_next(node)), 0);
    assert_string_equal(node->conn.session->identity.initiator, LAB_INITIATOR);
}

static void no_initiator_name(void **state)
{
    SEND_LOGIN(node, 0x87, "TargetName=" LAB_TARGET "\0");
    expect_refusal(ISCSI_LOGIN_MISSING_PARAMETER);
}

static void no_target_name(void **state)
{
    SEND_LOGIN(node, 0x87, "InitiatorName=" LAB_INITIATOR "\0");
    expect_refusal(ISCSI_LOGIN_MISSING_PARAMETER);
}

static void no_such_target(void **state)
{
    SEND_LOGIN(node, 0x87, "InitiatorName=" LAB_INITIATOR "\0TargetName=iqn.2026-11.x:y\0");
    expect_refusal(ISCSI_LOGIN_TARGET_NOT_FOUND);
}

static void a_stranger(void **state)
{
    lab->admit_status = ISCSI_LOGIN_NOT_AUTHORIZED;
    SEND_LOGIN(node, 0x87, LAB_NAMES);
    expect_refusal(ISCSI_LOGIN_NOT_AUTHORIZED);
}

static void a_strange_session_type(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "SessionType=Boot\0");
    expect_refusal(ISCSI_LOGIN_SESSION_TYPE);
}

static void a_name_with_strange_characters(void **state)
{
    SEND_LOGIN(node, 0x87, "InitiatorName=iqn.2026-11.x:\x1b[2J\0TargetName=" LAB_TARGET "\0");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void chap_is_insisted_on(void **state)
{
    SEND_LOGIN(node, 0x81, LAB_NAMES "AuthMethod=CHAP\0");
    expect_refusal(ISCSI_LOGIN_AUTH_FAILED);
}

/* --- CHAP --- */

static void demand(enum chap_mode mode)
{
    lab->credentials =
        (struct chap_credentials){mode, {"node", "correct-horse"}, {"disk", "battery-staple"}};
}

/* The response to the challenge of an answer, as "CHAP_N=...", "CHAP_R=..." and what follows. */
static size_t respond(char text[static 512], const struct answer *a, const char *secret)
{
    uint8_t challenge[CHAP_BINARY_MAX], hash[CHAP_HASH_MAX];
    size_t size;
    struct iscsi_text out = {.data = text, .size = 512};
    assert_string_equal(text_value(a, "CHAP_A"), "5");
    assert_int_equal(chap_decode(text_value(a, "CHAP_C"), challenge, &size), 0);
    assert_int_equal(size, 16);
    chap_respond(CHAP_MD5, (uint8_t)strtoul(text_value(a, "CHAP_I"), NULL, 10), secret, challenge,
                 size, hash);
    iscsi_text_add(&out, "CHAP_N", "node");
    chap_add_binary(&out, "CHAP_R", hash, 16);
    return out.used;
}

/* As iPXE does: it wants to go on from the first request on, and takes what it is granted. */
static const struct answer *get_challenge(void)
{
    SEND_LOGIN(node, 0x81, LAB_NAMES "SessionType=Normal\0AuthMethod=CHAP,None\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0);
    assert_string_equal(text_value(a, "AuthMethod"), "CHAP");
    assert_string_equal(text_value(a, "TargetPortalGroupTag"), "1");
    SEND_LOGIN(node, 0x81, "CHAP_A=5\0");
    a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0);
    return a;
}

static void chap_one_way(void **state)
{
    char text[512];
    demand(CHAP_ONE_WAY);
    send_login(node, 0x81, text, respond(text, get_challenge(), "correct-horse"));
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x81);
    assert_int_equal(a->size, 0);
    SEND_LOGIN(node, 0x87, "ImmediateData=No\0");
    assert_int_equal(login_status(initiator_next(node)), 0);
    assert_int_equal(node->logins, 1);
    assert_int_equal(node->conn.session->traits.proven, CHAP_ONE_WAY);
}

static void chap_mutual_and_straight_to_full_feature(void **state)
{
    char text[512];
    uint8_t hash[CHAP_HASH_MAX], got[CHAP_BINARY_MAX];
    static const uint8_t challenge[] = {0xab, 0xcd};
    static const char own[] = "CHAP_I=7\0CHAP_C=0xabcd";
    size_t size;
    demand(CHAP_MUTUAL);
    size_t n = respond(text, get_challenge(), "correct-horse");
    memcpy(text + n, own, sizeof(own));
    send_login(node, 0x83, text, n + sizeof(own));
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x83);
    assert_string_equal(text_value(a, "CHAP_N"), "disk");
    assert_int_equal(chap_decode(text_value(a, "CHAP_R"), got, &size), 0);
    chap_respond(CHAP_MD5, 7, "battery-staple", challenge, sizeof(challenge), hash);
    assert_int_equal(size, 16);
    assert_memory_equal(got, hash, size);
    assert_int_equal(node->logins, 1);
    assert_int_equal(node->conn.session->traits.proven, CHAP_MUTUAL);
}

static void chap_with_the_wrong_secret(void **state)
{
    char text[512];
    demand(CHAP_ONE_WAY);
    send_login(node, 0x81, text, respond(text, get_challenge(), "wrong-horse!"));
    expect_refusal(ISCSI_LOGIN_AUTH_FAILED);
}

static void chap_that_is_left_out(void **state)
{
    static const struct {
        uint8_t flags;
        const char *method;
    } cases[] = {{0x81, "AuthMethod=None"}, {0x83, ""}, {0x87, ""}, {0x04, ""}, {0x81, ""}};
    demand(CHAP_ONE_WAY);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[512] = LAB_NAMES;
        size_t n = sizeof(LAB_NAMES) - 1;
        struct initiator *i2 = initiator_new(lab, 11);
        memcpy(text + n, cases[i].method, strlen(cases[i].method) + 1);
        send_login(i2, cases[i].flags, text, n + strlen(cases[i].method) + 1);
        assert_int_equal(login_status(initiator_next(i2)), ISCSI_LOGIN_AUTH_FAILED);
        assert_int_equal(i2->conn.state, ISCSI_CONN_CLOSED);
        assert_int_equal(i2->logins, 0);
        initiator_free(i2);
    }
}

static void chap_for_discovery(void **state)
{
    demand(CHAP_ONE_WAY);
    SEND_LOGIN(node, 0x87, "InitiatorName=" LAB_INITIATOR "\0SessionType=Discovery\0");
    expect_refusal(ISCSI_LOGIN_AUTH_FAILED);
}

static void keys_of_the_authentication_in_the_operational_stage(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "AuthMethod=None\0");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void keys_of_chap_without_chap(void **state)
{
    SEND_LOGIN(node, 0x81, LAB_NAMES "CHAP_N=node\0CHAP_R=0x00\0");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

/* The old session stays until the new one has proved who it is. */
static void a_stranger_replaces_no_session(void **state)
{
    login_like_ipxe(node);
    demand(CHAP_ONE_WAY);
    struct initiator *again = initiator_new(lab, 11);
    SEND_LOGIN(again, 0x81, LAB_NAMES "AuthMethod=CHAP\0");
    SEND_LOGIN(again, 0x81, "CHAP_A=5\0");
    SEND_LOGIN(again, 0x83, "CHAP_N=node\0CHAP_R=0x00000000000000000000000000000000\0");
    assert_int_equal(again->refusals, 1);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    initiator_free(again);
}

static void stages_out_of_order(void **state)
{
    SEND_LOGIN(node, 0x84, LAB_NAMES); /* from operational back to security */
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void transit_and_continue_at_once(void **state)
{
    SEND_LOGIN(node, 0xc7, LAB_NAMES);
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void a_newer_version_only(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGIN | ISCSI_IMMEDIATE, 0x87, 1, 1};
    initiator_send(node, bhs, LAB_NAMES, sizeof(LAB_NAMES) - 1);
    expect_refusal(ISCSI_LOGIN_UNSUPPORTED_VERSION);
}

static void another_stage_than_was_agreed(void **state)
{
    SEND_LOGIN(node, 0x81, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(node)), 0);
    SEND_LOGIN(node, 0x81, ""); /* it is in the operational stage now */
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void another_isid_than_before(void **state)
{
    SEND_LOGIN(node, 0x04, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(node)), 0);
    node->isid_qualifier++;
    SEND_LOGIN(node, 0x87, "");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void another_cid_than_before(void **state)
{
    SEND_LOGIN(node, 0x04, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(node)), 0);
    node->cid++;
    SEND_LOGIN(node, 0x87, "");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void log_in_with_name_of(size_t length)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "InitiatorName=%0*u%cTargetName=%s%c", (int)length, 0, 0,
                     LAB_TARGET, 0);
    send_login(node, 0x87, text, (size_t)n);
}

static void the_longest_name(void **state)
{
    log_in_with_name_of(IQN_MAX_LEN);
    assert_int_equal(login_status(initiator_next(node)), 0);
}

static void a_name_that_is_too_long(void **state)
{
    log_in_with_name_of(IQN_MAX_LEN + 1);
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void an_empty_name(void **state)
{
    SEND_LOGIN(node, 0x87, "InitiatorName=\0TargetName=" LAB_TARGET "\0");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

/* It ends up in the log. */
static void an_alias_is_cleaned_and_cut(void **state)
{
    char text[1024];
    size_t n = sizeof(LAB_NAMES) - 1;
    memcpy(text, LAB_NAMES, n);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "InitiatorAlias=a\x1b[2Jb%0300u%c", 0, 0);
    send_login(node, 0x87, text, n);
    assert_int_equal(login_status(initiator_next(node)), 0);
    const char *alias = node->conn.session->identity.alias;
    assert_true(str_has_prefix(alias, "a?[2Jb000"));
    assert_int_equal(strlen(alias), 255);
}

/* Names, and keys that are answered at greater length: X0000, X0001, ... */
static size_t many_keys(char *text, size_t size, const char *begin, size_t begin_size)
{
    size_t n = begin_size;
    memcpy(text, begin, n);
    for (unsigned i = 0; n + 8 < size; i++)
        n += (size_t)snprintf(text + n, size - n, "X%04u=", i) + 1;
    return n;
}

/* The answer to a login request that was sent, each further part of it asked for with `flags`;
 * returns how many parts it had. ret_whole: the last one, with the text
 * of all. */
static unsigned fetch_parts(uint8_t flags, uint32_t limit, struct answer *ret_whole)
{
    uint32_t statsn = 0;
    ret_whole->size = 0;
    for (unsigned parts = 1;; parts++) {
        const struct answer *a = initiator_next(node);
        assert_int_equal(login_status(a), ISCSI_LOGIN_OK);
        assert_true(parts == 1 || bhs_get32(a->bhs, BHS_STATSN) == statsn + 1);
        statsn = bhs_get32(a->bhs, BHS_STATSN);
        assert_true(a->size <= limit && ret_whole->size + a->size <= sizeof(ret_whole->data));
        memcpy(ret_whole->data + ret_whole->size, a->data, a->size);
        ret_whole->size += a->size;
        if (!(a->bhs[BHS_FLAGS] & ISCSI_FLAG_CONTINUE)) {
            memcpy(ret_whole->bhs, a->bhs, sizeof(a->bhs));
            return parts;
        }
        assert_int_equal(a->bhs[BHS_FLAGS], ISCSI_FLAG_CONTINUE | 0x04);
        assert_int_equal(a->size, limit);
        assert_int_equal(bhs_get16(a->bhs, BHS_TSIH), 0);
        SEND_LOGIN(node, flags, "");
    }
}

/* RFC 7143 6.2. */
static void a_long_answer_comes_in_parts(void **state)
{
    static char text[ISCSI_DEFAULT_SEGMENT];
    static struct answer whole;
    size_t n = many_keys(text, sizeof(text), LAB_NAMES, sizeof(LAB_NAMES) - 1);
    send_login(node, 0x87, text, n);
    assert_int_equal(fetch_parts(0x87, ISCSI_DEFAULT_SEGMENT, &whole), 3);
    assert_int_equal(whole.bhs[BHS_FLAGS], 0x87);
    assert_true(bhs_get16(whole.bhs, BHS_TSIH) != 0);
    assert_string_equal(text_value(&whole, "X0000"), "NotUnderstood");
    assert_string_equal(text_value(&whole, "X1000"), "NotUnderstood");
    assert_string_equal(text_value(&whole, "MaxRecvDataSegmentLength"), "262144");
    assert_int_equal(node->logins, 1);
}

/* However many that are: they are no requests that negotiate. */
static void the_parts_are_as_long_as_the_initiator_takes(void **state)
{
    static const char names[] = LAB_NAMES "MaxRecvDataSegmentLength=512\0";
    static char text[ISCSI_DEFAULT_SEGMENT];
    static struct answer whole;
    send_login(node, 0x87, text, many_keys(text, sizeof(text), names, sizeof(names) - 1));
    assert_true(fetch_parts(0x87, 512, &whole) > 32);
    assert_string_equal(text_value(&whole, "X1000"), "NotUnderstood");
    assert_int_equal(node->logins, 1);
}

static void the_stage_ends_only_with_the_last_part(void **state)
{
    static char text[ISCSI_DEFAULT_SEGMENT];
    static struct answer whole;
    size_t n = many_keys(text, sizeof(text), LAB_NAMES, sizeof(LAB_NAMES) - 1);
    send_login(node, 0x87, text, n);
    assert_int_equal(fetch_parts(0x04, ISCSI_DEFAULT_SEGMENT, &whole), 3);
    assert_int_equal(whole.bhs[BHS_FLAGS], 0x04); /* as the last request has it */
    assert_int_equal(node->conn.state, ISCSI_CONN_LOGIN);
    SEND_LOGIN(node, 0x87, "ImmediateData=No\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), ISCSI_LOGIN_OK);
    assert_int_equal(a->bhs[BHS_FLAGS], 0x87);
    assert_string_equal(text_value(a, "ImmediateData"), "No");
    assert_null(text_value(a, "X0000"));
    assert_int_equal(node->logins, 1);
}

static void begin_a_long_answer(void)
{
    static char text[ISCSI_DEFAULT_SEGMENT];
    size_t n = many_keys(text, sizeof(text), LAB_NAMES, sizeof(LAB_NAMES) - 1);
    send_login(node, 0x87, text, n);
    assert_int_equal(initiator_next(node)->bhs[BHS_FLAGS], ISCSI_FLAG_CONTINUE | 0x04);
}

static void text_between_two_parts(void **state)
{
    begin_a_long_answer();
    SEND_LOGIN(node, 0x87, "ImmediateData=No\0");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void an_empty_request_that_is_continued_between_two_parts(void **state)
{
    begin_a_long_answer();
    SEND_LOGIN(node, 0x44, "");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void another_tag_between_two_parts(void **state)
{
    begin_a_long_answer();
    node->itt++;
    SEND_LOGIN(node, 0x87, "");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void another_stage_between_two_parts(void **state)
{
    begin_a_long_answer();
    SEND_LOGIN(node, 0x81, "");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void keys_without_end(void **state)
{
    static char text[2 * ISCSI_DEFAULT_SEGMENT];
    size_t n = sizeof(LAB_NAMES) - 1;
    memcpy(text, LAB_NAMES, n);
    while (n < sizeof(text) - 3)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "A=") + 1;
    send_login(node, 0x44, text, n / 2);
    assert_int_equal(login_status(initiator_next(node)), ISCSI_LOGIN_OK);
    send_login(node, 0x87, text + n / 2, n - n / 2); /* the answer would have 85 KB */
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void answers_to_our_own_keys_need_none(void **state)
{
    SEND_LOGIN(node, 0x87,
               LAB_NAMES "TargetPortalGroupTag=NotUnderstood\0X=Reject\0Y=Irrelevant\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_null(text_value(a, "X"));
    assert_null(text_value(a, "Y"));
    assert_string_equal(text_value(a, "TargetPortalGroupTag"), "1");
}

static void text_that_is_none(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "garbage\0");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void text_without_end(void **state)
{
    static char text[8192];
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 3 && node->conn.state == ISCSI_CONN_LOGIN; i++)
        send_login(node, 0x44, text, sizeof(text));
    assert_int_equal(node->refusals, 1);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
}

static void requests_without_end(void **state)
{
    SEND_LOGIN(node, 0x04, LAB_NAMES);
    for (int i = 1; i < 32; i++)
        SEND_LOGIN(node, 0x04, "");
    assert_int_equal(node->conn.state, ISCSI_CONN_LOGIN);
    SEND_LOGIN(node, 0x04, "");
    assert_int_equal(node->refusals, 1);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
}

static void what_does_not_speak_iscsi_is_dropped(void **state)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: example\r\nAccept: text/html\r\n\r\n";
    initiator_send_bytes(node, http, sizeof(http) - 1);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    assert_null(initiator_next(node));
}

static void another_request_during_the_login(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    SEND_LOGIN(node, 0x04, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(node)), 0);
    initiator_send(node, bhs, NULL, 0);
    expect_refusal(ISCSI_LOGIN_INVALID_REQUEST);
}

static void a_segment_that_is_too_long_is_dropped(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGIN | ISCSI_IMMEDIATE, 0x87};
    bhs_put24(bhs, BHS_DATA_LENGTH, 8193);
    initiator_send_bytes(node, bhs, sizeof(bhs));
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
}

static void nobody_changes_who_he_is(void **state)
{
    static const char *const changes[] = {"InitiatorName=iqn.2020-01.x:other",
                                          "TargetName=iqn.2020-01.x:other",
                                          "SessionType=Discovery"};
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        struct initiator *again = initiator_new(lab, 11);
        SEND_LOGIN(again, 0x81, LAB_NAMES "AuthMethod=None\0");
        assert_int_equal(login_status(initiator_next(again)), ISCSI_LOGIN_OK);
        SEND_LOGIN(again, 0x04, LAB_NAMES); /* to say it again does no harm */
        assert_int_equal(login_status(initiator_next(again)), ISCSI_LOGIN_OK);
        send_login(again, 0x04, changes[i], strlen(changes[i]) + 1);
        assert_int_equal(login_status(initiator_next(again)), ISCSI_LOGIN_INITIATOR_ERROR);
        assert_string_equal(again->conn.login->identity.initiator, LAB_INITIATOR);
        assert_string_equal(again->conn.login->identity.target, LAB_TARGET);
        initiator_free(again);
    }
}

static void a_key_that_is_negotiated_twice(void **state)
{
    SEND_LOGIN(node, 0x04, LAB_NAMES "MaxBurstLength=8192\0InitiatorAlias=x\0");
    assert_int_equal(login_status(initiator_next(node)), ISCSI_LOGIN_OK);
    SEND_LOGIN(node, 0x04, "InitiatorAlias=x\0"); /* as libiscsi says it in every stage */
    assert_int_equal(login_status(initiator_next(node)), ISCSI_LOGIN_OK);
    SEND_LOGIN(node, 0x87, "MaxBurstLength=8192\0");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void another_tsih_than_before(void **state)
{
    SEND_LOGIN(node, 0x04, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(node)), 0);
    node->tsih++;
    SEND_LOGIN(node, 0x87, "");
    expect_refusal(ISCSI_LOGIN_INITIATOR_ERROR);
}

static void a_key_of_the_standard_is_never_not_understood(void **state)
{
    SEND_LOGIN(node, 0x87, LAB_NAMES "SendTargets=All\0TargetAlias=x\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_string_equal(text_value(a, "SendTargets"), "Reject");
    assert_string_equal(text_value(a, "TargetAlias"), "Reject");
}

static void a_session_that_does_not_exist(void **state)
{
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_LOGIN | ISCSI_IMMEDIATE, 0x87};
    static const char text[] = LAB_NAMES;
    bhs_put16(bhs, BHS_TSIH, 77);
    initiator_send(node, bhs, text, sizeof(text) - 1);
    expect_refusal(ISCSI_LOGIN_NO_SESSION);
}

/* --- more than one session --- */

static void the_same_initiator_port_replaces_its_session(void **state)
{
    login_like_ipxe(node);
    struct initiator *again = initiator_new(lab, 11);
    SEND_LOGIN(again, 0x87, LAB_NAMES);
    assert_int_equal(again->conn.state, ISCSI_CONN_FULL); /* there is nothing to wait for */
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);
    initiator_run(node);
    assert_true(node->released);
    assert_int_equal(login_status(initiator_next(again)), 0);
    assert_int_equal(again->logins, 1);
    initiator_free(again);
}

static void replacing_waits_for_the_disk(void **state)
{
    static const uint8_t write[10] = {SCSI_WRITE_10, [8] = 1}, data[512];
    login_like_linux(node);
    /* it is on the disk, which does not answer yet */
    send_command(node, ISCSI_FLAG_FINAL | ISCSI_FLAG_WRITE, write, 10, 512, data, 512);
    struct initiator *again = initiator_new(lab, 11);
    SEND_LOGIN(again, 0x87, LAB_NAMES);
    initiator_run(node);
    assert_false(node->released);
    assert_null(initiator_next(again));
    memdisk_run(lab->disk, false);
    assert_true(node->released);
    assert_int_equal(login_status(initiator_next(again)), 0);
    initiator_free(again);
}

static void another_machine_is_kept_away_from_a_disk_in_use(void **state)
{
    login_like_ipxe(node);
    struct initiator *other = initiator_new(lab, 12);
    SEND_LOGIN(other, 0x87, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(other)), ISCSI_LOGIN_UNAVAILABLE);
    assert_int_equal(node->probes, 1); /* is the first one still alive? */
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    initiator_free(other);
}

static void there_is_room_for_so_many_sessions(void **state)
{
    static const struct iscsi_limits limits = {.queue_depth = 8, .sessions_per_target = 1};
    lab->target->single_writer = false;
    login_like_linux(node);
    struct initiator *second = initiator_new(lab, 12);
    second->conn.limits = &limits;
    second->isid_qualifier = 7;
    SEND_LOGIN(second, 0x87, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(second)), ISCSI_LOGIN_OUT_OF_RESOURCES);
    assert_int_equal(node->conn.state, ISCSI_CONN_FULL);
    initiator_free(second);

    lab->full = true;
    struct initiator *again = initiator_new(lab, 11); /* who replaces his own session has room */
    again->conn.limits = &limits;
    SEND_LOGIN(again, 0x87, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(again)), ISCSI_LOGIN_OK);
    initiator_run(node);
    second = initiator_new(lab, 12);
    second->isid_qualifier = 7;
    SEND_LOGIN(second, 0x87, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(second)), ISCSI_LOGIN_OUT_OF_RESOURCES);
    initiator_free(second);
    second = initiator_new(lab, 12);
    SEND_LOGIN(second, 0x87, "InitiatorName=" LAB_INITIATOR "\0SessionType=Discovery\0");
    assert_int_equal(login_status(initiator_next(second)), ISCSI_LOGIN_OUT_OF_RESOURCES);
    initiator_free(second);
    initiator_free(again);
}

static void a_volume_that_is_served_elsewhere(void **state)
{
    lab->redirects = true;
    assert_int_equal(endpoint_parse("10.0.0.2:3260", &lab->elsewhere), 0);
    SEND_LOGIN(node, 0x81, LAB_NAMES "AuthMethod=None\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), ISCSI_LOGIN_MOVED_TEMPORARILY);
    assert_string_equal(text_value(a, "TargetAddress"), "10.0.0.2:3260");
    assert_int_equal(a->bhs[BHS_FLAGS] & ISCSI_FLAG_TRANSIT, 0);
    assert_int_equal(node->conn.state, ISCSI_CONN_CLOSED);

    struct initiator *there = initiator_new(lab, 11); /* who is there already is not sent there */
    assert_int_equal(endpoint_parse("10.0.0.1:3260", &lab->elsewhere), 0);
    SEND_LOGIN(there, 0x87, LAB_NAMES);
    assert_int_equal(login_status(initiator_next(there)), ISCSI_LOGIN_OK);
    initiator_free(there);
    lab->elsewhere = endpoint_with_port(&lab->elsewhere, 3261);
    there = initiator_new(lab, 11); /* anybody may discover */
    SEND_LOGIN(there, 0x87, "InitiatorName=" LAB_INITIATOR "\0SessionType=Discovery\0");
    assert_int_equal(login_status(initiator_next(there)), ISCSI_LOGIN_OK);
    initiator_free(there);
}

static void discovery(void **state)
{
    SEND_LOGIN(node, 0x87, "InitiatorName=" LAB_INITIATOR "\0SessionType=Discovery\0");
    const struct answer *a = initiator_next(node);
    assert_int_equal(login_status(a), 0);
    assert_null(text_value(a, "TargetPortalGroupTag"));
    uint8_t bhs[ISCSI_BHS_SIZE] = {ISCSI_TEXT | ISCSI_IMMEDIATE, ISCSI_FLAG_FINAL};
    bhs_put32(bhs, BHS_ITT, 7);
    bhs_put32(bhs, BHS_TTT, ISCSI_RESERVED_TAG);
    bhs_put32(bhs, BHS_CMDSN, node->cmdsn);
    initiator_send(node, bhs, "SendTargets=All", 16);
    a = initiator_next(node);
    assert_int_equal(bhs_opcode(a->bhs), ISCSI_TEXT_RESPONSE);
    assert_string_equal(text_value(a, "TargetName"), LAB_TARGET);
    assert_string_equal(text_value(a, "TargetAddress"), "10.0.0.1:3260,1");
}

#define LOGIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(ipxe_logs_in_in_two_stages),
        LOGIN_TEST(iscsistart_begins_at_the_operational_stage),
        LOGIN_TEST(iscsid_that_adopts_a_session_leaves_the_digest_open),
        LOGIN_TEST(the_alias_of_the_target_is_told),
        LOGIN_TEST(without_an_alias_or_in_discovery_none_is_told),
        LOGIN_TEST(it_may_come_byte_by_byte),
        LOGIN_TEST(text_may_be_continued),
        LOGIN_TEST(the_target_grants_no_transit_that_was_not_asked_for),
        LOGIN_TEST(an_unknown_key_is_not_understood),
        LOGIN_TEST(names_are_compared_in_lower_case),
        LOGIN_TEST(no_initiator_name),
        LOGIN_TEST(no_target_name),
        LOGIN_TEST(no_such_target),
        LOGIN_TEST(a_stranger),
        LOGIN_TEST(a_strange_session_type),
        LOGIN_TEST(a_name_with_strange_characters),
        LOGIN_TEST(chap_is_insisted_on),
        LOGIN_TEST(chap_one_way),
        LOGIN_TEST(chap_mutual_and_straight_to_full_feature),
        LOGIN_TEST(chap_with_the_wrong_secret),
        LOGIN_TEST(chap_that_is_left_out),
        LOGIN_TEST(chap_for_discovery),
        LOGIN_TEST(keys_of_the_authentication_in_the_operational_stage),
        LOGIN_TEST(keys_of_chap_without_chap),
        LOGIN_TEST(a_stranger_replaces_no_session),
        LOGIN_TEST(stages_out_of_order),
        LOGIN_TEST(transit_and_continue_at_once),
        LOGIN_TEST(a_newer_version_only),
        LOGIN_TEST(another_stage_than_was_agreed),
        LOGIN_TEST(another_isid_than_before),
        LOGIN_TEST(another_cid_than_before),
        LOGIN_TEST(the_longest_name),
        LOGIN_TEST(a_name_that_is_too_long),
        LOGIN_TEST(an_empty_name),
        LOGIN_TEST(an_alias_is_cleaned_and_cut),
        LOGIN_TEST(a_long_answer_comes_in_parts),
        LOGIN_TEST(the_parts_are_as_long_as_the_initiator_takes),
        LOGIN_TEST(the_stage_ends_only_with_the_last_part),
        LOGIN_TEST(text_between_two_parts),
        LOGIN_TEST(an_empty_request_that_is_continued_between_two_parts),
        LOGIN_TEST(another_tag_between_two_parts),
        LOGIN_TEST(another_stage_between_two_parts),
        LOGIN_TEST(keys_without_end),
        LOGIN_TEST(answers_to_our_own_keys_need_none),
        LOGIN_TEST(text_that_is_none),
        LOGIN_TEST(text_without_end),
        LOGIN_TEST(requests_without_end),
        LOGIN_TEST(what_does_not_speak_iscsi_is_dropped),
        LOGIN_TEST(another_request_during_the_login),
        LOGIN_TEST(a_segment_that_is_too_long_is_dropped),
        LOGIN_TEST(nobody_changes_who_he_is),
        LOGIN_TEST(a_key_that_is_negotiated_twice),
        LOGIN_TEST(another_tsih_than_before),
        LOGIN_TEST(a_key_of_the_standard_is_never_not_understood),
        LOGIN_TEST(a_session_that_does_not_exist),
        LOGIN_TEST(the_same_initiator_port_replaces_its_session),
        LOGIN_TEST(replacing_waits_for_the_disk),
        LOGIN_TEST(another_machine_is_kept_away_from_a_disk_in_use),
        LOGIN_TEST(there_is_room_for_so_many_sessions),
        LOGIN_TEST(a_volume_that_is_served_elsewhere),
        LOGIN_TEST(discovery),
    };
    return RUN_TESTS(tests);
}
