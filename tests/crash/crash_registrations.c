/*
 * Kills the registry at every single step of storing persistent reservations.
 *
 * A child stores one set of registrations of a volume, is told that they are durable, and then
 * stores another set; it is killed (SIGKILL) before its first write, truncation or synchronisation
 * of a file, in the next round before its second, and so on until it comes through. After each
 * round the database is whole, and has the one set or the other, whole and in order; the other one
 * if it was acknowledged.
 */
#include "registry/registry.h"

#include "crash.h"

#include "registry/schema.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define N_BEFORE  40 /* more than fits a page of the database */
#define N_AFTER   25
#define MAX_STEPS 10000

struct shared {
    _Atomic bool stored; /* the first set: from here on steps count */
    _Atomic bool acknowledged;
    _Atomic unsigned steps; /* until it is killed */
};

static struct shared *shared;

/* --- files that count what is done to them --- */

static sqlite3_vfs counting;
/* SQLite has files of several kinds: with locks and without. */
static struct kind {
    sqlite3_io_methods counted;
    const sqlite3_io_methods *real;
} kinds[4];
static int (*real_open)(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                        int *ret_flags);

static const sqlite3_io_methods *real_methods(const sqlite3_file *file)
{
    return container_of(file->pMethods, struct kind, counted)->real;
}

static void step(void)
{
    if (shared->stored && shared->steps-- == 0)
        raise(SIGKILL);
}

static int write_counted(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    step();
    return real_methods(file)->xWrite(file, data, size, offset);
}

static int truncate_counted(sqlite3_file *file, sqlite3_int64 size)
{
    step();
    return real_methods(file)->xTruncate(file, size);
}

static int sync_counted(sqlite3_file *file, int flags)
{
    step();
    return real_methods(file)->xSync(file, flags);
}

static const sqlite3_io_methods *counting_methods(const sqlite3_io_methods *real)
{
    struct kind *kind = kinds;
    while (kind->real && kind->real != real)
        if (++kind == kinds + ARRAY_SIZE(kinds))
            die("SQLite has files of too many kinds");
    kind->real = real;
    kind->counted = *real;
    kind->counted.xWrite = write_counted;
    kind->counted.xTruncate = truncate_counted;
    kind->counted.xSync = sync_counted;
    return &kind->counted;
}

static int open_counted(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                        int *ret_flags)
{
    int r = real_open(vfs, name, file, flags, ret_flags);
    if (r == SQLITE_OK && file->pMethods)
        file->pMethods = counting_methods(file->pMethods);
    return r;
}

static void count_steps(void)
{
    counting = *sqlite3_vfs_find(NULL);
    real_open = counting.xOpen;
    counting.zName = "counting";
    counting.xOpen = open_counted;
    if (sqlite3_vfs_register(&counting, 1) != SQLITE_OK)
        die("no files that count");
}

/* --- registrations --- */

static struct registry_registration registration(bool after, unsigned i)
{
    struct registry_registration r = {
        .isid = {0x80, 0, (uint8_t)after, 0, 0, (uint8_t)i},
        .key = (uint64_t)(after ? 2 : 1) << 32 | i,
        .reservation = i == 0 ? (after ? 3 : 5) : 0,
    };
    snprintf(r.initiator, sizeof(r.initiator), "iqn.2026-11.lan.example:node%u", i);
    snprintf(r.target, sizeof(r.target), "iqn.2026-11.lan.example:disk");
    return r;
}

struct answer {
    struct registry_reply reply;
    bool came;
};

static void note(struct message *message)
{
    container_of(message, struct answer, reply.message)->came = true;
}

static void store(struct registry *registry, struct mailbox *mailbox, bool after, unsigned n)
{
    struct registry_registration rows[N_BEFORE];
    struct answer answer = {.reply = {.message.run = note, .mailbox = mailbox}};
    struct pollfd pollfd = {.fd = mailbox->fd, .events = POLLIN};
    for (unsigned i = 0; i < n; i++)
        rows[i] = registration(after, i);
    if (registry_registrations_store(registry, 1, rows, n, &answer.reply) < 0)
        die("out of memory");
    while (!answer.came) {
        poll(&pollfd, 1, -1);
        mailbox_run(mailbox);
    }
    if (answer.reply.error.code < 0)
        die("refused: %s", answer.reply.error.text);
}

/* --- the child and its parent --- */

static struct registry *open_registry(struct catalog_slot *slot)
{
    struct error error;
    struct registry *r = NULL;
    struct registry_settings settings = {
        .path = crash_database, .base_iqn = "iqn.2026-11.lan.example", .catalog = slot};
    if (registry_start(&settings, &r, &error) < 0)
        die("cannot start: %s", error.text);
    return r;
}

static void add_volume(void)
{
    struct catalog_slot *slot = catalog_slot_new();
    struct registry *r = open_registry(slot);
    struct error error;
    struct registry_volume volume = {.name = "disk",
                                     .path = "/v/disk.raw",
                                     .state = VOLUME_READY,
                                     .size = GIB,
                                     .block_size = 512};
    if (registry_volume_add(r, &volume, &error) < 0)
        die("%s", error.text);
    registry_stop(r);
    catalog_slot_free(slot);
}

__attribute__((noreturn)) static void child(void)
{
    struct mailbox mailbox;
    struct catalog_slot *slot = catalog_slot_new();
    count_steps();
    struct registry *r = open_registry(slot);
    if (mailbox_open(&mailbox) < 0)
        die("no mailbox");
    store(r, &mailbox, false, N_BEFORE);
    shared->stored = true;
    store(r, &mailbox, true, N_AFTER);
    shared->acknowledged = true;
    registry_stop(r); /* which has steps of its own */
    mailbox_close(&mailbox);
    catalog_slot_free(slot);
    exit(0);
}

static struct registry_registration found[N_BEFORE + 1];
static unsigned n_found;

static void see(void *context, const struct registry_registration *row)
{
    if (n_found < ARRAY_SIZE(found))
        found[n_found++] = *row;
}

static bool is_set(bool after, unsigned n)
{
    for (unsigned i = 0; i < n && n_found == n; i++) {
        struct registry_registration r = registration(after, i);
        if (memcmp(&found[i], &r, sizeof(r)) != 0)
            return false;
    }
    return n_found == n;
}

static void check_whole(void)
{
    struct db db = {0};
    struct error error;
    if (schema_open(&db, crash_database, &error) < 0) /* which looks for damage */
        die("%s", error.text);
    db_close(&db);
}

static void check(unsigned round)
{
    struct catalog_slot *slot = catalog_slot_new();
    struct error error;
    check_whole();
    struct registry *r = open_registry(slot);
    n_found = 0;
    if (registry_registration_list(r, 1, see, NULL, &error) < 0)
        die("%s", error.text);
    registry_stop(r);
    catalog_slot_free(slot);
    bool before = is_set(false, N_BEFORE), after = is_set(true, N_AFTER);
    if (shared->acknowledged ? !after : !before && !after)
        die("killed at step %u: %u registrations, which are %s", round, n_found,
            before ? "those of before" : "of neither set");
}

/* True: it was killed. */
static bool run_round(unsigned steps)
{
    int status;
    shared->stored = shared->acknowledged = false;
    shared->steps = steps;
    pid_t pid = fork();
    if (pid == 0)
        child();
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("cannot fork: %s", strerror(errno));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("the child failed");
    return false;
}

int main(void)
{
    unsigned rounds = 0, lost = 0;
    bool killed;
    shared = crash_begin(sizeof(*shared));
    add_volume();
    do {
        killed = run_round(rounds);
        check(rounds);
        lost += killed && !shared->acknowledged;
    } while (killed && ++rounds < MAX_STEPS);
    crash_end();
    if (killed || lost == 0)
        die("%u rounds, and it was %s", rounds, killed ? "never done" : "never killed at work");
    printf("killed at each of %u steps, %u of them before it was done\n", rounds, lost);
    return 0;
}
