#include "server/scripts.h"

#include "core/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

struct scripts {
    pthread_rwlock_t lock; /* protects: */
    char path[PATH_MAX];   /* "": before scripts_set() */
};

struct scripts *scripts_new(void)
{
    struct scripts *scripts = calloc(1, sizeof(*scripts));
    if (scripts)
        pthread_rwlock_init(&scripts->lock, NULL);
    return scripts;
}

void scripts_free(struct scripts *scripts)
{
    if (!scripts)
        return;
    pthread_rwlock_destroy(&scripts->lock);
    free(scripts);
}

void scripts_set(struct scripts *scripts, const struct config *config)
{
    pthread_rwlock_wrlock(&scripts->lock);
    str_copy(scripts->path, sizeof(scripts->path), config->scripts);
    pthread_rwlock_unlock(&scripts->lock);
}

void scripts_directory(struct scripts *scripts, char buffer[static PATH_MAX])
{
    pthread_rwlock_rdlock(&scripts->lock);
    str_copy(buffer, PATH_MAX, scripts->path);
    pthread_rwlock_unlock(&scripts->lock);
}

int scripts_open_file(struct scripts *scripts, const char *name, int *ret_fd, uint64_t *ret_size)
{
    char path[PATH_MAX];
    scripts_directory(scripts, path);
    cleanup_close int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    return directory_open_file(directory, name, ret_fd, ret_size);
}
