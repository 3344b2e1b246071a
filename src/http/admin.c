/* Start, stop, and the way of a request to its handler and of an answer back. */
#include "http/admin.h"

#include "http/admin_internal.h"

#include <errno.h>

#define MAX_CONNECTIONS 128
#define IDLE_SECONDS    30

static const char type_json[] = "application/json";
static const char type_ndjson[] = "application/x-ndjson";

static unsigned status_of(int code)
{
    switch (code) {
    case -EINVAL:
    case -ERANGE:
    case -ENAMETOOLONG:
    case -EFBIG:
    case -EOPNOTSUPP: /* not with a thing of that kind */
        return 400;
    case -ENOENT:
        return 404;
    case -EEXIST:
    case -EBUSY:
        return 409;
    case -ENOSPC:
    case -EDQUOT:
        return 507;
    default:
        return 500;
    }
}

void call_reply(struct call *call, unsigned status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text) {
        static const char oom[] = "{\"error\":\"out of memory\"}\n";
        http_reply(call->request, 500, type_json, oom, sizeof(oom) - 1);
        return;
    }
    size_t size = strlen(text);
    text[size] = '\n'; /* in the place of the NUL */
    http_reply_owned(call->request, status, type_json, text, size + 1);
}

void call_reply_error(struct call *call, const struct error *error)
{
    call_reply(call, status_of(error->code), json_pack("{s:s}", "error", error->text));
}

static void handle(void *context, struct http_request *request)
{
    struct call call = {.admin = context, .request = request};
    struct error error;
    bool path_exists;
    const struct route *route =
        admin_find_route(http_method(request), http_path(request), call.name, &path_exists);
    if (route) {
        route->handle(&call);
    } else if (path_exists) {
        call_reply(&call, 405, json_pack("{s:s}", "error", "this path does not take that method"));
    } else {
        error_set(&error, -ENOENT, "there is no path '%.80s' in this API; see nodisk-api(7)",
                  http_path(request));
        call_reply_error(&call, &error);
    }
}

/* --- a job as a stream of lines --- */

struct job_lines {
    struct http_lines lines;
    struct admin *admin;
    struct storage_job *job; /* NULL: there is only the result to tell */
    int connection_fd;
    bool told_start, told_end;
    char name[64];
    json_t *(*result)(struct admin *admin, const char *name, uint32_t version);
    json_t *ready; /* the result, if `result` is not needed */
};

/* Takes over json. */
static char *to_line(json_t *json)
{
    char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return line ? line : strdup("{\"error\":\"out of memory\"}");
}

static char *progress_line(const struct job_lines *l)
{
    struct storage_progress p = storage_job_progress(l->job);
    return to_line(json_pack("{s:{s:I, s:I, s:b, s:s?}}", "progress", "done", (json_int_t)p.done,
                             "total", (json_int_t)p.total, "waiting", (int)p.waiting, "stage",
                             p.stage));
}

static char *last_line(struct job_lines *l, json_t *json)
{
    l->told_end = true;
    return to_line(json);
}

static char *next_job_line(struct http_lines *lines)
{
    struct job_lines *l = container_of(lines, struct job_lines, lines);
    struct error error;
    if (l->told_end)
        return NULL;
    if (!l->job)
        return last_line(l, json_pack("{s:O}", "result", l->ready));
    if (!l->told_start) {
        l->told_start = true;
        return progress_line(l);
    }
    if (http_peer_is_gone(l->connection_fd))
        return NULL; /* end_job_lines() undoes it */
    if (atomic_load(&l->admin->stopping))
        return last_line(l, json_pack("{s:s}", "error", "the server is being stopped"));
    int r = storage_job_step(l->job, &error);
    if (r < 0)
        return last_line(l, json_pack("{s:s}", "error", error.text));
    if (r > 0)
        return progress_line(l);
    return last_line(
        l, json_pack("{s:o}", "result", l->result(l->admin, l->name, storage_job_version(l->job))));
}

static void end_job_lines(struct http_lines *lines)
{
    struct job_lines *l = container_of(lines, struct job_lines, lines);
    storage_job_free(l->job);
    json_decref(l->ready);
    atomic_fetch_sub(&l->admin->n_jobs, 1);
    free(l);
}

static void reply_lines(struct call *call, struct storage_job *job, const char *name,
                        json_t *(*result)(struct admin *, const char *, uint32_t), json_t *ready)
{
    struct job_lines *l = calloc(1, sizeof(*l));
    if (!l) {
        storage_job_free(job);
        json_decref(ready);
        call_reply(call, 500, NULL);
        return;
    }
    l->lines.next = next_job_line;
    l->lines.end = end_job_lines;
    l->admin = call->admin;
    l->job = job;
    l->connection_fd = http_connection_fd(call->request);
    l->result = result;
    l->ready = ready;
    str_copy(l->name, sizeof(l->name), name);
    atomic_fetch_add(&call->admin->n_jobs, 1);
    http_reply_lines(call->request, 200, type_ndjson, &l->lines);
}

void call_reply_job(struct call *call, struct storage_job *job, const char *name,
                    json_t *(*result)(struct admin *admin, const char *name, uint32_t version))
{
    reply_lines(call, job, name, result, job ? NULL : result(call->admin, name, 0));
}

void call_reply_result(struct call *call, json_t *json)
{
    reply_lines(call, NULL, "", NULL, json);
}

int admin_start(const struct admin_settings *settings, struct admin **ret_admin,
                struct error *ret_error)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    if (!admin)
        return error_set(ret_error, -ENOMEM, "out of memory");
    admin->settings = *settings;
    admin->started_at = clock_wall_usec();
    str_copy(admin->state_directory, sizeof(admin->state_directory), settings->state_directory);
    str_copy(admin->socket, sizeof(admin->socket), settings->socket);
    admin->settings.socket = admin->socket;
    admin->settings.state_directory = admin->state_directory;
    int fd = net_listen_unix(settings->socket, ret_error);
    if (fd < 0) {
        free(admin);
        return fd;
    }
    struct http_settings http = {
        .fd = fd,
        .threads = HTTP_THREAD_PER_CONNECTION,
        .max_connections = MAX_CONNECTIONS,
        .idle_timeout = IDLE_SECONDS,
        .max_body = ADMIN_MAX_BODY,
        .handle = handle,
        .context = admin,
    };
    int r = http_start(&http, &admin->http, ret_error);
    if (r < 0) {
        unlink(admin->socket);
        free(admin);
        return r;
    }
    *ret_admin = admin;
    return 0;
}

/* Lets those who wait for a copy hear that it ends, for a while. */
static void wait_for_jobs(struct admin *admin)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    for (int i = 0; i < 300 && atomic_load(&admin->n_jobs) > 0; i++)
        nanosleep(&pause, NULL);
}

void admin_stop(struct admin *admin)
{
    if (!admin)
        return;
    atomic_store(&admin->stopping, true);
    unlink(admin->socket);
    wait_for_jobs(admin);
    http_stop(admin->http);
    free(admin);
}
