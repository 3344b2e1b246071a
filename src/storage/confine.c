#include "storage/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>

/* Newer than the headers of Debian 12 */
#define ACCESS_TRUNCATE ((uint64_t)1 << 14)
#define NET_BIND_TCP    ((uint64_t)1 << 0)
#define NET_CONNECT_TCP ((uint64_t)1 << 1)

struct ruleset {
    uint64_t files;
    uint64_t net; /* since version 4 */
};

#define ACCESS_READ  (LANDLOCK_ACCESS_FS_READ_FILE)
#define ACCESS_WRITE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define ACCESS_RUN                                                                                 \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static const struct {
    const char *path;
    uint64_t access;
} allowed[] = {
    {"/usr", ACCESS_RUN},
    {"/bin", ACCESS_RUN},
    {"/lib", ACCESS_RUN},
    {"/lib64", ACCESS_RUN},
    {"/etc/ld.so.cache", ACCESS_READ},
    {"/dev/null", ACCESS_WRITE},
    {"/dev/zero", ACCESS_READ},
    {"/dev/urandom", ACCESS_READ},
};

/* Everything that a version of the interface can forbid. */
static struct ruleset everything(long version)
{
    uint64_t files = ((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    if (version >= 2)
        files |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        files |= ACCESS_TRUNCATE;
    return (struct ruleset){.files = files,
                            .net = version >= 4 ? NET_BIND_TCP | NET_CONNECT_TCP : 0};
}

static bool allow_fd(int ruleset, int fd, uint64_t access)
{
    const struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* What is not there need not be allowed. */
static bool allow_path(int ruleset, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    bool done = allow_fd(ruleset, fd, access);
    close(fd);
    return done;
}

static bool allow_all(int ruleset, int read_only, int read_write, uint64_t truncate)
{
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        if (!allow_path(ruleset, allowed[i].path, allowed[i].access))
            return false;
    /* a file that is in no directory, such as a memfd, is allowed to who has it anyway */
    return (read_only < 0 || allow_fd(ruleset, read_only, ACCESS_READ) || errno == EBADFD) &&
           (read_write < 0 || allow_fd(ruleset, read_write, ACCESS_WRITE | truncate) ||
            errno == EBADFD);
}

bool confine_to_files(int read_only, int read_write)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return true;
    const struct ruleset attributes = everything(version);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes,
                               version >= 4 ? sizeof(attributes) : sizeof(attributes.files), 0);
    if (ruleset < 0)
        return false;
    bool done = allow_all(ruleset, read_only, read_write, attributes.files & ACCESS_TRUNCATE) &&
                syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return done;
}
