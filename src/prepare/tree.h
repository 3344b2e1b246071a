/*
 * The files of a system that is prepared: this machine's own ("/"), or those below a directory. It
 * may be a stranger's. No link in it leads out of it (openat2, RESOLVE_IN_ROOT), no name is
 * followed that is not asked for, and no file is ever there in part: a new one is written beside
 * the old one, made durable, and renamed.
 *
 * Paths have no leading slash: "etc/fstab".
 */
#pragma once

#include "core/arena.h"
#include "core/error.h"

#include <sys/stat.h>

/* No file that is read or written whole is larger: -EFBIG. */
#define TREE_MAX_FILE ((size_t)4 * 1024 * 1024)

/* But for files that are known to grow, such as dpkg's status: of a desktop some 7 MB. */
#define TREE_MAX_LARGE ((size_t)64 * 1024 * 1024)

struct tree {
    int fd;
    bool live; /* it is what this machine runs */
    const char *path;
};

enum tree_kind { TREE_ABSENT, TREE_FILE, TREE_LINK, TREE_DIRECTORY, TREE_OTHER };

/* What a path is. data, of a file its bytes and of a link where it leads to, has a 0 behind it. */
struct tree_entry {
    enum tree_kind kind;
    uint32_t mode; /* permissions */
    uint32_t uid, gid;
    struct timespec modified;
    const char *data;
    size_t size;
};

/* path is kept, not copied. */
int tree_open(const char *path, struct tree *ret_tree, struct error *ret_error) MUST_CHECK;
void tree_close(struct tree *tree);

/* A path itself, a last link not followed; one that is not there is TREE_ABSENT, and no error. Its
 * data is in the arena. */
int tree_read(const struct tree *tree, struct arena *arena, const char *path,
              struct tree_entry *ret_entry) MUST_CHECK;
/* The text of a regular file, links followed inside the tree; NULL: there is none that can be read.
 */
const char *tree_text(const struct tree *tree, struct arena *arena, const char *path);
/* The same of a file up to TREE_MAX_LARGE. */
const char *tree_large_text(const struct tree *tree, struct arena *arena, const char *path);
/* Is it there, links followed? */
bool tree_exists(const struct tree *tree, const char *path);
/* Opens a regular file for reading, links followed inside the tree; nothing else is opened, not
 * even for a moment: -EISDIR. Needs /proc. */
int tree_open_file(const struct tree *tree, const char *path, int *ret_fd) MUST_CHECK;
/* The descriptor of a directory (O_PATH), links followed inside the tree. */
int tree_open_directory(const struct tree *tree, const char *path, int *ret_fd) MUST_CHECK;
/* A directory, itself and no link, as a tree of its own. */
int tree_enter(const struct tree *tree, const char *path, struct tree *ret_tree) MUST_CHECK;
/* stat(), links followed inside the tree. */
int tree_stat(const struct tree *tree, const char *path, struct stat *ret_stat) MUST_CHECK;

/* The names in a directory, sorted, in the arena; names with control characters are left out. None
 * if it is not there. */
struct tree_names {
    const char **names;
    size_t count;
};
int tree_list(const struct tree *tree, struct arena *arena, const char *path,
              struct tree_names *ret_names) MUST_CHECK;

/* Makes path what entry is: a file, a link, a directory, or nothing (a directory goes only if it is
 * empty: -ENOTEMPTY; one that is there stays as it is). Its owner is entry's if we may set it; its
 * time if entry has one. The directory that it is in must be there. */
int tree_put(const struct tree *tree, const char *path, const struct tree_entry *entry) MUST_CHECK;
