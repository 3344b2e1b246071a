/* The admin API in this process, over a registry and a storage of its own; and a client of it. */
#pragma once

#include "site.h"

#include "http/admin.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

struct admin_lab {
    struct site site;
    char socket[PATH_MAX];
    struct storage *storage;
    struct admin *admin;
    struct stage_provider provider; /* without functions: nobody follows the boots */
    const struct session_provider *sessions;
    int (*wake)(void *context, const struct admin_wake *wake, json_t **ret_sent,
                struct error *ret_error);
    int (*offers)(void *context, struct admin_offer *offers, size_t max, size_t *ret_count,
                  struct error *ret_error);
    char user[128];       /* who uses a volume; "": nobody */
    uint64_t used_volume; /* 0: all of them */

    /* of the last request */
    unsigned status;
    char body[64 * 1024];
    json_t *json; /* of its last line */
};

static inline bool admin_lab_in_use(void *context, uint64_t volume_id, char peer[static 256])
{
    const struct admin_lab *lab = context;
    str_copy(peer, 256, lab->user);
    return lab->user[0] && (!lab->used_volume || lab->used_volume == volume_id);
}

static inline void admin_lab_make(struct admin_lab *lab)
{
    struct site *site = &lab->site;
    site_make(site);
    snprintf(lab->socket, sizeof(lab->socket), "%s/socket", site->directory);
    struct storage_settings storage = {.directory = site->directory,
                                       .registry = site->registry,
                                       .catalog = site->slot,
                                       .in_use = admin_lab_in_use,
                                       .context = lab};
    site_must(storage_open(&storage, &lab->storage, &site->error), &site->error);
    struct admin_settings admin = {.socket = lab->socket,
                                   .state_directory = site->directory,
                                   .registry = site->registry,
                                   .storage = lab->storage,
                                   .catalog = site->slot,
                                   .stages = lab->provider.snapshot ? &lab->provider : NULL,
                                   .sessions = lab->sessions,
                                   .wake = lab->wake,
                                   .offers = lab->offers,
                                   .context = lab};
    site_must(admin_start(&admin, &lab->admin, &site->error), &site->error);
}

static inline void admin_lab_stop(struct admin_lab *lab)
{
    admin_stop(lab->admin);
    json_decref(lab->json);
    storage_close(lab->storage);
    site_remove(&lab->site);
}

static inline struct admin_lab *admin_lab_new(void)
{
    struct admin_lab *lab = calloc(1, sizeof(*lab));
    admin_lab_make(lab);
    return lab;
}

static inline void admin_lab_free(struct admin_lab *lab)
{
    admin_lab_stop(lab);
    free(lab);
}

static inline int admin_lab_connect(const struct admin_lab *lab)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    str_copy(address.sun_path, sizeof(address.sun_path), lab->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sends a request (body: or NULL) and reads all of the answer. */
static inline void admin_ask(struct admin_lab *lab, const char *method, const char *path,
                             const char *body)
{
    char head[128];
    cleanup_fclose FILE *file = fdopen(admin_lab_connect(lab), "r+");
    fprintf(file, "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s", method, path,
            body ? strlen(body) : 0, body ? body : "");
    fflush(file);
    assert_int_equal(fscanf(file, "HTTP/1.1 %u", &lab->status), 1);
    do
        assert_non_null(fgets(head, sizeof(head), file));
    while (!str_eq(head, "\r\n"));
    size_t n = fread(lab->body, 1, sizeof(lab->body) - 1, file);
    lab->body[n] = '\0';
    while (n > 0 && lab->body[n - 1] == '\n')
        n--;
    const char *end = lab->body + n, *line = end;
    while (line > lab->body && line[-1] != '\n')
        line--;
    json_decref(lab->json);
    lab->json = json_loadb(line, (size_t)(end - line), 0, NULL);
    assert_non_null(lab->json);
}

/* A member of the last answer, by a path of names: "result.node". */
static inline json_t *admin_member(const struct admin_lab *lab, const char *path)
{
    char copy[128], *rest = NULL;
    json_t *json = lab->json;
    str_copy(copy, sizeof(copy), path);
    for (char *name = strtok_r(copy, ".", &rest); name; name = strtok_r(NULL, ".", &rest))
        json = json_object_get(json, name);
    return json;
}

/* NULL: null, or not there. */
static inline void admin_assert_text(const struct admin_lab *lab, const char *path,
                                     const char *expected)
{
    const char *text = json_string_value(admin_member(lab, path));
    if (expected ? !text || !str_eq(text, expected) : text != NULL)
        fail_msg("%s is %s in %s", path, text ? text : "null", lab->body);
}

static inline void admin_assert_number(const struct admin_lab *lab, const char *path,
                                       json_int_t expected)
{
    const json_t *number = admin_member(lab, path);
    if (!json_is_integer(number) || json_integer_value(number) != expected)
        fail_msg("%s is not %lld in %s", path, (long long)expected, lab->body);
}

/* The texts of a list, joined by spaces. */
static inline void admin_assert_list(const struct admin_lab *lab, const char *path,
                                     const char *expected)
{
    char joined[512] = "";
    size_t i;
    json_t *element;
    json_array_foreach(admin_member(lab, path), i, element)
    {
        size_t used = strlen(joined);
        snprintf(joined + used, sizeof(joined) - used, "%s%s", i ? " " : "",
                 json_string_value(element));
    }
    assert_string_equal(joined, expected);
}

/* Succeeds: a change, or a look at something. */
static inline void admin_must(struct admin_lab *lab, const char *method, const char *path,
                              const char *body)
{
    admin_ask(lab, method, path, body);
    if (lab->status != 200 || json_object_get(lab->json, "error"))
        fail_msg("%s %s gave %u: %s", method, path, lab->status, lab->body);
}

/* Is refused with this status and sentence. */
static inline void admin_refused(struct admin_lab *lab, const char *method, const char *path,
                                 const char *body, unsigned status, const char *words)
{
    admin_ask(lab, method, path, body);
    if (lab->status != status)
        fail_msg("%s %s gave %u: %s", method, path, lab->status, lab->body);
    assert_contains(json_string_value(json_object_get(lab->json, "error")), words);
}

/* A file with this content and size, and its path as JSON: "\"/tmp/...\"". */
static inline const char *admin_lab_file(const struct admin_lab *lab, const char *name,
                                         uint64_t size)
{
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", lab->site.directory, name);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(pwrite(fd, name, strlen(name), 0), (ssize_t)strlen(name));
    return path;
}

/* "{...%s...}" with a path put in; valid until the next call. */
static inline const char *admin_body(const char *format, const char *path)
{
    static char body[2 * PATH_MAX];
    const char *place = strstr(format, "%s");
    snprintf(body, sizeof(body), "%.*s%s%s", (int)(place - format), format, path, place + 2);
    return body;
}
