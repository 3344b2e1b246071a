#include "core/facts.h"

#include "core/net.h"

#define MEMORY_RANGES 4

/* SMBIOS structure 19 (memory array mapped address) has a range of memory: its first and last KiB
 * (offsets 4 and 8), or if that is too large, its first and last byte (offsets 15 and 23). iPXE
 * names them by instance, type, offset and length. */
#define RANGES(prefix, place)                                                                      \
    prefix "${smbios/19." place ":hexraw}-${smbios/1.19." place ":hexraw}-${smbios/2.19." place    \
           ":hexraw}-${smbios/3.19." place ":hexraw}"

const char facts_query[] = "&uuid=${uuid}&manufacturer=${manufacturer:hexraw}"
                           "&product=${product:hexraw}&serial=${serial:hexraw}"
                           "&card=${netX/chip:hexraw}&arch=${buildarch}&firmware=${platform}" //
    RANGES("&memory=", "4.8") RANGES("&ranges=", "15.16");

/* --- texts --- */

/* The length of the character of UTF-8 that begins here; 0: it is none, or not to be shown. */
static size_t character_size(const uint8_t *p, size_t left)
{
    uint32_t c = p[0];
    size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    static const uint32_t least[] = {0, 0x20, 0xa0, 0x800, 0x10000};
    if (n == 0 || n > left)
        return 0;
    if (n > 1)
        c &= 0x7fU >> n;
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        c = c << 6 | (p[i] & 0x3fU);
    }
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    /* marks that turn the direction of what is written */
    bool turns = (c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069);
    return c < least[n] || c == 0x7f || c > 0x10ffff || surrogate || turns ? 0 : n;
}

void facts_clean(char *place, size_t size, const char *text, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        size_t n = character_size((const uint8_t *)text + i, length - i);
        size_t take = n ? n : 1;
        if (used + take >= size)
            break;
        if (n)
            memcpy(place + used, text + i, n);
        else
            place[used] = '?';
        used += take;
        i += take;
    }
    while (used > 0 && place[used - 1] == ' ')
        used--;
    place[used] = '\0';
}

/* Up to `room` bytes; returns how many. */
static size_t read_hex(const char *digits, uint8_t *bytes, size_t room)
{
    size_t n = 0;
    for (; n < room; n++) {
        int high = hex_value(digits[2 * n]);
        int low = high < 0 ? -1 : hex_value(digits[2 * n + 1]);
        if (low < 0)
            break;
        bytes[n] = (uint8_t)(high << 4 | low);
    }
    return n;
}

static void read_text(const char *digits, char place[static FACTS_TEXT_MAX + 1])
{
    uint8_t bytes[2 * FACTS_TEXT_MAX] = {0};
    size_t n = digits ? read_hex(digits, bytes, sizeof(bytes)) : 0;
    facts_clean(place, FACTS_TEXT_MAX + 1, (const char *)bytes, n);
}

/* "x86_64": letters, digits and a few marks. */
static void read_word(const char *text, char place[static FACTS_WORD_MAX + 1])
{
    size_t n = text ? strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") : 0;
    bool good = n > 0 && n <= FACTS_WORD_MAX && text[n] == '\0';
    str_copy(place, FACTS_WORD_MAX + 1, good ? text : "");
}

/* --- the UUID --- */

static bool is_uuid(const char *text)
{
    for (size_t i = 0; i < FACTS_UUID_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : hex_value(text[i]) < 0)
            return false;
    }
    return text[FACTS_UUID_SIZE - 1] == '\0';
}

static void read_uuid(const char *text, char place[static FACTS_UUID_SIZE])
{
    place[0] = '\0';
    if (!text || !is_uuid(text))
        return;
    for (size_t i = 0; i < FACTS_UUID_SIZE; i++)
        place[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] | 0x20 : text[i]);
}

bool facts_uuid_is_unique(const char *uuid)
{
    static const char *const common[] = {
        "", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009", /* what a maker of boards forgot to change */
        "00020003-0004-0005-0006-000700080009"};
    for (size_t i = 0; i < ARRAY_SIZE(common); i++)
        if (str_eq(uuid, common[i]))
            return false;
    return true;
}

/* --- memory --- */

static uint64_t get_le(const uint8_t *bytes, size_t size)
{
    uint64_t n = 0;
    while (size-- > 0)
        n = n << 8 | bytes[size];
    return n;
}

/* The next group of digits, of exactly `size` bytes; *text moves behind it. */
static bool take_group(const char **text, uint8_t *bytes, size_t size)
{
    const char *p = *text;
    size_t length = strcspn(p, "-");
    *text = p + length + (p[length] == '-');
    return length == 2 * size && read_hex(p, bytes, size) == size;
}

/* memory: "0000000000ffff7f-..."; ranges: the same in bytes, for what is too large for that. */
static uint64_t read_memory(const char *memory, const char *ranges)
{
    uint8_t b[16] = {0};
    uint64_t total = 0;
    for (size_t i = 0; memory && i < MEMORY_RANGES; i++) {
        bool small = take_group(&memory, b, 8);
        uint64_t first = get_le(b, 4), last = get_le(b + 4, 4);
        bool too_large = small && first == UINT32_MAX;
        bool large = ranges && take_group(&ranges, b, 16);
        if (too_large && large && get_le(b + 8, 8) > get_le(b, 8))
            total += get_le(b + 8, 8) - get_le(b, 8) + 1;
        else if (small && !too_large && last > first)
            total += (last - first + 1) * KIB;
    }
    return total <= INT64_MAX ? total : 0;
}

bool facts_eq(const struct facts *a, const struct facts *b)
{
    return str_eq(a->uuid, b->uuid) && str_eq(a->manufacturer, b->manufacturer) &&
           str_eq(a->product, b->product) && str_eq(a->serial, b->serial) &&
           str_eq(a->card, b->card) && str_eq(a->architecture, b->architecture) &&
           str_eq(a->firmware, b->firmware) && a->memory == b->memory;
}

bool facts_read(const char *(*value)(void *context, const char *key), void *context,
                struct facts *ret_facts)
{
    struct facts f = {0};
    const char *uuid = value(context, "uuid");
    if (!uuid)
        return false;
    read_uuid(uuid, f.uuid);
    read_text(value(context, "manufacturer"), f.manufacturer);
    read_text(value(context, "product"), f.product);
    read_text(value(context, "serial"), f.serial);
    read_text(value(context, "card"), f.card);
    read_word(value(context, "arch"), f.architecture);
    read_word(value(context, "firmware"), f.firmware);
    f.memory = read_memory(value(context, "memory"), value(context, "ranges"));
    *ret_facts = f;
    return true;
}
