#include "boot/adopt.h"

#include <errno.h>
#include <fnmatch.h>

#define MAX_DIGITS 9
#define MAX_NUMBER 99999

/* --- which machines --- */

const char *adopt_add_prefix(struct adopt_match *match, const char *text)
{
    if (match->n_prefixes == ADOPT_MAX_PREFIXES)
        return "are more than 16";
    if (mac_prefix_parse(text, &match->prefixes[match->n_prefixes]) < 0)
        return "must be the beginning of a MAC, such as 52:54:00";
    match->n_prefixes++;
    return NULL;
}

static bool has_prefix(const struct adopt_match *match, struct mac_address mac)
{
    for (size_t i = 0; i < match->n_prefixes; i++)
        if (mac_prefix_has(&match->prefixes[i], mac))
            return true;
    return match->n_prefixes == 0;
}

static bool fits(const char *pattern, const char *text)
{
    return !pattern[0] || fnmatch(pattern, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

bool adopt_matches(const struct adopt_match *match, const struct registry_pending *machine)
{
    const struct facts *f = &machine->facts;
    return has_prefix(match, machine->mac) && fits(match->subnet, machine->subnet) &&
           fits(match->circuit_id, machine->circuit_id) &&
           fits(match->remote_id, machine->remote_id) &&
           fits(match->manufacturer, f->manufacturer) && fits(match->product, f->product) &&
           fits(match->serial, f->serial);
}

/* --- names --- */

enum part { PART_NUMBER, PART_MAC, PART_TEXT };

struct place {
    const char *word; /* as it is written */
    enum part part;
    size_t offset; /* of the text, in struct registry_pending */
};

#define TEXT(member) PART_TEXT, offsetof(struct registry_pending, member)

static const struct place places[] = {
    {"number", PART_NUMBER, 0},
    {"mac", PART_MAC, 0},
    {"serial", TEXT(facts.serial)},
    {"product", TEXT(facts.product)},
    {"manufacturer", TEXT(facts.manufacturer)},
    {"uuid", TEXT(facts.uuid)},
    {"subnet", TEXT(subnet)},
    {"circuit", TEXT(circuit_id)},
    {"remote", TEXT(remote_id)},
};

struct name {
    char text[NAME_MAX_LEN + 1];
    size_t size;
    bool too_long;
};

static void put(struct name *name, char c)
{
    if (name->size < NAME_MAX_LEN)
        name->text[name->size++] = c;
    else
        name->too_long = true;
}

/* Dashes neither double nor at its end. */
static void put_text(struct name *name, const char *text)
{
    size_t begin = name->size;
    for (; *text; text++) {
        char c = *text;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain)
            put(name, c);
        else if (name->size > begin && name->text[name->size - 1] != '-')
            put(name, '-');
    }
    while (name->size > begin && name->text[name->size - 1] == '-')
        name->size--;
}

static void put_mac(struct name *name, struct mac_address mac)
{
    char text[2 * sizeof(mac.bytes) + 1];
    for (size_t i = 0; i < sizeof(mac.bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", mac.bytes[i]);
    put_text(name, text);
}

static void put_number(struct name *name, unsigned number, unsigned digits)
{
    char text[16];
    snprintf(text, sizeof(text), "%0*u", (int)digits, number);
    put_text(name, text);
}

/* "number:02}" behind "%{"; *ret_end is behind it. NULL: there is no such thing. */
static const struct place *find_place(const char *text, unsigned *ret_digits, const char **ret_end)
{
    size_t n = strcspn(text, ":}");
    *ret_digits = 1;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (strlen(places[i].word) != n || strncmp(places[i].word, text, n) != 0)
            continue;
        const char *rest = text + n;
        if (places[i].part == PART_NUMBER && rest[0] == ':' && rest[1] == '0' && rest[2] >= '1' &&
            rest[2] < '1' + MAX_DIGITS) {
            *ret_digits = (unsigned)(rest[2] - '0');
            rest += 3;
        }
        if (*rest != '}')
            return NULL;
        *ret_end = rest + 1;
        return &places[i];
    }
    return NULL;
}

static bool is_numbered(const char *pattern)
{
    return strstr(pattern, "%{number") != NULL;
}

bool adopt_is_pattern(const char *text)
{
    return strstr(text, "%{") != NULL;
}

static int put_place(struct name *name, const struct place *place,
                     const struct registry_pending *machine, unsigned number, unsigned digits,
                     struct error *ret_error)
{
    const char *text = (const char *)machine + place->offset;
    size_t before = name->size;
    switch (place->part) {
    case PART_NUMBER:
        put_number(name, number, digits);
        break;
    case PART_MAC:
        put_mac(name, machine->mac);
        break;
    case PART_TEXT:
        put_text(name, text);
        break;
    }
    if (name->size == before && !name->too_long)
        return error_set(ret_error, -EINVAL, "the machine does not say its %s", place->word);
    return 0;
}

static int expand(const char *pattern, const struct registry_pending *machine, unsigned number,
                  struct name *name, struct error *ret_error)
{
    unsigned digits;
    for (const char *p = pattern; *p;) {
        const struct place *place = NULL;
        if (p[0] != '%') {
            put(name, *p++);
            continue;
        }
        if (p[1] == '{')
            place = find_place(p + 2, &digits, &p);
        if (!place)
            return error_set(ret_error, -EINVAL,
                             "a name has parts such as %%{number}, %%{number:02}, %%{mac} or "
                             "%%{serial}; '%.40s' is none",
                             p);
        int r = put_place(name, place, machine, number, digits, ret_error);
        if (r < 0)
            return r;
    }
    name->text[name->size] = '\0';
    return 0;
}

static int make(const char *pattern, const struct registry_pending *machine, unsigned number,
                char ret_name[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    struct name name = {0};
    struct mac_address mac;
    int r = expand(pattern, machine, number, &name, ret_error);
    if (r < 0)
        return r;
    if (name.too_long || !name_is_host(name.text) || mac_parse(name.text, &mac) == 0)
        return error_set(ret_error, -EINVAL, "'%s' cannot be a node's name%s", name.text,
                         name.too_long ? ": it is too long" : "");
    str_copy(ret_name, NAME_MAX_LEN + 1, name.text);
    return 0;
}

int adopt_check_pattern(const char *pattern, struct error *ret_error)
{
    static const struct registry_pending some = {
        .mac = {{0x52, 0x54, 0, 0x12, 0x34, 0x56}},
        .facts = {.uuid = "12345678-1234-1234-1234-123456789abc",
                  .manufacturer = "m",
                  .product = "p",
                  .serial = "s"},
        .subnet = "n",
        .circuit_id = "c",
        .remote_id = "r",
    };
    char name[NAME_MAX_LEN + 1];
    return make(pattern, &some, 1, name, ret_error);
}

int adopt_make_name(const char *pattern, const struct registry_pending *machine,
                    bool (*is_taken)(void *context, const char *name), void *context,
                    char ret_name[static NAME_MAX_LEN + 1], struct error *ret_error)
{
    char name[NAME_MAX_LEN + 1];
    unsigned last = is_numbered(pattern) ? MAX_NUMBER : 1;
    for (unsigned number = 1; number <= last; number++) {
        int r = make(pattern, machine, number, name, ret_error);
        if (r < 0)
            return r;
        if (!is_taken(context, name)) {
            str_copy(ret_name, NAME_MAX_LEN + 1, name);
            return 0;
        }
    }
    return error_set(ret_error, -EEXIST, "there is a node or a volume '%s' already", name);
}
