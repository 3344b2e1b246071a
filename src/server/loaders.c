#include "server/loaders.h"

#include "core/directory.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

struct loaders {
    pthread_rwlock_t lock; /* protects: */
    int directory;         /* -1: there is none */
    char path[PATH_MAX];   /* of it; "": before loaders_set() */
};

struct loaders *loaders_new(void)
{
    struct loaders *loaders = calloc(1, sizeof(*loaders));
    if (!loaders)
        return NULL;
    pthread_rwlock_init(&loaders->lock, NULL);
    loaders->directory = -1;
    return loaders;
}

void loaders_free(struct loaders *loaders)
{
    if (!loaders)
        return;
    util_close_fd(&loaders->directory);
    pthread_rwlock_destroy(&loaders->lock);
    free(loaders);
}

static bool serves_subnets(const struct config *config)
{
    for (size_t i = 0; i < config->n_subnets; i++)
        if (config->subnets[i].mode != SUBNET_OFF)
            return true;
    return false;
}

bool loaders_are_needed(const struct config *config)
{
    return serves_subnets(config) || access(config->loaders, X_OK) == 0;
}

static int try_loader(int directory, const char *loader)
{
    cleanup_close int fd = -1;
    uint64_t size;
    return loader[0] ? directory_open_file(directory, loader, &fd, &size) : 0;
}

static const char *advice(int r)
{
    return r == -EXDEV ? "it is a link that leads out of the directory: copy the file there instead"
                       : "install the package ipxe, or name another loader or directory";
}

static int check_loader(const struct config *config, const struct subnet *subnet,
                        enum dhcp_loader which, int directory, struct error *ret_error)
{
    const char *file = subnet->loaders[which];
    int r = try_loader(directory, file);
    if (r >= 0)
        return 0;
    if (which == LOADER_BIOS)
        return error_set(ret_error, r, "[subnet %s]: cannot serve the boot loader %s/%s: %s; %s",
                         subnet->name, config->loaders, file, strerror(-r), advice(r));
    log_warning("[subnet %s]: %s machines cannot boot: cannot serve %s/%s: %s; %s", subnet->name,
                dhcp_loader_kind(which)->word, config->loaders, file, strerror(-r), advice(r));
    return 0;
}

/* Each subnet may name its own. */
static int check_loaders(const struct config *config, int directory, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < config->n_subnets; i++) {
        const struct subnet *subnet = &config->subnets[i];
        for (enum dhcp_loader k = 0; r >= 0 && subnet->mode != SUBNET_OFF && k < DHCP_LOADERS; k++)
            r = check_loader(config, subnet, k, directory, ret_error);
    }
    return r;
}

int loaders_set(struct loaders *loaders, const struct config *config, struct error *ret_error)
{
    int directory = -1, r = 0;
    if (loaders_are_needed(config)) {
        r = directory_open(config->loaders, &directory, ret_error);
        if (r >= 0)
            r = check_loaders(config, directory, ret_error);
    }
    if (r >= 0) {
        pthread_rwlock_wrlock(&loaders->lock);
        int old = loaders->directory;
        loaders->directory = directory;
        str_copy(loaders->path, sizeof(loaders->path), config->loaders);
        pthread_rwlock_unlock(&loaders->lock);
        directory = old;
    }
    util_close_fd(&directory);
    return r;
}

void loaders_directory(struct loaders *loaders, char buffer[static PATH_MAX])
{
    pthread_rwlock_rdlock(&loaders->lock);
    str_copy(buffer, PATH_MAX, loaders->path);
    pthread_rwlock_unlock(&loaders->lock);
}

int loaders_open_file(struct loaders *loaders, const char *name, int *ret_fd, uint64_t *ret_size)
{
    pthread_rwlock_rdlock(&loaders->lock);
    int r = loaders->directory < 0
                ? -ENOENT
                : directory_open_file(loaders->directory, name, ret_fd, ret_size);
    pthread_rwlock_unlock(&loaders->lock);
    return r;
}
