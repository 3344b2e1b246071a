/* openat2(2) with RESOLVE_BENEATH: the kernel watches every step of the way. */
#include "core/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int directory_open(const char *path, int *ret_fd, struct error *ret_error)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(ret_error, -errno,
                         "loaders: cannot open %s: %s; install the package ipxe, or name another "
                         "directory under [tftp]",
                         path, strerror(errno));
    *ret_fd = fd;
    return 0;
}

void directory_clean_name(const char *name, char buffer[static PATH_MAX])
{
    while (*name == '/' || *name == '\\')
        name++;
    str_copy(buffer, PATH_MAX, name);
    for (char *p = buffer; *p; p++) {
        if (*p == '\\')
            *p = '/';
        else if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
}

int directory_open_file(int directory, const char *name, int *ret_fd, uint64_t *ret_size)
{
    char path[PATH_MAX];
    /* non-blocking: a FIFO must not stop us before we see that it is one */
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    struct stat st;
    directory_clean_name(name, path);
    cleanup_close int fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EISDIR;
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = take_fd(&fd);
    return 0;
}
