/*
 * Kills the registry at random moments and looks at what is left.
 *
 * A child adds, changes and removes nodes from several threads and stores leases; for each thing
 * it notes in memory shared with its parent what it is about to do and what it was told is done.
 * The parent kills it (SIGKILL), checks that the database is whole, and that each thing is in the
 * state that was acknowledged last, or in the one that was under way. Then the next child goes on
 * from there.
 *
 *     crash_registry [ROUNDS [SEED]]
 */
#include "registry/registry.h"

#include "crash.h"

#include "registry/schema.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define THREADS        4
#define KEYS           8
#define LEASES         64
#define MAX_ROUND_USEC 30000

/* 0: not there; else a number that is part of the node's address or of the lease's end. */
struct thing {
    _Atomic uint32_t acknowledged, begun;
};

struct shared {
    struct thing nodes[THREADS][KEYS];
    struct thing leases[LEASES];
    _Atomic uint64_t done;
};

static struct shared *shared;

static struct mac_address mac_of(unsigned thread, unsigned key)
{
    return (struct mac_address){{0x52, 0x54, 0, 0, (uint8_t)thread, (uint8_t)key}};
}

static uint32_t address_of(unsigned thread, unsigned key, uint32_t number)
{
    return 0x0a000000 | thread << 20 | key << 16 | (number & 0xffff);
}

/* --- the child --- */

static struct registry *registry;

/* What does not fail for want of anything may not fail at all. */
static void must(int r, const struct error *error)
{
    if (r < 0)
        die("refused: %s", error->text);
}

static void change_node(unsigned thread, unsigned key, uint32_t from, uint32_t to)
{
    struct error error = {0};
    char name[32];
    struct mac_address mac = mac_of(thread, key);
    snprintf(name, sizeof(name), "n%u-%u", thread, key);
    if (to == 0) {
        must(registry_node_remove(registry, name, &error), &error);
    } else if (from == 0) {
        struct registry_node node = {
            .name = name, .macs = &mac, .n_macs = 1, .address = address_of(thread, key, to)};
        must(registry_node_add(registry, &node, NULL, &error), &error);
    } else {
        struct registry_node_change change = {.set_address = true,
                                              .address = address_of(thread, key, to)};
        must(registry_node_set(registry, name, &change, NULL, &error), &error);
    }
}

static void *change_nodes(void *argument)
{
    unsigned thread = (unsigned)(uintptr_t)argument;
    unsigned seed = (unsigned)getpid() * 31 + thread;
    for (;;) {
        unsigned key = (unsigned)rand_r(&seed) % KEYS;
        struct thing *thing = &shared->nodes[thread][key];
        uint32_t from = thing->acknowledged;
        uint32_t to = from && rand_r(&seed) % 4 == 0 ? 0 : (uint32_t)rand_r(&seed) % 0xfffe + 1;
        thing->begun = to;
        change_node(thread, key, from, to);
        thing->acknowledged = to;
        shared->done++;
    }
    return NULL;
}

struct lease_reply {
    struct registry_reply reply;
    unsigned index;
    bool under_way;
};

static void on_stored(struct message *message)
{
    struct lease_reply *r = container_of(message, struct lease_reply, reply.message);
    struct thing *thing = &shared->leases[r->index];
    must(r->reply.error.code, &r->reply.error);
    thing->acknowledged = thing->begun;
    r->under_way = false;
    shared->done++;
}

static void store_lease(struct mailbox *mailbox, struct lease_reply *reply, unsigned *seed)
{
    struct error error = {.text = "out of memory"};
    struct thing *thing = &shared->leases[reply->index];
    thing->begun = (uint32_t)rand_r(seed) | 1;
    struct registry_lease lease = {.address = 0x0b000000 + reply->index,
                                   .mac = mac_of(99, reply->index),
                                   .subnet = "lab",
                                   .expires_at = thing->begun};
    reply->under_way = true;
    reply->reply.mailbox = mailbox;
    reply->reply.message.run = on_stored;
    must(registry_lease_store(registry, &lease, &reply->reply), &error);
}

static void store_leases(void)
{
    static struct lease_reply replies[LEASES];
    struct mailbox mailbox;
    unsigned seed = (unsigned)getpid();
    if (mailbox_open(&mailbox) < 0)
        die("no mailbox");
    struct pollfd pollfd = {.fd = mailbox.fd, .events = POLLIN};
    for (;;) {
        for (unsigned i = 0; i < LEASES; i++) {
            replies[i].index = i;
            if (!replies[i].under_way)
                store_lease(&mailbox, &replies[i], &seed);
        }
        poll(&pollfd, 1, -1);
        mailbox_run(&mailbox);
    }
}

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

__attribute__((noreturn)) static void child(void)
{
    pthread_t threads[THREADS];
    registry = open_registry(catalog_slot_new());
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, change_nodes, (void *)i);
    store_leases();
    exit(1);
}

/* --- the parent --- */

static void check_thing(const char *what, unsigned a, unsigned b, struct thing *thing,
                        uint32_t found)
{
    if (found != thing->acknowledged && found != thing->begun)
        die("%s %u-%u is %u, but %u was acknowledged and %u was under way", what, a, b, found,
            thing->acknowledged, thing->begun);
    thing->acknowledged = thing->begun = found;
}

static void check_nodes(struct catalog_slot *slot)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(slot);
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned k = 0; k < KEYS; k++) {
            char name[32];
            snprintf(name, sizeof(name), "n%u-%u", t, k);
            const struct catalog_node *node = catalog_node_by_name(catalog, name);
            if (node && (node->n_macs != 1 || !mac_eq(node->macs[0], mac_of(t, k))))
                die("node %s has lost its mac", name);
            check_thing("node", t, k, &shared->nodes[t][k], node ? node->address & 0xffff : 0);
        }
    }
}

static uint32_t found_leases[LEASES];

static void see_lease(void *context, const struct registry_lease *lease)
{
    if (lease->address - 0x0b000000 >= LEASES)
        die("a lease that nobody stored");
    found_leases[lease->address - 0x0b000000] = (uint32_t)lease->expires_at;
}

static void check_leases(struct registry *r)
{
    struct error error;
    memset(found_leases, 0, sizeof(found_leases));
    if (registry_lease_list(r, see_lease, NULL, &error) < 0)
        die("%s", error.text);
    for (unsigned i = 0; i < LEASES; i++)
        check_thing("lease", i, 0, &shared->leases[i], found_leases[i]);
}

static void check_whole(void)
{
    struct db db = {0};
    struct error error;
    if (schema_open(&db, crash_database, &error) < 0)
        die("%s", error.text);
    sqlite3_stmt *rows = db_start(&db, "PRAGMA integrity_check", DB_NO_VALUES, &error);
    if (!rows || db_next(&db, rows, &error) <= 0 || !str_eq(db_column_text(rows, 0), "ok"))
        die("the database is damaged");
    db_end(rows);
    rows = db_start(&db, "PRAGMA foreign_key_check", DB_NO_VALUES, &error);
    if (!rows || db_next(&db, rows, &error) != 0)
        die("the database has dangling references");
    db_close(&db);
}

static void check(void)
{
    struct catalog_slot *slot = catalog_slot_new();
    check_whole();
    struct registry *r = open_registry(slot);
    check_nodes(slot);
    check_leases(r);
    registry_stop(r);
    catalog_slot_free(slot);
}

static void run_round(unsigned *seed)
{
    uint64_t before = shared->done;
    pid_t pid = fork();
    if (pid == 0)
        child();
    if (pid < 0)
        die("cannot fork: %s", strerror(errno));
    /* half of the rounds die early (opening, recovery), half at work */
    bool at_work = rand_r(seed) % 2;
    for (int i = 0; at_work && i < 2000 && shared->done == before; i++)
        usleep(1000);
    usleep((useconds_t)rand_r(seed) % MAX_ROUND_USEC);
    kill(pid, SIGKILL);
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        die("the child ended by itself");
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
    unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL);
    shared = crash_begin(sizeof(*shared));
    printf("seed %u\n", seed);
    fflush(stdout);
    for (unsigned i = 0; i < rounds; i++) {
        run_round(&seed);
        check();
    }
    crash_end();
    printf("%u kills, %llu changes acknowledged, none lost\n", rounds,
           (unsigned long long)shared->done);
    return 0;
}
