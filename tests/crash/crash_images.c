/*
 * Kills the import and the removal of images at each of their steps, and looks at what is left.
 *
 * A child imports an image twice, from a file of some format, gives it another name and removes its
 * first version; each call that changes a file or the registry is a step, before which and behind
 * which it may be killed (SIGKILL). What is left is cleared by a next start, which is killed itself
 * at one of its first steps before it may come to its end. Then files and registry agree, what was
 * acknowledged is there with its content, what was removed is not, and nothing else is.
 *
 *     crash_images
 */
#include "storage/storage.h"

#include "crash.h"

#include "storage/child.h"
#include "storage/copy.h"
#include "storage/digest.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SIZE (768 * KIB)

/* What the child has come to, and what the parent lets it come to. */
struct shared {
    unsigned step, kill_at; /* 0: not at all */
    bool imported[2], renaming, renamed, removing, removed, done;
};

static struct shared *shared;
/* In memory: a process that is killed loses nothing of what it wrote to any file system. */
static char states[] = "/dev/shm/nodisk-crash-XXXXXX";
static char digest_expected[DIGEST_TEXT_SIZE];

static void step(void)
{
    if (++shared->step == shared->kill_at)
        kill(getpid(), SIGKILL);
}

/* Stands for a function in what is tested: a step before it and one behind it. */
#define STEPS(type, name, parameters, arguments)                                                   \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        step();                                                                                    \
        type result = __real_##name arguments;                                                     \
        int errnum = errno;                                                                        \
        step();                                                                                    \
        errno = errnum;                                                                            \
        return result;                                                                             \
    }

STEPS(int, mkdir, (const char *path, mode_t mode), (path, mode))
STEPS(int, rmdir, (const char *path), (path))
STEPS(int, unlink, (const char *path), (path))
STEPS(int, fsync, (int fd), (fd))
STEPS(int, fchmod, (int fd, mode_t mode), (fd, mode))
STEPS(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
      (a, from, b, to, flags))
STEPS(int, file_create_tmp, (const char *path, struct error *ret_error), (path, ret_error))
STEPS(int, copy_begin, (struct copy * copy, struct error *ret_error), (copy, ret_error))
STEPS(int, copy_step, (struct copy * copy, uint64_t budget, struct error *ret_error),
      (copy, budget, ret_error))
STEPS(int, sparse_write, (int fd, const uint8_t *data, size_t size, uint64_t offset),
      (fd, data, size, offset))
STEPS(int, child_start,
      (struct child * child, const struct child_spec *spec, struct error *ret_error),
      (child, spec, ret_error))
STEPS(int, child_finish, (struct child * child, struct error *ret_error), (child, ret_error))
STEPS(int, registry_image_begin,
      (struct registry * registry, const struct registry_image *image, uint32_t *ret_version,
       char **ret_path, struct error *ret_error),
      (registry, image, ret_version, ret_path, ret_error))
STEPS(int, registry_image_finish,
      (struct registry * registry, const char *name, uint32_t version,
       const struct registry_image_result *known, struct error *ret_error),
      (registry, name, version, known, ret_error))
STEPS(int, registry_image_abandon,
      (struct registry * registry, const char *name, uint32_t version, struct error *ret_error),
      (registry, name, version, ret_error))
STEPS(int, registry_image_rename,
      (struct registry * registry, const char *name, const char *new_name, struct error *ret_error),
      (registry, name, new_name, ret_error))
STEPS(int, registry_image_remove_begin,
      (struct registry * registry, const char *name, uint32_t version, char **ret_path,
       struct error *ret_error),
      (registry, name, version, ret_path, ret_error))
STEPS(int, registry_image_remove_end,
      (struct registry * registry, const char *name, uint32_t version, struct error *ret_error),
      (registry, name, version, ret_error))

/* --- the children --- */

struct server {
    struct catalog_slot *slot;
    struct registry *registry;
    struct storage *storage;
};

static void must(int r, const struct error *error)
{
    if (r < 0)
        die("refused: %s", error->text);
}

static struct server start(const char *state)
{
    struct error error;
    char database[PATH_MAX];
    struct server s = {.slot = catalog_slot_new()};
    snprintf(database, sizeof(database), "%s/registry.db", state);
    const struct registry_settings registry = {
        .path = database, .base_iqn = "iqn.2026-11.lan.example", .catalog = s.slot};
    must(registry_start(&registry, &s.registry, &error), &error);
    const struct storage_settings storage = {
        .directory = state, .registry = s.registry, .catalog = s.slot};
    must(storage_open(&storage, &s.storage, &error), &error);
    return s;
}

static void stop(struct server *s)
{
    storage_close(s->storage);
    registry_stop(s->registry);
    catalog_slot_free(s->slot);
}

static uint32_t import(struct server *s, const char *source, const char *name)
{
    struct error error;
    struct storage_job *job;
    const struct storage_import what = {.path = source, .name = name};
    int r = storage_image_import(s->storage, &what, &job, &error);
    must(r, &error);
    while ((r = storage_job_step(job, &error)) > 0)
        ;
    must(r, &error);
    uint32_t version = storage_job_version(job);
    storage_job_free(job);
    return version;
}

/* What is killed. */
static void work(const char *state, const char *source)
{
    struct error error;
    struct server s = start(state);
    for (int i = 0; i < 2; i++) {
        import(&s, source, "golden");
        shared->imported[i] = true;
    }
    shared->renaming = true;
    must(registry_image_rename(s.registry, "golden", "gilded", &error), &error);
    shared->renamed = true;
    shared->removing = true;
    must(storage_image_remove(s.storage, "gilded", 1, &error), &error);
    shared->removed = true;
    stop(&s);
    shared->done = true;
}

static void recover(const char *state, const char *source)
{
    struct server s = start(state);
    stop(&s);
}

static void check_content(const char *path)
{
    struct digest digest;
    struct error error;
    struct stat st;
    char text[DIGEST_TEXT_SIZE];
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        die("%s: %s", path, strerror(errno));
    if (st.st_size != SIZE || (st.st_mode & 07777) != 0444)
        die("%s has %lld bytes and mode %o", path, (long long)st.st_size, (unsigned)st.st_mode);
    must(digest_begin(&digest, &error), &error);
    must(digest_step(&digest, fd, path, SIZE, UINT64_MAX, &error), &error);
    digest_text(&digest, text);
    digest_end(&digest);
    if (!str_eq(text, digest_expected))
        die("%s has another content", path);
}

static unsigned n_files;

static int count_file(const char *file, const struct stat *st, int flag)
{
    n_files += flag == FTW_F;
    return 0;
}

/* Exactly the files of these images are there. */
static void check_files(const char *state, const struct catalog *catalog)
{
    char directory[PATH_MAX];
    size_t count;
    const struct catalog_image *images = catalog_images(catalog, &count);
    for (size_t i = 0; i < count; i++) {
        check_content(images[i].path);
        if (!images[i].sha256 || !str_eq(images[i].sha256, digest_expected))
            die("%s@%u has another checksum", images[i].name, images[i].version);
    }
    snprintf(directory, sizeof(directory), "%s/images", state);
    n_files = 0;
    if (ftw(directory, count_file, 16) < 0 || n_files != count)
        die("there are %u files of %zu images", n_files, count);
}

static void check_version(const struct catalog *catalog, uint32_t version, bool must_be,
                          bool must_not_be)
{
    bool old = catalog_image_find(catalog, "golden", version) != NULL;
    bool new = catalog_image_find(catalog, "gilded", version) != NULL;
    if (old && new)
        die("version %u has two names", version);
    if ((must_be && !old && !new) || (must_not_be && (old || new)))
        die("version %u is %s", version, must_be ? "lost" : "still there");
    if ((shared->renamed && old) || (!shared->renaming && new))
        die("version %u has the wrong name", version);
}

static void look(const char *state, const char *source)
{
    struct server s = start(state);
    {
        cleanup_catalog struct catalog *catalog = catalog_slot_get(s.slot);
        check_files(state, catalog);
        check_version(catalog, 1, shared->imported[0] && !shared->removing, shared->removed);
        check_version(catalog, 2, shared->imported[1], false);
    }
    uint32_t last = shared->imported[1] ? 2 : shared->imported[0] ? 1 : 0;
    uint32_t next = import(&s, source, "golden");
    if (next <= last)
        die("version %u is given again", next);
    stop(&s);
}

/* --- the parent --- */

/* Runs it in a process of its own, killed at a step (0: not). */
static void in_child(void (*run)(const char *, const char *), const char *state, const char *source,
                     unsigned kill_at)
{
    int status;
    shared->step = 0;
    shared->kill_at = kill_at;
    pid_t pid = fork();
    if (pid == 0) {
        run(state, source);
        exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("cannot run a child: %s", strerror(errno));
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && kill_at;
    if (!killed && status != 0)
        die("the child ended with %x at step %u, killed at %u", (unsigned)status, shared->step,
            kill_at);
}

/* True: it came to its end before the step. */
static bool round_ended(const char *source, const char *format, unsigned kill_at)
{
    char state[256];
    snprintf(state, sizeof(state), "%s/%s-%u", states, format, kill_at);
    if (mkdir(state, 0700) < 0)
        die("%s: %s", state, strerror(errno));
    *shared = (struct shared){0};
    in_child(work, state, source, kill_at);
    in_child(recover, state, source, 1 + kill_at % 12);
    in_child(look, state, source, 0);
    return shared->done;
}

static void make_raw(const char *path)
{
    struct error error;
    struct digest digest;
    cleanup_close int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, SIZE) < 0 || pwrite(fd, "golden", 6, 70000) != 6)
        die("%s: %s", path, strerror(errno));
    must(digest_begin(&digest, &error), &error);
    must(digest_step(&digest, fd, path, SIZE, UINT64_MAX, &error), &error);
    digest_text(&digest, digest_expected);
    digest_end(&digest);
}

static void run_program(const char *const *argv)
{
    pid_t pid;
    int status;
    int r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (r != 0 || waitpid(pid, &status, 0) != pid || status != 0)
        die("%s failed: %s", argv[0], r ? strerror(r) : "it says why");
}

int main(void)
{
    static const char *const formats[] = {"raw", "qcow2", "qcow2.gz"};
    char raw[192], qcow2[192];
    unsigned rounds = 0;
    shared = crash_begin(sizeof(*shared));
    if (!mkdtemp(states))
        die("%s: %s", states, strerror(errno));
    snprintf(raw, sizeof(raw), "%s/raw", crash_directory);
    snprintf(qcow2, sizeof(qcow2), "%s/qcow2", crash_directory);
    make_raw(raw);
    run_program(
        (const char *const[]){"qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2, NULL});
    run_program((const char *const[]){"gzip", "-k", qcow2, NULL});
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        char source[256];
        unsigned n = 1;
        snprintf(source, sizeof(source), "%s/%s", crash_directory, formats[i]);
        while (!round_ended(source, formats[i], n))
            n++;
        printf("%s: %u steps\n", formats[i], n - 1);
        fflush(stdout); /* so that no child says it again */
        rounds += n;
    }
    nftw(states, crash_remove, 16, FTW_DEPTH | FTW_PHYS);
    crash_end();
    printf("%u rounds, %zu passed, 0 failed\n", rounds, ARRAY_SIZE(formats));
    return 0;
}
