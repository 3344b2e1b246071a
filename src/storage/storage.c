#include "storage/storage.h"

#include "storage/private.h"

#include <errno.h>
#include <sys/stat.h>

static int make_directory(const char *parent, const char *name, char path[static PATH_MAX],
                          struct error *ret_error)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", parent, name);
    if (n < 0 || n >= PATH_MAX)
        return error_set(ret_error, -ENAMETOOLONG, "the state directory's path is too long");
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_set(ret_error, -errno, "%s cannot be made: %s", path, strerror(errno));
    return 0;
}

int storage_open(const struct storage_settings *settings, struct storage **ret_storage,
                 struct error *ret_error)
{
    struct storage *storage = calloc(1, sizeof(*storage));
    if (!storage)
        return error_set(ret_error, -ENOMEM, "out of memory");
    storage->settings = *settings;
    pthread_mutex_init(&storage->lock, NULL);
    pthread_cond_init(&storage->slot, NULL);
    tidy_init(&storage->tidy);
    int r = make_directory(settings->directory, "images", storage->images, ret_error);
    if (r >= 0)
        r = make_directory(settings->directory, "volumes", storage->volumes, ret_error);
    if (r >= 0)
        r = make_directory(settings->directory, "layers", storage->layers, ret_error);
    if (r >= 0)
        r = make_directory(settings->directory, "entries", storage->entries, ret_error);
    if (r >= 0)
        r = leftovers_clear(storage, ret_error);
    if (r < 0) {
        storage_close(storage);
        return r;
    }
    storage->settings.directory = NULL; /* the caller's; ours are made of it */
    *ret_storage = storage;
    return 0;
}

void storage_close(struct storage *storage)
{
    if (!storage)
        return;
    storage_tidy_stop(storage);
    tidy_destroy(&storage->tidy);
    pthread_cond_destroy(&storage->slot);
    pthread_mutex_destroy(&storage->lock);
    free(storage);
}
