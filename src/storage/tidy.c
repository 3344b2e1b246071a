/*
 * Folds layers that nobody needs any more into those above them, in the background.
 *
 * What is below the top is frozen, all of it: whoever has the volume open knows which blocks each
 * layer has, and what is copied to a layer besides is nothing to him. So that is done while the
 * volume is in use, and it goes on with fewer layers after its device was exchanged. Into the top
 * it is done while nobody has the volume open, and stops when somebody wants to.
 *
 * What must not happen at the same time is that somebody opens the files, or changes what the
 * volume consists of. He says so first (storage_pause()), and waits until this has stopped; what
 * was not finished is gone on with later. There is one counter for many volumes: it costs nothing
 * but that something is tidied a bit later.
 */
#include "storage/tidy.h"

#include "storage/merge.h"
#include "storage/stack.h"

#include <errno.h>

#define STEP_USEC     (100 * 1000)
#define PATIENCE_USEC (200 * 1000) /* what happens within that is looked at once */

/* --- who may --- */

static unsigned slot_of(uint64_t volume_id)
{
    return (unsigned)(volume_id % TIDY_SLOTS);
}

void tidy_init(struct tidy *tidy)
{
    *tidy = (struct tidy){.at = TIDY_NOTHING};
    pthread_mutex_init(&tidy->lock, NULL);
    pthread_cond_init(&tidy->changed, NULL);
}

void tidy_destroy(struct tidy *tidy)
{
    pthread_cond_destroy(&tidy->changed);
    pthread_mutex_destroy(&tidy->lock);
}

void storage_pause(struct storage *storage, uint64_t volume_id)
{
    if (!storage)
        return;
    struct tidy *tidy = &storage->tidy;
    unsigned slot = slot_of(volume_id);
    pthread_mutex_lock(&tidy->lock);
    tidy->paused[slot]++;
    tidy->pauses[slot]++;
    while (tidy->at == slot)
        pthread_cond_wait(&tidy->changed, &tidy->lock);
    pthread_mutex_unlock(&tidy->lock);
}

void storage_resume(struct storage *storage, uint64_t volume_id)
{
    if (!storage)
        return;
    struct tidy *tidy = &storage->tidy;
    pthread_mutex_lock(&tidy->lock);
    tidy->paused[slot_of(volume_id)]--;
    pthread_mutex_unlock(&tidy->lock);
}

static uint64_t count_pauses(struct tidy *tidy, uint64_t volume_id)
{
    pthread_mutex_lock(&tidy->lock);
    uint64_t count = tidy->pauses[slot_of(volume_id)];
    pthread_mutex_unlock(&tidy->lock);
    return count;
}

/* False: somebody is at it, or has been since those were counted. */
static bool enter(struct tidy *tidy, uint64_t volume_id, uint64_t pauses)
{
    unsigned slot = slot_of(volume_id);
    pthread_mutex_lock(&tidy->lock);
    bool may = !tidy->stopping && tidy->paused[slot] == 0 && tidy->pauses[slot] == pauses;
    if (may)
        tidy->at = slot;
    pthread_mutex_unlock(&tidy->lock);
    return may;
}

static void leave(struct tidy *tidy)
{
    pthread_mutex_lock(&tidy->lock);
    tidy->at = TIDY_NOTHING;
    pthread_cond_broadcast(&tidy->changed);
    pthread_mutex_unlock(&tidy->lock);
}

static bool must_stop(struct tidy *tidy)
{
    pthread_mutex_lock(&tidy->lock);
    bool stop = tidy->stopping || tidy->paused[tidy->at] > 0;
    pthread_mutex_unlock(&tidy->lock);
    return stop;
}

/* --- one volume --- */

static bool is_named(const struct catalog_overlay *o, uint64_t layer_id)
{
    for (size_t i = 0; i < o->n_snapshots; i++)
        if (o->snapshots[i].layers[0].id == layer_id)
            return true;
    return false;
}

static bool has_unnamed(const struct catalog_overlay *o, const struct catalog_layer *layers,
                        size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (!is_named(o, layers[i].id))
            return true;
    return false;
}

/* Is there a layer below another one that has no name of its own? */
static bool has_spare(const struct catalog_overlay *o)
{
    bool found = has_unnamed(o, o->layers, o->n_layers);
    for (size_t i = 0; !found && i < o->n_snapshots; i++)
        found = has_unnamed(o, o->snapshots[i].layers, o->snapshots[i].n_layers);
    return found;
}

static bool is_shut(const struct storage *storage, uint64_t volume_id)
{
    const struct storage_settings *settings = &storage->settings;
    return !settings->is_shut || settings->is_shut(settings->context, volume_id);
}

/* An empty top over what it was put on for a copy: nothing has to be moved. */
static int drop_top(struct storage *storage, const char *volume, struct error *ret_error)
{
    struct registry *registry = storage->settings.registry;
    int r = registry_overlay_drop_top(registry, volume, ret_error);
    return r <= 0 ? r : layers_clear(registry, ret_error);
}

/* 1: it was stopped; 0: there is nothing more to do. */
static int fold_pairs(struct storage *storage, struct merge *merge, struct error *ret_error)
{
    int r = 1;
    while (r > 0 && !must_stop(&storage->tidy))
        r = merge_step(merge, STEP_USEC, ret_error);
    return r;
}

static int fold(struct storage *storage, uint64_t id, const char *name, bool shut,
                unsigned *ret_folded, struct error *ret_error)
{
    struct merge merge = {.storage = storage, .volume_id = id, .below_top = !shut};
    str_copy(merge.volume, sizeof(merge.volume), name);
    int r = shut ? drop_top(storage, name, ret_error) : 0;
    if (r >= 0)
        r = fold_pairs(storage, &merge, ret_error);
    *ret_folded = merge.folded;
    merge_end(&merge);
    return r;
}

/* Whoever uses it goes on with the layers that there are now, and lets go of the others' files. */
static int hand_over(const struct storage *storage, uint64_t id, struct error *ret_error)
{
    const struct storage_settings *settings = &storage->settings;
    return settings->reopen ? settings->reopen(settings->context, id, ret_error) : 0;
}

/* What may have been changed meanwhile is no fault. */
static bool is_fault(int r)
{
    return r < 0 && r != -ESTALE && r != -ENOENT && r != -EBUSY && r != -EOPNOTSUPP;
}

/* Once, and again when it is something else. */
static void tell(struct storage *storage, const char *name, struct error *error)
{
    const struct storage_settings *settings = &storage->settings;
    struct error *told = &storage->tidy.told;
    error_prefix(error, "layers of volume %s cannot be folded", name);
    if (settings->tell && !str_eq(told->text, error->text))
        settings->tell(settings->context, error);
    *told = *error;
}

/* True: another try is worth it. */
static bool tidy_volume(struct storage *storage, uint64_t id, const char *name)
{
    struct error error;
    unsigned folded = 0;
    uint64_t pauses = count_pauses(&storage->tidy, id);
    bool shut = is_shut(storage, id);
    if (!enter(&storage->tidy, id, pauses))
        return true;
    int r = fold(storage, id, name, shut, &folded, &error);
    leave(&storage->tidy);
    bool again = r > 0 || r == -ESTALE;
    if (folded && !shut && hand_over(storage, id, &error) < 0)
        r = error.code;
    if (is_fault(r))
        tell(storage, name, &error);
    return again;
}

/* --- all of them --- */

static bool is_stopping(struct tidy *tidy)
{
    pthread_mutex_lock(&tidy->lock);
    bool stopping = tidy->stopping;
    pthread_mutex_unlock(&tidy->lock);
    return stopping;
}

static bool tidy_all(struct storage *storage)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    size_t count;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    bool again = false;
    for (size_t i = 0; i < count && !is_stopping(&storage->tidy); i++) {
        const struct catalog_volume *v = &volumes[i];
        if (v->overlay && v->state == VOLUME_READY && has_spare(v->overlay))
            again |= tidy_volume(storage, v->id, v->name);
    }
    return again;
}

void storage_tidy(struct storage *storage)
{
    if (!storage)
        return;
    pthread_mutex_lock(&storage->tidy.lock);
    storage->tidy.wanted = true;
    pthread_cond_broadcast(&storage->tidy.changed);
    pthread_mutex_unlock(&storage->tidy.lock);
}

/* Until there is something to do, and a moment longer. False: it is over. */
static bool wait_until_wanted(struct tidy *tidy)
{
    struct timespec until;
    pthread_mutex_lock(&tidy->lock);
    while (!tidy->wanted && !tidy->stopping)
        pthread_cond_wait(&tidy->changed, &tidy->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += PATIENCE_USEC * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!tidy->stopping &&
           pthread_cond_timedwait(&tidy->changed, &tidy->lock, &until) != ETIMEDOUT)
        ;
    tidy->wanted = false;
    bool go_on = !tidy->stopping;
    pthread_mutex_unlock(&tidy->lock);
    return go_on;
}

static void *run(void *argument)
{
    struct storage *storage = argument;
    while (wait_until_wanted(&storage->tidy))
        if (tidy_all(storage))
            storage_tidy(storage);
    return NULL;
}

int storage_tidy_start(struct storage *storage, struct error *ret_error)
{
    storage->tidy.wanted = true; /* what a daemon before this one has left */
    int r = pthread_create(&storage->tidy.thread, NULL, run, storage);
    if (r != 0)
        return error_set(ret_error, -r, "cannot start a thread: %s", strerror(r));
    storage->tidy.running = true;
    return 0;
}

void storage_tidy_stop(struct storage *storage)
{
    if (!storage || !storage->tidy.running)
        return;
    pthread_mutex_lock(&storage->tidy.lock);
    storage->tidy.stopping = true;
    pthread_cond_broadcast(&storage->tidy.changed);
    pthread_mutex_unlock(&storage->tidy.lock);
    pthread_join(storage->tidy.thread, NULL);
    storage->tidy.running = false;
}
