#include "core/names.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_label(const char *s, size_t n)
{
    if (n == 0 || n > NAME_MAX_LEN || s[0] == '-' || s[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(s[i]) && s[i] != '-')
            return false;
    return true;
}

bool name_is_host(const char *name)
{
    return is_label(name, strlen(name));
}

bool name_is_object(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_MAX_LEN || !is_alnum(name[0]))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!is_alnum(name[i]) && name[i] != '-' && name[i] != '.')
            return false;
    return strstr(name, "..") == NULL;
}

bool name_is_domain(const char *name)
{
    if (strlen(name) > 253)
        return false;
    for (const char *p = name;; p++) {
        const char *dot = strchrnul(p, '.');
        if (!is_label(p, (size_t)(dot - p)))
            return false;
        if (*dot == '\0')
            return true;
        p = dot;
    }
}

/* "2026-11" */
static bool is_year_month(const char *s)
{
    return is_digit(s[0]) && is_digit(s[1]) && is_digit(s[2]) && is_digit(s[3]) && s[4] == '-' &&
           is_digit(s[5]) && is_digit(s[6]);
}

bool name_is_iqn(const char *name)
{
    size_t n = strlen(name);
    if (n > IQN_MAX_LEN || n < strlen("iqn.2026-11.x") || !str_has_prefix(name, "iqn.") ||
        !is_year_month(name + 4) || name[11] != '.')
        return false;
    for (const char *p = name + 12; *p; p++)
        if (!is_alnum(*p) && *p != '.' && *p != ':' && *p != '-')
            return false;
    return true;
}
