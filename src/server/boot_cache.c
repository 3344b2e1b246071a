#include "server/boot_cache.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "core/log.h"
#include "core/size.h"
#include "server/warm_up.h"
#include "storage/boot_file.h"

struct boot_cache {
    struct boot_cache_settings settings;
    struct boot_recorder *recorder;
    struct stage_listener listener;
    pthread_t thread;
    bool running;
};

/* --- on its thread --- */

/* Others' requests to the disk come first, where its scheduler knows of priorities. */
static void be_last(void)
{
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static bool is_there(const struct boot_cache *cache, const struct catalog_base *image)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(cache->settings.catalog);
    size_t count;
    const struct catalog_image *images = catalog_images(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (images[i].id == image->version_id)
            return true;
    return false;
}

/* What was known of it until now; nothing, if that is of no use. */
static int load(const struct catalog_base *image, struct boot_set *ret_set, struct error *ret_error)
{
    int r = boot_file_load(image, ret_set, ret_error);
    if (r >= 0)
        return r;
    if (r != -ENOENT)
        log_warning("boot set of image %s: %s", image->image, ret_error->text);
    r = boot_set_init(ret_set, image->identity, image->size);
    return r < 0 ? error_set(ret_error, r, "%s", strerror(-r)) : r;
}

static int add(const struct boot_record *record, struct boot_set *set, struct error *ret_error)
{
    char text[SIZE_TEXT_SIZE];
    boot_set_add(set, record->reads, clock_wall_usec());
    int r = boot_file_store(&record->image, set, ret_error);
    if (r >= 0)
        log_info("boot set of image %s: %s, from %u %s", record->image.image,
                 size_format(boot_set_bytes(set, boot_set_threshold(set, UINT64_MAX)), text),
                 set->n_boots, set->n_boots == 1 ? "boot" : "boots");
    return r;
}

static void keep(const struct boot_cache *cache, const struct boot_record *record)
{
    struct boot_set set = {0};
    struct error error;
    if (!is_there(cache, &record->image))
        return;
    int r = load(&record->image, &set, &error);
    if (r >= 0)
        r = add(record, &set, &error);
    if (r < 0)
        log_warning("boot set of image %s is left as it was: %s", record->image.image, error.text);
    boot_set_free(&set);
    /* an image that was removed meanwhile takes its boot set with it; whoever removes one takes it
     * out of the catalog first */
    if (!is_there(cache, &record->image) && boot_file_remove(record->image.path, &error) < 0)
        log_warning("%s", error.text);
}

static void *run(void *arg)
{
    struct boot_cache *cache = arg;
    struct warm_up *warm_up = NULL;
    be_last();
    if (cache->settings.warm_up)
        warm_up = warm_up_new(cache->settings.catalog, cache->settings.warm_limit);
    while (!boot_recorder_stopped(cache->recorder)) {
        struct boot_record *record = boot_recorder_wait(cache->recorder, warm_up ? 0 : UINT64_MAX);
        if (record)
            keep(cache, record);
        boot_record_free(record);
        if (warm_up && !warm_up_step(warm_up))
            warm_up_free(take_ptr(warm_up));
    }
    warm_up_free(warm_up);
    return NULL;
}

/* --- on others --- */

static void on_stage(struct stage_listener *listener, const struct catalog_node *node,
                     enum boot_stage stage)
{
    struct boot_cache *cache = container_of(listener, struct boot_cache, listener);
    if (node->volume_id)
        boot_recorder_reached(cache->recorder, node->volume_id, stage);
}

struct boot_recorder *boot_cache_recorder(struct boot_cache *cache)
{
    return cache->recorder;
}

int boot_cache_start(const struct boot_cache_settings *settings, struct boot_cache **ret_cache,
                     struct error *ret_error)
{
    const struct stage_provider *stages = settings->stages;
    struct boot_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *cache = (struct boot_cache){.settings = *settings, .listener = {.reached = on_stage}};
    cache->recorder = boot_recorder_new(settings->catalog, BOOT_RECORDER_PATIENCE);
    int r = cache->recorder ? -pthread_create(&cache->thread, NULL, run, cache) : -ENOMEM;
    if (r < 0) {
        boot_recorder_free(cache->recorder);
        free(cache);
        return error_set(ret_error, r, "cannot make a thread: %s", strerror(-r));
    }
    cache->running = true;
    stages->subscribe(stages->context, &cache->listener);
    *ret_cache = cache;
    return 0;
}

void boot_cache_stop(struct boot_cache *cache)
{
    if (!cache || !cache->running)
        return;
    boot_recorder_stop(cache->recorder);
    pthread_join(cache->thread, NULL);
    cache->running = false;
}

void boot_cache_free(struct boot_cache *cache)
{
    if (!cache)
        return;
    boot_cache_stop(cache);
    cache->settings.stages->unsubscribe(cache->settings.stages->context, &cache->listener);
    boot_recorder_free(cache->recorder);
    free(cache);
}
