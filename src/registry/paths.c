/* Paths as the tables hold them. */
#include "registry/operation.h"

/* Bytes of db->path up to and with the last slash: the directory. */
static size_t directory_size(const struct db *db)
{
    const char *slash = strrchr(db->path, '/');
    return slash ? (size_t)(slash - db->path) + 1 : 0;
}

const char *path_to_store(const struct db *db, const char *path)
{
    size_t n = directory_size(db);
    return n > 0 && strncmp(path, db->path, n) == 0 && path[n] ? path + n : path;
}

const char *path_from_store(const struct db *db, const char *stored, char path[static PATH_MAX])
{
    bool relative = stored[0] != '/' && stored[0] != '\0' && !strstr(stored, "://");
    int directory = relative ? (int)directory_size(db) : 0;
    int n = snprintf(path, PATH_MAX, "%.*s%s", directory, db->path, stored);
    if (n < 0 || n >= PATH_MAX)
        path[0] = '\0'; /* which is no file, rather than another one */
    return path;
}
