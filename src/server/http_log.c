#include "server/http_log.h"

#include "core/log.h"

#include <ctype.h>

void http_log_init(struct http_log *log)
{
    pthread_mutex_init(&log->lock, NULL);
    log->limit = log->https = (struct ratelimit){0};
}

void http_log_destroy(struct http_log *log)
{
    pthread_mutex_destroy(&log->lock);
}

static bool may_show(struct http_log *log, const struct node_http_oddity *oddity,
                     uint32_t *ret_suppressed)
{
    const struct endpoint *peer = &oddity->peer;
    pthread_mutex_lock(&log->lock);
    struct ratelimit *limit = oddity->kind == NODE_HTTP_WITHOUT_HTTPS ? &log->https : &log->limit;
    bool may = ratelimit_allow(limit, peer, clock_monotonic_usec(), ret_suppressed);
    pthread_mutex_unlock(&log->lock);
    return may;
}

/* What a peer sent goes into the log with nothing in it that a terminal would obey. */
static void clean(const char *text, char *place, size_t size)
{
    str_copy(place, size, text);
    for (char *p = place; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
}

void http_log_oddity(struct http_log *log, const struct node_http_oddity *oddity)
{
    char peer[ENDPOINT_TEXT_SIZE], path[80], more[64] = "";
    uint32_t suppressed;
    if (!may_show(log, oddity, &suppressed))
        return;
    endpoint_format_address(&oddity->peer, peer);
    if (suppressed)
        snprintf(more, sizeof(more), " (and %u more like this before)", suppressed);
    switch (oddity->kind) {
    case NODE_HTTP_NO_REQUEST:
        log_notice("http: %s connected and sent no whole request: dropped%s", peer, more);
        break;
    case NODE_HTTP_NO_HTTPS:
        log_notice("https: %s connected and sent no whole request, perhaps since it does not trust "
                   "the certificate, or has no version or cipher of TLS that is let in: dropped%s",
                   peer, more);
        break;
    case NODE_HTTP_WITHOUT_HTTPS:
        log_write(LOG_WARNING, oddity->node,
                  "https: the machine at %s cannot boot: its iPXE cannot fetch its script over "
                  "HTTPS (it was built without that, or does not trust the certificate, or its "
                  "clock is wrong), and `require` of [https] gives it none over HTTP%s",
                  peer, more);
        break;
    case NODE_HTTP_WRONG:
        clean(oddity->path, path, sizeof(path));
        log_notice("http: %s asked for '%s', which makes no sense here: refused%s", peer, path,
                   more);
        break;
    case NODE_HTTP_STRANGER:
        log_write(LOG_WARNING, oddity->node,
                  "http: %s, which is not this node's address, asked for what is the node's: "
                  "refused%s",
                  peer, more);
        break;
    case NODE_HTTP_LATE:
        log_write(
            LOG_WARNING, oddity->node,
            "http: %s asked for the node's script with its CHAP secrets, but the node does not "
            "boot now, or nothing shows that this is the node: refused%s",
            peer, more);
        break;
    case NODE_HTTP_BAD_SCRIPT:
        clean(oddity->path, path, sizeof(path));
        log_write(LOG_ERR, NULL, "http: %s gets no script %s: %s; see `nodisk script check`%s",
                  peer, path, oddity->reason, more);
        break;
    case NODE_HTTP_BAD_ENTRY:
        log_write(LOG_ERR, NULL, "http: %s cannot boot the entry %s: %s%s", peer, oddity->path,
                  oddity->reason, more);
        break;
    }
}

void http_log_direct(const struct node_http_direct *told)
{
    if (told->kernel)
        log_write(LOG_INFO, told->node,
                  "boots %s of its disk directly: kernel and initramfs have "
                  "%llu KiB",
                  told->kernel, (unsigned long long)(told->bytes / KIB));
    else
        log_write(LOG_INFO, told->node, "boots by its disk's own loader: %s", told->reason);
}

void http_log_claimed(const char *node, const char *target, uint32_t left)
{
    if (left > 0)
        log_write(LOG_INFO, node, "boots %s, as was asked for; and so at %u more boots", target,
                  left);
    else
        log_write(LOG_INFO, node, "boots %s, as was asked for at this boot; no more boots do",
                  target);
}

void http_log_refused(const char *node, const char *target, const struct error *why)
{
    log_write(LOG_ERR, node, "cannot boot %s: %s", target, why->text);
}

void http_log_rotated(const char *node)
{
    log_write(LOG_INFO, node,
              "has new CHAP secrets for this boot; those before hold until its "
              "system has logged in");
}

void http_log_installed(const char *node, const char *entry)
{
    log_write(LOG_INFO, node, "was installed by %s, and boots its volume from now on", entry);
}

void http_log_fell_back(const char *node, const char *target, uint32_t failures)
{
    log_write(LOG_WARNING, node,
              "its disk was read and its system did not come up, %u times in a row: it boots %s "
              "instead; when it is mended: nodisk boot %s volume",
              failures, target, node);
}
