/*
 * CHAP credentials: a name and the secret that proves it, for each of the two directions (RFC 7143
 * 9.2.1, 12.1.3). Secrets are printable text, so that every firmware, file and command line that
 * they must go through takes them.
 */
#pragma once

#include "core/error.h"

#define CREDENTIALS_USER_MAX   255 /* a simple value: RFC 7143 6.1 */
#define CREDENTIALS_SECRET_MIN 12  /* 96 bits: RFC 7143 9.2.1 */
#define CREDENTIALS_SECRET_MAX 255

struct credentials {
    char user[CREDENTIALS_USER_MAX + 1];
    char secret[CREDENTIALS_SECRET_MAX + 1];
};

enum chap_mode {
    CHAP_NONE,
    CHAP_ONE_WAY, /* the initiator proves who it is */
    CHAP_MUTUAL,  /* and so does the target, when it is asked to */
};

struct chap_credentials {
    enum chap_mode mode;
    struct credentials initiator; /* unless CHAP_NONE */
    struct credentials target;    /* CHAP_MUTUAL */
    uint64_t tag;                 /* which of several they are: for those who made them */
    /* What is still as good as these, and would be replaced by them; NULL: nothing. Not owned. */
    const struct chap_credentials *older;
};

/* The words of the command line, the API and the database: "none", "one-way", "mutual". */
const char *chap_mode_name(enum chap_mode mode);
/* -EINVAL with the words that there are. */
int chap_mode_parse(const char *word, enum chap_mode *ret_mode, struct error *ret_error) MUST_CHECK;

/* Opens a file with a secret for reading: its descriptor. -EPERM: everybody may read it (a regular
 * file; a pipe is nobody's but the reader's); or open(2)'s. */
int secret_open(const char *path, struct error *ret_error) MUST_CHECK;
/* Copies both into *ret_credentials. -EINVAL and what is wrong: lengths, or characters that are not
 * printable ASCII or are spaces. Never repeats the secret. */
int credentials_set(const char *user, const char *secret, struct credentials *ret_credentials,
                    struct error *ret_error) MUST_CHECK;
/* The same with the secret out of a file: its first line. What goes wrong names the file. A file
 * that everybody may read is refused. */
int credentials_read(const char *user, const char *path, struct credentials *ret_credentials,
                     struct error *ret_error) MUST_CHECK;
/* A new secret of 128 random bits (in hexadecimal, which needs quoting nowhere). */
int credentials_generate(const char *user, struct credentials *ret_credentials,
                         struct error *ret_error) MUST_CHECK;
/* The two directions need secrets that differ: RFC 7143 9.2.1. */
int chap_credentials_check(const struct chap_credentials *credentials,
                           struct error *ret_error) MUST_CHECK;

/* A copy of these and of all that are older, in one piece; NULL without memory, or of NULL. */
struct chap_credentials *chap_credentials_copy(const struct chap_credentials *credentials);
/* What chap_credentials_copy() has returned, which is wiped; NULL: no-op. */
void chap_credentials_free(struct chap_credentials *credentials);

void credentials_wipe(struct credentials *credentials);
void chap_credentials_wipe(struct chap_credentials *credentials);
#define cleanup_credentials      __attribute__((cleanup(credentials_wipe)))
#define cleanup_chap_credentials __attribute__((cleanup(chap_credentials_wipe)))
