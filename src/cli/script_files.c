#include "cli/script_files.h"

#include "core/directory.h"
#include "core/read_at.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>

#define MAX_FILES 10000

static bool has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n > m && str_eq(text + n - m, suffix);
}

static bool begins_as_script(const struct script_files *files, const char *name)
{
    char magic[6];
    cleanup_close int fd = -1;
    uint64_t size;
    return directory_open_file(files->directory, name, &fd, &size) >= 0 &&
           read_at(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
           memcmp(magic, "#!ipxe", sizeof(magic)) == 0;
}

static int add(struct script_files *files, const char *name, struct error *ret_error)
{
    if (files->count == MAX_FILES)
        return error_set(ret_error, -E2BIG, "more than %u scripts in %s", MAX_FILES, files->path);
    char **names = reallocarray(files->names, files->count + 1, sizeof(*names));
    char *copy = strdup(name);
    if (names)
        files->names = names;
    if (!names || !copy) {
        free(copy);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    files->names[files->count++] = copy;
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int take_entry(struct script_files *files, const FTSENT *entry, struct error *ret_error)
{
    const char *name = entry->fts_path + strlen(files->path) + 1;
    if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
        return error_set(ret_error, -entry->fts_errno, "cannot read %s: %s", entry->fts_path,
                         strerror(entry->fts_errno));
    if (entry->fts_info != FTS_F && entry->fts_info != FTS_SL)
        return 0;
    bool is = has_suffix(name, ".ipxe") || has_suffix(name, ".in") || begins_as_script(files, name);
    return is ? add(files, name, ret_error) : 0;
}

static int walk(struct script_files *files, struct error *ret_error)
{
    char *const roots[] = {files->path, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!fts)
        return error_set(ret_error, -errno, "cannot read %s: %s", files->path, strerror(errno));
    const FTSENT *entry;
    int r = 0;
    while (r >= 0 && (entry = fts_read(fts)))
        r = take_entry(files, entry, ret_error);
    fts_close(fts);
    return r;
}

static int open_directory(struct script_files *files, struct error *ret_error)
{
    files->directory = open(files->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (files->directory < 0)
        return error_set(ret_error, -errno, "cannot open %s: %s", files->path, strerror(errno));
    return 0;
}

static int open_one(struct script_files *files, struct error *ret_error)
{
    char name[sizeof(files->path)];
    char *slash = strrchr(files->path, '/');
    str_copy(name, sizeof(name), slash ? slash + 1 : files->path);
    if (slash == files->path)
        slash++;
    str_copy(slash ? slash : files->path, 2, slash ? "" : ".");
    int r = open_directory(files, ret_error);
    return r < 0 ? r : add(files, name, ret_error);
}

int script_files_open(const char *path, struct script_files *ret_files, struct error *ret_error)
{
    struct stat st;
    *ret_files = (struct script_files){.directory = -1};
    if (!str_copy(ret_files->path, sizeof(ret_files->path), path))
        return error_set(ret_error, -ENAMETOOLONG, "%.80s...: the path is too long", path);
    size_t n = strlen(path);
    while (n > 1 && ret_files->path[n - 1] == '/')
        ret_files->path[--n] = '\0';
    if (stat(path, &st) < 0)
        return error_set(ret_error, -errno, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return open_one(ret_files, ret_error);
    int r = open_directory(ret_files, ret_error);
    return r < 0 ? r : walk(ret_files, ret_error);
}

void script_files_close(struct script_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->names[i]);
    free(files->names);
    util_close_fd(&files->directory);
}

int script_files_read(const struct script_files *files, const char *name, char **ret_text,
                      size_t *ret_size, struct error *ret_error)
{
    cleanup_close int fd = -1;
    uint64_t size;
    int r = directory_open_file(files->directory, name, &fd, &size);
    if (r < 0)
        return error_set(ret_error, r, "cannot read %s/%s: %s", files->path, name, strerror(-r));
    if (size > SCRIPT_MAX_SIZE)
        return error_set(ret_error, -EFBIG, "%s/%s is larger than a script may be (%u KiB)",
                         files->path, name, (unsigned)(SCRIPT_MAX_SIZE / KIB));
    char *text = malloc((size_t)size + 1);
    if (!text)
        return error_set(ret_error, -ENOMEM, "out of memory");
    r = (int)read_at(fd, text, (size_t)size, 0);
    if (r < 0) {
        free(text);
        return error_set(ret_error, r, "cannot read %s/%s: %s", files->path, name, strerror(-r));
    }
    text[r] = '\0';
    *ret_text = text;
    *ret_size = (size_t)r;
    return 0;
}

bool script_files_has(const struct script_files *files, const char *name)
{
    char template[PATH_MAX];
    cleanup_close int fd = -1, template_fd = -1;
    uint64_t size;
    int n = snprintf(template, sizeof(template), "%s.in", name);
    return directory_open_file(files->directory, name, &fd, &size) >= 0 ||
           (n < (int)sizeof(template) &&
            directory_open_file(files->directory, template, &template_fd, &size) >= 0);
}
