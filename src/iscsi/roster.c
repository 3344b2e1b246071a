#include "iscsi/roster.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "iscsi/session.h"

/* Sessions that a visitor sees before others get their turn: some 20 us of work. */
#define AT_A_TIME 64

/* The sessions of one thread: its own. */
struct part {
    struct io_thread *thread;
    struct list sessions; /* struct iscsi_roster_entry */
};

struct iscsi_roster {
    atomic_uint_fast64_t last_id;
    unsigned n_parts;
    struct part parts[];
};

/* Somebody who goes through all lists, and waits. */
struct visit {
    void (*visit)(void *context, unsigned thread, struct iscsi_session *session);
    void *context;
    pthread_mutex_t lock; /* protects n_left */
    pthread_cond_t changed;
    unsigned n_left;
};

/* His way through one of them. */
struct walk {
    struct message message;
    struct iscsi_roster_entry mark; /* what is before it was seen */
    struct visit *visit;
    struct part *part;
    unsigned thread; /* its index */
};

struct iscsi_roster *iscsi_roster_new(struct io_thread *const *threads, unsigned n_threads)
{
    struct iscsi_roster *roster = calloc(1, sizeof(*roster) + n_threads * sizeof(roster->parts[0]));
    if (!roster)
        return NULL;
    roster->n_parts = n_threads;
    for (unsigned i = 0; i < n_threads; i++) {
        roster->parts[i].thread = threads[i];
        list_init(&roster->parts[i].sessions);
    }
    return roster;
}

void iscsi_roster_free(struct iscsi_roster *roster)
{
    free(roster);
}

void iscsi_roster_add(struct iscsi_roster *roster, unsigned thread, struct iscsi_session *session)
{
    session->roster.session = session;
    session->roster.id = atomic_fetch_add(&roster->last_id, 1) + 1;
    list_append(&roster->parts[thread].sessions, &session->roster.link);
}

void iscsi_roster_remove(struct iscsi_session *session)
{
    list_remove(&session->roster.link);
}

static void finish(struct walk *walk)
{
    struct visit *visit = walk->visit;
    list_remove(&walk->mark.link);
    pthread_mutex_lock(&visit->lock);
    if (--visit->n_left == 0)
        pthread_cond_signal(&visit->changed);
    pthread_mutex_unlock(&visit->lock); /* from here on *walk is gone */
}

/* The next behind the mark, which moves on; NULL: it was the mark of somebody else. */
static struct iscsi_session *next_session(struct walk *walk)
{
    struct list *next = walk->mark.link.next;
    list_remove(&walk->mark.link);
    list_append(next->next, &walk->mark.link); /* behind it */
    return container_of(next, struct iscsi_roster_entry, link)->session;
}

static bool is_at_end(const struct walk *walk)
{
    return walk->mark.link.next == &walk->part->sessions;
}

static void walk_on(struct message *message)
{
    struct walk *walk = container_of(message, struct walk, message);
    for (unsigned i = 0; i < AT_A_TIME && !is_at_end(walk); i++) {
        struct iscsi_session *session = next_session(walk);
        if (session)
            walk->visit->visit(walk->visit->context, walk->thread, session);
    }
    if (is_at_end(walk))
        finish(walk);
    else
        io_thread_post(walk->part->thread, &walk->message);
}

static void start_walk(struct message *message)
{
    struct walk *walk = container_of(message, struct walk, message);
    list_append(walk->part->sessions.next, &walk->mark.link); /* before the first */
    walk->message.run = walk_on;
    walk_on(message);
}

int iscsi_roster_visit(struct iscsi_roster *roster,
                       void (*visit)(void *context, unsigned thread, struct iscsi_session *session),
                       void *context)
{
    struct visit v = {.visit = visit, .context = context, .n_left = roster->n_parts};
    struct walk *walks = calloc(roster->n_parts, sizeof(*walks));
    if (!walks)
        return -ENOMEM;
    pthread_mutex_init(&v.lock, NULL);
    pthread_cond_init(&v.changed, NULL);
    for (unsigned i = 0; i < roster->n_parts; i++) {
        walks[i] = (struct walk){
            .message.run = start_walk, .visit = &v, .part = &roster->parts[i], .thread = i};
        io_thread_post(roster->parts[i].thread, &walks[i].message);
    }
    pthread_mutex_lock(&v.lock);
    while (v.n_left > 0)
        pthread_cond_wait(&v.changed, &v.lock);
    pthread_mutex_unlock(&v.lock);
    pthread_cond_destroy(&v.changed);
    pthread_mutex_destroy(&v.lock);
    free(walks);
    return 0;
}

unsigned iscsi_roster_threads(const struct iscsi_roster *roster)
{
    return roster->n_parts;
}
