/* Settings of trees. Filling in makes no line and takes none away. */
#include "ipxe/tree.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_lines(const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += text[i] == '\n';
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct script_tree_values values = {.boot_url = "U",
                                              .iscsi_server = "S",
                                              .base_iqn = "I",
                                              .base_iscsi = "B",
                                              .initiator_iqn = size % 2 ? "N" : NULL};
    char *once, *twice;
    size_t once_size, twice_size;
    if (script_tree_fill((const char *)data, size, &values, &once, &once_size) < 0)
        return 0;
    assert(count_lines(once, once_size) == count_lines((const char *)data, size));
    if (script_tree_fill(once, once_size, &values, &twice, &twice_size) >= 0) {
        assert(count_lines(twice, twice_size) == count_lines(once, once_size));
        free(twice);
    }
    free(once);
    return 0;
}
