/*
 * A string is what can be printed between a byte that cannot and a zero. Linkers let a string share
 * the end of another one, so a name that is only the end of one may be there or not: that is not
 * told.
 */
#include "ipxe/loader_file.h"

#include "core/wire.h"

/* iPXE's config/general.h: NET_PROTO_IPV6, DOWNLOAD_PROTO_..., SANBOOT_PROTO_..., ..._CMD,
 * VLAN_CMD. */
static const struct loader_feature features[] = {
    {"HTTP", "HTTP"},         {"HTTPS", "HTTPS"},
    {"TFTP", "TFTP"},         {"NFS", "NFS"},
    {"DNS", "DNS"},           {"IPv6", "dhcpv6"},
    {"iSCSI", "iSCSI"},       {"AoE", "AoE"},
    {"SRP", "SRP"},           {"VLAN", "vcreate"},
    {"menu", "menu"},         {"param", "param"},
    {"login", "login"},       {"console", "console"},
    {"imgtrust", "imgtrust"}, {"imgverify", "imgverify"},
    {"nslookup", "nslookup"}, {"certstore", "certstore"},
};

const struct loader_feature *loader_file_features(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(features);
    return features;
}

/* --- formats --- */

#define PE_MAX_SECTIONS   96 /* of the PE format */
#define PE_SECTION_SIZE   40
#define PE_HEADER_SIZE    24
#define PE_UEFI_PROGRAM   10 /* subsystem: an application */
#define PE_WITHOUT_CHOICE 68 /* of the optional header: where the subsystem is */

/* How many bytes the sections reach, and their table. */
static uint64_t pe_size(struct wire_reader r, uint64_t table, unsigned sections)
{
    uint64_t size = table + (uint64_t)sections * PE_SECTION_SIZE;
    for (unsigned i = 0; i < sections; i++) {
        wire_skip(&r, 16);
        uint64_t length = wire_get_le32(&r), start = wire_get_le32(&r);
        wire_skip(&r, 16);
        if (!wire_reader_ok(&r))
            break;
        if (length > 0)
            size = MAX(size, start + length);
    }
    return size;
}

static void look_at_pe(const uint8_t *data, size_t size, struct loader_file *file)
{
    struct wire_reader r = wire_reader_of(data, size);
    wire_skip(&r, 60);
    uint32_t header = wire_get_le32(&r);
    if (!wire_reader_ok(&r) || memcmp(data, "MZ", 2) != 0)
        return;
    r = wire_reader_of(data, size);
    wire_skip(&r, header);
    const uint8_t *magic = wire_get_bytes(&r, 4);
    if (!magic || memcmp(magic, "PE\0\0", 4) != 0)
        return;
    uint16_t machine = wire_get_le16(&r), sections = wire_get_le16(&r);
    wire_skip(&r, 12);
    uint16_t optional = wire_get_le16(&r);
    wire_skip(&r, 2);
    struct wire_reader table = r;
    wire_skip(&table, optional);
    wire_skip(&r, PE_WITHOUT_CHOICE);
    if (wire_get_le16(&r) != PE_UEFI_PROGRAM || optional <= PE_WITHOUT_CHOICE + 1 ||
        !wire_reader_ok(&r) || sections > PE_MAX_SECTIONS)
        return;
    file->format = LOADER_FORMAT_UEFI;
    file->machine = machine;
    file->size = pe_size(table, (uint64_t)header + PE_HEADER_SIZE + optional, sections);
}

/* How iPXE's prefix for PXE begins: a far jump to 07c0 (its own start), and soon afterwards it
 * pushes a word that it knows its stack by. */
static bool is_ipxe_for_pxe(const uint8_t *data, size_t size)
{
    return size >= 64 && data[0] == 0xea && data[3] == 0xc0 && data[4] == 0x07 &&
           memmem(data, 64, "hLRET", 5) != NULL;
}

/* --- strings --- */

struct scan {
    struct loader_file *file;
    uint32_t unsure;   /* features that are the end of a string */
    bool named;        /* "iPXE" */
    bool two_versions; /* so neither is iPXE's for sure */
};

static size_t skip_digits(const char *text, size_t size, size_t at)
{
    while (at < size && text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

/* "1.0.0+git-20190125.36a4c85-5.1", "1.21.1+ (g988d2)": three numbers, then anything. */
static bool is_version(const char *text, size_t size)
{
    size_t at = 0;
    for (unsigned i = 0; i < 3; i++) {
        size_t end = skip_digits(text, size, at);
        if (end == at || end - at > 4)
            return false;
        if (i < 2 && (end == size || text[end] != '.'))
            return false;
        at = i < 2 ? end + 1 : end;
    }
    return at == size || text[at] == '+' || text[at] == '-' || text[at] == ' ';
}

static void take_version(struct scan *scan, const char *text, size_t size)
{
    struct loader_file *file = scan->file;
    if (size >= sizeof(file->version) || !is_version(text, size))
        return;
    if (file->version[0] &&
        (strlen(file->version) != size || memcmp(file->version, text, size) != 0))
        scan->two_versions = true;
    memcpy(file->version, text, size);
    file->version[size] = '\0';
}

static void take_string(void *context, const char *text, size_t size)
{
    struct scan *scan = context;
    take_version(scan, text, size);
    scan->named |= size == 4 && memcmp(text, "iPXE", 4) == 0;
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        size_t n = strlen(features[i].string);
        if (size < n || memcmp(text + size - n, features[i].string, n) != 0)
            continue;
        if (size == n)
            scan->file->features |= 1U << i;
        else
            scan->unsure |= 1U << i;
    }
}

void loader_file_strings(const uint8_t *data, size_t size,
                         void (*take)(void *context, const char *text, size_t size), void *context)
{
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] >= ' ' && data[i] < 0x7f)
            continue;
        if (data[i] == 0 && i > start)
            take(context, (const char *)data + start, i - start);
        start = i + 1;
    }
}

static void look_inside(const uint8_t *data, size_t size, bool whole, struct loader_file *file)
{
    const uint32_t all = (uint32_t)((1ULL << ARRAY_SIZE(features)) - 1);
    struct scan scan = {.file = file};
    loader_file_strings(data, size, take_string, &scan);
    file->is_ipxe = scan.named && file->version[0];
    if (!file->is_ipxe)
        file->features = 0;
    if (!file->is_ipxe || scan.two_versions)
        file->version[0] = '\0';
    if (file->is_ipxe && whole && size >= file->size)
        file->missing = all & ~file->features & ~scan.unsure;
}

void loader_file_look(const uint8_t *data, size_t size, bool whole, struct loader_file *ret_file)
{
    *ret_file = (struct loader_file){.format = LOADER_FORMAT_UNKNOWN};
    look_at_pe(data, size, ret_file);
    if (ret_file->format == LOADER_FORMAT_UEFI) {
        look_inside(data, size, whole, ret_file);
    } else if (is_ipxe_for_pxe(data, size)) {
        ret_file->format = LOADER_FORMAT_PXE;
        ret_file->is_ipxe = true;
    }
}
