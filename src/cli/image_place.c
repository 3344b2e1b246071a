#include "cli/image_place.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DEFAULT_CACHE "/var/cache/nodisk"
#define MAX_OPEN      16

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path); /* what cannot be removed is the next build's to remove */
    return 0;
}

/* Programs that end with us may still write there for a moment. */
static void remove_directory(const char *path)
{
    for (int i = 0; i < 50 && access(path, F_OK) == 0; i++) {
        const struct timespec moment = {.tv_nsec = i ? 100000000 : 0};
        nanosleep(&moment, NULL);
        nftw(path, remove_one, MAX_OPEN, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    }
}

/* Waits until nobody has the other end of the pipe any more: the command is done, or dead. */
static _Noreturn void keep(const char *directory, int pipe_end)
{
    char byte;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd); /* whoever reads what the command prints is not to wait for us */
    setsid();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    while (read(pipe_end, &byte, 1) < 0 && errno == EINTR)
        ;
    remove_directory(directory);
    _exit(0);
}

static int start_keeper(struct image_place *place)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    fflush(NULL);
    place->pid = fork();
    if (place->pid == 0) {
        close(ends[1]);
        keep(place->directory, ends[0]);
    }
    int r = place->pid < 0 ? -errno : 0;
    close(ends[0]);
    place->keeper = ends[1];
    return r;
}

/* The name begins as the builder's own do: what is left of one that was killed is its to remove. */
static int make_directory(const char *name, struct image_place *place, struct error *ret_error)
{
    const char *cache = getenv("NODISK_CACHE");
    cache = cache && cache[0] ? cache : DEFAULT_CACHE;
    int n = snprintf(place->directory, sizeof(place->directory), "%s/build-XXXXXX", cache);
    if (n < 0 || (size_t)n >= sizeof(place->directory))
        return error_set(ret_error, -ENAMETOOLONG, "%s is too long a path", cache);
    if ((mkdir(cache, 0755) < 0 && errno != EEXIST) || !mkdtemp(place->directory))
        return error_set(ret_error, -errno, "no directory can be made in %s: %s", cache,
                         strerror(errno));
    snprintf(place->file, sizeof(place->file), "%s/%s.raw", place->directory, name);
    return 0;
}

int image_place_make(const char *name, struct image_place *place, struct error *ret_error)
{
    int r = make_directory(name, place, ret_error);
    if (r < 0)
        return r;
    r = start_keeper(place);
    if (r < 0) {
        rmdir(place->directory);
        return error_set(ret_error, r, "no process can be started: %s", strerror(-r));
    }
    place->lock = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->lock < 0 || flock(place->lock, LOCK_EX | LOCK_NB) < 0)
        return error_set(ret_error, -errno, "%s cannot be locked: %s", place->directory,
                         strerror(errno));
    return 0;
}

void image_place_remove(struct image_place *place)
{
    if (place->keeper >= 0) {
        close(place->keeper);
        while (waitpid(place->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (place->lock >= 0)
        close(place->lock);
    *place = IMAGE_PLACE_NONE;
}
