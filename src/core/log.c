#include "core/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

/* Messages that wait to be written. */
#define MAX_QUEUED   4096
#define STOP_SECONDS 2
/* After it has written, the log waits so long for more: when much happens at once, a wake-up and a
 * write are for many messages. */
#define GATHER_USEC  5000
#define BATCH_SIZE   (16 * KIB)

struct entry {
    struct entry *next;
    int level;
    const char *node; /* behind the text; or NULL */
    char text[];
};

/* The program has one log, as it has one stderr. */
static struct {
    bool journal; /* set before any thread exists */
    atomic_int max_level;

    pthread_mutex_t lock; /* protects what follows */
    pthread_cond_t changed;
    bool running, stopping;
    pthread_t thread;
    struct entry *first, **last;
    size_t count;
    uint64_t lost;
} state = {
    .max_level = LOG_INFO, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* systemd names the device and inode of the stream that it connected to the journal. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;
    return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(void)
{
    state.journal = stderr_is_journal();
}

void log_set_level(int max_level)
{
    atomic_store_explicit(&state.max_level, max_level, memory_order_relaxed);
}

static const char *level_word(int level)
{
    switch (level) {
    case LOG_ERR:
        return "error: ";
    case LOG_WARNING:
        return "warning: ";
    case LOG_DEBUG:
        return "debug: ";
    default:
        return "";
    }
}

/* Lines for stderr; what does not fit leaves first. */
struct batch {
    size_t used;
    char lines[BATCH_SIZE];
};

static void flush(struct batch *batch)
{
    if (batch->used > 0)
        fwrite(batch->lines, 1, batch->used, stderr); /* it is not buffered: one write */
    batch->used = 0;
}

static void add_line(struct batch *batch, int level, const char *node, const char *text)
{
    size_t room = sizeof(batch->lines) - batch->used;
    int n = snprintf(batch->lines + batch->used, room, "%s%s%s%s\n", level_word(level),
                     node ? node : "", node ? ": " : "", text);
    if (n > 0 && (size_t)n < room) {
        batch->used += (size_t)n;
    } else if (batch->used > 0) {
        flush(batch);
        add_line(batch, level, node, text); /* a message is shorter than a batch */
    }
}

static void to_journal(int level, const char *node, const char *text)
{
    sd_journal_send("MESSAGE=%s%s%s", node ? node : "", node ? ": " : "", text, "PRIORITY=%i",
                    level, "SYSLOG_IDENTIFIER=nodisk", node ? "NODISK_NODE=%s" : NULL, node, NULL);
}

static void emit(struct batch *batch, int level, const char *node, const char *text)
{
    if (state.journal)
        to_journal(level, node, text);
    else
        add_line(batch, level, node, text);
}

/* Where no thread runs that writes. */
static void emit_now(int level, const char *node, const char *text)
{
    struct batch batch;
    batch.used = 0;
    emit(&batch, level, node, text);
    flush(&batch);
}

static struct entry *make_entry(int level, const char *node, const char *text)
{
    size_t size = strlen(text) + 1, node_size = node ? strlen(node) + 1 : 0;
    struct entry *entry = malloc(sizeof(*entry) + size + node_size);
    if (!entry)
        return NULL;
    entry->next = NULL;
    entry->level = level;
    memcpy(entry->text, text, size);
    entry->node = node ? memcpy(entry->text + size, node, node_size) : NULL;
    return entry;
}

/* False if there is no thread to write it. */
static bool enqueue(int level, const char *node, const char *text)
{
    pthread_mutex_lock(&state.lock);
    bool running = state.running;
    struct entry *entry =
        running && state.count < MAX_QUEUED ? make_entry(level, node, text) : NULL;
    if (entry) {
        *state.last = entry;
        state.last = &entry->next;
        state.count++;
    } else if (running) {
        state.lost++;
    }
    pthread_cond_signal(&state.changed);
    pthread_mutex_unlock(&state.lock);
    return running;
}

void log_write(int level, const char *node, const char *format, ...)
{
    if (level > atomic_load_explicit(&state.max_level, memory_order_relaxed))
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!enqueue(level, node, text))
        emit_now(level, node, text);
}

/* All that waits, and how many were lost before it; waits for some. NULL: it is over. */
static struct entry *take_all(uint64_t *ret_lost)
{
    pthread_mutex_lock(&state.lock);
    while (!state.first && !state.stopping)
        pthread_cond_wait(&state.changed, &state.lock);
    struct entry *all = state.first;
    *ret_lost = state.lost;
    state.first = NULL;
    state.last = &state.first;
    state.count = 0;
    state.lost = 0;
    pthread_mutex_unlock(&state.lock);
    return all;
}

static void emit_all(struct batch *batch, struct entry *entry, uint64_t lost)
{
    char text[80];
    for (struct entry *next; entry; entry = next) {
        next = entry->next;
        emit(batch, entry->level, entry->node, entry->text);
        free(entry);
    }
    if (lost) {
        snprintf(text, sizeof(text), "%" PRIu64 " messages were lost: the log was too slow", lost);
        emit(batch, LOG_WARNING, NULL, text);
    }
    flush(batch);
}

static void *write_messages(void *unused)
{
    static struct batch batch; /* there is one such thread */
    uint64_t lost;
    for (struct entry *all; (all = take_all(&lost));) {
        emit_all(&batch, all, lost);
        usleep(GATHER_USEC);
    }
    return NULL;
}

int log_start(void)
{
    pthread_mutex_lock(&state.lock);
    state.last = &state.first;
    state.stopping = false;
    int r = -pthread_create(&state.thread, NULL, write_messages, NULL);
    state.running = r >= 0;
    pthread_mutex_unlock(&state.lock);
    if (r >= 0)
        pthread_setname_np(state.thread, "log");
    return r;
}

void log_stop(void)
{
    struct timespec until;
    pthread_mutex_lock(&state.lock);
    bool was_running = state.running;
    state.running = false;
    state.stopping = true;
    pthread_cond_signal(&state.changed);
    pthread_mutex_unlock(&state.lock);
    if (!was_running)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_SECONDS;
    if (pthread_timedjoin_np(state.thread, NULL, &until) != 0)
        pthread_detach(state.thread); /* nobody takes what it writes: the program ends without it */
}
