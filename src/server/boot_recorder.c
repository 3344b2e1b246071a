#include "server/boot_recorder.h"

#include <pthread.h>

#include "block/overlay.h"
#include "storage/boot_set.h"

struct recording {
    struct list link;
    struct boot_recorder *owner;
    struct boot_record record;
    uint64_t volume_id;
    uint64_t ends_at;         /* clock_monotonic_usec() */
    bool has_kernel;          /* the node has come beyond its firmware: it is a boot */
    bool over;                /* nothing more is to be noted */
    struct io_thread *thread; /* of the volume, while it is attached; else NULL */
    bool asked;               /* `let_go` is on its way to that thread */
    struct message let_go;

    /* of that thread */
    struct block_device *device; /* that notes into record.reads */
};

struct boot_recorder {
    struct catalog_slot *catalog;
    uint64_t patience;
    pthread_mutex_t lock; /* protects all below, and what is not of an I/O thread in a recording */
    pthread_cond_t changed;
    struct list recordings; /* in no order */
    bool stopped;
};

static void recording_free(struct recording *recording)
{
    free((char *)recording->record.image.image);
    free((char *)recording->record.image.path);
    free(recording->record.reads);
    free(recording);
}

void boot_record_free(struct boot_record *record)
{
    if (record)
        recording_free(container_of(record, struct recording, record));
}

static void free_all(struct list *recordings)
{
    list_for_each(node, recordings) {
        recording_free(container_of(node, struct recording, link));
    }
}

/* --- with the lock held --- */

static struct recording *find(struct boot_recorder *recorder, uint64_t volume_id)
{
    list_for_each(node, &recorder->recordings) {
        struct recording *recording = container_of(node, struct recording, link);
        if (recording->volume_id == volume_id && !recording->over)
            return recording;
    }
    return NULL;
}

static unsigned count_of(struct boot_recorder *recorder, const struct catalog_base *image)
{
    unsigned count = 0;
    list_for_each(node, &recorder->recordings) {
        const struct recording *r = container_of(node, struct recording, link);
        count += r->record.image.version_id == image->version_id;
    }
    return count;
}

static void end(struct boot_recorder *recorder, struct recording *recording)
{
    recording->over = true;
    if (recording->thread && !recording->asked && !recorder->stopped) {
        recording->asked = true;
        io_thread_post(recording->thread, &recording->let_go);
    }
    pthread_cond_signal(&recorder->changed);
}

/* Nobody else knows of it any more. */
static bool is_free(const struct recording *recording)
{
    return recording->over && !recording->thread && !recording->asked;
}

/* --- beginning --- */

/* On its volume's thread. */
static void let_go(struct message *message)
{
    struct recording *recording = container_of(message, struct recording, let_go);
    struct boot_recorder *recorder = recording->owner;
    if (recording->device)
        block_overlay_note_base_reads(take_ptr(recording->device), NULL);
    pthread_mutex_lock(&recorder->lock);
    recording->thread = NULL;
    recording->asked = false;
    pthread_cond_signal(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

static struct recording *recording_new(struct boot_recorder *recorder, uint64_t volume_id,
                                       const struct catalog_base *image)
{
    struct recording *recording = calloc(1, sizeof(*recording));
    if (!recording)
        return NULL;
    recording->owner = recorder;
    recording->volume_id = volume_id;
    recording->let_go.run = let_go;
    recording->record.image = *image;
    recording->record.image.image = strdup(image->image);
    recording->record.image.path = strdup(image->path);
    recording->record.reads = block_reads_new(image->size, boot_set_shift(image->size));
    if (recording->record.image.image && recording->record.image.path && recording->record.reads)
        return recording;
    recording_free(recording);
    return NULL;
}

static void begin(struct boot_recorder *recorder, uint64_t volume_id,
                  const struct catalog_base *image)
{
    struct recording *recording = find(recorder, volume_id);
    if (recording && recording->record.image.version_id != image->version_id) {
        recording->has_kernel = false; /* what it had read is of another image */
        end(recorder, recording);
        recording = NULL;
    }
    if (!recording && count_of(recorder, image) < BOOT_RECORDER_MAX_PER_IMAGE) {
        recording = recording_new(recorder, volume_id, image);
        if (recording)
            list_append(&recorder->recordings, &recording->link);
    }
    if (!recording)
        return; /* enough are being recorded, or there is no memory: another time */
    recording->ends_at = clock_monotonic_usec() + recorder->patience;
    pthread_cond_signal(&recorder->changed);
}

static bool is_disk_of_a_node(const struct catalog *catalog, uint64_t volume_id)
{
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (nodes[i].volume_id == volume_id)
            return true;
    return false;
}

void boot_recorder_begin(struct boot_recorder *recorder, uint64_t volume_id)
{
    if (!recorder)
        return;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(recorder->catalog);
    const struct catalog_volume *volume = catalog_volume_by_id(catalog, volume_id);
    if (!volume || !volume->overlay || !volume->overlay->base.version_id ||
        !is_disk_of_a_node(catalog, volume_id))
        return;
    pthread_mutex_lock(&recorder->lock);
    begin(recorder, volume_id, &volume->overlay->base);
    pthread_mutex_unlock(&recorder->lock);
}

void boot_recorder_reached(struct boot_recorder *recorder, uint64_t volume_id,
                           enum boot_stage stage)
{
    if (!recorder || stage < BOOT_INITRAMFS)
        return;
    pthread_mutex_lock(&recorder->lock);
    struct recording *recording = find(recorder, volume_id);
    if (recording) {
        recording->has_kernel = true;
        if (stage == BOOT_UP)
            end(recorder, recording);
    }
    pthread_mutex_unlock(&recorder->lock);
}

/* --- noting --- */

/* On the volume's thread, with the lock held: its device notes nothing from here on. */
static void detach(struct boot_recorder *recorder, uint64_t volume_id)
{
    list_for_each(node, &recorder->recordings) {
        struct recording *recording = container_of(node, struct recording, link);
        if (recording->volume_id != volume_id || !recording->device)
            continue;
        block_overlay_note_base_reads(take_ptr(recording->device), NULL);
        recording->thread = NULL;
    }
    pthread_cond_signal(&recorder->changed);
}

void boot_recorder_attach(struct boot_recorder *recorder, uint64_t volume_id,
                          struct io_thread *thread, struct block_device *device)
{
    if (!recorder)
        return;
    pthread_mutex_lock(&recorder->lock);
    detach(recorder, volume_id); /* an earlier boot that is not quite over */
    struct recording *recording = find(recorder, volume_id);
    if (recording) {
        recording->thread = thread;
        recording->device = device;
        block_overlay_note_base_reads(device, recording->record.reads);
    }
    pthread_mutex_unlock(&recorder->lock);
}

void boot_recorder_detach(struct boot_recorder *recorder, uint64_t volume_id)
{
    if (!recorder)
        return;
    pthread_mutex_lock(&recorder->lock);
    detach(recorder, volume_id);
    pthread_mutex_unlock(&recorder->lock);
}

/* --- taking --- */

/* What nobody notes into any more, taken out; ends what has had its time. *ret_next: when there is
 * something to do again, clock_monotonic_usec(). */
static struct recording *take_free(struct boot_recorder *recorder, uint64_t *ret_next)
{
    uint64_t now = clock_monotonic_usec();
    *ret_next = UINT64_MAX;
    list_for_each(node, &recorder->recordings) {
        struct recording *recording = container_of(node, struct recording, link);
        if (!recording->over && recording->ends_at <= now)
            end(recorder, recording);
        else if (!recording->over)
            *ret_next = MIN(*ret_next, recording->ends_at);
        if (is_free(recording)) {
            list_remove(node);
            return recording;
        }
    }
    return NULL;
}

static void wait_for_change(struct boot_recorder *recorder, uint64_t until)
{
    struct timespec at = {.tv_sec = (time_t)(until / USEC_PER_SEC),
                          .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};
    if (until == UINT64_MAX)
        pthread_cond_wait(&recorder->changed, &recorder->lock);
    else
        pthread_cond_timedwait(&recorder->changed, &recorder->lock, &at);
}

struct boot_record *boot_recorder_wait(struct boot_recorder *recorder, uint64_t timeout)
{
    struct recording *recording = NULL;
    struct list useless;
    uint64_t now = clock_monotonic_usec(), next;
    uint64_t until = timeout > UINT64_MAX - now ? UINT64_MAX : now + timeout;
    list_init(&useless);
    pthread_mutex_lock(&recorder->lock);
    while (!recording && !recorder->stopped) {
        recording = take_free(recorder, &next);
        if (recording && !recording->has_kernel)
            /* its machine shows a menu, or something is wrong with it: that tells nothing */
            list_append(&useless, &take_ptr(recording)->link);
        else if (!recording && clock_monotonic_usec() >= until)
            break;
        else if (!recording)
            wait_for_change(recorder, MIN(until, next));
    }
    pthread_mutex_unlock(&recorder->lock);
    free_all(&useless);
    return recording ? &recording->record : NULL;
}

/* --- making and freeing --- */

void boot_recorder_stop(struct boot_recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->stopped = true;
    pthread_cond_signal(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

bool boot_recorder_stopped(struct boot_recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    bool stopped = recorder->stopped;
    pthread_mutex_unlock(&recorder->lock);
    return stopped;
}

struct boot_recorder *boot_recorder_new(struct catalog_slot *catalog, uint64_t patience)
{
    struct boot_recorder *recorder = calloc(1, sizeof(*recorder));
    pthread_condattr_t attributes;
    if (!recorder)
        return NULL;
    recorder->catalog = catalog;
    recorder->patience = patience;
    list_init(&recorder->recordings);
    pthread_mutex_init(&recorder->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&recorder->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return recorder;
}

void boot_recorder_free(struct boot_recorder *recorder)
{
    if (!recorder)
        return;
    free_all(&recorder->recordings);
    pthread_cond_destroy(&recorder->changed);
    pthread_mutex_destroy(&recorder->lock);
    free(recorder);
}
