#include "server/state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

static int cannot(const char *what, const char *path, int errnum, struct error *ret_error)
{
    const char *hint = "";
    if (errnum == EACCES || errnum == EPERM)
        hint = "; start as root or give its owner's account";
    else if (errnum == EROFS)
        hint = "; mount it writable or set another state-directory (the systemd unit lets the "
               "daemon write nowhere but in /var/lib/nodisk: a drop-in with ReadWritePaths= adds "
               "a directory)";
    else if (errnum == ENOSPC)
        hint = "; free some space";
    return error_set(ret_error, -errnum, "%s %s: %s%s", what, path, strerror(errnum), hint);
}

static int lock(int fd, const char *path, struct error *ret_error)
{
    char holder[16] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return cannot("cannot lock the state directory", path, errno, ret_error);
    ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);
    holder[n > 0 ? strspn(holder, "0123456789") : 0] = '\0';
    return error_set(ret_error, -EBUSY,
                     "another nodisk%s%s already uses the state directory %s; stop it, or set "
                     "another state-directory for this one",
                     holder[0] ? " with process id " : "", holder, path);
}

int state_directory_lock(const char *path, struct error *ret_error)
{
    char name[PATH_MAX + 8], id[32];
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return cannot("cannot make the state directory", path, errno, ret_error);
    snprintf(name, sizeof(name), "%s/lock", path);
    cleanup_close int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cannot("cannot write to the state directory", path, errno, ret_error);
    int r = lock(fd, path, ret_error);
    if (r < 0)
        return r;
    /* only for the message above: a disk too full for it is none of our business here */
    int n = snprintf(id, sizeof(id), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, id, (size_t)n, 0) < 0)
        (void)!ftruncate(fd, 0);
    return take_fd(&fd);
}

int state_make_parent(const char *path, struct error *ret_error)
{
    char copy[PATH_MAX];
    str_copy(copy, sizeof(copy), path);
    const char *parent = dirname(copy);
    if (mkdir(parent, 0755) < 0 && errno != EEXIST)
        return cannot("cannot make the directory", parent, errno, ret_error);
    return 0;
}
