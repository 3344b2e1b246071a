#include "prepare/interfaces.h"

/* A line in words: its first one with - for _, since either is written, and what is behind it. */
struct line {
    const char *text;
    size_t size; /* without the newline */
    char key[INTERFACES_MAX_WORD];
    const char *rest;
    size_t rest_size;
};

static size_t blanks(const char *text, size_t size)
{
    size_t n = 0;
    while (n < size && (text[n] == ' ' || text[n] == '\t' || text[n] == '\r'))
        n++;
    return n;
}

static size_t word_size(const char *text, size_t size)
{
    size_t n = 0;
    while (n < size && text[n] != ' ' && text[n] != '\t' && text[n] != '\r')
        n++;
    return n;
}

static void put_word(char word[static INTERFACES_MAX_WORD], const char *text, size_t size)
{
    size = MIN(size, (size_t)INTERFACES_MAX_WORD - 1);
    memcpy(word, text, size);
    word[size] = '\0';
}

static bool next_line(const char **cursor, struct line *ret_line)
{
    struct line line = {.text = *cursor};
    if (!*line.text)
        return false;
    line.size = strcspn(line.text, "\n");
    *cursor = line.text + line.size + (line.text[line.size] == '\n');
    size_t begin = blanks(line.text, line.size);
    size_t size = word_size(line.text + begin, line.size - begin);
    put_word(line.key, line.text + begin, size);
    for (char *c = line.key; *c; c++)
        *c = *c == '_' ? '-' : *c;
    begin += size;
    begin += blanks(line.text + begin, line.size - begin);
    line.rest = line.text + begin;
    line.rest_size = line.size - begin;
    while (line.rest_size && blanks(line.rest + line.rest_size - 1, 1))
        line.rest_size--;
    *ret_line = line;
    return true;
}

static bool is_one_of(const char *key, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(key, words[i]))
            return true;
    return false;
}

/* Does a stanza end here? */
static bool begins_stanza(const struct line *line)
{
    static const char *const words[] = {
        "iface",  "auto",         "mapping",    "source",   "source-directory",
        "rename", "no-auto-down", "no-scripts", "template", "vlan"};
    return is_one_of(line->key, words, ARRAY_SIZE(words)) || str_has_prefix(line->key, "allow-");
}

static void take(struct interfaces_stanza *stanza, const struct line *line)
{
    static const char *const bonds[] = {"bond-slaves", "slaves", "bond-master"};
    if (str_eq(line->key, "bridge-ports")) {
        put_word(stanza->ports, line->rest, line->rest_size);
        stanza->is_bridge = true;
    } else if (str_eq(line->key, "bridge-stp")) {
        put_word(stanza->stp, line->rest, line->rest_size);
    } else if (str_eq(line->key, "bridge-fd")) {
        put_word(stanza->delay, line->rest, line->rest_size);
    } else if (str_eq(line->key, "address-purge")) {
        put_word(stanza->purge, line->rest, line->rest_size);
    } else if (is_one_of(line->key, bonds, ARRAY_SIZE(bonds))) {
        stanza->is_bond = true;
    }
}

bool interfaces_next(const char **cursor, struct interfaces_stanza *ret_stanza)
{
    struct interfaces_stanza stanza = {0};
    struct line line;
    bool found = false;
    const char *next = *cursor;
    while (next_line(&next, &line)) {
        bool begins = begins_stanza(&line);
        if (found && begins)
            break;
        if (found)
            take(&stanza, &line);
        if (begins && str_eq(line.key, "iface")) {
            put_word(stanza.name, line.rest, word_size(line.rest, line.rest_size));
            found = true;
        }
        *cursor = next;
    }
    if (found)
        *ret_stanza = stanza;
    return found;
}

/* What a bridge that is there already is not to be given, or is given by us. */
static bool is_replaced(const char *key)
{
    static const char *const words[] = {
        "address",        "netmask",         "network",
        "broadcast",      "gateway",         "pointopoint",
        "hwaddress",      "metric",          "bridge-ports",
        "bridge-stp",     "bridge-fd",       "bridge-hw",
        "bridge-maxwait", "bridge-waitport", "bridge-hello",
        "bridge-maxage",  "address-purge",   "bridge-ports-condone-regex",
        "hostname",       "client",          "leasehours",
        "leasetime",
    };
    return is_one_of(key, words, ARRAY_SIZE(words));
}

/* The stanza of the bridge for IPv4, or for both. */
static bool is_bridge_s(const struct line *line, const char *bridge)
{
    char word[INTERFACES_MAX_WORD];
    size_t size = word_size(line->rest, line->rest_size);
    if (!str_eq(line->key, "iface") || size != strlen(bridge) ||
        memcmp(line->rest, bridge, size) != 0)
        return false;
    size += blanks(line->rest + size, line->rest_size - size);
    put_word(word, line->rest + size, word_size(line->rest + size, line->rest_size - size));
    return !str_eq(word, "inet6");
}

/* ifupdown2 would take the guests of hypervisors out of it, which it does not know. */
#define GUESTS_STAY "\tbridge-ports-condone-regex ^(tap|veth|vnet|fwpr|fwln|lxc)\n"

static void put_stanza(FILE *file, const char *bridge, const char *port)
{
    fprintf(file,
            "iface %s inet manual\n\tbridge-ports %s\n\tbridge-stp off\n\tbridge-fd 0\n"
            "\taddress-purge no\n" GUESTS_STAY,
            bridge, port);
}

char *interfaces_edit(const char *text, const char *bridge, const char *port)
{
    char *edited = NULL;
    size_t size;
    struct line line;
    bool inside = false, found = false;
    FILE *file = open_memstream(&edited, &size);
    if (!file)
        return NULL;
    for (const char *cursor = text; next_line(&cursor, &line);) {
        bool begins = begins_stanza(&line);
        if (begins)
            inside = is_bridge_s(&line, bridge);
        if (begins && inside && !found)
            put_stanza(file, bridge, port);
        else if (begins && inside)
            fprintf(file, "iface %s inet manual\n", bridge);
        else if (!inside || !is_replaced(line.key))
            fprintf(file, "%.*s\n", (int)line.size, line.text);
        found |= begins && inside;
    }
    if (!found) {
        fprintf(file, "\nauto %s\n", bridge);
        put_stanza(file, bridge, port);
    }
    bool failed = ferror(file) != 0;
    if (fclose(file) == 0 && !failed)
        return edited;
    free(edited);
    return NULL;
}
