/*
 * CHAP's arithmetic, pure: algorithms, responses, and binary values as text (RFC 7143 6.1, 12.1.3;
 * RFC 1994).
 */
#pragma once

#include "iscsi/text.h"

/* IANA's PPP authentication algorithms. iPXE knows only the first. */
enum chap_algorithm {
    CHAP_MD5 = 5,
    CHAP_SHA1 = 6,
    CHAP_SHA256 = 7,
    CHAP_SHA3_256 = 8,
};

#define CHAP_HASH_MAX   32   /* bytes */
#define CHAP_BINARY_MAX 1024 /* bytes of a challenge or response: RFC 7143 12.1.3 */

/* The first of a list of numbers that we know: the initiator's order is its preference. -EINVAL:
 * there is none. */
int chap_choose_algorithm(const char *list, enum chap_algorithm *ret_algorithm) MUST_CHECK;
/* Bytes of a response. */
size_t chap_hash_size(enum chap_algorithm algorithm);

/* RFC 1994 4.1: the hash of identifier, secret and challenge; chap_hash_size() bytes. */
void chap_respond(enum chap_algorithm algorithm, uint8_t identifier, const char *secret,
                  const uint8_t *challenge, size_t size,
                  uint8_t ret_response[static CHAP_HASH_MAX]);
/* Compares in a time that does not depend on where they differ. */
bool chap_same(const uint8_t *a, const uint8_t *b, size_t size);

/* A binary value: hexadecimal behind 0x or base64 behind 0b. -EINVAL: it is neither, empty, or
 * longer than CHAP_BINARY_MAX bytes. */
int chap_decode(const char *value, uint8_t ret_data[static CHAP_BINARY_MAX],
                size_t *ret_size) MUST_CHECK;
/* Adds one in hexadecimal; size is at most CHAP_BINARY_MAX. */
void chap_add_binary(struct iscsi_text *text, const char *key, const uint8_t *data, size_t size);
