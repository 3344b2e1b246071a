/* All that is looked at here is for the operator: what clients make of a certificate is theirs. */
#include "http/certificate.h"

#include "core/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define MAX_FILE  (1 * MIB)
#define MAX_CHAIN 16
#define ID_SIZE   64

struct certificate {
    atomic_uint references;
    gnutls_x509_crt_t list[MAX_CHAIN];
    gnutls_pcert_st chain[MAX_CHAIN]; /* the same */
    unsigned count;
    gnutls_privkey_t key;
    char name[256];
    uint64_t begins, ends;
};

/* --- files --- */

struct text {
    char *data;
    size_t size;
};

static void text_wipe(struct text *text)
{
    if (text->data)
        explicit_bzero(text->data, text->size);
    free(text->data);
}
#define cleanup_text __attribute__((cleanup(text_wipe)))

static int read_all(int fd, struct text *text)
{
    ssize_t n = 1;
    text->data = malloc(MAX_FILE);
    if (!text->data)
        return -ENOMEM;
    while (n > 0 && text->size < MAX_FILE) {
        n = read(fd, text->data + text->size, MAX_FILE - text->size);
        if (n < 0)
            return -errno;
        text->size += (size_t)n;
    }
    return text->size < MAX_FILE ? 0 : -EFBIG;
}

static int read_certificates(const char *path, struct text *ret_text, struct error *ret_error)
{
    struct stat st;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int r = fd < 0 || fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    if (r >= 0)
        r = read_all(fd, ret_text);
    return r < 0 ? error_set(ret_error, r, "the certificate cannot be read from %s: %s", path,
                             strerror(-r))
                 : 0;
}

static int read_key(const char *path, struct text *ret_text, struct error *ret_error)
{
    cleanup_close int fd = secret_open(path, ret_error);
    if (fd < 0)
        return error_prefix(ret_error, "key");
    int r = read_all(fd, ret_text);
    return r < 0 ? error_set(ret_error, r, "the private key cannot be read from %s: %s", path,
                             strerror(-r))
                 : 0;
}

/* --- what is in them --- */

static gnutls_datum_t datum_of(const struct text *text)
{
    return (gnutls_datum_t){(unsigned char *)text->data, (unsigned)text->size};
}

static int parse_certificates(struct certificate *c, const char *path, const struct text *text,
                              struct error *ret_error)
{
    gnutls_datum_t datum = datum_of(text);
    unsigned count = MAX_CHAIN;
    int r = gnutls_x509_crt_list_import(c->list, &count, &datum, GNUTLS_X509_FMT_PEM,
                                        GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED |
                                            GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    if (r < 0)
        memset(c->list, 0, sizeof(c->list)); /* they are released by then */
    if (r == GNUTLS_E_CERTIFICATE_LIST_UNSORTED)
        return error_set(ret_error, -EINVAL,
                         "%s: each certificate must be followed by that of who has signed it, the "
                         "server's own coming first",
                         path);
    if (r == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return error_set(ret_error, -E2BIG, "%s has more than %d certificates", path, MAX_CHAIN);
    if (r <= 0)
        return error_set(ret_error, -EINVAL,
                         "%s has no certificate in PEM (-----BEGIN CERTIFICATE-----)%s%s", path,
                         r < 0 ? ": " : "", r < 0 ? gnutls_strerror(r) : "");
    c->count = (unsigned)r;
    for (unsigned i = 0; i < c->count; i++)
        if (gnutls_pcert_import_x509(&c->chain[i], c->list[i], 0) < 0)
            return error_set(ret_error, -EINVAL, "%s: a certificate of it cannot be used", path);
    return 0;
}

static int parse_key(struct certificate *c, const char *path, const struct text *text,
                     struct error *ret_error)
{
    gnutls_datum_t datum = datum_of(text);
    int r = gnutls_privkey_init(&c->key);
    if (r >= 0)
        r = gnutls_privkey_import_x509_raw(c->key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (r == GNUTLS_E_DECRYPTION_FAILED)
        return error_set(ret_error, -EINVAL,
                         "the private key in %s has a password, which nobody would type at start: "
                         "take it off (openssl pkey -in %s)",
                         path, path);
    return r < 0 ? error_set(ret_error, -EINVAL, "%s has no private key in PEM: %s", path,
                             gnutls_strerror(r))
                 : 0;
}

static bool key_id_of(gnutls_privkey_t key, unsigned char id[static ID_SIZE], size_t *size)
{
    gnutls_pubkey_t public;
    *size = ID_SIZE;
    if (gnutls_pubkey_init(&public) < 0)
        return false;
    bool ok = gnutls_pubkey_import_privkey(public, key, 0, 0) >= 0 &&
              gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, id, size) >= 0;
    gnutls_pubkey_deinit(public);
    return ok;
}

static bool belongs(const struct certificate *c)
{
    unsigned char id[ID_SIZE], key_id[ID_SIZE];
    size_t size = sizeof(id), key_size;
    return gnutls_x509_crt_get_key_id(c->list[0], GNUTLS_KEYID_USE_SHA256, id, &size) >= 0 &&
           key_id_of(c->key, key_id, &key_size) && size == key_size &&
           memcmp(id, key_id, size) == 0;
}

static void read_name(struct certificate *c)
{
    size_t size = sizeof(c->name);
    if (gnutls_x509_crt_get_dn_by_oid(c->list[0], GNUTLS_OID_X520_COMMON_NAME, 0, 0, c->name,
                                      &size) >= 0)
        return;
    size = sizeof(c->name);
    int type = gnutls_x509_crt_get_subject_alt_name(c->list[0], 0, c->name, &size, NULL);
    if (type != GNUTLS_SAN_DNSNAME)
        c->name[0] = '\0';
}

/* It stands in our log. */
static void clean_name(struct certificate *c)
{
    for (char *p = c->name; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
}

static void read_dates(struct certificate *c)
{
    c->ends = UINT64_MAX;
    for (unsigned i = 0; i < c->count; i++) {
        time_t begins = gnutls_x509_crt_get_activation_time(c->list[i]);
        time_t ends = gnutls_x509_crt_get_expiration_time(c->list[i]);
        c->begins = MAX(c->begins, (uint64_t)MAX(begins, 0) * USEC_PER_SEC);
        c->ends = MIN(c->ends, (uint64_t)MAX(ends, 0) * USEC_PER_SEC);
    }
}

static int fill(struct certificate *c, const char *path, const char *key_path,
                struct error *ret_error)
{
    cleanup_text struct text text = {NULL, 0}, key = {NULL, 0};
    int r = read_certificates(path, &text, ret_error);
    if (r >= 0)
        r = parse_certificates(c, path, &text, ret_error);
    if (r >= 0)
        r = read_key(key_path, &key, ret_error);
    if (r >= 0)
        r = parse_key(c, key_path, &key, ret_error);
    if (r < 0)
        return r;
    if (!belongs(c))
        return error_set(ret_error, -EINVAL,
                         "the private key in %s is not that of the first certificate in %s",
                         key_path, path);
    read_name(c);
    clean_name(c);
    read_dates(c);
    return 0;
}

int certificate_read(const char *path, const char *key_path, struct certificate **ret_certificate,
                     struct error *ret_error)
{
    cleanup_certificate struct certificate *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set(ret_error, -ENOMEM, "out of memory");
    atomic_init(&c->references, 1);
    int r = fill(c, path, key_path, ret_error);
    if (r < 0)
        return r;
    *ret_certificate = take_ptr(c);
    return 0;
}

struct certificate *certificate_ref(struct certificate *certificate)
{
    if (certificate)
        atomic_fetch_add(&certificate->references, 1);
    return certificate;
}

void certificate_unref(struct certificate *certificate)
{
    if (!certificate || atomic_fetch_sub(&certificate->references, 1) > 1)
        return;
    for (unsigned i = 0; i < MAX_CHAIN; i++) {
        gnutls_pcert_deinit(&certificate->chain[i]);
        if (certificate->list[i])
            gnutls_x509_crt_deinit(certificate->list[i]);
    }
    if (certificate->key)
        gnutls_privkey_deinit(certificate->key);
    free(certificate);
}

/* --- what it says --- */

uint64_t certificate_ends(const struct certificate *certificate)
{
    return certificate->ends;
}

uint64_t certificate_begins(const struct certificate *certificate)
{
    return certificate->begins;
}

const char *certificate_name(const struct certificate *certificate)
{
    return certificate->name;
}

bool certificate_is_for(const struct certificate *certificate, const char *host)
{
    return gnutls_x509_crt_check_hostname(certificate->list[0], host);
}

bool certificate_is_rsa(const struct certificate *certificate)
{
    return gnutls_x509_crt_get_pk_algorithm(certificate->list[0], NULL) == GNUTLS_PK_RSA;
}

bool certificate_eq(const struct certificate *a, const struct certificate *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++)
        if (!gnutls_x509_crt_equals(a->list[i], b->list[i]))
            return false;
    return true; /* the key is that of the first of them */
}

struct gnutls_pcert_st *certificate_chain(struct certificate *certificate, unsigned *ret_count)
{
    *ret_count = certificate->count;
    return certificate->chain;
}

struct gnutls_privkey_st *certificate_key(struct certificate *certificate)
{
    return certificate->key;
}

/* --- the one that counts --- */

struct certificate_slot {
    pthread_mutex_t lock; /* protects `current`, and taking a reference to it */
    struct certificate *current;
};

struct certificate_slot *certificate_slot_new(void)
{
    struct certificate_slot *slot = calloc(1, sizeof(*slot));
    if (slot)
        pthread_mutex_init(&slot->lock, NULL);
    return slot;
}

void certificate_slot_free(struct certificate_slot *slot)
{
    if (!slot)
        return;
    certificate_unref(slot->current);
    pthread_mutex_destroy(&slot->lock);
    free(slot);
}

void certificate_slot_set(struct certificate_slot *slot, struct certificate *certificate)
{
    pthread_mutex_lock(&slot->lock);
    struct certificate *old = slot->current;
    slot->current = certificate_ref(certificate);
    pthread_mutex_unlock(&slot->lock);
    certificate_unref(old);
}

struct certificate *certificate_slot_get(struct certificate_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct certificate *certificate = certificate_ref(slot->current);
    pthread_mutex_unlock(&slot->lock);
    return certificate;
}
