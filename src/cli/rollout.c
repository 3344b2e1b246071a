#include "cli/rollout.h"

#define LOOK_MILLISECONDS 1000

struct machine {
    char volume[128], node[128];
    uint64_t last_boot; /* when the boot began that it was in */
    uint64_t since;     /* when it began to boot, or was made to; 0: not yet */
    bool says_up;       /* its system says when it is up */
    bool was_in_use;
};

struct rollout {
    const struct cli *cli;
    size_t max, count;
    unsigned minutes;
    bool staged, stopped;
    struct machine next;      /* that something is being done to */
    struct machine *machines; /* in change; max of them */
};

struct rollout *rollout_new(const struct cli *cli, size_t max, unsigned minutes, bool staged)
{
    struct rollout *r = calloc(1, sizeof(*r));
    struct machine *machines = calloc(max, sizeof(*machines));
    if (!r || !machines)
        abort();
    *r = (struct rollout){
        .cli = cli, .max = max, .minutes = minutes, .staged = staged, .machines = machines};
    return r;
}

void rollout_free(struct rollout *rollout)
{
    if (!rollout)
        return;
    free(rollout->machines);
    free(rollout);
}

/* --- looking --- */

static json_t *find(const json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = print_text(item, key);
        if (text && str_eq(text, value))
            return item;
    }
    return NULL;
}

/* Ctrl-C comes before or behind it, since nothing is lost by waiting that long. */
static bool ask(const struct rollout *r, const char *path, json_t **ret_answer)
{
    client_hold_signals(true);
    bool ok =
        !client_is_interrupted() && cli_ask(r->cli, "GET", path, NULL, NULL, ret_answer) == CLI_OK;
    client_hold_signals(false);
    return ok;
}

static bool is_logged_in(const struct rollout *r, const char *volume, bool *ret_logged_in)
{
    json_t *json;
    cleanup_free char *path = NULL;
    cleanup_free char *name = cli_path("", volume); /* "/NAME", encoded */
    if (asprintf(&path, "/v1/sessions?volume=%s", name + 1) < 0)
        abort();
    if (!ask(r, path, &json))
        return false;
    *ret_logged_in = json_array_size(json_object_get(json, "sessions")) > 0;
    json_decref(json);
    return true;
}

/* Which node it belongs to, and how that is before anything is done. */
static bool look_before(struct rollout *r, const char *volume)
{
    json_t *status;
    struct machine *m = &r->next;
    *m = (struct machine){0};
    str_copy(m->volume, sizeof(m->volume), volume);
    if (!is_logged_in(r, volume, &m->was_in_use) || !ask(r, "/v1/status", &status))
        return false;
    const json_t *node = find(json_object_get(status, "nodes"), "volume", volume);
    const json_t *boot = json_object_get(node, "boot");
    const char *stage = print_text(boot, "stage");
    str_copy(m->node, sizeof(m->node), print_text(node, "name") ?: "");
    m->last_boot = print_number(boot, "started_at");
    m->says_up = stage && str_eq(stage, "up");
    json_decref(status);
    return true;
}

/* --- how far is it? --- */

bool rollout_is_up(const char *stage, bool says_up)
{
    return str_eq(stage, "up") ||
           (!says_up && (str_eq(stage, "initramfs") || str_eq(stage, "system")));
}

static bool is_up_again(struct machine *m, const json_t *nodes)
{
    const json_t *boot = json_object_get(find(nodes, "name", m->node), "boot");
    const char *stage = print_text(boot, "stage");
    if (print_number(boot, "started_at") <= m->last_boot)
        return false;
    if (m->since == 0)
        m->since = clock_monotonic_usec();
    return stage && rollout_is_up(stage, m->says_up);
}

static bool is_late(const struct rollout *r, const struct machine *m)
{
    return m->since && clock_monotonic_usec() - m->since > r->minutes * 60ULL * USEC_PER_SEC;
}

static bool stop(struct rollout *r)
{
    r->stopped = true;
    return false;
}

static bool tell_late(struct rollout *r, const struct machine *m)
{
    fprintf(stderr,
            "nodisk: node %s has not come up within %u minutes: no further ones are begun; see "
            "what holds it up (nodisk node show %s), mend that or take its disk back (nodisk "
            "volume rollback), and give the same command again\n",
            m->node, r->minutes, m->node);
    return stop(r);
}

/* Takes those off the list that are up. */
static bool look(struct rollout *r)
{
    json_t *status;
    bool fine = true;
    if (!ask(r, "/v1/status", &status))
        return stop(r);
    for (size_t i = r->count; fine && i-- > 0;) {
        struct machine *m = &r->machines[i];
        if (is_up_again(m, json_object_get(status, "nodes"))) {
            if (!r->cli->json)
                printf("node %s is up again\n", m->node);
            fflush(stdout);
            *m = r->machines[--r->count];
        } else if (is_late(r, m)) {
            fine = tell_late(r, m);
        }
    }
    json_decref(status);
    return fine;
}

static void tell_interrupted(const struct rollout *r)
{
    fprintf(stderr, "nodisk: interrupted: %zu machine%s still to come up\n", r->count,
            r->count == 1 ? " is" : "s are");
}

/* Until at most so many are in change. */
static bool wait_for(struct rollout *r, size_t count)
{
    while (!r->stopped && r->count > count && look(r) && r->count > count)
        if (!client_sleep(LOOK_MILLISECONDS))
            stop(r);
    return !r->stopped;
}

bool rollout_enter(struct rollout *r, const json_t *volume)
{
    if (!wait_for(r, r->max - 1))
        return false;
    return look_before(r, print_text(volume, "name")) || stop(r);
}

void rollout_done(struct rollout *r)
{
    if (!r->next.was_in_use || !r->next.node[0])
        return;
    if (!r->staged)
        r->next.since = clock_monotonic_usec();
    r->machines[r->count++] = r->next;
}

bool rollout_finish(struct rollout *r)
{
    bool fine = !client_is_interrupted() && wait_for(r, 0);
    if (client_is_interrupted())
        tell_interrupted(r);
    return fine;
}
