/* The record of what a tree was like, which may be a stranger's. Tried only: nothing is changed. */
#include "prepare/undo.h"

#include <fcntl.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A tree that the process keeps; returns the descriptor of its record. */
static int make_tree(struct tree *ret_tree)
{
    char path[] = "/dev/shm/nodisk-fuzz-XXXXXX"; /* in memory */
    struct error error;
    if (!mkdtemp(path) || tree_open(path, ret_tree, &error) < 0)
        abort();
    int fd = ret_tree->fd;
    if (mkdirat(fd, "var", 0755) < 0 || mkdirat(fd, "var/lib", 0755) < 0 ||
        mkdirat(fd, UNDO_DIRECTORY, 0700) < 0)
        abort();
    return openat(fd, UNDO_DIRECTORY "/undo.json", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void remove_tree(const struct tree *tree)
{
    unlinkat(tree->fd, UNDO_DIRECTORY "/undo.json", 0);
    unlinkat(tree->fd, UNDO_DIRECTORY, AT_REMOVEDIR);
    unlinkat(tree->fd, "var/lib", AT_REMOVEDIR);
    unlinkat(tree->fd, "var", AT_REMOVEDIR);
}

static void told(void *context, const char *path, int result)
{
    (void)context;
    if (!path || result > UNDO_CHANGED_SINCE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tree tree;
    struct error error;
    size_t kept;
    char path[64];
    cleanup_close int fd = make_tree(&tree);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    int r = undo_all(&tree, size % 2, true, told, NULL, &kept, &error);
    if (r < 0 && !error.text[0])
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", tree.fd);
    char place[64] = "";
    if (readlink(path, place, sizeof(place) - 1) < 0)
        abort();
    remove_tree(&tree);
    tree_close(&tree);
    rmdir(place);
    return 0;
}
