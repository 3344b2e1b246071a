#include "storage/digest.h"

#include <errno.h>
#include <unistd.h>

#define BUFFER_SIZE (1 * MIB)

static const uint8_t zeroes[64 * KIB];

int digest_begin(struct digest *digest, struct error *ret_error)
{
    *digest = (struct digest){.buffer = malloc(BUFFER_SIZE)};
    if (!digest->buffer)
        return error_set(ret_error, -ENOMEM, "out of memory");
    sha256_init(&digest->hash);
    return 0;
}

void digest_end(struct digest *digest)
{
    free(digest->buffer);
    digest->buffer = NULL;
}

static void add_zeroes(struct digest *digest, uint64_t end)
{
    size_t size = (size_t)MIN(end - digest->done, sizeof(zeroes));
    sha256_update(&digest->hash, size, zeroes);
    digest->done += size;
}

static int add_data(struct digest *digest, int fd, const char *name, uint64_t end,
                    struct error *ret_error)
{
    size_t size = (size_t)MIN(end - digest->done, BUFFER_SIZE);
    ssize_t n = pread(fd, digest->buffer, size, (off_t)digest->done);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0)
        return error_set(ret_error, -errno, "%s cannot be read: %s", name, strerror(errno));
    if (n == 0)
        return error_set(ret_error, -EIO, "%s is shorter than it should be", name);
    sha256_update(&digest->hash, (size_t)n, digest->buffer);
    digest->done += (uint64_t)n;
    return 0;
}

/* Where the next data begins: `end` if there is none before. Where holes cannot be told, all is
 * data. */
static uint64_t next_data(struct digest *digest, int fd, uint64_t end)
{
    off_t data = lseek(fd, (off_t)digest->done, SEEK_DATA);
    bool none = data < 0 && errno == ENXIO && lseek(fd, 0, SEEK_END) >= (off_t)end;
    if (none)
        return end;
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    digest->data_end = hole <= data ? UINT64_MAX : (uint64_t)hole;
    return data < 0 ? digest->done : MIN((uint64_t)data, end);
}

int digest_step(struct digest *digest, int fd, const char *name, uint64_t end, uint64_t until,
                struct error *ret_error)
{
    uint64_t hole_end = digest->done;
    int r = 0;
    while (r >= 0 && digest->done < end && clock_monotonic_usec() < until) {
        if (digest->done >= hole_end && digest->done >= digest->data_end)
            hole_end = next_data(digest, fd, end);
        if (digest->done < hole_end)
            add_zeroes(digest, hole_end);
        else
            r = add_data(digest, fd, name, MIN(end, digest->data_end), ret_error);
    }
    return r;
}

void digest_hash_text(struct sha256_ctx *hash, char text[static DIGEST_TEXT_SIZE])
{
    uint8_t bytes[SHA256_DIGEST_SIZE];
    sha256_digest(hash, sizeof(bytes), bytes);
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void digest_text(struct digest *digest, char text[static DIGEST_TEXT_SIZE])
{
    digest_hash_text(&digest->hash, text);
}
