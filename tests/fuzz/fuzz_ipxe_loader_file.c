/*
 * The files of boot loaders. Input: the file; if it has an odd number of bytes, not all of it. What
 * is told of it can be shown on a terminal, does not contradict itself, and is told of iPXE only.
 */
#include "ipxe/loader_file.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_version(const char *version)
{
    for (const char *p = version; *p; p++)
        assert(*p >= ' ' && *p < 0x7f);
    assert(!version[0] || (version[0] >= '0' && version[0] <= '9'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loader_file file;
    size_t count;
    bool whole = size % 2 == 0;
    (void)loader_file_features(&count);
    loader_file_look(data, size, whole, &file);
    assert(strnlen(file.version, sizeof(file.version)) < sizeof(file.version));
    check_version(file.version);
    assert((file.features & file.missing) == 0);
    assert((uint64_t)(file.features | file.missing) < 1ULL << count);
    assert(file.is_ipxe || (!file.version[0] && !file.features));
    assert(!file.missing || (file.is_ipxe && whole && size >= file.size));
    assert(file.format == LOADER_FORMAT_UEFI || (!file.size && !file.machine && !file.features));
    assert(file.format != LOADER_FORMAT_UNKNOWN || !file.is_ipxe);
    return 0;
}
