/* Exports of NBD servers as volumes. */
#include "storage/private.h"

#include <errno.h>

static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};

/* What follows the scheme; NULL: it is none of ours. */
static const char *behind_scheme(const char *uri)
{
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
        if (str_has_prefix(uri, schemes[i]))
            return uri + strlen(schemes[i]);
    return NULL;
}

static bool is_graphic(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return true;
}

int export_check_uri(const char *uri, struct error *ret_error)
{
    const char *rest = behind_scheme(uri);
    if (!rest)
        return error_set(ret_error, -EINVAL,
                         "that is not the URI of an NBD export, such as nbd://10.0.0.5/disk1 or "
                         "nbd+unix:///disk1?socket=/run/nbd.sock");
    if (strlen(uri) >= EXPORT_URI_SIZE || !is_graphic(uri))
        return error_set(ret_error, -EINVAL,
                         "the URI of an NBD export has at most %d characters, and no spaces",
                         EXPORT_URI_SIZE - 1);
    size_t authority = strcspn(rest, "/?#");
    const char *at = memchr(rest, '@', authority);
    if (at && memchr(rest, ':', (size_t)(at - rest)))
        return error_set(ret_error, -EINVAL,
                         "the URI of an NBD export has no password; name a file with the key for "
                         "TLS instead: ?tls-psk-file=PATH");
    return 0;
}

static int check_blocks(const struct storage_export *e, const char *uri, uint32_t *block_size,
                        struct error *ret_error)
{
    if (*block_size == 0)
        *block_size = e->min_request > 512 ? 4096 : 512;
    if (e->min_request > *block_size)
        return error_set(ret_error, -EINVAL, "%.200s takes blocks of %llu bytes only%s", uri,
                         (unsigned long long)e->min_request,
                         e->min_request <= 4096 ? "; use --block-size 4096"
                                                : "; let its server take smaller ones");
    if (e->size == 0 || e->size % *block_size)
        return error_set(ret_error, -EINVAL,
                         "%.200s has %llu bytes, which is no multiple of the block size %u: not a "
                         "raw disk",
                         uri, (unsigned long long)e->size, *block_size);
    return 0;
}

int export_check(struct storage *storage, const char *uri, uint32_t *block_size, uint64_t *ret_size,
                 bool read_only, struct error *ret_error)
{
    const struct storage_settings *settings = &storage->settings;
    struct storage_export e;
    int r = export_check_uri(uri, ret_error);
    if (r >= 0)
        r = settings->probe_nbd(settings->context, uri, &e, ret_error);
    if (r >= 0)
        r = check_blocks(&e, uri, block_size, ret_error);
    if (r < 0)
        return r;
    if (!read_only && e.read_only)
        return error_set(ret_error, -EROFS,
                         "%.200s is read-only; use --read-only, or let its server export it "
                         "writable",
                         uri);
    if (!read_only && !e.can_flush)
        return error_set(ret_error, -EOPNOTSUPP,
                         "the NBD server of %.200s cannot flush, so that what is written could be "
                         "lost; use --read-only, or another server",
                         uri);
    *ret_size = e.size;
    return 0;
}
