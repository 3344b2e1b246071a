/*
 * Direct boot (boot/direct_boot.h) over HTTP. A node asks for
 *
 *   /direct.ipxe?mac=...            what it boots, as a script; or why its loader has to
 *   /direct/kernel?mac=...&token=.. the kernel, if nothing has changed since that script
 *   /direct/initrd?mac=...&token=.. likewise
 *
 * A node asks when its firmware has logged in to its disk: so what was to become of the disk at
 * this boot has become of it, and it is read as its session sees it.
 *
 * To look at a disk is to read it in many small steps, one after the other: a thread of its own
 * does it while the connection waits. Files are then sent as they are read, without a thread.
 */
#include <errno.h>
#include <semaphore.h>

#include "core/detached.h"
#include "http/nodes_internal.h"

#define MAX_LOOKS  256 /* at once; who comes then boots by its loader */
#define STACK_SIZE (1 * MIB)
#define PIECE      ((size_t)(128 * KIB))
/* What is asked of a disk begins and ends at multiples of it, for those that want that. */
#define ALIGNMENT  4096

enum direct_what { DIRECT_SCRIPT, DIRECT_KERNEL, DIRECT_INITRD };

static const char *const paths[] = {
    [DIRECT_SCRIPT] = "/direct.ipxe",
    [DIRECT_KERNEL] = "/direct/kernel",
    [DIRECT_INITRD] = "/direct/initrd",
};

/* A disk, and the read of it that is under way. */
struct node_disk {
    const struct node_http *http;
    uint64_t volume_id, size;
    uint32_t block_size;
    struct node_disk_read read;
    uint8_t data[PIECE + 2 * ALIGNMENT];
};

/* Begins to read length bytes (at most PIECE), which begin in disk->data at *ret_skip. */
static void begin_read(struct node_disk *disk, uint64_t offset, size_t length, size_t *ret_skip,
                       void (*done)(struct node_disk_read *read, int result))
{
    uint64_t begin = offset - offset % ALIGNMENT;
    uint64_t end = (offset + length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *ret_skip = (size_t)(offset - begin);
    disk->read = (struct node_disk_read){.volume_id = disk->volume_id,
                                         .offset = begin,
                                         .size = (size_t)(MIN(end, disk->size) - begin),
                                         .data = disk->data,
                                         .done = done};
    disk->http->settings.read_disk(disk->http->settings.context, &disk->read);
}

/* --- looking --- */

struct look {
    struct node_http *http;
    struct http_request *request;
    enum direct_what what;
    char token[DIRECT_BOOT_TOKEN_SIZE]; /* that is asked for; "": none */
    uint64_t node_id;
    char node[NAME_MAX_LEN + 1];
    char chosen[BOOT_TARGET_SIZE]; /* in a menu; "": nothing */
    struct mac_address mac;
    struct node_disk disk;
    int read_result;
    sem_t read_done;
    int result;
    struct direct_boot boot; /* if result is 0 */
    struct error error;
};

static void read_done(struct node_disk_read *read, int result)
{
    struct look *look = container_of(read, struct look, disk.read);
    look->read_result = result;
    sem_post(&look->read_done);
}

static int read_and_wait(void *context, uint64_t offset, uint8_t *data, size_t size)
{
    struct look *look = context;
    size_t skip;
    begin_read(&look->disk, offset, size, &skip, read_done);
    while (sem_wait(&look->read_done) < 0)
        ; /* EINTR */
    if (look->read_result >= 0)
        memcpy(data, look->disk.data + skip, size);
    return look->read_result;
}

static void *look_main(void *arg)
{
    struct look *look = arg;
    struct boot_disk disk = {.read = read_and_wait,
                             .context = look,
                             .size = look->disk.size,
                             .block_size = look->disk.block_size};
    look->result = direct_boot_find(&disk, look->what == DIRECT_SCRIPT, &look->boot, &look->error);
    counter_subtract(&look->http->n_looks, 1);
    http_resume(look->request);
    return NULL;
}

static void look_free(void *later)
{
    struct look *look = later;
    direct_boot_release(&look->boot);
    sem_destroy(&look->read_done);
    free(look);
}

static struct look *look_new(struct node_http *http, struct http_request *request,
                             enum direct_what what, const struct plan *plan, struct mac_address mac)
{
    struct look *look = calloc(1, sizeof(*look));
    const char *token = http_query(request, "token");
    if (!look)
        return NULL;
    look->http = http;
    look->request = request;
    look->what = what;
    look->mac = mac;
    str_copy(look->token, sizeof(look->token), token ? token : "");
    look->node_id = plan->node->id;
    str_copy(look->node, sizeof(look->node), plan->node->name);
    if (plan->chosen)
        boot_target_format(&plan->target, look->chosen);
    look->disk.http = http;
    look->disk.volume_id = plan->volume->id;
    look->disk.size = plan->volume->size;
    look->disk.block_size = plan->volume->block_size;
    sem_init(&look->read_done, 0, 0);
    return look;
}

/* --- answers --- */

/* 503: iPXE gives up at once, and the node boots by its loader. */
static void refuse(struct http_request *request, const char *text)
{
    node_http_reply_text(request, 503, text);
}

static void begin_look(struct node_http *http, struct http_request *request, struct look *look)
{
    if (!look) {
        refuse(request, "out of memory\n");
    } else if (counter_get(&http->n_looks) >= MAX_LOOKS) {
        look_free(look);
        refuse(request, "too many nodes boot at this moment\n");
    } else if (!http_defer(request, look, look_free)) {
        look_free(look);
        refuse(request, "the server is being stopped\n");
    } else {
        counter_add(&http->n_looks, 1);
        if (detached_thread_start(look_main, look, STACK_SIZE))
            return;
        counter_subtract(&http->n_looks, 1);
        look->result = error_set(&look->error, -EAGAIN, "the server is short of threads");
        http_resume(request);
    }
}

/* A node that is up may ask as often as it likes. */
static void tell(const struct look *look)
{
    const struct node_http_settings *settings = &look->http->settings;
    const struct node_http_direct told = {
        .node = look->node,
        .kernel = look->boot.record.kernel,
        .bytes = look->result < 0 ? 0 : look->boot.kernel->size + look->boot.initrd->size,
        .reason = look->error.text};
    if (settings->direct_told && boot_tracker_is_booting(settings->tracker, look->node_id))
        settings->direct_told(settings->context, &told);
}

static void reply_script(struct http_request *request, const struct look *look,
                         const struct endpoint *local)
{
    char url[NODE_HTTP_URL_SIZE];
    const char *base_url = node_http_format_url(look->http, local, url);
    char *script = look->result < 0
                       ? boot_script_render_loader(look->error.text)
                       : boot_script_render_direct(&look->boot, look->mac, base_url,
                                                   look->chosen[0] ? look->chosen : NULL);
    tell(look);
    if (script)
        http_reply_owned(request, 200, "text/plain", script, strlen(script));
    else
        node_http_reply_text(request, 500, "out of memory\n");
}

/* --- sending --- */

struct sending {
    struct http_stream stream;
    struct ext4_file *file;
    uint64_t begin, end; /* of the file's bytes that are in disk.data */
    size_t skip;         /* where they begin there */
    int result;
    struct node_disk disk;
};

static ssize_t stream_read(struct http_stream *stream, uint64_t position, char *buffer, size_t room)
{
    struct sending *s = container_of(stream, struct sending, stream);
    uint64_t length, at_disk;
    if (s->result < 0)
        return -1;
    if (position >= s->begin && position < s->end) {
        size_t n = (size_t)MIN(room, s->end - position);
        memcpy(buffer, s->disk.data + s->skip + (position - s->begin), n);
        return (ssize_t)n;
    }
    if (ext4_file_run(s->file, position, &length, &at_disk))
        return 0;
    size_t n = (size_t)MIN(room, length);
    memset(buffer, 0, n);
    return (ssize_t)n;
}

static void piece_done(struct node_disk_read *read, int result)
{
    struct sending *s = container_of(read, struct sending, disk.read);
    s->result = result;
    http_stream_ready(&s->stream);
}

static void stream_fetch(struct http_stream *stream, uint64_t position)
{
    struct sending *s = container_of(stream, struct sending, stream);
    uint64_t length = 0, at_disk = 0;
    (void)ext4_file_run(s->file, position, &length, &at_disk);
    length = MIN(length, PIECE);
    s->begin = position;
    s->end = position + length;
    begin_read(&s->disk, at_disk, (size_t)length, &s->skip, piece_done);
}

static void stream_end(struct http_stream *stream)
{
    struct sending *s = container_of(stream, struct sending, stream);
    free(s->file);
    free(s);
}

static void reply_file(struct http_request *request, struct look *look)
{
    if (look->result < 0 || !str_eq(look->token, look->boot.token)) {
        node_http_reply_text(request, 409, "the disk is another one than it was\n");
        return;
    }
    struct sending *s = calloc(1, sizeof(*s));
    if (!s) {
        node_http_reply_text(request, 500, "out of memory\n");
        return;
    }
    if (look->what == DIRECT_INITRD) /* the last that it asks for */
        boot_tracker_sign_of_mac(look->http->settings.tracker, look->mac, BOOT_SIGN_KERNEL,
                                 look->boot.record.kernel);
    s->stream = (struct http_stream){.read = stream_read, .fetch = stream_fetch, .end = stream_end};
    s->file =
        look->what == DIRECT_KERNEL ? take_ptr(look->boot.kernel) : take_ptr(look->boot.initrd);
    s->disk.http = look->http;
    s->disk.volume_id = look->disk.volume_id;
    s->disk.size = look->disk.size;
    http_reply_stream(request, 200, "application/octet-stream", s->file->size, &s->stream);
}

/* --- requests --- */

static void look_is_done(struct http_request *request, struct look *look,
                         const struct endpoint *local)
{
    if (look->what == DIRECT_SCRIPT)
        reply_script(request, look, local);
    else
        reply_file(request, look);
    look_free(look);
}

static bool is_direct(const struct node_http *http, const struct catalog_node *node)
{
    return boot_ways_of(&node->ways, &http->settings.ways).direct == DIRECT_YES;
}

static void ask(struct node_http *http, struct http_request *request, enum direct_what what,
                const struct endpoint *peer, const struct endpoint *local)
{
    struct mac_address mac;
    if (!node_http_get_mac(http, request, peer, &mac))
        return;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(http->settings.catalog);
    struct plan plan;
    bool known = node_http_plan_again(http, request, catalog, mac, &plan);
    if (!known || plan.kind != PLAN_VOLUME || plan.volume->elsewhere || !is_direct(http, plan.node))
        node_http_reply_text(request, 404, "this machine boots by its disk's own loader\n");
    else if (node_http_needs_https(http, local, &plan))
        node_http_refuse_plain(http, request, peer);
    else if (!node_http_may_have(http, peer, &plan, mac))
        node_http_reply_text(request, 403, "this address is not that machine's\n");
    else
        begin_look(http, request, look_new(http, request, what, &plan, mac));
}

bool node_http_direct(struct node_http *http, struct http_request *request,
                      const struct endpoint *peer, const struct endpoint *local)
{
    struct look *look = http_take_deferred(request);
    if (look) {
        look_is_done(request, look, local);
        return true;
    }
    for (size_t what = 0; what < ARRAY_SIZE(paths); what++) {
        if (!str_eq(http_path(request), paths[what]))
            continue;
        ask(http, request, (enum direct_what)what, peer, local);
        return true;
    }
    return false;
}
