#include "block/nbd_connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Where the server names none: what is always safe by the protocol. */
#define DEFAULT_MIN_REQUEST 512u
#define DEFAULT_MAX_REQUEST (32 * MIB)

/* A host that is switched off or cut off is noticed after so long, whether we wait for an answer or
 * have something to send. A server that is only slow is waited for, as a disk is (see nbd.c). */
#define SILENCE_SECONDS 20
#define PROBE_SECONDS   5

/* Without libnbd's "nbd_function: ": what happened, for an operator. */
static const char *reason(void)
{
    const char *text = nbd_get_error();
    const char *colon = text ? strstr(text, ": ") : NULL;
    return colon ? colon + 2 : text ? text : "it is not known why";
}

static int failed(const char *uri, struct error *ret_error)
{
    int errnum = nbd_get_errno();
    return error_set(ret_error, errnum ? -errnum : -EIO,
                     "cannot use the NBD export %.200s: %.160s; see whether its server runs and "
                     "exports it",
                     uri, reason());
}

static int begin(struct nbd_handle *handle, const char *uri)
{
    uint32_t transports = LIBNBD_ALLOW_TRANSPORT_TCP | LIBNBD_ALLOW_TRANSPORT_UNIX;
    if (nbd_set_uri_allow_transports(handle, transports) < 0 ||
        nbd_set_uri_allow_local_file(handle, true) < 0 || /* keys for TLS: root named them */
        nbd_set_pread_initialize(handle, false) < 0)
        return -1;
    return nbd_aio_connect_uri(handle, uri);
}

static int wait_ready(struct nbd_handle *handle, const char *uri, struct error *ret_error)
{
    uint64_t deadline = clock_monotonic_usec() + NBD_CONNECT_TIMEOUT;
    while (!nbd_aio_is_ready(handle)) {
        uint64_t now = clock_monotonic_usec();
        if (now >= deadline)
            return error_set(ret_error, -ETIMEDOUT,
                             "the NBD server of %.200s does not answer; see whether it is well",
                             uri);
        if (nbd_poll(handle, (int)((deadline - now) / 1000) + 1) < 0 || nbd_aio_is_dead(handle) ||
            nbd_aio_is_closed(handle))
            return failed(uri, ret_error);
    }
    return 0;
}

static void set_option(int fd, int level, int option, int value)
{
    int r = setsockopt(fd, level, option, &value, sizeof(value));
    (void)r; /* a Unix socket has none of them, and needs none */
}

static void notice_silence(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_SECONDS);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_SECONDS);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, SILENCE_SECONDS / PROBE_SECONDS);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000);
}

static int read_export(struct nbd_handle *handle, const char *uri, struct nbd_export *ret_export,
                       struct error *ret_error)
{
    int64_t size = nbd_get_size(handle);
    int64_t min = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
    int64_t max = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
    int read_only = nbd_is_read_only(handle);
    if (size < 0 || min < 0 || max < 0 || read_only < 0)
        return failed(uri, ret_error);
    struct nbd_export e = {
        .size = (uint64_t)size,
        .min_request = min ? (uint64_t)min : DEFAULT_MIN_REQUEST,
        .max_request = max ? MIN((uint64_t)max, DEFAULT_MAX_REQUEST) : DEFAULT_MAX_REQUEST,
        .read_only = read_only,
        .can_flush = nbd_can_flush(handle) > 0,
        .can_fua = nbd_can_fua(handle) > 0,
        .can_zero = nbd_can_zero(handle) > 0,
    };
    if (e.max_request < 4096 || e.max_request % e.min_request)
        return error_set(ret_error, -EPROTO,
                         "the NBD server of %.200s takes %llu bytes at once at most, in multiples "
                         "of %llu: not the disk of a machine",
                         uri, (unsigned long long)e.max_request, (unsigned long long)e.min_request);
    *ret_export = e;
    return 0;
}

void nbd_let_go(struct nbd_handle *handle)
{
    if (!handle)
        return;
    if (nbd_aio_is_ready(handle) > 0)
        (void)nbd_aio_disconnect(handle, 0);
    nbd_close(handle);
}

int nbd_connect(const char *uri, struct nbd_handle **ret_handle, struct nbd_export *ret_export,
                struct error *ret_error)
{
    struct nbd_handle *handle = nbd_create();
    if (!handle)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = begin(handle, uri) < 0 ? failed(uri, ret_error) : wait_ready(handle, uri, ret_error);
    if (r >= 0)
        r = read_export(handle, uri, ret_export, ret_error);
    if (r < 0) {
        nbd_let_go(handle);
        return r;
    }
    notice_silence(nbd_aio_get_fd(handle));
    *ret_handle = handle;
    return 0;
}

int block_nbd_probe(const char *uri, struct nbd_export *ret_export, struct error *ret_error)
{
    struct nbd_handle *handle = NULL;
    int r = nbd_connect(uri, &handle, ret_export, ret_error);
    if (r >= 0)
        nbd_let_go(handle);
    return r;
}
