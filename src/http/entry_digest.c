#include "http/entry_digest.h"

#include "storage/digest.h"

#include <errno.h>

void entry_digests_init(struct entry_digests *digests)
{
    *digests = (struct entry_digests){.next = 0};
    pthread_mutex_init(&digests->lock, NULL);
}

void entry_digests_destroy(struct entry_digests *digests)
{
    pthread_mutex_destroy(&digests->lock);
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_of(const struct entry_digest *digest, const struct stat *status)
{
    return digest->sha256[0] && digest->device == status->st_dev &&
           digest->inode == status->st_ino && digest->size == status->st_size &&
           is_same_time(digest->written, status->st_mtim) &&
           is_same_time(digest->changed, status->st_ctim);
}

static bool remembers(struct entry_digests *digests, const struct stat *status,
                      char text[static DIGEST_TEXT_SIZE])
{
    bool found = false;
    pthread_mutex_lock(&digests->lock);
    for (size_t i = 0; i < ENTRY_DIGESTS && !found; i++) {
        found = is_of(&digests->list[i], status);
        if (found)
            str_copy(text, DIGEST_TEXT_SIZE, digests->list[i].sha256);
    }
    pthread_mutex_unlock(&digests->lock);
    return found;
}

static void remember(struct entry_digests *digests, const struct stat *status, const char *text)
{
    pthread_mutex_lock(&digests->lock);
    struct entry_digest *digest = &digests->list[digests->next++ % ENTRY_DIGESTS];
    *digest = (struct entry_digest){.device = status->st_dev,
                                    .inode = status->st_ino,
                                    .size = status->st_size,
                                    .written = status->st_mtim,
                                    .changed = status->st_ctim};
    str_copy(digest->sha256, sizeof(digest->sha256), text);
    pthread_mutex_unlock(&digests->lock);
}

static int compute(int fd, const char *path, uint64_t size, char text[static DIGEST_TEXT_SIZE],
                   struct error *ret_error)
{
    struct digest digest;
    int r = digest_begin(&digest, ret_error);
    if (r < 0)
        return r;
    r = digest_step(&digest, fd, path, size, UINT64_MAX, ret_error);
    if (r >= 0)
        digest_text(&digest, text);
    digest_end(&digest);
    return r;
}

static int find(struct entry_digests *digests, int fd, const char *path,
                char text[static DIGEST_TEXT_SIZE], struct error *ret_error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(ret_error, -errno, "%s: %s", path, strerror(errno));
    if (digests && remembers(digests, &status, text))
        return 0;
    int r = compute(fd, path, (uint64_t)status.st_size, text, ret_error);
    if (r >= 0 && digests)
        remember(digests, &status, text);
    return r;
}

int entry_digest_check(struct entry_digests *digests, int fd, const char *path, const char *sha256,
                       struct error *ret_error)
{
    char text[DIGEST_TEXT_SIZE];
    if (!sha256[0])
        return 0;
    int r = find(digests, fd, path, text, ret_error);
    if (r < 0 || str_eq(text, sha256))
        return r;
    return error_set(ret_error, -EBADMSG,
                     "%s has the SHA-256 %s, and must have %s: it is damaged or another one; if it "
                     "is right, add the entry anew with its checksum",
                     path, text, sha256);
}
