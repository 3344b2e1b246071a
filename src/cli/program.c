#include "cli/program.h"

#include "cli/client.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define EXIT_NOT_THERE 127

void program_add(struct program_words *words, const char *word)
{
    if (!word)
        return;
    words->argv = reallocarray(words->argv, words->count + 2, sizeof(*words->argv));
    if (!words->argv)
        abort();
    words->argv[words->count++] = word;
    words->argv[words->count] = NULL;
}

void program_pass(struct program_words *words, const struct args *args, const char *const *options,
                  size_t n_options)
{
    for (size_t i = 0; i < args->n_values; i++)
        for (size_t j = 0; j < n_options; j++)
            if (str_eq(args->values[i].option->name, options[j] + strlen("--"))) {
                program_add(words, options[j]);
                program_add(words, args->values[i].value);
            }
}

void program_words_free(struct program_words *words)
{
    free(words->argv);
    *words = (struct program_words){0};
}

static _Noreturn void become(const char *const *argv, pid_t parent, bool keep_output)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_NOT_THERE);
    if (!keep_output)
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

/* What waitpid() says, or what went wrong. */
static int run(const char *const *argv, bool keep_output, int *ret_status, struct error *ret_error)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become(argv, parent, keep_output);
    int status = pid < 0 ? -errno : wait_for(pid);
    if (client_is_interrupted())
        return error_set(ret_error, -EINTR, "interrupted");
    if (status < 0)
        return error_set(ret_error, status, "cannot run %s: %s", argv[0], strerror(-status));
    *ret_status = status;
    return 0;
}

int program_run(const char *const *argv, struct error *ret_error)
{
    int status = 0;
    int r = run(argv, false, &status, ret_error);
    if (r < 0)
        return r;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_THERE)
        return error_set(ret_error, -ENOENT, "%s cannot be run: is it there, and python3?",
                         argv[0]);
    if (status != 0)
        return error_set(ret_error, -ECHILD, "%s has failed; it says why above", argv[0]);
    return 0;
}

int program_show(const char *const *argv, int *ret_status, struct error *ret_error)
{
    int status = 0;
    int r = run(argv, true, &status, ret_error);
    if (r < 0)
        return r;
    if (!WIFEXITED(status))
        return error_set(ret_error, -ECHILD, "%s has been killed (%s)", argv[0],
                         strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) == EXIT_NOT_THERE)
        return error_set(ret_error, -ENOENT, "%s cannot be run: is it there?", argv[0]);
    *ret_status = WEXITSTATUS(status);
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

char *program_libexec_path(const char *name)
{
    const char *directory = getenv("NODISK_LIBEXEC");
    char *full = NULL;
    if (asprintf(&full, "%s/%s", directory && directory[0] ? directory : NODISK_LIBEXECDIR, name) <
        0)
        abort();
    return full;
}
