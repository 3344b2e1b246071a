/*
 * HTTPS beside HTTP: by which of the two a machine has reached us, URLs that keep it there, and
 * what goes out over HTTPS only.
 *
 * What iPXE fetches stays with what its script came over. What runs later has other root
 * certificates than iPXE, if any: that is plain HTTP unless it is said otherwise.
 */
#include "core/listener.h"
#include "http/nodes_internal.h"

static size_t find_list(const struct node_http *http, bool secure, const struct endpoint **ret_list)
{
    *ret_list = http->endpoints + (secure ? http->n_plain : 0);
    return secure ? http->count - http->n_plain : http->n_plain;
}

/* Of two listeners with one port, one address has one only. */
bool node_http_is_secure(const struct node_http *http, const struct endpoint *local)
{
    struct endpoint same[NODE_HTTP_MAX_LISTEN];
    const struct endpoint *list;
    size_t count = find_list(http, true, &list), n = 0;
    for (size_t i = 0; i < count; i++)
        if (endpoint_port(&list[i]) == endpoint_port(local))
            same[n++] = list[i];
    return listener_find(same, n, local);
}

/* --- URLs --- */

static const char *format_url(const struct node_http *http, const struct endpoint *local,
                              bool secure, char url[static NODE_HTTP_URL_SIZE])
{
    const char *name = secure ? http->settings.https.name : NULL;
    char address[ENDPOINT_TEXT_SIZE], port[8] = "";
    endpoint_format_host(local, address);
    if (endpoint_port(local) != (secure ? 443 : 80))
        snprintf(port, sizeof(port), ":%u", endpoint_port(local));
    snprintf(url, NODE_HTTP_URL_SIZE, "%s://%s%s", secure ? "https" : "http",
             name && name[0] ? name : address, port);
    return url;
}

const char *node_http_format_url(const struct node_http *http, const struct endpoint *local,
                                 char url[static NODE_HTTP_URL_SIZE])
{
    return format_url(http, local, node_http_is_secure(http, local), url);
}

/* Where nothing listens, whoever tries that is shown it. */
static const char *format_https_url(const struct node_http *http, const struct endpoint *local,
                                    char url[static NODE_HTTP_URL_SIZE])
{
    const struct endpoint *list;
    size_t count = find_list(http, true, &list);
    const struct endpoint *found = listener_find(list, count, local);
    const struct endpoint there = endpoint_with_port(local, found ? endpoint_port(found) : 443);
    return format_url(http, &there, true, url);
}

const char *node_http_format_system_url(const struct node_http *http, const struct endpoint *local,
                                        char url[static NODE_HTTP_URL_SIZE])
{
    bool secure = node_http_is_secure(http, local), wanted = http->settings.https.for_systems;
    const struct endpoint *list;
    size_t count = find_list(http, wanted, &list);
    const struct endpoint *found = listener_find(list, count, local);
    if (secure == wanted || !found)
        return format_url(http, local, secure, url);
    const struct endpoint there = endpoint_with_port(local, endpoint_port(found));
    return format_url(http, &there, wanted, url);
}

/* --- what goes out over HTTPS only --- */

bool node_http_needs_https(const struct node_http *http, const struct endpoint *local,
                           const struct plan *plan)
{
    enum node_https_need need = http->settings.https.need;
    return need != NODE_HTTPS_OPTIONAL && !node_http_is_secure(http, local) &&
           (need == NODE_HTTPS_ALWAYS || (plan && plan_chap(plan)));
}

/* Answers may have secrets, of a node with CHAP or not. */
bool node_http_install_needs_https(const struct node_http *http, const struct endpoint *local)
{
    const struct node_https *https = &http->settings.https;
    return https->for_systems && https->need != NODE_HTTPS_OPTIONAL &&
           !node_http_is_secure(http, local);
}

static void tell_without_https(struct node_http *http, struct http_request *request,
                               const struct endpoint *peer, const struct catalog_node *node,
                               struct mac_address mac)
{
    const char *said = http_query(request, BOOT_HTTPS_QUERY);
    bool is_node = node && !node_http_is_stranger(http, peer, node, mac);
    if (said && str_eq(said, "failed") && http->settings.oddity)
        http->settings.oddity(http->settings.context,
                              &(struct node_http_oddity){.kind = NODE_HTTP_WITHOUT_HTTPS,
                                                         .peer = *peer,
                                                         .node = is_node ? node->name : NULL});
}

void node_http_send_to_https(struct node_http *http, struct http_request *request,
                             const struct endpoint *peer, const struct endpoint *local,
                             const struct catalog_node *node, struct mac_address mac)
{
    char url[NODE_HTTP_URL_SIZE], https_url[NODE_HTTP_URL_SIZE];
    char *script = boot_script_render_https(mac, format_url(http, local, false, url),
                                            format_https_url(http, local, https_url));
    tell_without_https(http, request, peer, node, mac);
    if (script)
        http_reply_owned(request, 200, "text/plain", script, strlen(script));
    else
        node_http_reply_text(request, 500, "out of memory\n");
}

void node_http_refuse_plain(struct node_http *http, struct http_request *request,
                            const struct endpoint *peer)
{
    node_http_refuse(http, request, peer, 403, "this is given over HTTPS only\n");
}
