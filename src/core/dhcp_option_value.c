/*
 * RFC 2132 2 (kinds of data), RFC 3397 2 (domain search), RFC 3442 (classless routes: how many
 * bits, as many bytes of the network as these fill, the router).
 */
#include "core/dhcp_option_value.h"

#include "core/names.h"
#include "core/net.h"

#include <errno.h>
#include <stdarg.h>

/* --- words of a list --- */

#define SEPARATORS " ,\t"
#define WORD_SIZE  256

/* The next one; false: there is none, or (*ret_long) it is too long for any type. */
static bool next_word(const char **text, char word[static WORD_SIZE], bool *ret_long)
{
    *text += strspn(*text, SEPARATORS);
    size_t n = strcspn(*text, SEPARATORS);
    *ret_long = n >= WORD_SIZE;
    if (n == 0 || *ret_long)
        return false;
    memcpy(word, *text, n);
    word[n] = '\0';
    *text += n;
    return true;
}

/* Calls put() for each word. False if one is wrong, or if there is none. */
static bool put_words(const char *text, bool (*put)(char *word, struct wire_writer *w),
                      struct wire_writer *w)
{
    char word[WORD_SIZE];
    bool too_long;
    size_t n = 0;
    while (next_word(&text, word, &too_long)) {
        if (!put(word, w))
            return false;
        n++;
    }
    return n > 0 && !too_long;
}

/* Text that grows in the caller's buffer. */
struct output {
    char *text;
    size_t used;
    bool full;
};

static void put_text(struct output *o, const char *format, ...) PRINTF_LIKE(2, 3);

static void put_text(struct output *o, const char *format, ...)
{
    va_list args;
    size_t room = DHCP_OPTION_TEXT_SIZE - o->used;
    va_start(args, format);
    int n = vsnprintf(o->text + o->used, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room)
        o->full = true;
    else
        o->used += (size_t)n;
}

/* --- numbers --- */

static bool parse_number(const char *text, long long min, long long max, long long *ret_number)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if ((*text != '-' && (*text < '0' || *text > '9')) || *end || end == text || errno || n < min ||
        n > max)
        return false;
    *ret_number = n;
    return true;
}

static bool put_number(const char *text, long long min, long long max, size_t size,
                       struct wire_writer *w)
{
    long long n;
    if (!parse_number(text, min, max, &n))
        return false;
    for (size_t i = size; i-- > 0;)
        wire_put_u8(w, (uint8_t)((uint64_t)n >> 8 * i));
    return true;
}

static bool parse_u8(const char *text, struct wire_writer *w)
{
    return put_number(text, 0, UINT8_MAX, 1, w);
}

static bool parse_u16(const char *text, struct wire_writer *w)
{
    return put_number(text, 0, UINT16_MAX, 2, w);
}

static bool parse_u32(const char *text, struct wire_writer *w)
{
    return put_number(text, 0, UINT32_MAX, 4, w);
}

static bool parse_i32(const char *text, struct wire_writer *w)
{
    return put_number(text, INT32_MIN, INT32_MAX, 4, w);
}

static bool parse_bool(const char *text, struct wire_writer *w)
{
    bool yes = str_eq(text, "yes");
    wire_put_u8(w, yes);
    return yes || str_eq(text, "no");
}

static bool format_u8(struct wire_reader r, struct output *o)
{
    put_text(o, "%u", wire_get_u8(&r));
    return wire_reader_ok(&r) && wire_reader_left(&r) == 0;
}

static bool format_u16(struct wire_reader r, struct output *o)
{
    put_text(o, "%u", wire_get_be16(&r));
    return wire_reader_ok(&r) && wire_reader_left(&r) == 0;
}

static bool format_u32(struct wire_reader r, struct output *o)
{
    put_text(o, "%u", wire_get_be32(&r));
    return wire_reader_ok(&r) && wire_reader_left(&r) == 0;
}

static bool format_i32(struct wire_reader r, struct output *o)
{
    put_text(o, "%d", (int32_t)wire_get_be32(&r));
    return wire_reader_ok(&r) && wire_reader_left(&r) == 0;
}

static bool format_bool(struct wire_reader r, struct output *o)
{
    uint8_t value = wire_get_u8(&r);
    put_text(o, "%s", value ? "yes" : "no");
    return wire_reader_ok(&r) && wire_reader_left(&r) == 0 && value <= 1;
}

/* --- bytes and text --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_hex(const char *text, struct wire_writer *w)
{
    size_t n = 0;
    while (*text) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        wire_put_u8(w, (uint8_t)(high << 4 | low));
        n++;
        text += 2;
        if (*text == ':' && text[1])
            text++;
    }
    return n > 0;
}

static bool format_hex(struct wire_reader r, struct output *o)
{
    while (wire_reader_left(&r) > 0)
        put_text(o, "%02x", wire_get_u8(&r));
    return o->used > 0;
}

static bool parse_text(const char *text, struct wire_writer *w)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    wire_put_bytes(w, text, n);
    /* what comes from a file has no spaces there */
    return n > 0 && text[0] != ' ' && text[n - 1] != ' ';
}

static bool format_text(struct wire_reader r, struct output *o)
{
    const uint8_t *data = r.pos;
    size_t size = wire_reader_left(&r);
    for (size_t i = 0; i < size; i++)
        if (data[i] < ' ' || data[i] == 0x7f)
            return false;
    put_text(o, "%.*s", (int)size, size ? (const char *)data : "");
    return size > 0 && data[0] != ' ' && data[size - 1] != ' ';
}

/* --- addresses --- */

static bool put_address(char *word, struct wire_writer *w)
{
    uint32_t address;
    if (ipv4_parse(word, &address) < 0)
        return false;
    wire_put_be32(w, address);
    return true;
}

static bool parse_address(const char *text, struct wire_writer *w)
{
    uint32_t address;
    if (ipv4_parse(text, &address) < 0)
        return false;
    wire_put_be32(w, address);
    return true;
}

static bool parse_addresses(const char *text, struct wire_writer *w)
{
    return put_words(text, put_address, w);
}

static bool format_addresses(struct wire_reader r, struct output *o)
{
    char text[IPV4_TEXT_SIZE];
    const char *separator = "";
    while (wire_reader_left(&r) >= 4) {
        put_text(o, "%s%s", separator, ipv4_format(wire_get_be32(&r), text));
        separator = ",";
    }
    return wire_reader_left(&r) == 0 && *separator;
}

static bool format_address(struct wire_reader r, struct output *o)
{
    return wire_reader_left(&r) == 4 && format_addresses(r, o);
}

/* --- routes --- */

/* "10.1.0.0/16:10.0.0.2", "default:10.0.0.1" */
static bool put_route(char *word, struct wire_writer *w)
{
    uint32_t network = 0, mask = 0, router;
    char *colon = strchr(word, ':');
    if (!colon)
        return false;
    *colon = '\0';
    if (!str_eq(word, "default") && !str_eq(word, "0.0.0.0/0") &&
        ipv4_parse_network(word, &network, &mask) < 0)
        return false;
    if (ipv4_parse(colon + 1, &router) < 0)
        return false;
    unsigned bits = (unsigned)__builtin_popcount(mask);
    wire_put_u8(w, (uint8_t)bits);
    for (unsigned i = 0; i < (bits + 7) / 8; i++)
        wire_put_u8(w, (uint8_t)(network >> (24 - 8 * i)));
    wire_put_be32(w, router);
    return true;
}

static bool parse_routes(const char *text, struct wire_writer *w)
{
    return put_words(text, put_route, w);
}

static bool format_route(struct wire_reader *r, struct output *o)
{
    char network_text[IPV4_TEXT_SIZE], router_text[IPV4_TEXT_SIZE];
    uint32_t network = 0;
    unsigned bits = wire_get_u8(r);
    for (unsigned i = 0; bits <= 32 && i < (bits + 7) / 8; i++)
        network |= (uint32_t)wire_get_u8(r) << (24 - 8 * i);
    uint32_t router = wire_get_be32(r);
    uint32_t mask = bits == 0 || bits > 32 ? 0 : UINT32_MAX << (32 - bits);
    ipv4_format(router, router_text);
    if (bits == 0)
        put_text(o, "default:%s", router_text);
    else
        put_text(o, "%s/%u:%s", ipv4_format(network, network_text), bits, router_text);
    return wire_reader_ok(r) && bits <= 32 && (network & ~mask) == 0;
}

static bool format_routes(struct wire_reader r, struct output *o)
{
    size_t n = 0;
    for (; wire_reader_left(&r) > 0; n++) {
        put_text(o, "%s", n ? "," : "");
        if (!format_route(&r, o))
            return false;
    }
    return n > 0;
}

/* --- domains --- */

static bool parse_domain(const char *text, struct wire_writer *w)
{
    wire_put_bytes(w, text, strlen(text));
    return name_is_domain(text);
}

static bool format_domain(struct wire_reader r, struct output *o)
{
    char name[256] = "";
    size_t size = wire_reader_left(&r);
    if (size == 0 || size >= sizeof(name) || memchr(r.pos, '\0', size))
        return false;
    memcpy(name, r.pos, size);
    put_text(o, "%s", name);
    return name_is_domain(name);
}

#define POINTER       0xc000
#define MAX_LABEL     63
#define MAX_NAME_TEXT 253

/* The name at `at`, as text, and where the next one begins. Pointers lead backwards only, so that
 * this ends. RFC 1035 4.1.4. False: there is no name. */
static bool read_name(const uint8_t *data, size_t size, size_t *at,
                      char name[static MAX_NAME_TEXT + 1])
{
    size_t used = 0, pos = *at, lowest = *at;
    bool jumped = false;
    while (pos < size && data[pos] != 0) {
        unsigned length = data[pos];
        if (length > MAX_LABEL) {
            size_t target = pos + 1 < size ? (length << 8 | data[pos + 1]) & 0x3fffU : size;
            if (length < POINTER >> 8 || target >= lowest)
                return false;
            *at = jumped ? *at : pos + 2;
            jumped = true;
            pos = lowest = target;
            continue;
        }
        if (pos + 1 + length > size || used + length + (used > 0) > MAX_NAME_TEXT)
            return false;
        if (used > 0)
            name[used++] = '.';
        memcpy(name + used, data + pos + 1, length);
        used += length;
        pos += 1 + length;
    }
    name[used] = '\0';
    *at = jumped ? *at : pos + 1;
    return pos < size && strlen(name) == used;
}

/* Where a name that is written already ends just so. */
static bool find_suffix(const struct wire_writer *w, const char *suffix, size_t *ret_at)
{
    size_t size = wire_writer_used(w);
    for (size_t at = 0; at < size && at < 0x4000;) {
        char name[MAX_NAME_TEXT + 1];
        size_t next = at;
        if (!read_name(w->start, size, &next, name))
            return false;
        for (size_t label = at; label < size && w->start[label] && w->start[label] <= MAX_LABEL;
             label += 1 + w->start[label]) {
            size_t end = label;
            if (read_name(w->start, size, &end, name) && str_eq(name, suffix)) {
                *ret_at = label;
                return true;
            }
        }
        at = next;
    }
    return false;
}

static bool put_name(char *word, struct wire_writer *w)
{
    struct wire_writer one = *w; /* what is there of the others, while this one is being written */
    if (!name_is_domain(word))
        return false;
    for (const char *label = word; *label;) {
        size_t n = strcspn(label, "."), at;
        if (find_suffix(&one, label, &at)) {
            wire_put_be16(w, (uint16_t)(POINTER | at));
            return true;
        }
        wire_put_u8(w, (uint8_t)n);
        wire_put_bytes(w, label, n);
        label += n + (label[n] == '.');
    }
    wire_put_u8(w, 0);
    return true;
}

static bool parse_domains(const char *text, struct wire_writer *w)
{
    return put_words(text, put_name, w);
}

static bool format_domains(struct wire_reader r, struct output *o)
{
    char name[MAX_NAME_TEXT + 1];
    const uint8_t *data = r.pos;
    size_t size = wire_reader_left(&r);
    for (size_t at = 0; at < size;) {
        put_text(o, "%s", at ? "," : "");
        if (!read_name(data, size, &at, name) || !name_is_domain(name))
            return false;
        put_text(o, "%s", name);
    }
    return size > 0;
}

/* --- the types --- */

struct type {
    const char *name;
    bool (*parse)(const char *text, struct wire_writer *w);
    bool (*format)(struct wire_reader r, struct output *o);
    const char *wrong;
};

static const struct type types[DHCP_TYPES_COUNT] = {
    [DHCP_TYPE_HEX] = {"hex", parse_hex, format_hex,
                       "must be bytes in hexadecimal, such as 0a0b0c or 0a:0b:0c"},
    [DHCP_TYPE_TEXT] = {"text", parse_text, format_text,
                        "must be a text without control characters"},
    [DHCP_TYPE_BOOL] = {"bool", parse_bool, format_bool, "must be yes or no"},
    [DHCP_TYPE_U8] = {"u8", parse_u8, format_u8, "must be a number up to 255"},
    [DHCP_TYPE_U16] = {"u16", parse_u16, format_u16, "must be a number up to 65535"},
    [DHCP_TYPE_U32] = {"u32", parse_u32, format_u32, "must be a number up to 4294967295"},
    [DHCP_TYPE_I32] = {"i32", parse_i32, format_i32,
                       "must be a number from -2147483648 to 2147483647"},
    [DHCP_TYPE_ADDRESS] = {"address", parse_address, format_address,
                           "must be an IPv4 address, such as 10.0.0.1"},
    [DHCP_TYPE_ADDRESSES] = {"addresses", parse_addresses, format_addresses,
                             "must be IPv4 addresses, such as 10.0.0.1,10.0.0.2"},
    [DHCP_TYPE_DOMAIN] = {"domain", parse_domain, format_domain, "must be a domain name"},
    [DHCP_TYPE_DOMAINS] = {"domains", parse_domains, format_domains,
                           "must be domain names, such as lan.example,example"},
    [DHCP_TYPE_ROUTES] = {"routes", parse_routes, format_routes,
                          "must be routes NETWORK/BITS:ROUTER, such as "
                          "10.1.0.0/16:10.0.0.2,default:10.0.0.1"},
};

const char *dhcp_option_type_name(enum dhcp_option_type type)
{
    return types[type].name;
}

bool dhcp_option_type_by_name(const char *name, size_t length, enum dhcp_option_type *ret_type)
{
    for (size_t i = 0; i < DHCP_TYPES_COUNT; i++) {
        if (strlen(types[i].name) == length && memcmp(types[i].name, name, length) == 0) {
            *ret_type = (enum dhcp_option_type)i;
            return true;
        }
    }
    return false;
}

const char *dhcp_option_value_parse(enum dhcp_option_type type, const char *text,
                                    struct wire_writer *writer)
{
    if (strlen(text) > DHCP_OPTION_TEXT_MAX)
        return "is too long";
    if (!types[type].parse(text, writer))
        return types[type].wrong;
    return wire_writer_ok(writer) ? NULL : "is too long";
}

bool dhcp_option_value_format(enum dhcp_option_type type, const uint8_t *data, size_t size,
                              char text[static DHCP_OPTION_TEXT_SIZE])
{
    struct output output = {.text = text};
    text[0] = '\0';
    return types[type].format(wire_reader_of(data, size), &output) && !output.full;
}
