#include "prepare/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define EXIT_NO_SETUP 126

/* Mounts on a directory of the tree, whatever links lead to it. */
static int mount_on(const struct tree *tree, const char *path, const char *source, const char *type,
                    unsigned long flags)
{
    char place[64];
    cleanup_close int fd = -1;
    int r = tree_open_directory(tree, path, &fd);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    snprintf(place, sizeof(place), "/proc/self/fd/%d", fd);
    return mount(source, place, type, flags, NULL) < 0 ? -errno : 0;
}

/* The tree as this mount namespace has it: descriptors from before stay in the old one. */
static int open_again(const struct tree *tree, struct tree *ret_tree)
{
    struct error error;
    struct stat before, now;
    int r = tree_open(tree->path, ret_tree, &error);
    if (r < 0)
        return r;
    bool same = fstat(tree->fd, &before) == 0 && fstat(ret_tree->fd, &now) == 0 &&
                before.st_dev == now.st_dev && before.st_ino == now.st_ino;
    return same ? 0 : -ESTALE;
}

/* What a link in /etc leads to below /run, as a path of the tree; NULL: it leads elsewhere. */
static const char *place_in_run(const char *target)
{
    if (target[0] != '/' && !str_has_prefix(target, "../"))
        return NULL;
    while (target[0] == '/' || str_has_prefix(target, "../"))
        target += target[0] == '/' ? 1 : 3;
    return str_has_prefix(target, "run/") && !strstr(target, "/../") ? target : NULL;
}

/* With the directories that it needs below the first one. */
static int put_with_parents(const struct tree *tree, const char *path,
                            const struct tree_entry *entry)
{
    static const struct tree_entry directory = {.kind = TREE_DIRECTORY, .mode = 0755};
    char parent[PATH_MAX];
    const char *slash = strchr(path, '/');
    int r = str_copy(parent, sizeof(parent), path) ? 0 : -ENAMETOOLONG;
    while (r == 0 && slash && (slash = strchr(slash + 1, '/'))) {
        parent[slash - path] = '\0';
        r = tree_put(tree, parent, &directory);
        parent[slash - path] = '/';
    }
    return r < 0 ? r : tree_put(tree, path, entry);
}

/* Over the tree's own file, which names those of the network that it was installed in. */
static int cover_name_servers(const struct tree *tree)
{
    char place[64];
    cleanup_close int fd = -1;
    int r = access("/etc/resolv.conf", R_OK) == 0 ? tree_open_file(tree, "etc/resolv.conf", &fd)
                                                  : -ENOENT;
    if (r < 0)
        return 0;
    snprintf(place, sizeof(place), "/proc/self/fd/%d", fd);
    return mount("/etc/resolv.conf", place, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* This machine's, where the tree keeps its own: below /run, which is empty, or in a file. A program
 * that needs none runs without, so nothing of this is an error. */
static void put_name_servers(const struct tree *tree)
{
    struct arena arena = {0};
    struct error error;
    struct tree machine = {.fd = -1};
    struct tree_entry link = {.kind = TREE_ABSENT};
    int r = tree_read(tree, &arena, "etc/resolv.conf", &link);
    const char *place = r == 0 && link.kind == TREE_LINK ? place_in_run(link.data) : NULL;
    if (place && tree_open("/", &machine, &error) == 0) {
        const char *text = tree_text(&machine, &arena, "etc/resolv.conf");
        const struct tree_entry file = {
            .kind = TREE_FILE, .mode = 0644, .data = text, .size = text ? strlen(text) : 0};
        r = text ? put_with_parents(tree, place, &file) : 0;
    } else if (r == 0 && link.kind == TREE_FILE) {
        r = cover_name_servers(tree);
    }
    if (r < 0)
        fprintf(stderr, "nodisk: no name servers in %s: %s\n", tree->path, strerror(-r));
    tree_close(&machine);
    arena_free(&arena);
}

/* In a process that has a PID namespace of its own. */
static int enter(const struct tree *outside)
{
    struct tree tree;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    int r = open_again(outside, &tree);
    if (r == 0)
        r = mount_on(&tree, "proc", "proc", "proc", 0);
    if (r == 0)
        r = mount_on(&tree, "sys", "/sys", NULL, MS_BIND | MS_REC);
    if (r == 0)
        r = mount_on(&tree, "dev", "/dev", NULL, MS_BIND | MS_REC);
    /* an empty /run: no program talks to this machine's systemd */
    if (r == 0)
        r = mount_on(&tree, "run", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV);
    if (r < 0)
        return r;
    put_name_servers(&tree);
    return fchdir(tree.fd) < 0 || chroot(".") < 0 || chdir("/") < 0 ? -errno : 0;
}

static void set_environment(void)
{
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    setenv("LC_ALL", "C", 1);
    setenv("DEBIAN_FRONTEND", "noninteractive", 1);
}

static _Noreturn void become(const struct tree *tree, const char *const *argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    int r = tree->live ? 0 : enter(tree);
    if (r < 0) {
        fprintf(stderr, "nodisk: cannot enter %s: %s\n", tree->path, strerror(-r));
        _exit(EXIT_NO_SETUP);
    }
    set_environment();
    execvp(argv[0], (char *const *)argv);
    fprintf(stderr, "nodisk: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* The first process of a PID namespace: when it ends, so does all that it has left running. */
static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_NO_SETUP;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static _Noreturn void begin(const struct tree *tree, const char *const *argv)
{
    if (!tree->live && unshare(CLONE_NEWPID) < 0)
        _exit(EXIT_NO_SETUP);
    pid_t pid = fork();
    if (pid == 0)
        become(tree, argv);
    _exit(pid < 0 ? EXIT_NO_SETUP : wait_for(pid));
}

int command_run(const struct tree *tree, const char *const *argv, struct error *ret_error)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return error_set(ret_error, -errno, "cannot run %s: %s", argv[0], strerror(errno));
    if (pid == 0)
        begin(tree, argv);
    int status = wait_for(pid);
    if (status != 0)
        return error_set(ret_error, -ECHILD, "%s failed in %s (exit status %d): it says why above",
                         argv[0], tree->path, status);
    return 0;
}
