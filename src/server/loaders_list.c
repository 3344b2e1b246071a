/* A file is read up to LOOK_MAX, which is several times what the largest iPXE has. */
#include "server/loaders_list.h"

#include "ipxe/loader_file.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define LOOK_MAX (16 * MIB)

/* What PE calls a machine (UEFI 2.10, 2.1.1; the registry of the PE format); 0: no UEFI. */
static const uint16_t machines[DHCP_LOADERS] = {
    [LOADER_BIOS] = 0,
    [LOADER_UEFI_IA32] = 0x014c,
    [LOADER_UEFI_X64] = 0x8664,
    [LOADER_UEFI_ARM32] = 0x01c2,
    [LOADER_UEFI_ARM64] = 0xaa64,
    [LOADER_UEFI_RISCV32] = 0x5032,
    [LOADER_UEFI_RISCV64] = 0x5064,
    [LOADER_UEFI_LOONGARCH32] = 0x6232,
    [LOADER_UEFI_LOONGARCH64] = 0x6264,
};

/* One loader of one subnet. */
struct look {
    enum dhcp_loader which;
    const char *name; /* of its file; "": there is to be none */
    bool needs_https; /* scripts are given by that only */
    int error;        /* negative errno: it cannot be read */
    uint64_t size;
    struct loader_file file;
};

struct verdict {
    const char *state;
    char advice[512]; /* "": there is nothing to do */
};

/* --- looking --- */

static int read_whole(int fd, uint8_t *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, data + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO; /* it is being written at this moment */
        done += (size_t)n;
    }
    return 0;
}

static int look_at(struct loaders *loaders, struct look *look)
{
    cleanup_close int fd = -1;
    int r = loaders_open_file(loaders, look->name, &fd, &look->size);
    if (r < 0)
        return r;
    size_t size = (size_t)MIN(look->size, LOOK_MAX);
    uint8_t *data = malloc(size + 1);
    if (!data)
        return -ENOMEM;
    r = read_whole(fd, data, size);
    if (r >= 0)
        loader_file_look(data, size, size == look->size, &look->file);
    free(data);
    return r;
}

/* --- judging --- */

static bool lacks(const struct look *look, const char *feature)
{
    size_t count;
    const struct loader_feature *features = loader_file_features(&count);
    for (size_t i = 0; i < count; i++)
        if (str_eq(features[i].name, feature))
            return look->file.missing & 1U << i;
    return false;
}

static const char *why_not_read(int error)
{
    if (error == -EXDEV)
        return "it is a link that leads out of the directory: copy the file there instead";
    if (error == -ENOENT)
        return "put the file into the loaders directory, or name another one (Debian's package "
               "ipxe "
               "has undionly.kpxe and snponly.efi)";
    if (error == -EACCES)
        return "let the daemon's user read it";
    return "put a whole file there";
}

static const char *not_for_the_machine(const struct look *look)
{
    uint16_t machine = machines[look->which];
    if (machine == 0)
        return look->file.format == LOADER_FORMAT_UEFI ? "a program for UEFI" : NULL;
    if (look->file.format == LOADER_FORMAT_UEFI)
        return look->file.machine == machine ? NULL : "a program for UEFI of another processor";
    return look->file.format == LOADER_FORMAT_PXE ? "a program for BIOS" : "no program for UEFI";
}

static void judge_ipxe(const struct look *look, struct verdict *verdict)
{
    const char *lacking =
        lacks(look, "HTTP")    ? "HTTP, by which nodes fetch their scripts"
        : lacks(look, "iSCSI") ? "iSCSI, by which nodes reach their disks"
        : look->needs_https && lacks(look, "HTTPS")
            ? "HTTPS, by which alone boot scripts are given (`require` of [https])"
            : NULL;
    if (!look->file.is_ipxe) {
        verdict->state = "unknown";
        snprintf(verdict->advice, sizeof(verdict->advice),
                 "it does not show that it is iPXE, which nodes need: name iPXE's %s, unless this "
                 "one starts it",
                 machines[look->which] ? "snponly.efi or ipxe.efi" : "undionly.kpxe");
    } else if (lacking) {
        verdict->state = "lacking";
        snprintf(verdict->advice, sizeof(verdict->advice),
                 "this iPXE has no %s: name one that was built with it", lacking);
    } else {
        verdict->state = "ready";
    }
}

static struct verdict judge(const struct look *look)
{
    struct verdict v = {.state = "none"};
    const char *wrong = not_for_the_machine(look);
    if (!look->name[0])
        return v;
    if (look->error < 0) {
        v.state = look->error == -ENOENT ? "missing" : "unreadable";
        snprintf(v.advice, sizeof(v.advice), "%s; %s", strerror(-look->error),
                 why_not_read(look->error));
    } else if (look->size == 0 || look->size < look->file.size) {
        v.state = "truncated";
        snprintf(v.advice, sizeof(v.advice),
                 "it has %" PRIu64 " bytes of %" PRIu64 " or more: copy it there anew", look->size,
                 MAX(look->file.size, 1));
    } else if (wrong) {
        v.state = "wrong";
        snprintf(v.advice, sizeof(v.advice), "it is %s: name one for %s", wrong,
                 dhcp_loader_kind(look->which)->word);
    } else {
        judge_ipxe(look, &v);
    }
    return v;
}

/* --- telling --- */

static json_t *text_or_null(const char *text)
{
    return text[0] ? json_string(text) ?: json_string("(not UTF-8)") : json_null();
}

static json_t *names_of(uint32_t bits)
{
    size_t count;
    const struct loader_feature *features = loader_file_features(&count);
    json_t *names = json_array();
    for (size_t i = 0; i < count; i++)
        if (bits & 1U << i)
            json_array_append_new(names, json_string(features[i].name));
    return names;
}

static json_t *look_to_json(const struct subnet *subnet, const struct look *look)
{
    const struct verdict verdict = judge(look);
    const struct dhcp_loader_kind *kind = dhcp_loader_kind(look->which);
    const struct loader_file *file = &look->file;
    bool read = look->name[0] && look->error >= 0;
    bool strings = file->is_ipxe && file->format == LOADER_FORMAT_UEFI;
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "subnet", subnet->name, "key",
        kind->key, "machine", kind->word, "file", text_or_null(look->name), "state", verdict.state,
        "size", read ? json_integer((json_int_t)look->size) : json_null(), "ipxe",
        file->is_ipxe ? json_true() : json_null(), "version", text_or_null(file->version),
        "features", strings ? names_of(file->features) : json_null(), "missing",
        strings ? names_of(file->missing) : json_null(), "advice", text_or_null(verdict.advice));
}

static json_t *loader_to_json(struct loaders *loaders, const struct subnet *subnet,
                              enum dhcp_loader which, bool needs_https)
{
    struct look look = {.which = which, .name = subnet->loaders[which], .needs_https = needs_https};
    if (look.name[0])
        look.error = look_at(loaders, &look);
    return look_to_json(subnet, &look);
}

json_t *loaders_to_json(struct loaders *loaders, const struct subnet *subnets, size_t count,
                        bool needs_https)
{
    char directory[PATH_MAX];
    json_t *list = json_array();
    loaders_directory(loaders, directory);
    for (size_t i = 0; i < count; i++)
        for (enum dhcp_loader k = 0; k < DHCP_LOADERS; k++)
            if (json_array_append_new(list, loader_to_json(loaders, &subnets[i], k, needs_https)) <
                0) {
                json_decref(list);
                return NULL;
            }
    return json_pack("{s:o, s:o}", "directory", text_or_null(directory), "loaders", list);
}
