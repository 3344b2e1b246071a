#include "storage/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>

#define CONNECT_SECONDS 15L
#define SILENT_SECONDS  60L
#define MAX_REDIRECTS   5L
#define POLL_MS         100

struct fetch {
    CURLM *multi;
    CURL *easy;
    const char *url;
    int fd;
    struct sha256_ctx hash;
    uint64_t done;
    int wrong; /* writing has failed: a negative errno */
    char said[CURL_ERROR_SIZE];
};

static void init_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int failed(const struct fetch *f, int code, const char *why, struct error *ret_error)
{
    return error_set(ret_error, code, "cannot fetch %.300s: %s", f->url, why);
}

/* libcurl's callback: anything but size * n ends the transfer. */
static size_t take(char *data, size_t size, size_t n, void *context)
{
    struct fetch *f = context;
    size_t length = size * n;
    if (f->done + length > FETCH_MAX_SIZE)
        f->wrong = -EFBIG;
    for (size_t written = 0; written < length && !f->wrong;) {
        ssize_t w = write(f->fd, data + written, length - written);
        if (w < 0 && errno != EINTR)
            f->wrong = -errno;
        written += w > 0 ? (size_t)w : 0;
    }
    if (f->wrong)
        return 0;
    sha256_update(&f->hash, length, (const uint8_t *)data);
    f->done += length;
    return length;
}

static bool set_options(struct fetch *f)
{
    CURL *c = f->easy;
    return !curl_easy_setopt(c, CURLOPT_URL, f->url) &&
           !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") &&
           !curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") &&
           !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) &&
           !curl_easy_setopt(c, CURLOPT_MAXREDIRS, MAX_REDIRECTS) &&
           !curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L) &&
           !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) &&
           !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS) &&
           !curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L) &&
           !curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, SILENT_SECONDS) &&
           !curl_easy_setopt(c, CURLOPT_USERAGENT, "nodisk/" NODISK_VERSION) &&
           !curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->said) &&
           !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take) &&
           !curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
}

int fetch_begin(const char *url, int fd, struct fetch **ret_fetch, struct error *ret_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_library);
    struct fetch *f = calloc(1, sizeof(*f));
    if (!f)
        return error_set(ret_error, -ENOMEM, "out of memory");
    f->url = url;
    f->fd = fd;
    f->multi = curl_multi_init();
    f->easy = curl_easy_init();
    sha256_init(&f->hash);
    if (!f->multi || !f->easy || !set_options(f) || curl_multi_add_handle(f->multi, f->easy)) {
        fetch_end(f);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *ret_fetch = f;
    return 0;
}

/* Of a transfer that has ended: the message of its handle is there. */
static int finish(struct fetch *f, struct error *ret_error)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(f->multi, &left);
    CURLcode result = message ? message->data.result : CURLE_RECV_ERROR;
    if (f->wrong)
        return failed(f, f->wrong,
                      f->wrong == -ENOSPC  ? "no space left; free some and try again"
                      : f->wrong == -EFBIG ? "it is too large"
                                           : strerror(-f->wrong),
                      ret_error);
    if (result != CURLE_OK)
        return failed(f, -EIO, f->said[0] ? f->said : curl_easy_strerror(result), ret_error);
    return 0;
}

int fetch_step(struct fetch *f, uint64_t until, struct error *ret_error)
{
    int running = 1;
    do {
        CURLMcode r = curl_multi_perform(f->multi, &running);
        if (!r && running)
            r = curl_multi_poll(f->multi, NULL, 0, POLL_MS, NULL);
        if (r)
            return failed(f, -EIO, curl_multi_strerror(r), ret_error);
    } while (running && clock_monotonic_usec() < until);
    return running ? 1 : finish(f, ret_error);
}

uint64_t fetch_done(const struct fetch *f)
{
    return f->done;
}

uint64_t fetch_total(const struct fetch *f)
{
    curl_off_t total = 0;
    curl_easy_getinfo(f->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &total);
    return total > 0 ? (uint64_t)total : 0;
}

void fetch_digest(struct fetch *f, char text[static DIGEST_TEXT_SIZE])
{
    digest_hash_text(&f->hash, text);
}

void fetch_end(struct fetch *f)
{
    if (!f)
        return;
    if (f->multi && f->easy)
        curl_multi_remove_handle(f->multi, f->easy);
    curl_easy_cleanup(f->easy);
    curl_multi_cleanup(f->multi);
    free(f);
}
