/*
 * What Linux shows of a table: /sys/firmware/ibft, by the module iscsi_ibft. A file there is a
 * value, and one that is not there has none.
 */
#include "ibft/ibft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

struct place {
    int directory;
    const char *name; /* "ethernet0" */
    struct ibft_faults *faults;
};

/* The first line of a file; "" if there is none. */
static void get_line(const struct place *place, const char *file, char text[static IBFT_TEXT_SIZE])
{
    char path[64], data[IBFT_TEXT_SIZE + 1];
    text[0] = '\0';
    snprintf(path, sizeof(path), "%s/%s", place->name, file);
    cleanup_close int fd = openat(place->directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == EACCES)
        ibft_fault(place->faults, IBFT_WARNING, "%s may not be read; root may", path);
    ssize_t size = fd < 0 ? 0 : read(fd, data, sizeof(data));
    size_t used = 0;
    while ((ssize_t)used < size && data[used] && data[used] != '\n')
        used++;
    if (used >= IBFT_TEXT_SIZE) {
        ibft_fault(place->faults, IBFT_ERROR, "%s has more than %d characters; it is left out",
                   path, IBFT_TEXT_SIZE - 1);
        return;
    }
    for (size_t i = 0; i < used; i++)
        if (data[i] < ' ' || data[i] > '~') {
            ibft_fault(place->faults, IBFT_ERROR,
                       "%s has characters that are not printable ASCII; it is left out", path);
            return;
        }
    memcpy(text, data, used);
    text[used] = '\0';
}

static unsigned get_number(const struct place *place, const char *file, unsigned max)
{
    char text[IBFT_TEXT_SIZE], *end;
    get_line(place, file, text);
    if (!text[0])
        return 0;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno || *end || text[0] < '0' || text[0] > '9' || n > max) {
        ibft_fault(place->faults, IBFT_ERROR, "%s/%s is no number from 0 to %u", place->name, file,
                   max);
        return 0;
    }
    return (unsigned)n;
}

static void get_ip(const struct place *place, const char *file, struct ibft_ip *ret_ip)
{
    char text[IBFT_TEXT_SIZE];
    get_line(place, file, text);
    if (text[0] && ibft_ip_parse(text, ret_ip) < 0)
        ibft_fault(place->faults, IBFT_ERROR, "%s/%s is no address", place->name, file);
}

/* The kernel writes each of the 8 bytes in hexadecimal without leading zeros. That can be read back
 * if all but the second have one digit, which is so for LUNs up to 255. */
static void get_lun(const struct place *place, uint8_t lun[static IBFT_LUN_SIZE])
{
    char text[IBFT_TEXT_SIZE];
    get_line(place, "lun", text);
    size_t length = strlen(text);
    bool two = length == IBFT_LUN_SIZE + 1;
    if (length == 0)
        return;
    bool fits = (two || length == IBFT_LUN_SIZE) && text[0] == '0' && (!two || text[1] != '0') &&
                strspn(text, "0123456789abcdef") == length;
    if (!fits || strspn(text + (two ? 3 : 2), "0") != IBFT_LUN_SIZE - 2) {
        ibft_fault(place->faults, IBFT_WARNING,
                   "%s/lun is not to be told from what the kernel shows", place->name);
        lun[0] = 0xff;
        return;
    }
    int high = two ? hex_value(text[1]) : 0, low = hex_value(text[two ? 2 : 1]);
    lun[1] = (uint8_t)(high << 4 | low);
}

static void get_initiator(const struct place *place, struct ibft_initiator *initiator)
{
    static const char *const servers[] = {"isns-server", "slp-server", "pri-radius-server",
                                          "sec-radius-server"};
    initiator->present = true;
    initiator->index = (uint8_t)get_number(place, "index", UINT8_MAX);
    initiator->flags = (uint8_t)get_number(place, "flags", UINT8_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
        get_ip(place, servers[i], &initiator->servers[i]);
    get_line(place, "initiator-name", initiator->name);
}

/* A link to the card: ".../0000:00:03.0". */
static uint16_t get_pci(const struct place *place)
{
    char path[96], target[PATH_MAX];
    unsigned bus, device, function;
    snprintf(path, sizeof(path), "%s/device", place->name);
    ssize_t size = readlinkat(place->directory, path, target, sizeof(target) - 1);
    if (size < 0)
        return 0;
    target[size] = '\0';
    const char *name = strrchr(target, '/');
    if (!name || sscanf(name, "/%*4x:%2x:%2x.%1x", &bus, &device, &function) != 3)
        return 0;
    return (uint16_t)(bus << 8 | (device & 0x1f) << 3 | (function & 7));
}

static void get_nic(const struct place *place, struct ibft_nic *nic)
{
    char mac[IBFT_TEXT_SIZE];
    nic->present = true;
    nic->index = (uint8_t)get_number(place, "index", UINT8_MAX);
    nic->flags = (uint8_t)get_number(place, "flags", UINT8_MAX);
    get_ip(place, "ip-addr", &nic->address);
    nic->prefix = (uint8_t)get_number(place, "prefix-len", UINT8_MAX);
    nic->from = (uint8_t)get_number(place, "origin", UINT8_MAX);
    get_ip(place, "gateway", &nic->gateway);
    get_ip(place, "primary-dns", &nic->dns[0]);
    get_ip(place, "secondary-dns", &nic->dns[1]);
    get_ip(place, "dhcp", &nic->dhcp);
    nic->vlan = (uint16_t)get_number(place, "vlan", UINT16_MAX);
    nic->pci = get_pci(place);
    get_line(place, "mac", mac);
    (void)!mac_parse(mac, &nic->mac); /* one that no card has is told of elsewhere */
    get_line(place, "hostname", nic->host_name);
}

static void get_target(const struct place *place, struct ibft_target *target)
{
    target->present = true;
    target->index = (uint8_t)get_number(place, "index", UINT8_MAX);
    target->flags = (uint8_t)get_number(place, "flags", UINT8_MAX);
    get_ip(place, "ip-addr", &target->address);
    target->port = (uint16_t)get_number(place, "port", UINT16_MAX);
    get_lun(place, target->lun);
    target->chap = (uint8_t)get_number(place, "chap-type", UINT8_MAX);
    target->nic = (uint8_t)get_number(place, "nic-assoc", UINT8_MAX);
    get_line(place, "target-name", target->name);
    get_line(place, "chap-name", target->user);
    get_line(place, "chap-secret", target->secret);
    get_line(place, "rev-chap-name", target->reverse_user);
    get_line(place, "rev-chap-name-secret", target->reverse_secret);
}

static bool is_there(int directory, const char *name)
{
    struct stat st;
    return fstatat(directory, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* Linux names them by their index, which may be any. */
static size_t find_all(int directory, const char *kind, char names[IBFT_PAIRS][32])
{
    size_t count = 0;
    char name[32];
    for (unsigned i = 0; i <= UINT8_MAX && count < IBFT_PAIRS; i++) {
        snprintf(name, sizeof(name), "%s%u", kind, i);
        if (is_there(directory, name))
            str_copy(names[count++], sizeof(names[0]), name);
    }
    return count;
}

static void get_all(int directory, struct ibft *ibft, struct ibft_faults *faults)
{
    char names[IBFT_PAIRS][32];
    struct place place = {directory, "initiator", faults};
    if (is_there(directory, "initiator"))
        get_initiator(&place, &ibft->initiator);
    size_t count = find_all(directory, "ethernet", names);
    for (size_t i = 0; i < count; i++) {
        place.name = names[i];
        get_nic(&place, &ibft->nics[i]);
    }
    count = find_all(directory, "target", names);
    for (size_t i = 0; i < count; i++) {
        place.name = names[i];
        get_target(&place, &ibft->targets[i]);
    }
}

int ibft_read_kernel(const char *directory, struct ibft *ret_ibft, struct ibft_faults *faults,
                     struct error *ret_error)
{
    struct ibft ibft = {.revision = 1};
    cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(ret_error, -errno, "%s: %s", directory, strerror(errno));
    get_all(fd, &ibft, faults);
    if (!ibft.initiator.present && !ibft.nics[0].present && !ibft.targets[0].present)
        return error_set(ret_error, -ENOENT, "%s has no initiator, ethernet0 or target0 in it",
                         directory);
    ibft_check(&ibft, faults);
    *ret_ibft = ibft;
    return 0;
}
