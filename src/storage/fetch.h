/*
 * A file that is fetched from another server by HTTP or HTTPS (libcurl), a step at a time.
 * Redirects are followed; certificates are checked. A server that says nothing for a minute is
 * given up.
 */
#pragma once

#include "core/error.h"
#include "storage/digest.h"

#define FETCH_MAX_SIZE ((uint64_t)32 << 30) /* bytes */

struct fetch;

/* Into fd, an empty file that stays the caller's and must outlive it; url must, too. */
int fetch_begin(const char *url, int fd, struct fetch **ret_fetch,
                struct error *ret_error) MUST_CHECK;
/* Goes on until the time is `until` (clock_monotonic_usec). 1: there is more to come; 0: it is
 * whole; an error: it will never be, told in a sentence with the URL. */
int fetch_step(struct fetch *fetch, uint64_t until, struct error *ret_error) MUST_CHECK;
/* Bytes that there are, and that there will be (0: nobody knows). */
uint64_t fetch_done(const struct fetch *fetch);
uint64_t fetch_total(const struct fetch *fetch);
/* The SHA-256 of a whole one, hexadecimal. Once. */
void fetch_digest(struct fetch *fetch, char text[static DIGEST_TEXT_SIZE]);
/* NULL: no-op. */
void fetch_end(struct fetch *fetch);
