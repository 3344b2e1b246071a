/*
 * An initramfs is plain archives (microcode, in Debian 13 also modules), then mostly one that is
 * packed. The plain ones are read as they are, what follows is unpacked by libarchive, which is
 * asked for the few filters that the kernel has, and for nothing that would start a program.
 */
#include "prepare/initramfs.h"

#include "prepare/edit.h"

#include <archive.h>
#include <errno.h>

struct look {
    struct arena *arena;
    const char *module; /* "ext4.ko" */
    struct initramfs found;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Without "usr/", which is where / leads to in merged trees. */
static const char *below_usr(const char *name)
{
    return str_has_prefix(name, "usr/") ? name + 4 : name;
}

/* Two names of one file: only one of them has its data in the archive. */
static bool is_iscsid_conf(const char *name)
{
    return str_eq(name, "etc/iscsi/iscsid.conf") ||
           str_eq(name, "nodisk-iscsid/etc/iscsi/iscsid.conf");
}

/* Its name differs by what the initramfs is made with (system.h). */
static bool is_our_script(const char *name)
{
    name = below_usr(name);
    return str_eq(name, "scripts/local-top/nodisk") || str_eq(name, "sbin/nodisk-boot") ||
           str_eq(name, "bin/nodisk-boot");
}

static bool wants(void *context, const char *name)
{
    (void)context;
    return is_our_script(name) || is_iscsid_conf(name) || str_eq(name, "etc/iscsi.initramfs") ||
           str_has_prefix(name, "conf/");
}

static bool is_module(const char *base, const char *module)
{
    size_t length = strlen(module);
    return strncmp(base, module, length) == 0 && (!base[length] || base[length] == '.');
}

static void look_at_module(struct look *look, const char *name)
{
    static const char *const no_cards[] = {"/net/phy/", "/net/mdio/", "/net/pcs/", "/net/can/"};
    struct initramfs *found = &look->found;
    const char *base = base_name(name);
    bool card = strstr(name, "/drivers/net/") != NULL;
    for (size_t i = 0; i < ARRAY_SIZE(no_cards); i++)
        card = card && !strstr(name, no_cards[i]);
    found->n_drivers += card;
    found->iscsi_tcp |= is_module(base, "iscsi_tcp.ko");
    found->iscsi_ibft |= is_module(base, "iscsi_ibft.ko");
    found->sd_mod |= is_module(base, "sd_mod.ko");
    found->virtio_net |= is_module(base, "virtio_net.ko");
    found->file_system |= is_module(base, look->module);
}

static void look_at_program(struct initramfs *found, const char *name)
{
    const char *base = base_name(name);
    found->iscsistart |= str_eq(base, "iscsistart");
    found->iscsid |= str_eq(base, "iscsid");
    found->iscsiadm |= str_eq(base, "iscsiadm");
    found->busybox |= str_eq(base, "busybox");
}

static void look_at_text(struct look *look, const char *name, const char *text)
{
    char value[EDIT_MAX_FIELD];
    struct initramfs *found = &look->found;
    if (is_our_script(name))
        found->our_script = arena_strdup(look->arena, text);
    else if (is_iscsid_conf(name))
        found->iscsid_conf = text[0] ? arena_strdup(look->arena, text) : found->iscsid_conf;
    else if (str_eq(name, "etc/iscsi.initramfs"))
        found->stock_on =
            variable_get(text, "ISCSI_TARGET_NAME", value, sizeof(value)) ||
            (variable_get(text, "ISCSI_AUTO", value, sizeof(value)) && str_eq(value, "true"));
    else if ((!found->resume || str_eq(found->resume, "none")) &&
             variable_get(text, "RESUME", value, sizeof(value)))
        found->resume = arena_strdup(look->arena, value);
}

static void look_at(void *context, const struct cpio_entry *entry)
{
    struct look *look = context;
    const char *name = below_usr(entry->name);
    look->found.n_entries++;
    if (str_has_prefix(name, "lib/modules/") && strstr(name, ".ko"))
        look_at_module(look, name);
    else if (str_has_prefix(name, "sbin/") || str_has_prefix(name, "bin/"))
        look_at_program(&look->found, name);
    look->found.udev |= str_has_prefix(name, "lib/systemd/systemd-udevd") ||
                        str_has_prefix(name, "bin/udevadm") || str_has_prefix(name, "sbin/udevd");
    look->found.stock_script |= str_eq(name, "scripts/local-top/iscsi");
    look->found.dracut |= str_has_prefix(name, "lib/dracut/");
    look->found.our_hook |= strstr(name, "lib/dracut/hooks/initqueue/settled/") &&
                            strstr(base_name(name), "nodisk") != NULL;
    if (entry->data)
        look_at_text(look, name, entry->data);
}

static ssize_t read_fd(void *context, void *buffer, size_t size)
{
    ssize_t n = read(*(int *)context, buffer, size);
    return n < 0 ? -errno : n;
}

static ssize_t read_unpacked(void *context, void *buffer, size_t size)
{
    ssize_t n = archive_read_data(context, buffer, size);
    return n < 0 ? -EBADMSG : n;
}

static void support_filters(struct archive *archive)
{
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_lzma(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_lz4(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_format_raw(archive);
}

/* What is packed, from where the descriptor is. */
static int look_packed(int fd, const struct cpio_visitor *visitor)
{
    struct archive_entry *entry;
    uint64_t at;
    struct archive *archive = archive_read_new();
    if (!archive)
        return -ENOMEM;
    support_filters(archive);
    int r = -EBADMSG;
    if (archive_read_open_fd(archive, fd, 65536) == ARCHIVE_OK &&
        archive_read_next_header(archive, &entry) == ARCHIVE_OK &&
        archive_filter_code(archive, 0) != ARCHIVE_FILTER_NONE) {
        struct cpio_source source = {.read = read_unpacked, .context = archive};
        r = cpio_read(&source, visitor, &at);
        r = r == 0 ? -EBADMSG : MIN(r, 0);
    }
    archive_read_free(archive);
    return r;
}

int initramfs_look(int fd, const char *file_system, struct arena *arena,
                   struct initramfs *ret_initramfs)
{
    char module[EDIT_MAX_FIELD];
    struct look look = {.arena = arena, .module = module};
    const struct cpio_visitor visitor = {.wants = wants, .entry = look_at, .context = &look};
    struct cpio_source source = {.read = read_fd, .context = &fd};
    uint64_t at;
    snprintf(module, sizeof(module), "%.200s.ko", file_system);
    int r = cpio_read(&source, &visitor, &at);
    if (r == 0)
        r = lseek(fd, (off_t)at, SEEK_SET) < 0 ? -errno : look_packed(fd, &visitor);
    if (r < 0)
        return r;
    if (look.found.n_entries == 0)
        return -EBADMSG;
    *ret_initramfs = look.found;
    return 0;
}
