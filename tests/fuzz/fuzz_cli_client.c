/* The head of an HTTP answer. */
#include "cli/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head head;
    if (client_parse_head((const char *)data, size, &head) > 0 && head.size > size)
        abort();
    return 0;
}
