/* iPXE, src/core/settings.c, and the list of https://ipxe.org/cfg. */
#include "ipxe/settings.h"

#define MAX_NESTING 8

bool setting_is_built_in(const char *name)
{
    static const char *const names[] = {
        "asset",
        "board-serial",
        "buildarch",
        "builtin",
        "busid",
        "busloc",
        "bustype",
        "cert",
        "chip",
        "crosscert",
        "cwduri",
        "cwuri",
        "dhcp-server",
        "dns",
        "dns6",
        "dnssl",
        "domain",
        "encap",
        "errno",
        "filename",
        "gateway",
        "gateway6",
        "hostname",
        "hwaddr",
        "ifname",
        "initiator-iqn",
        "ip",
        "ip6",
        "keep-san",
        "key",
        "keymap",
        "language",
        "len",
        "len6",
        "linktype",
        "mac",
        "manufacturer",
        "memsize",
        "mtu",
        "netX",
        "netmask",
        "next-server",
        "no-pxedhcp",
        "password",
        "platform",
        "priority",
        "privkey",
        "product",
        "reverse-password",
        "reverse-username",
        "root-path",
        "san-drive",
        "san-filename",
        "san-retries",
        "scriptlet",
        "serial",
        "skip-san-boot",
        "ssid",
        "syslog",
        "syslogs",
        "sysmac",
        "trust",
        "unixtime",
        "use-cached",
        "user-class",
        "username",
        "uuid",
        "vendor-class",
        "version",
    };
    if (strpbrk(name, "/.") || (name[0] >= '0' && name[0] <= '9'))
        return true; /* of a place (net0/ip), or a number (175.3) */
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* The innermost ${...} that is complete: NULL if there is none; *ret_end: its brace. */
static char *find_innermost(char *text, char **ret_end)
{
    char *begin = NULL;
    for (char *p = text; *p; p++) {
        if (p[0] == '$' && p[1] == '{')
            begin = p;
        else if (*p == '}' && begin) {
            *ret_end = p;
            return begin;
        }
    }
    return NULL;
}

/* Without its type (":hexraw"). False: it is too long for one of ours, or empty. */
static bool take_name(const char *begin, const char *end, char name[static SETTING_MAX_NAME + 1])
{
    const char *colon = memchr(begin, ':', (size_t)(end - begin));
    size_t n = (size_t)((colon ? colon : end) - begin);
    if (n == 0 || n > SETTING_MAX_NAME)
        return false;
    memcpy(name, begin, n);
    name[n] = '\0';
    return true;
}

static const char *value_of(const struct setting_scope *scope, const char *name)
{
    return setting_is_built_in(name) ? "" : scope->look(scope->context, name);
}

bool setting_expand(const struct setting_scope *scope, const char *word, char *buffer, size_t size)
{
    char *end, name[SETTING_MAX_NAME + 1];
    if (!str_copy(buffer, size, word))
        return false;
    for (unsigned i = 0; i < MAX_NESTING; i++) {
        char *begin = find_innermost(buffer, &end);
        if (!begin)
            return !strstr(buffer, "${");
        const char *value = take_name(begin + 2, end, name) ? value_of(scope, name) : NULL;
        size_t rest = strlen(end + 1) + 1, n = value ? strlen(value) : 0;
        if (n == 0 || (size_t)(begin - buffer) + n + rest > size)
            return false;
        memmove(begin + n, end + 1, rest);
        for (size_t k = 0; k < n; k++)
            begin[k] = value[k];
    }
    return false;
}

bool setting_names(const char *word, void (*take)(void *context, const char *name), void *context)
{
    char name[SETTING_MAX_NAME + 1];
    const char *rest = word;
    while ((rest = strstr(rest, "${"))) {
        const char *begin = rest + 2, *end = strchr(begin, '}'), *inner = strstr(begin, "${");
        if (!end)
            return false;
        bool nested = inner && inner < end;
        if (!nested && take_name(begin, end, name))
            take(context, name);
        rest = begin;
    }
    return true;
}
