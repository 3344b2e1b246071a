/*
 * The certificate of an HTTPS server and its key, as they were read from their files (PEM, X.509):
 * immutable, and counted, so that a handshake that is under way ends with the one it began with.
 */
#pragma once

#include "core/error.h"

struct certificate;

/* path: the server's own certificate first, then who has signed it, and so on. key_path: its
 * private key, without a password; if everybody may read it, -EPERM. Its dates are not looked at.
 * Errors name the file, and what to do. */
int certificate_read(const char *path, const char *key_path, struct certificate **ret_certificate,
                     struct error *ret_error) MUST_CHECK;
/* NULL: no-op. */
struct certificate *certificate_ref(struct certificate *certificate);
void certificate_unref(struct certificate *certificate);

static inline void certificate_unref_ptr(struct certificate **certificate)
{
    certificate_unref(*certificate);
}
#define cleanup_certificate __attribute__((cleanup(certificate_unref_ptr)))

/* When the first of its chain ends, and when the last of it has begun: usec since 1970. */
uint64_t certificate_ends(const struct certificate *certificate);
uint64_t certificate_begins(const struct certificate *certificate);
/* Its subject's name, or the first of its alternative ones; "" if it has none. */
const char *certificate_name(const struct certificate *certificate);
/* Is it for this DNS name or address ("10.0.0.1", "2001:db8::1")? */
bool certificate_is_for(const struct certificate *certificate, const char *host);
/* iPXE before 2025 understands no other keys. */
bool certificate_is_rsa(const struct certificate *certificate);
/* The same chain with the same key? */
bool certificate_eq(const struct certificate *a, const struct certificate *b);

/* What a handshake sends: an array of gnutls_pcert_st, and a gnutls_privkey_t. */
struct gnutls_pcert_st;
struct gnutls_pcert_st *certificate_chain(struct certificate *certificate, unsigned *ret_count);
struct gnutls_privkey_st *certificate_key(struct certificate *certificate);

/* The one that counts now. Thread-safe. */
struct certificate_slot;

struct certificate_slot *certificate_slot_new(void);
/* NULL: no-op. */
void certificate_slot_free(struct certificate_slot *slot);
void certificate_slot_set(struct certificate_slot *slot, struct certificate *certificate);
/* NULL: there is none. To be released by certificate_unref(). */
struct certificate *certificate_slot_get(struct certificate_slot *slot);
