/*
 * Boot loaders for firmware that boots by HTTP (UEFI 2.10, 24.7): the same files that others fetch
 * by TFTP, to anybody who asks, as there.
 *
 * Firmware wants to know the size first, by HEAD, and what it gets, by its type.
 */
#include <errno.h>

#include "http/nodes_internal.h"

static const char prefix[] = "/loaders/";

/* One that is on its way. */
struct fetch {
    struct node_http *http;
    struct endpoint peer;
    char what[256];
};

/* UEFI 2.10, 24.7.3.1: the types that firmware takes; with others it looks at the name. */
static const char *type_of(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {{".efi", "application/efi"},
                 {".iso", "application/vnd.efi-iso"},
                 {".img", "application/vnd.efi-img"}};
    size_t n = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        size_t suffix = strlen(types[i].suffix);
        if (n > suffix && strcasecmp(name + n - suffix, types[i].suffix) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static void sign_loader(const struct node_http_settings *settings, uint32_t address,
                        const char *what)
{
    struct mac_address mac;
    if (settings->giver(settings->context, address) != NODE_HTTP_PROXIED)
        boot_tracker_sign_of_address(settings->tracker, address, BOOT_SIGN_LOADER, what);
    else if (settings->neighbour(settings->context, address, &mac))
        boot_tracker_sign_of_mac(settings->tracker, mac, BOOT_SIGN_LOADER, what);
}

static void sign_loader6(const struct node_http_settings *settings, const struct endpoint *peer,
                         const char *what)
{
    struct mac_address mac;
    if (settings->machine6 && settings->machine6(settings->context, peer, &mac))
        boot_tracker_sign_of_mac(settings->tracker, mac, BOOT_SIGN_LOADER, what);
}

static void fetched(void *context, bool whole)
{
    struct fetch *fetch = context;
    uint32_t address;
    if (whole) {
        counter_add(&fetch->http->counters.loaders, 1);
        if (endpoint_ipv4(&fetch->peer, &address))
            sign_loader(&fetch->http->settings, address, fetch->what);
        else
            sign_loader6(&fetch->http->settings, &fetch->peer, fetch->what);
    }
    free(fetch);
}

/* Without memory nobody hears of it. */
static void watch(struct node_http *http, struct http_request *request, const struct endpoint *peer,
                  const char *name)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch)
        return;
    fetch->http = http;
    fetch->peer = *peer;
    snprintf(fetch->what, sizeof(fetch->what), "%s by HTTP", name);
    http_when_done(request, fetched, fetch);
}

bool node_http_loader(struct node_http *http, struct http_request *request,
                      const struct endpoint *peer)
{
    const struct node_http_settings *settings = &http->settings;
    const char *name = http_path(request);
    int fd = -1;
    uint64_t size = 0;
    if (!str_has_prefix(name, prefix))
        return false;
    name += strlen(prefix);
    int r = settings->open_loader ? settings->open_loader(settings->context, name, &fd, &size)
                                  : -ENOENT;
    if (r < 0) {
        node_http_refuse(http, request, peer, 404, "no such loader\n");
        return true;
    }
    if (str_eq(http_method(request), "GET"))
        watch(http, request, peer, name);
    http_reply_file(request, 200, type_of(name), fd, size);
    return true;
}
