#include "core/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#define GENERATED_BYTES 16

static const char *const mode_names[] = {
    [CHAP_NONE] = "none", [CHAP_ONE_WAY] = "one-way", [CHAP_MUTUAL] = "mutual"};

const char *chap_mode_name(enum chap_mode mode)
{
    return mode_names[mode];
}

int chap_mode_parse(const char *word, enum chap_mode *ret_mode, struct error *ret_error)
{
    for (size_t i = 0; i < ARRAY_SIZE(mode_names); i++) {
        if (str_eq(word, mode_names[i])) {
            *ret_mode = (enum chap_mode)i;
            return 0;
        }
    }
    return error_set(ret_error, -EINVAL, "chap must be none, one-way or mutual");
}

static bool is_printable(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return true;
}

int credentials_set(const char *user, const char *secret, struct credentials *ret_credentials,
                    struct error *ret_error)
{
    size_t user_length = strlen(user), secret_length = strlen(secret);
    if (user_length < 1 || user_length > CREDENTIALS_USER_MAX || !is_printable(user))
        return error_set(ret_error, -EINVAL,
                         "a CHAP user name has 1 to %d printable characters and no spaces",
                         CREDENTIALS_USER_MAX);
    if (secret_length < CREDENTIALS_SECRET_MIN || secret_length > CREDENTIALS_SECRET_MAX)
        return error_set(ret_error, -EINVAL,
                         "a CHAP secret has %d to %d characters; this one has %zu",
                         CREDENTIALS_SECRET_MIN, CREDENTIALS_SECRET_MAX, secret_length);
    if (!is_printable(secret))
        return error_set(ret_error, -EINVAL,
                         "a CHAP secret has printable characters (ASCII) and no spaces");
    memcpy(ret_credentials->user, user, user_length + 1);
    memcpy(ret_credentials->secret, secret, secret_length + 1);
    return 0;
}

int secret_open(const char *path, struct error *ret_error)
{
    struct stat st;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(ret_error, -errno, "the secret cannot be read from %s: %s", path,
                         strerror(errno));
    if (S_ISREG(st.st_mode) && (st.st_mode & S_IROTH))
        return error_set(ret_error, -EPERM,
                         "everybody may read the secret in %s; chmod 600 it, and take a new one",
                         path);
    return take_fd(&fd);
}

/* text: what there is, up to one byte more than a line with a secret has. */
static int read_some(int fd, char *text, size_t size)
{
    size_t used = 0;
    ssize_t n = 1;
    while (used < size && n > 0) {
        n = read(fd, text + used, size - used);
        if (n < 0)
            return -errno;
        used += (size_t)n;
    }
    return (int)used;
}

int credentials_read(const char *user, const char *path, struct credentials *ret_credentials,
                     struct error *ret_error)
{
    char text[CREDENTIALS_SECRET_MAX + 3] = "";
    cleanup_close int fd = secret_open(path, ret_error);
    if (fd < 0)
        return fd;
    int n = read_some(fd, text, sizeof(text) - 1);
    if (n < 0)
        return error_set(ret_error, n, "the secret cannot be read from %s: %s", path, strerror(-n));
    text[strcspn(text, "\r\n")] = '\0';
    int r = credentials_set(user, text, ret_credentials, ret_error);
    explicit_bzero(text, sizeof(text));
    return r < 0 ? error_prefix(ret_error, "%s", path) : 0;
}

int credentials_generate(const char *user, struct credentials *ret_credentials,
                         struct error *ret_error)
{
    uint8_t random[GENERATED_BYTES];
    char secret[2 * GENERATED_BYTES + 1];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return error_set(ret_error, -EIO, "the kernel gave no random bytes for a secret");
    for (size_t i = 0; i < sizeof(random); i++)
        sprintf(secret + 2 * i, "%02x", random[i]);
    int r = credentials_set(user, secret, ret_credentials, ret_error);
    explicit_bzero(random, sizeof(random));
    explicit_bzero(secret, sizeof(secret));
    return r;
}

int chap_credentials_check(const struct chap_credentials *credentials, struct error *ret_error)
{
    if (credentials->mode == CHAP_MUTUAL &&
        str_eq(credentials->initiator.secret, credentials->target.secret))
        return error_set(ret_error, -EINVAL,
                         "the secrets of the two directions of mutual CHAP must differ");
    return 0;
}

struct chap_credentials *chap_credentials_copy(const struct chap_credentials *credentials)
{
    size_t count = 0, i = 0;
    for (const struct chap_credentials *c = credentials; c; c = c->older)
        count++;
    struct chap_credentials *copy = count ? calloc(count, sizeof(*copy)) : NULL;
    for (const struct chap_credentials *c = credentials; copy && c; c = c->older, i++) {
        copy[i] = *c;
        copy[i].older = c->older ? &copy[i + 1] : NULL;
    }
    return copy;
}

void chap_credentials_free(struct chap_credentials *credentials)
{
    for (struct chap_credentials *c = credentials, *next; c; c = next) {
        next = (struct chap_credentials *)c->older;
        chap_credentials_wipe(c);
    }
    free(credentials);
}

void credentials_wipe(struct credentials *credentials)
{
    explicit_bzero(credentials, sizeof(*credentials));
}

void chap_credentials_wipe(struct chap_credentials *credentials)
{
    explicit_bzero(credentials, sizeof(*credentials));
}
