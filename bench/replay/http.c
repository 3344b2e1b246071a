/*
 * One HTTP request, on a connection of its own: the boot script, or that the node is up. Whatever
 * goes wrong, it is made again after 1, 2, 4, ... seconds.
 */
#include "node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>

/* The script's URL, or the path of the step at the same server, as host, port and path. */
struct url {
    char host[64], path[256];
    unsigned port;
};

static bool split_url(const char *text, struct url *ret_url)
{
    struct url url = {.port = 80, .path = "/"};
    if (sscanf(text, "http://%63[^:/]:%u%255s", url.host, &url.port, url.path) < 2 &&
        sscanf(text, "http://%63[^:/]%255s", url.host, url.path) < 1)
        return false;
    *ret_url = url;
    return url.port > 0 && url.port <= UINT16_MAX;
}

/* Puts the node's MAC where the text says ${mac}, or what iPXE's own settings say so. */
static void expand(const char *text, const struct node *node, char *out, size_t size)
{
    static const char *const names[] = {"${mac}", "${net0/mac}", "${netX/mac}"};
    char mac[MAC_TEXT_SIZE];
    mac_format(node->mac, mac);
    const char *at = NULL, *name = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(names) && !at; i++) {
        name = names[i];
        at = strstr(text, name);
    }
    if (at)
        snprintf(out, size, "%.*s%s%s", (int)(at - text), text, mac, at + strlen(name));
    else
        str_copy(out, size, text);
}

static bool url_of(const struct node *node, struct url *ret_url)
{
    if (!split_url(node->boot_file, ret_url))
        return false;
    const char *path = node->http.step->http.path;
    char wanted[sizeof(ret_url->path)];
    str_copy(wanted, sizeof(wanted), str_eq(path, "script") ? ret_url->path : path);
    expand(wanted, node, ret_url->path, sizeof(ret_url->path));
    return true;
}

static void drop(struct fetch *fetch)
{
    struct loop *loop = &fetch->node->storm->loop;
    if (fetch->source.fd >= 0)
        node_note_tcp(fetch->node, fetch->source.fd);
    loop_drop(&fetch->source);
    loop_clear_timer(loop, &fetch->timer);
    free(fetch->answer);
    fetch->answer = NULL;
}

static void again(struct fetch *fetch, const char *why)
{
    struct loop *loop = &fetch->node->storm->loop;
    drop(fetch);
    fetch->tries++;
    node_retry(fetch->node, RETRY_HTTP, why);
    loop_set_timer(loop, &fetch->timer, loop->now + backoff_usec(fetch->node->storm, fetch->tries));
}

static void connect_now(struct fetch *fetch)
{
    struct node *node = fetch->node;
    struct url url;
    uint32_t address;
    if (!url_of(node, &url) || ipv4_parse(url.host, &address) < 0) {
        node_fail(node, "HTTP: DHCP has told no URL with an address, but '%s'", node->boot_file);
        return;
    }
    fetch->answer = malloc(FETCH_MAX + 1);
    fetch->size = 0;
    fetch->asked = false;
    struct endpoint to = endpoint_of_ipv4(address, (uint16_t)url.port);
    int fd = node_socket(node, SOCK_STREAM);
    if (fd < 0 || !fetch->answer || loop_add(&node->storm->loop, &fetch->source, fd, EPOLLOUT) < 0)
        node_fail(node, "HTTP: no socket, or no memory");
    else if (connect(fd, &to.any, endpoint_size(&to)) < 0 && errno != EINPROGRESS)
        again(fetch, "HTTP: no connection");
}

static void timer_fired(struct timer *timer)
{
    connect_now(container_of(timer, struct fetch, timer));
}

static void send_request(struct fetch *fetch)
{
    struct url url;
    char request[768];
    if (!url_of(fetch->node, &url))
        return;
    int size = snprintf(request, sizeof(request),
                        "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench/storm\r\n%s\r\n",
                        fetch->step->http.method, url.path, url.host,
                        str_eq(fetch->step->http.method, "POST") ? "Content-Length: 0\r\n" : "");
    fetch->asked = true;
    if (send(fetch->source.fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        again(fetch, "HTTP: the request was not taken");
    else if (loop_change(&fetch->node->storm->loop, &fetch->source, EPOLLIN) < 0)
        node_fail(fetch->node, "HTTP: the connection cannot be waited for");
}

/* Where the whole answer ends; 0: it is not all there. */
static char *whole_body(struct fetch *fetch, bool ended)
{
    fetch->answer[fetch->size] = '\0';
    char *body = strstr(fetch->answer, "\r\n\r\n");
    if (!body)
        return NULL;
    body += 4;
    const char *length = strcasestr(fetch->answer, "\r\nContent-Length:");
    size_t size = length && length < body ? strtoul(length + 17, NULL, 10) : 0;
    bool empty = strstr(fetch->answer, " 204 ") == fetch->answer + 8;
    bool known = empty || (length && length < body);
    size_t have = fetch->size - (size_t)(body - fetch->answer);
    return ended || (known && have >= size) ? body : NULL;
}

static void take_answer(struct fetch *fetch, char *body)
{
    struct node *node = fetch->node;
    bool is_script = str_eq(fetch->step->http.path, "script");
    if (strncmp(fetch->answer, "HTTP/1.", 7) != 0 || fetch->answer[9] != '2') {
        again(fetch, "HTTP: an error was answered");
        return;
    }
    if (is_script && !script_take(node, body)) {
        again(fetch, "HTTP: the script boots nothing");
        return;
    }
    drop(fetch);
    node_step_done(node);
}

static void receive(struct fetch *fetch)
{
    ssize_t n = recv(fetch->source.fd, fetch->answer + fetch->size, FETCH_MAX - fetch->size, 0);
    if (n < 0) {
        if (errno != EAGAIN)
            again(fetch, "HTTP: the connection was lost");
        return;
    }
    fetch->size += (size_t)n;
    char *body = whole_body(fetch, n == 0);
    if (body)
        take_answer(fetch, body);
    else if (n == 0 || fetch->size == FETCH_MAX)
        again(fetch, "HTTP: no whole answer");
}

static void ready(struct source *source, uint32_t events)
{
    struct fetch *fetch = container_of(source, struct fetch, source);
    if (fetch->asked)
        receive(fetch);
    else if (events & (EPOLLERR | EPOLLHUP))
        again(fetch, "HTTP: no connection");
    else
        send_request(fetch);
}

void http_setup(struct node *node)
{
    node->http = (struct fetch){
        .source = {.fd = -1, .ready = ready}, .timer.fire = timer_fired, .node = node};
}

void http_begin(struct node *node, const struct step *step)
{
    node->http.step = step;
    node->http.tries = 0;
    connect_now(&node->http);
}
