/* openat2(2) with RESOLVE_IN_ROOT: the kernel keeps us inside, whatever the links say. */
#include "prepare/tree.h"

#include "core/read_at.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define XATTR_NAMES_SIZE 4096
#define XATTR_VALUE_SIZE 4096

static int open_in(const struct tree *tree, const char *path, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, tree->fd, path, &how, sizeof(how));
    return fd < 0 ? -errno : fd;
}

int tree_open(const char *path, struct tree *ret_tree, struct error *ret_error)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(ret_error, -errno, "cannot open %s: %s", path, strerror(errno));
    struct stat here, there;
    bool live = fstat(fd, &here) == 0 && stat("/", &there) == 0 && here.st_dev == there.st_dev &&
                here.st_ino == there.st_ino;
    *ret_tree = (struct tree){.fd = fd, .live = live, .path = path};
    return 0;
}

void tree_close(struct tree *tree)
{
    if (tree->fd >= 0)
        close(tree->fd);
    tree->fd = -1;
}

/* The directory that path is in, and path's last name. */
static int open_parent(const struct tree *tree, const char *path, int *ret_fd,
                       const char **ret_name)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash) {
        str_copy(parent, sizeof(parent), ".");
    } else {
        if (!str_copy(parent, sizeof(parent), path))
            return -ENAMETOOLONG;
        parent[slash - path] = '\0';
    }
    const char *name = slash ? slash + 1 : path;
    if (!name[0] || str_eq(name, ".") || str_eq(name, ".."))
        return -EINVAL;
    int fd = open_in(tree, parent, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    *ret_name = name;
    return 0;
}

static enum tree_kind kind_of(mode_t mode)
{
    return S_ISREG(mode)   ? TREE_FILE
           : S_ISLNK(mode) ? TREE_LINK
           : S_ISDIR(mode) ? TREE_DIRECTORY
                           : TREE_OTHER;
}

/* All of fd into the arena, with a 0 behind it. */
static int read_all(int fd, struct arena *arena, size_t size, size_t limit, const char **ret_data,
                    size_t *ret_size)
{
    if (size > limit)
        return -EFBIG;
    char *data = arena_alloc(arena, size + 1);
    if (!data)
        return -ENOMEM;
    ssize_t n = read_at(fd, data, size, 0);
    if (n < 0)
        return (int)n;
    *ret_data = data;
    *ret_size = (size_t)n;
    return 0;
}

static int read_link(int parent, const char *name, struct arena *arena, struct tree_entry *entry)
{
    char *data = arena_alloc(arena, PATH_MAX);
    if (!data)
        return -ENOMEM;
    ssize_t n = readlinkat(parent, name, data, PATH_MAX - 1);
    if (n < 0)
        return -errno;
    entry->data = data;
    entry->size = (size_t)n;
    return 0;
}

/* Opens for reading what the descriptor (O_PATH) stands for, if it is a regular file: to open a
 * device may do something already. */
static int open_regular(int place, int *ret_fd)
{
    char path[64];
    struct stat st;
    if (fstat(place, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EISDIR;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

static int read_file(int parent, const char *name, struct arena *arena, struct tree_entry *entry,
                     off_t size)
{
    /* it may have become something else since we looked */
    cleanup_close int place = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -1;
    int r = place < 0 ? -errno : open_regular(place, &fd);
    return r < 0 ? r : read_all(fd, arena, (size_t)size, TREE_MAX_FILE, &entry->data, &entry->size);
}

int tree_read(const struct tree *tree, struct arena *arena, const char *path,
              struct tree_entry *ret_entry)
{
    cleanup_close int parent = -1;
    const char *name;
    struct stat st;
    struct tree_entry entry = {.kind = TREE_ABSENT};
    int r = open_parent(tree, path, &parent, &name);
    if (r == 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    if (r == -ENOENT || r == -ENOTDIR) {
        *ret_entry = entry;
        return 0;
    }
    if (r < 0)
        return r;
    entry = (struct tree_entry){.kind = kind_of(st.st_mode),
                                .mode = st.st_mode & 07777,
                                .uid = st.st_uid,
                                .gid = st.st_gid,
                                .modified = st.st_mtim};
    if (entry.kind == TREE_FILE)
        r = read_file(parent, name, arena, &entry, st.st_size);
    else if (entry.kind == TREE_LINK)
        r = read_link(parent, name, arena, &entry);
    if (r == 0)
        *ret_entry = entry;
    return r;
}

int tree_open_file(const struct tree *tree, const char *path, int *ret_fd)
{
    cleanup_close int place = open_in(tree, path, O_PATH);
    return place < 0 ? place : open_regular(place, ret_fd);
}

int tree_open_directory(const struct tree *tree, const char *path, int *ret_fd)
{
    int fd = open_in(tree, path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int tree_enter(const struct tree *tree, const char *path, struct tree *ret_tree)
{
    int fd = open_in(tree, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return fd;
    *ret_tree = (struct tree){.fd = fd, .path = tree->path};
    return 0;
}

int tree_stat(const struct tree *tree, const char *path, struct stat *ret_stat)
{
    struct stat st;
    cleanup_close int fd = open_in(tree, path, O_PATH);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret_stat = st;
    return 0;
}

bool tree_exists(const struct tree *tree, const char *path)
{
    struct stat st;
    return tree_stat(tree, path, &st) == 0;
}

static const char *read_text(const struct tree *tree, struct arena *arena, const char *path,
                             size_t limit)
{
    cleanup_close int fd = -1;
    struct stat st;
    const char *data = NULL;
    size_t size;
    if (tree_open_file(tree, path, &fd) < 0 || fstat(fd, &st) < 0 ||
        read_all(fd, arena, (size_t)st.st_size, limit, &data, &size) < 0)
        return NULL;
    return data;
}

const char *tree_text(const struct tree *tree, struct arena *arena, const char *path)
{
    return read_text(tree, arena, path, TREE_MAX_FILE);
}

const char *tree_large_text(const struct tree *tree, struct arena *arena, const char *path)
{
    return read_text(tree, arena, path, TREE_MAX_LARGE);
}

static bool is_plain(const char *name)
{
    if (str_eq(name, ".") || str_eq(name, ".."))
        return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Fills names up to room; returns how many there are. */
static size_t collect(DIR *directory, struct arena *arena, const char **names, size_t room)
{
    size_t count = 0;
    const struct dirent *entry;
    rewinddir(directory);
    while ((entry = readdir(directory))) {
        if (!is_plain(entry->d_name))
            continue;
        if (count < room && !(names[count] = arena_strdup(arena, entry->d_name)))
            break;
        count++;
    }
    return count;
}

int tree_list(const struct tree *tree, struct arena *arena, const char *path,
              struct tree_names *ret_names)
{
    int fd = open_in(tree, path, O_RDONLY | O_DIRECTORY);
    if (fd == -ENOENT || fd == -ENOTDIR) {
        *ret_names = (struct tree_names){NULL, 0};
        return 0;
    }
    if (fd < 0)
        return fd;
    DIR *directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return -errno;
    }
    size_t room = collect(directory, arena, NULL, 0);
    const char **names = arena_alloc(arena, (room + 1) * sizeof(*names));
    size_t count = names ? MIN(collect(directory, arena, names, room), room) : 0;
    closedir(directory);
    if (!names)
        return -ENOMEM;
    qsort(names, count, sizeof(*names), compare_names);
    *ret_names = (struct tree_names){names, count};
    return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* What a file had beside its owner and mode (access control lists, labels) the one in its place
 * has, too. What this file system, or who we are, does not allow is left. */
static void copy_attributes(int from, int to)
{
    char names[XATTR_NAMES_SIZE], value[XATTR_VALUE_SIZE];
    ssize_t n = flistxattr(from, names, sizeof(names));
    for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, sizeof(value));
        if (size >= 0)
            (void)!fsetxattr(to, name, value, (size_t)size, 0);
    }
}

/* old: in whose place it comes, or -1. */
static int finish_file(int fd, int old, const struct tree_entry *entry)
{
    int r = write_all(fd, entry->data, entry->size);
    if (r < 0)
        return r;
    /* an owner that we may not give is no reason to fail: nothing of this works without root */
    if (fchown(fd, entry->uid, entry->gid) < 0 && errno != EPERM)
        return -errno;
    copy_attributes(old, fd); /* before the mode, which is the mask of an access control list */
    if (fchmod(fd, entry->mode) < 0)
        return -errno;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->modified};
    if (entry->modified.tv_sec && futimens(fd, times) < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

static int make_file(int parent, const char *name, const char *old_name,
                     const struct tree_entry *entry)
{
    cleanup_close int place = openat(parent, old_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    cleanup_close int old = -1;
    if (place >= 0)
        (void)open_regular(place, &old);
    cleanup_close int fd =
        openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    return finish_file(fd, old, entry);
}

static int make_link(int parent, const char *name, const struct tree_entry *entry)
{
    if (symlinkat(entry->data, parent, name) < 0)
        return -errno;
    if (fchownat(parent, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM)
        return -errno;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->modified};
    if (entry->modified.tv_sec && utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int make_directory(int parent, const char *name, const struct tree_entry *entry)
{
    struct stat st;
    if (mkdirat(parent, name, entry->mode) < 0) {
        int r = -errno;
        bool there = r == -EEXIST && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISDIR(st.st_mode);
        return there ? 0 : r;
    }
    cleanup_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || fchmod(fd, entry->mode) < 0 ? -errno : 0;
}

static int remove_entry(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR && unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return 0;
    return -errno;
}

static int replace(int parent, const char *name, const struct tree_entry *entry)
{
    char temporary[NAME_MAX + 1];
    int n = snprintf(temporary, sizeof(temporary), ".%.200s.nodisk-new", name);
    if (n < 0 || (unlinkat(parent, temporary, 0) < 0 && errno != ENOENT))
        return -errno;
    int r = entry->kind == TREE_FILE ? make_file(parent, temporary, name, entry)
                                     : make_link(parent, temporary, entry);
    if (r == 0 && renameat(parent, temporary, parent, name) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(parent, temporary, 0);
    return r;
}

int tree_put(const struct tree *tree, const char *path, const struct tree_entry *entry)
{
    cleanup_close int parent = -1;
    const char *name;
    int r = open_parent(tree, path, &parent, &name);
    if (r < 0)
        return r == -ENOENT && entry->kind == TREE_ABSENT ? 0 : r;
    if (entry->kind == TREE_ABSENT)
        r = remove_entry(parent, name);
    else if (entry->kind == TREE_DIRECTORY)
        r = make_directory(parent, name, entry);
    else if (entry->kind == TREE_OTHER)
        r = -EINVAL;
    else
        r = replace(parent, name, entry);
    if (r < 0)
        return r;
    /* the name, too, is to be durable */
    cleanup_close int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}
