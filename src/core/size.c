#include "core/size.h"

#include <errno.h>
#include <inttypes.h>
#include <strings.h>

static const char units[] = "KMGTP";

/* The power of 1024 that a suffix stands for; negative if it is none. */
static int suffix_power(const char *suffix)
{
    if (!*suffix || strcasecmp(suffix, "B") == 0)
        return 0;
    char letter = (char)(*suffix >= 'a' && *suffix <= 'z' ? *suffix - 'a' + 'A' : *suffix);
    const char *unit = strchr(units, letter);
    const char *rest = suffix + 1;
    if (!unit || (*rest && strcasecmp(rest, "B") != 0 && strcasecmp(rest, "iB") != 0))
        return -EINVAL;
    return (int)(unit - units) + 1;
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9')
        return -EINVAL;
    int power = suffix_power(end);
    if (power < 0)
        return power;
    if (errno || n > (uint64_t)INT64_MAX >> (10 * power))
        return -ERANGE;
    *ret_bytes = (uint64_t)n << (10 * power);
    return 0;
}

const char *size_format(uint64_t bytes, char buffer[static SIZE_TEXT_SIZE])
{
    uint64_t unit = 1;
    int power = 0;
    while (power < 5 && bytes / unit >= 1024) {
        unit *= 1024;
        power++;
    }
    if (power == 0) {
        snprintf(buffer, SIZE_TEXT_SIZE, "%" PRIu64 " B", bytes);
        return buffer;
    }
    uint64_t whole = bytes / unit, tenths = bytes % unit * 10 / unit;
    if (tenths && whole < 100)
        snprintf(buffer, SIZE_TEXT_SIZE, "%u.%u %ciB", (unsigned)whole, (unsigned)tenths,
                 units[power - 1]);
    else
        snprintf(buffer, SIZE_TEXT_SIZE, "%" PRIu64 " %ciB", whole, units[power - 1]);
    return buffer;
}
