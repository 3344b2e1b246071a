#include "server/warm_up.h"

#include <errno.h>

#include "core/log.h"
#include "core/size.h"
#include "storage/warm.h"

#define STEP_USEC 20000

struct warm_up {
    struct catalog *catalog;             /* that all of this was found in */
    const struct catalog_image **images; /* the newest first */
    size_t n_images, at;
    uint64_t left; /* bytes that there is room for */
    bool warming;  /* images[at] */
    uint64_t began_at;
    struct warm warm;
};

static bool is_disk_over(const struct catalog *catalog, const struct catalog_node *node,
                         const struct catalog_image *image)
{
    const struct catalog_volume *disk =
        node->volume_id ? catalog_volume_by_id(catalog, node->volume_id) : NULL;
    return disk && disk->overlay && disk->overlay->base.version_id == image->id;
}

static bool is_used(const struct catalog *catalog, const struct catalog_image *image)
{
    size_t count;
    const struct catalog_node *nodes = catalog_nodes(catalog, &count);
    for (size_t i = 0; i < count; i++)
        if (is_disk_over(catalog, &nodes[i], image))
            return true;
    return false;
}

static int newest_first(const void *a, const void *b)
{
    const struct catalog_image *x = *(const struct catalog_image *const *)a;
    const struct catalog_image *y = *(const struct catalog_image *const *)b;
    return (x->created_at < y->created_at) - (x->created_at > y->created_at);
}

static bool choose(struct warm_up *warm_up)
{
    size_t count;
    const struct catalog_image *images = catalog_images(warm_up->catalog, &count);
    warm_up->images = calloc(count + 1, sizeof(struct catalog_image *));
    for (size_t i = 0; warm_up->images && i < count; i++)
        if (is_used(warm_up->catalog, &images[i]))
            warm_up->images[warm_up->n_images++] = &images[i];
    if (warm_up->n_images > 0)
        qsort(warm_up->images, warm_up->n_images, sizeof(struct catalog_image *), newest_first);
    return warm_up->n_images > 0;
}

struct warm_up *warm_up_new(struct catalog_slot *catalog, uint64_t limit)
{
    struct warm_up *warm_up = calloc(1, sizeof(*warm_up));
    if (!warm_up)
        return NULL;
    warm_up->catalog = catalog_slot_get(catalog);
    warm_up->left = warm_limit(limit);
    if (choose(warm_up))
        return warm_up;
    warm_up_free(warm_up);
    return NULL;
}

static void begin(struct warm_up *warm_up, const struct catalog_image *image)
{
    const struct catalog_base base = boot_file_image(image);
    struct error error;
    int r = warm_begin(&warm_up->warm, &base, warm_up->left, &error);
    warm_up->began_at = clock_monotonic_usec();
    warm_up->warming = r >= 0;
    if (r >= 0)
        return;
    warm_end(&warm_up->warm);
    warm_up->at++;
    if (r != -ENOENT)
        log_warning("image %s@%u is not warmed: %s", image->name, image->version, error.text);
}

static void tell(const struct warm_up *warm_up, const struct catalog_image *image)
{
    const struct warm *warm = &warm_up->warm;
    uint64_t tenths = (clock_monotonic_usec() - warm_up->began_at) / (USEC_PER_SEC / 10);
    char done[SIZE_TEXT_SIZE], full[SIZE_TEXT_SIZE];
    size_format(warm->done, done);
    if (warm->total < warm->full)
        log_info("warmed %s of the %s of %s@%u that nodes read at boot in %u.%u s; there is no "
                 "room for more (warm-up-limit)",
                 done, size_format(warm->full, full), image->name, image->version,
                 (unsigned)(tenths / 10), (unsigned)(tenths % 10));
    else
        log_info("warmed %s of %s@%u in %u.%u s", done, image->name, image->version,
                 (unsigned)(tenths / 10), (unsigned)(tenths % 10));
}

static void go_on(struct warm_up *warm_up, const struct catalog_image *image)
{
    struct error error;
    int r = warm_step(&warm_up->warm, STEP_USEC, &error);
    if (r > 0)
        return;
    if (r < 0)
        log_warning("warming of image %s@%u has ended early: %s", image->name, image->version,
                    error.text);
    else
        tell(warm_up, image);
    warm_up->left -= MIN(warm_up->left, warm_up->warm.done);
    warm_end(&warm_up->warm);
    warm_up->warming = false;
    warm_up->at++;
}

bool warm_up_step(struct warm_up *warm_up)
{
    if (warm_up->at == warm_up->n_images)
        return false;
    const struct catalog_image *image = warm_up->images[warm_up->at];
    if (warm_up->warming)
        go_on(warm_up, image);
    else
        begin(warm_up, image);
    return true;
}

void warm_up_free(struct warm_up *warm_up)
{
    if (!warm_up)
        return;
    if (warm_up->warming)
        warm_end(&warm_up->warm);
    free(warm_up->images);
    catalog_unref(warm_up->catalog);
    free(warm_up);
}
