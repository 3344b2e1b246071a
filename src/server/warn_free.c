#include "server/warn_free.h"

#include "core/size.h"

#include <errno.h>

static int parse_percent(const char *text, size_t n_digits, struct warn_free *ret_warn)
{
    unsigned percent = 0;
    if (n_digits < 1 || n_digits > 2)
        return -EINVAL;
    for (size_t i = 0; i < n_digits; i++)
        percent = percent * 10 + (unsigned)(text[i] - '0');
    *ret_warn = (struct warn_free){.percent = percent};
    return 0;
}

int warn_free_parse(const char *text, struct warn_free *ret_warn)
{
    uint64_t bytes;
    size_t n_digits = strspn(text, "0123456789");
    if (str_eq(text + n_digits, "%"))
        return parse_percent(text, n_digits, ret_warn);
    if (size_parse(text, &bytes) < 0)
        return -EINVAL;
    *ret_warn = (struct warn_free){.bytes = bytes};
    return 0;
}

uint64_t warn_free_threshold(const struct warn_free *warn, uint64_t total)
{
    return warn->percent ? total / 100 * warn->percent : warn->bytes;
}

uint64_t warn_free_follow(uint64_t before, uint64_t fresh)
{
    uint64_t difference = before > fresh ? before - fresh : fresh - before;
    return difference <= before / 10 ? before : fresh;
}

bool warn_free_is_low(bool was_low, uint64_t available, uint64_t threshold)
{
    uint64_t enough = was_low ? threshold + threshold / 10 : threshold;
    return available < enough;
}
