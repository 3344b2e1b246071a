#include "cli/program.h"

#include "cli/client.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define EXIT_NOT_THERE 127

static _Noreturn void become(const char *const *argv, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_NOT_THERE);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execvp(argv[0], (char *const *)argv);
    _exit(EXIT_NOT_THERE);
}

/* A signal that comes to us alone is for it, too. */
static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
        if (client_is_interrupted())
            kill(pid, SIGTERM);
    }
    return status;
}

int program_run(const char *const *argv, struct error *ret_error)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become(argv, parent);
    int status = pid < 0 ? -errno : wait_for(pid);
    if (client_is_interrupted())
        return error_set(ret_error, -EINTR, "interrupted");
    if (status < 0)
        return error_set(ret_error, status, "cannot run %s: %s", argv[0], strerror(-status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_THERE)
        return error_set(ret_error, -ENOENT, "%s cannot be run: is it there, and python3?",
                         argv[0]);
    if (status != 0)
        return error_set(ret_error, -ECHILD, "%s has failed; it says why above", argv[0]);
    return 0;
}

char *program_data_path(const char *path)
{
    const char *data = getenv("NODISK_DATA");
    char *full = NULL;
    if (asprintf(&full, "%s/%s", data && data[0] ? data : NODISK_DATADIR, path) < 0)
        abort();
    return full;
}
