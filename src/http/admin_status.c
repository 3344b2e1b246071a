/*
 * /v1/status and /v1/events: how the server and its nodes are, now and as it changes.
 *
 * A watcher subscribes first and takes its snapshot then, so that nothing falls between the two
 * (an event may be in both). Its queue is bounded: who reads too slowly is told that events were
 * lost and gets a new snapshot.
 */
#include "http/admin_internal.h"
#include "http/certificate.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#define MAX_WATCHERS  32
#define MAX_QUEUED    4096
#define STOP_CHECK_MS 1000

static json_t *stage_snapshot(struct admin *admin)
{
    const struct stage_provider *p = admin->settings.stages;
    return p ? p->snapshot(p->context) : json_object();
}

json_t *nodes_with_stages(struct admin *admin)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    json_t *stages = stage_snapshot(admin);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *node = node_to_json(admin, catalog, &nodes[i]);
        json_t *boot = json_object_get(stages, nodes[i].name);
        json_object_set_new(node, "boot", boot ? json_incref(boot) : json_null());
        json_array_append_new(list, node);
    }
    json_decref(stages);
    return list;
}

static json_t *counters_to_json(struct admin *admin)
{
    const struct admin_settings *settings = &admin->settings;
    return settings->counters ? settings->counters(settings->context) : json_null();
}

static json_t *duplicates_to_show(struct admin *admin)
{
    const struct admin_settings *settings = &admin->settings;
    return settings->duplicates ? settings->duplicates(settings->context) : json_array();
}

/* null: there is no HTTPS. */
static json_t *https_to_json(const struct admin *admin)
{
    struct certificate_slot *slot = admin->settings.certificates;
    if (!slot)
        return json_null();
    cleanup_certificate struct certificate *c = certificate_slot_get(slot);
    return json_pack("{s:s, s:I, s:I}", "certificate", certificate_name(c), "begins",
                     (json_int_t)certificate_begins(c), "ends", (json_int_t)certificate_ends(c));
}

void admin_status(struct call *call)
{
    struct admin *admin = call->admin;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(admin->settings.catalog);
    size_t nodes, images, volumes;
    catalog_nodes(catalog, &nodes);
    catalog_images(catalog, &images);
    catalog_volumes(catalog, &volumes);
    call_reply(call, 200,
               json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:{s:I, s:I, s:I}, s:o, s:o, s:o, s:o}",
                         "version", NODISK_VERSION, "base_iqn", catalog_base_iqn(catalog),
                         "state_directory", admin->state_directory, "started_at",
                         (json_int_t)admin->started_at, "space", space_to_json(admin), "usage",
                         usage_to_json(admin, catalog), "counts", "nodes", (json_int_t)nodes,
                         "images", (json_int_t)images, "volumes", (json_int_t)volumes, "counters",
                         counters_to_json(admin), "duplicates", duplicates_to_show(admin), "https",
                         https_to_json(admin), "nodes", nodes_with_stages(admin)));
}

struct queued {
    struct queued *next;
    char text[];
};

struct watcher {
    struct http_lines lines;
    struct stage_listener listener;
    struct admin *admin;
    int connection_fd;
    int wake; /* eventfd: something is queued */
    bool told_snapshot;

    pthread_mutex_t lock; /* protects what follows */
    struct queued *first, **last;
    size_t n_queued;
    bool lost;
};

static void on_event(struct stage_listener *listener, const char *json_line)
{
    struct watcher *w = container_of(listener, struct watcher, listener);
    size_t size = strlen(json_line) + 1;
    struct queued *q = malloc(sizeof(*q) + size);
    pthread_mutex_lock(&w->lock);
    if (!q || w->n_queued == MAX_QUEUED) {
        w->lost = true;
        free(q);
    } else {
        memcpy(q->text, json_line, size);
        q->next = NULL;
        *w->last = q;
        w->last = &q->next;
        w->n_queued++;
    }
    pthread_mutex_unlock(&w->lock);
    uint64_t one = 1;
    ssize_t n = write(w->wake, &one, sizeof(one));
    (void)n;
}

/* The oldest event, or NULL. *ret_lost: the queue ran over and was emptied. */
static char *take_event(struct watcher *w, bool *ret_lost)
{
    pthread_mutex_lock(&w->lock);
    *ret_lost = w->lost;
    w->lost = false;
    char *text = NULL;
    while (w->first && (*ret_lost || !text)) {
        struct queued *q = w->first;
        w->first = q->next;
        if (!w->first)
            w->last = &w->first;
        w->n_queued--;
        if (!*ret_lost)
            text = strdup(q->text);
        free(q);
    }
    pthread_mutex_unlock(&w->lock);
    return text;
}

static char *snapshot_line(struct watcher *w)
{
    json_t *json =
        json_pack("{s:s, s:o}", "event", "snapshot", "nodes", nodes_with_stages(w->admin));
    char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return line;
}

/* Waits until something is queued. False: the peer has gone, or the server stops. */
static bool wait_for_event(struct watcher *w)
{
    struct pollfd fds[] = {{.fd = w->wake, .events = POLLIN}, {.fd = w->connection_fd}};
    uint64_t count;
    while (!atomic_load(&w->admin->stopping)) {
        if (poll(fds, ARRAY_SIZE(fds), STOP_CHECK_MS) <= 0)
            continue;
        if (fds[1].revents & (POLLHUP | POLLERR | POLLNVAL))
            return false;
        ssize_t n = read(w->wake, &count, sizeof(count));
        (void)n;
        return true;
    }
    return false;
}

static char *next_event_line(struct http_lines *lines)
{
    struct watcher *w = container_of(lines, struct watcher, lines);
    if (!w->told_snapshot) {
        w->told_snapshot = true;
        return snapshot_line(w);
    }
    do {
        bool lost;
        char *text = take_event(w, &lost);
        if (lost)
            return snapshot_line(w);
        if (text)
            return text;
    } while (wait_for_event(w));
    return NULL;
}

static void end_events(struct http_lines *lines)
{
    struct watcher *w = container_of(lines, struct watcher, lines);
    const struct stage_provider *p = w->admin->settings.stages;
    if (p)
        p->unsubscribe(p->context, &w->listener);
    for (struct queued *q = w->first, *next; q; q = next) {
        next = q->next;
        free(q);
    }
    close(w->wake);
    pthread_mutex_destroy(&w->lock);
    atomic_fetch_sub(&w->admin->n_watchers, 1);
    free(w);
}

static int watcher_new(struct call *call, struct watcher **ret_watcher, struct error *ret_error)
{
    struct watcher *w = calloc(1, sizeof(*w));
    if (!w)
        return error_set(ret_error, -ENOMEM, "out of memory");
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake < 0) {
        free(w);
        return error_set(ret_error, -errno, "cannot watch: %s", strerror(errno));
    }
    w->lines.next = next_event_line;
    w->lines.end = end_events;
    w->listener.event = on_event;
    w->admin = call->admin;
    w->connection_fd = http_connection_fd(call->request);
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    *ret_watcher = w;
    return 0;
}

void admin_events(struct call *call)
{
    struct admin *admin = call->admin;
    const struct stage_provider *p = admin->settings.stages;
    struct watcher *w = NULL;
    struct error error;
    int r = 0;
    if (atomic_fetch_add(&admin->n_watchers, 1) >= MAX_WATCHERS)
        r = error_set(&error, -EBUSY, "%d others are watching already; end one of them",
                      MAX_WATCHERS);
    if (r >= 0)
        r = watcher_new(call, &w, &error);
    if (r < 0) {
        atomic_fetch_sub(&admin->n_watchers, 1);
        call_reply_error(call, &error);
        return;
    }
    if (p)
        p->subscribe(p->context, &w->listener);
    http_reply_lines(call->request, 200, "application/x-ndjson", &w->lines);
}
