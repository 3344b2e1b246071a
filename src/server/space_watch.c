#include "server/space_watch.h"

#include "core/detached.h"
#include "core/list.h"
#include "core/log.h"
#include "core/size.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define INTERVAL     5  /* seconds between two looks */
#define STOP_TIMEOUT 10 /* seconds; only a file system that does not answer takes them */

struct space_watch {
    pthread_mutex_t lock; /* protects all below, and the places */
    pthread_cond_t changed;
    struct list places; /* each has a thread; the first is the state directory's */
    struct warn_free warn;
    unsigned generation; /* of what all are to look at */
    bool stopping;
    void (*listener)(void *context);
    void *context;
    struct space_place *home;
};

struct space_place {
    struct list link;
    struct space_watch *watch;
    struct scsi_space space;
    int fd; /* O_PATH */
    dev_t device;
    unsigned users; /* 0: it goes */
    unsigned generation;
    struct warn_free warn; /* when it was last looked at */
    char path[];           /* for messages */
};

/* --- looking --- */

static void tell(const struct space_place *place, bool low, uint64_t available, uint64_t total)
{
    char available_text[SIZE_TEXT_SIZE], total_text[SIZE_TEXT_SIZE], wanted[SIZE_TEXT_SIZE];
    size_format(available, available_text);
    size_format(total, total_text);
    if (low)
        log_warning("the file system of %s has only %s of %s free, and warn-free asks for %s: when "
                    "nothing is free any more, machines cannot write; make room",
                    place->path, available_text, total_text,
                    size_format(atomic_load(&place->space.threshold), wanted));
    else
        log_info("the file system of %s has %s of %s free, which is enough again", place->path,
                 available_text, total_text);
}

static uint64_t threshold_of(const struct space_place *place, uint64_t total, bool is_new)
{
    if (total == 0)
        return 0; /* one that says nothing of its size cannot be full */
    uint64_t fresh = warn_free_threshold(&place->watch->warn, total);
    return is_new ? fresh : warn_free_follow(atomic_load(&place->space.threshold), fresh);
}

static bool is_other(const struct warn_free *a, const struct warn_free *b)
{
    return a->percent != b->percent || a->bytes != b->bytes;
}

/* With the lock. */
static void take_in(struct space_place *place, const struct statvfs *fs)
{
    struct space_watch *watch = place->watch;
    struct scsi_space *space = &place->space;
    uint64_t total = (uint64_t)fs->f_blocks * fs->f_frsize;
    uint64_t available = (uint64_t)fs->f_bavail * fs->f_frsize;
    bool is_new = is_other(&place->warn, &watch->warn);
    uint64_t threshold = threshold_of(place, total, is_new);
    bool was_low = atomic_load(&space->low);
    bool low = warn_free_is_low(was_low && !is_new, available, threshold);
    bool is_news = low != was_low || threshold != atomic_load(&space->threshold);
    atomic_store(&space->total, total);
    atomic_store(&space->available, available);
    atomic_store(&space->threshold, threshold);
    atomic_store(&space->low, low);
    place->warn = watch->warn;
    if (low != was_low)
        tell(place, low, available, total);
    if (is_news && watch->listener)
        watch->listener(watch->context);
}

/* With the lock, which is free meanwhile. A file system that gives an error is as it was. */
static void look(struct space_place *place)
{
    struct statvfs fs;
    struct space_watch *watch = place->watch;
    place->generation = watch->generation;
    pthread_mutex_unlock(&watch->lock);
    int r = fstatvfs(place->fd, &fs);
    pthread_mutex_lock(&watch->lock);
    if (r == 0)
        take_in(place, &fs);
}

/* Until it is time to look again, or there is a reason to. With the lock. */
static void wait_for_next(struct space_place *place)
{
    struct space_watch *watch = place->watch;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += INTERVAL;
    int r = 0;
    while (r == 0 && !watch->stopping && place->users > 0 && place->generation == watch->generation)
        r = pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
}

static void free_place(struct space_place *place)
{
    close(place->fd);
    free(place);
}

static void *place_main(void *arg)
{
    struct space_place *place = arg;
    struct space_watch *watch = place->watch;
    pthread_mutex_lock(&watch->lock);
    for (;;) {
        wait_for_next(place);
        if (watch->stopping || place->users == 0)
            break;
        look(place);
    }
    list_remove(&place->link);
    free_place(place);
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

/* --- places --- */

/* With the lock. */
static struct space_place *find_place(struct space_watch *watch, dev_t device)
{
    list_for_each(node, &watch->places) {
        struct space_place *place = container_of(node, struct space_place, link);
        if (place->device == device)
            return place;
    }
    return NULL;
}

static struct space_place *place_new(struct space_watch *watch, const char *path, int fd,
                                     dev_t device)
{
    size_t size = strlen(path) + 1;
    struct space_place *place = calloc(1, sizeof(*place) + size);
    if (!place) {
        close(fd);
        return NULL;
    }
    place->watch = watch;
    place->fd = fd;
    place->device = device;
    memcpy(place->path, path, size);
    return place;
}

/* A place that is known already is used, and the new one not needed. With the lock. */
static struct space_place *join(struct space_place *fresh, const struct statvfs *fs)
{
    struct space_watch *watch = fresh->watch;
    struct space_place *place = find_place(watch, fresh->device);
    if (!place) {
        take_in(fresh, fs);
        fresh->generation = watch->generation;
        if (detached_thread_start(place_main, fresh, 0)) {
            list_append(&watch->places, &fresh->link);
            fresh->users = 1;
            return fresh;
        }
    } else {
        place->users++;
    }
    free_place(fresh);
    return place;
}

struct space_place *space_watch_get(struct space_watch *watch, const char *path)
{
    struct stat st;
    struct statvfs fs;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0) {
        close(fd);
        return NULL;
    }
    struct space_place *place = place_new(watch, path, fd, st.st_dev);
    if (!place)
        return NULL;
    pthread_mutex_lock(&watch->lock);
    place = join(place, &fs);
    pthread_mutex_unlock(&watch->lock);
    return place;
}

struct space_place *space_watch_home(struct space_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->home->users++;
    pthread_mutex_unlock(&watch->lock);
    return watch->home;
}

void space_place_put(struct space_place *place)
{
    if (!place)
        return;
    struct space_watch *watch = place->watch;
    pthread_mutex_lock(&watch->lock);
    place->users--;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

const struct scsi_space *space_place_space(const struct space_place *place)
{
    return &place->space;
}

/* --- the whole --- */

static struct space_watch *watch_new(const struct warn_free *warn)
{
    pthread_condattr_t attributes;
    struct space_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&watch->places);
    watch->warn = *warn;
    return watch;
}

static void free_watch(struct space_watch *watch)
{
    pthread_mutex_destroy(&watch->lock);
    pthread_cond_destroy(&watch->changed);
    free(watch);
}

int space_watch_start(const char *directory, const struct warn_free *warn,
                      struct space_watch **ret_watch, struct error *ret_error)
{
    struct space_watch *watch = watch_new(warn);
    if (!watch)
        return error_set(ret_error, -ENOMEM, "out of memory");
    watch->home = space_watch_get(watch, directory);
    if (!watch->home) {
        free_watch(watch);
        return error_set(ret_error, -EIO, "cannot find out how full %s is", directory);
    }
    *ret_watch = watch;
    return 0;
}

void space_watch_stop(struct space_watch *watch)
{
    struct timespec until;
    if (!watch)
        return;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STOP_TIMEOUT;
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_broadcast(&watch->changed);
    int r = 0;
    while (r == 0 && !list_empty(&watch->places))
        r = pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
    bool all_gone = list_empty(&watch->places);
    pthread_mutex_unlock(&watch->lock);
    if (all_gone)
        free_watch(watch);
}

void space_watch_set(struct space_watch *watch, const struct warn_free *warn)
{
    pthread_mutex_lock(&watch->lock);
    watch->warn = *warn;
    watch->generation++;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

void space_watch_listen(struct space_watch *watch, void (*changed)(void *context), void *context)
{
    pthread_mutex_lock(&watch->lock);
    watch->listener = changed;
    watch->context = context;
    pthread_mutex_unlock(&watch->lock);
}

static json_t *place_to_json(const struct space_place *place)
{
    const struct scsi_space *space = &place->space;
    return json_pack("{s:s, s:I, s:I, s:I, s:b}", "path", place->path, "total",
                     (json_int_t)atomic_load(&space->total), "free",
                     (json_int_t)atomic_load(&space->available), "warn_below",
                     (json_int_t)atomic_load(&space->threshold), "low",
                     (int)atomic_load(&space->low));
}

json_t *space_watch_to_json(struct space_watch *watch)
{
    const struct scsi_space *home = &watch->home->space;
    json_t *elsewhere = json_array();
    pthread_mutex_lock(&watch->lock);
    list_for_each(node, &watch->places) {
        const struct space_place *place = container_of(node, struct space_place, link);
        if (place != watch->home && place->users > 0)
            json_array_append_new(elsewhere, place_to_json(place));
    }
    pthread_mutex_unlock(&watch->lock);
    return json_pack("{s:I, s:b, s:o}", "warn_below", (json_int_t)atomic_load(&home->threshold),
                     "low", (int)atomic_load(&home->low), "elsewhere", elsewhere);
}
