#include "server/file_limit.h"

#include <errno.h>
#include <sys/resource.h>

/* A session has its connection, and at most a volume of its own: an overlay has three files and its
 * image, and one more for each snapshot, of which a few are allowed for. */
#define FILES_PER_SESSION 8
/* Listeners, rings, HTTP, TFTP, the registry, logins that come to nothing. */
#define FILES_BESIDES     512

int file_limit_raise(uint32_t sessions, struct error *ret_error)
{
    rlim_t needed = sessions ? (rlim_t)sessions * FILES_PER_SESSION + FILES_BESIDES : 0;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_set(ret_error, -errno, "cannot ask how many files may be open: %s",
                         strerror(errno));
    rlim_t allowed = limit.rlim_max;
    limit.rlim_max = MAX(allowed, needed);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 || needed == 0)
        return 0;
    return error_set(ret_error, -errno,
                     "max-sessions = %u needs %llu open files, but the system allows %llu: lower "
                     "it, or raise LimitNOFILE= of the unit (outside of systemd: ulimit -Hn) and, "
                     "if need be, the sysctl fs.nr_open",
                     sessions, (unsigned long long)needed, (unsigned long long)allowed);
}
