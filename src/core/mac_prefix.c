#include "core/mac_prefix.h"

#include <errno.h>

int mac_prefix_parse(const char *text, struct mac_prefix *ret_prefix)
{
    struct mac_prefix prefix = {.size = 0};
    char separator = text[0] && text[1] ? text[2] : '\0';
    while (*text && prefix.size < sizeof(prefix.bytes)) {
        int high = hex_value(text[0]), low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0)
            return -EINVAL;
        prefix.bytes[prefix.size++] = (uint8_t)(high << 4 | low);
        text += 2;
        if ((separator == ':' || separator == '-') && *text == separator && text[1])
            text++;
    }
    if (*text || prefix.size == 0)
        return -EINVAL;
    *ret_prefix = prefix;
    return 0;
}

bool mac_prefix_has(const struct mac_prefix *prefix, struct mac_address mac)
{
    return memcmp(prefix->bytes, mac.bytes, prefix->size) == 0;
}
