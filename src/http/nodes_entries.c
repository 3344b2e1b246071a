/*
 * The files of boot entries, for nodes only:
 *
 *   /entry/NAME/kernel?mac=..., /entry/NAME/initrd0, ...   of a live system
 *   /entry/NAME/script?mac=...                             an iPXE script
 *   /memtest.bin, /memtest.efi                             Debian's memtest86+
 *
 * Which file that is, the registry says; nothing of the path is a file's name.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "http/nodes_internal.h"

static const char prefix[] = "/entry/";

/* The name of the entry in the path, and what is wanted of it; NULL: it is no such path. */
static const char *split(const char *path, char name[static NAME_MAX_LEN + 1])
{
    path += strlen(prefix);
    const char *slash = strchr(path, '/');
    if (!slash || (size_t)(slash - path) > NAME_MAX_LEN)
        return NULL;
    memcpy(name, path, (size_t)(slash - path));
    name[slash - path] = '\0';
    return slash + 1;
}

/* *ret_sha256: that it must have; "": any. */
static const char *file_of(const struct catalog_entry *entry, const char *what,
                           const char **ret_sha256)
{
    bool live = entry->kind != BOOT_ENTRY_SCRIPT;
    *ret_sha256 = entry->sha256 ? entry->sha256[0] : "";
    if (str_eq(what, live ? "kernel" : "script"))
        return entry->file;
    for (size_t i = 0; live && i < entry->n_initrds; i++) {
        char name[32];
        snprintf(name, sizeof(name), "initrd%zu", i);
        *ret_sha256 = entry->sha256 ? entry->sha256[i + 1] : "";
        if (str_eq(what, name))
            return entry->initrds[i];
    }
    return NULL;
}

static const char *memtest_file(const struct node_http *http, const char *path,
                                char buffer[static PATH_MAX])
{
    const char *directory = http->settings.memtest, *suffix = strrchr(path, '.');
    int n = snprintf(buffer, PATH_MAX, "%s/memtest86+x64%s", directory ? directory : "", suffix);
    return directory && n < PATH_MAX ? buffer : NULL;
}

int node_http_open_file(const char *path, int *ret_fd, uint64_t *ret_size)
{
    struct stat status;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    *ret_fd = take_fd(&fd);
    *ret_size = (uint64_t)status.st_size;
    return 0;
}

static void reply_file(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, const char *path)
{
    int fd = -1;
    uint64_t size = 0;
    if (!path || node_http_open_file(path, &fd, &size) < 0)
        node_http_refuse(http, request, peer, 404, "no such file of an entry, or not readable\n");
    else
        http_reply_file(request, 200, "application/octet-stream", fd, size);
}

static void reply_checked(struct node_http *http, struct http_request *request,
                          const struct endpoint *peer, const struct catalog_entry *entry,
                          const char *what)
{
    const char *sha256 = "", *path = file_of(entry, what, &sha256);
    struct error error;
    uint64_t size = 0;
    cleanup_close int fd = -1;
    if (!path || !sha256[0] || node_http_open_file(path, &fd, &size) < 0) {
        reply_file(http, request, peer, path);
    } else if (entry_digest_check(&http->digests, fd, path, sha256, &error) < 0) {
        node_http_tell_bad_entry(http, peer, entry->name, error.text);
        node_http_reply_text(request, 409, "its checksum is another one than it must have\n");
    } else {
        http_reply_file(request, 200, "application/octet-stream", take_fd(&fd), size);
    }
}

static void reply_entry(struct node_http *http, struct http_request *request,
                        const struct endpoint *peer, const struct catalog *catalog)
{
    char name[NAME_MAX_LEN + 1];
    const char *what = split(http_path(request), name);
    const struct catalog_entry *entry = what ? catalog_entry_by_name(catalog, name) : NULL;
    if (entry)
        reply_checked(http, request, peer, entry, what);
    else
        reply_file(http, request, peer, NULL);
}

bool node_http_entry(struct node_http *http, struct http_request *request,
                     const struct endpoint *peer, const struct endpoint *local)
{
    struct mac_address mac;
    char buffer[PATH_MAX];
    const char *path = http_path(request);
    bool memtest = str_eq(path, "/memtest.bin") || str_eq(path, "/memtest.efi");
    if (!memtest && !str_has_prefix(path, prefix))
        return false;
    if (!node_http_get_mac(http, request, peer, &mac))
        return true;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(http->settings.catalog);
    const struct catalog_node *node = catalog_node_by_mac(catalog, mac);
    if (!node || !node_http_is_node(http, peer, node, mac))
        node_http_reply_text(request, 403, "this address is not that machine's\n");
    else if (node_http_needs_https(http, local, NULL))
        node_http_refuse_plain(http, request, peer);
    else if (memtest)
        reply_file(http, request, peer, memtest_file(http, path, buffer));
    else
        reply_entry(http, request, peer, catalog);
    return true;
}
