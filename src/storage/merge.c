#include "storage/merge.h"

#include "storage/job.h"
#include "storage/stack.h"

#include <errno.h>

static bool find_among(const struct catalog_layer *layers, size_t count, uint64_t id,
                       struct overlay_layer *ret_layer)
{
    for (size_t i = 0; i < count; i++) {
        if (layers[i].id != id)
            continue;
        ret_layer->path = layers[i].path;
        memcpy(ret_layer->id, layers[i].identity, BLOCK_LAYER_ID_SIZE);
        return true;
    }
    return false;
}

static bool find_layer(const struct catalog_overlay *o, uint64_t id,
                       struct overlay_layer *ret_layer)
{
    bool found = find_among(o->layers, o->n_layers, id, ret_layer);
    for (size_t i = 0; !found && i < o->n_snapshots; i++)
        found = find_among(o->snapshots[i].layers, o->snapshots[i].n_layers, id, ret_layer);
    return found;
}

/* The two layers lie in the catalog, which is looked at for as long as this takes. */
static int begin_pair(struct merge *m, struct error *ret_error)
{
    struct overlay_layer upper, lower;
    uint8_t boot_id[BLOCK_LAYER_ID_SIZE];
    cleanup_catalog struct catalog *catalog = catalog_slot_get(m->storage->settings.catalog);
    const struct catalog_volume *v = catalog_volume_by_id(catalog, m->volume_id);
    if (!v || !v->overlay || !find_layer(v->overlay, m->upper_id, &upper) ||
        !find_layer(v->overlay, m->lower_id, &lower))
        return error_set(ret_error, -ESTALE, "volume '%s' has been changed meanwhile", m->volume);
    int r = overlay_boot_id(boot_id, ret_error);
    if (r < 0)
        return r;
    m->merging = true;
    return overlay_merge_begin(&m->merge, &upper, &lower, boot_id, ret_error);
}

/* 1: there is a pair to merge; 0: there is none. */
static int next_pair(struct merge *m, struct error *ret_error)
{
    int r = registry_layer_begin_merge(m->storage->settings.registry, m->volume, m->below_top,
                                       &m->upper_id, &m->lower_id, ret_error);
    if (r <= 0)
        return r;
    r = begin_pair(m, ret_error);
    return r < 0 ? r : 1;
}

static int end_pair(struct merge *m, struct error *ret_error)
{
    struct registry *registry = m->storage->settings.registry;
    int r = overlay_merge_commit(&m->merge, ret_error);
    if (r >= 0)
        r = registry_layer_merged(registry, m->upper_id, m->lower_id, ret_error);
    overlay_merge_end(&m->merge);
    m->merging = false;
    m->folded += r >= 0;
    return r < 0 ? r : layers_clear(registry, ret_error);
}

int merge_step(struct merge *m, uint64_t budget, struct error *ret_error)
{
    if (!m->merging)
        return next_pair(m, ret_error);
    int r = overlay_merge_step(&m->merge, budget, ret_error);
    if (r != 0)
        return r;
    r = end_pair(m, ret_error);
    return r < 0 ? r : 1;
}

void merge_end(struct merge *m)
{
    if (m->merging)
        overlay_merge_end(&m->merge);
    m->merging = false;
}

/* --- as a job, while nobody has the volume open --- */

struct merge_job {
    struct storage_job job;
    bool claimed;
    struct merge merge;
};

static struct merge_job *merge_of(const struct storage_job *job)
{
    return (struct merge_job *)container_of(job, const struct merge_job, job);
}

static int begin(struct storage_job *job, struct error *ret_error)
{
    const struct merge_job *j = merge_of(job);
    const struct storage_settings *settings = &job->storage->settings;
    cleanup_stack struct stack stack = {0};
    int r = stack_find(settings->catalog, j->merge.volume_id, NULL, &stack, ret_error);
    if (r >= 0 && !stack.made)
        r = stack_make(&stack, settings->registry, ret_error);
    return r;
}

static int step(struct storage_job *job, uint64_t budget, struct error *ret_error)
{
    return merge_step(&merge_of(job)->merge, budget, ret_error);
}

static int publish(struct storage_job *job, struct error *ret_error)
{
    return 0;
}

static struct storage_progress progress(const struct storage_job *job)
{
    const struct overlay_merge *merge = &merge_of(job)->merge.merge;
    return (struct storage_progress){
        .stage = "merging", .done = merge->done, .total = merge->total};
}

static void release(struct storage_job *job)
{
    struct merge_job *j = merge_of(job);
    merge_end(&j->merge);
    if (j->claimed)
        overlay_release(job->storage, j->merge.volume_id);
    j->claimed = false;
}

/* Whatever was merged stays so, and reads the same. */
static void undo(struct storage_job *job, const char *why)
{
}

static const struct job_kind kind = {begin, step, publish, progress, release, undo};

int merge_begin(struct storage *storage, const char *volume, struct storage_job **ret_job,
                struct error *ret_error)
{
    struct merge_job *j = calloc(1, sizeof(*j));
    if (!j)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = overlay_claim(storage, volume, false, &j->merge.volume_id, ret_error);
    if (r < 0) {
        free(j);
        return r;
    }
    j->job = (struct storage_job){.kind = &kind, .storage = storage};
    j->claimed = true;
    j->merge.storage = storage;
    str_copy(j->merge.volume, sizeof(j->merge.volume), volume);
    *ret_job = &j->job;
    return 0;
}
