/* The beginning of a device: what is found in it is a UUID. */
#include "prepare/filesystem.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char uuid[FILESYSTEM_UUID_SIZE];
    if (filesystem_uuid(data, size, uuid))
        assert(strlen(uuid) == FILESYSTEM_UUID_SIZE - 1 &&
               strspn(uuid, "0123456789abcdef-") == FILESYSTEM_UUID_SIZE - 1);
    return 0;
}
