/* URLs that files are fetched from. */
#pragma once

#include "core/util.h"

/* What follows http:// or https://: the host. NULL: the text is no such URL, but a path, say. */
static inline const char *url_host(const char *text)
{
    if (str_has_prefix(text, "http://"))
        return text + strlen("http://");
    return str_has_prefix(text, "https://") ? text + strlen("https://") : NULL;
}
