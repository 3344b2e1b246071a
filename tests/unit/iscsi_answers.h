/* What tests look for in the answers of a target. */
#pragma once

#include "test.h"

#include "initiator.h"

#define LAB_NAMES "InitiatorName=" LAB_INITIATOR "\0TargetName=" LAB_TARGET "\0"

/* The value of a key in the text of an answer, or NULL. */
static inline const char *text_value(const struct answer *answer, const char *key)
{
    size_t n = strlen(key);
    const char *end = (const char *)answer->data + answer->size;
    for (const char *p = (const char *)answer->data; p < end; p += strlen(p) + 1)
        if (strncmp(p, key, n) == 0 && p[n] == '=')
            return p + n + 1;
    return NULL;
}

/* The next answer, which must be this one. */
static inline const struct answer *expect_answer(struct initiator *from, uint8_t opcode,
                                                 uint32_t itt)
{
    const struct answer *a = initiator_next(from);
    assert_non_null(a);
    assert_int_equal(bhs_opcode(a->bhs), opcode);
    assert_int_equal(bhs_get32(a->bhs, BHS_ITT), itt);
    return a;
}

/* Class and detail of a login response. */
static inline unsigned login_status(const struct answer *answer)
{
    assert_non_null(answer);
    assert_int_equal(bhs_opcode(answer->bhs), ISCSI_LOGIN_RESPONSE);
    return bhs_get16(answer->bhs, (enum iscsi_field)BHS_STATUS_CLASS);
}

static inline void expect_login_status(struct initiator *from, enum iscsi_login_status status)
{
    assert_int_equal(login_status(initiator_next(from)), status);
}
