/* The beginning of a file that is to be an image. Input: length and bytes of its path, then it. */
#include "core/wire.h"
#include "storage/format.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same file as what an image is imported from. */
static void detect(int fd, const char *path, uint64_t size)
{
    struct error error = {0};
    struct format_found found = {0};
    int r = format_detect(fd, path, size, &found, &error);
    assert(r == 0 || r == -EINVAL);
    assert(error.code == r && (r == 0) == (error.text[0] == '\0'));
    if (r < 0)
        return;
    assert(found.format && found.format->name);
    assert(found.format->kind != FORMAT_RAW || found.size <= size);
    assert((found.format->kind == FORMAT_QEMU) == (found.format->driver != NULL));
    assert((found.format->kind == FORMAT_PACKED) == (found.format->unpack != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    char path[256] = "";
    struct wire_reader r = wire_reader_of(data, size);
    size_t n = wire_get_u8(&r);
    wire_get_copy(&r, path, MIN(n, wire_reader_left(&r)));
    int fd = memfd_create("image", MFD_CLOEXEC);
    size_t left = wire_reader_left(&r);
    if (fd < 0 || (left > 0 && write(fd, r.pos, left) != (ssize_t)left))
        abort();
    int result = format_check_raw(fd, path, &error);
    assert(result == 0 || result == -EINVAL);
    assert(error.code == result && (result == 0) == (error.text[0] == '\0'));
    if (result < 0)
        assert(str_has_prefix(error.text, "this is a ") && strstr(error.text, "convert it first"));
    detect(fd, path, left);
    close(fd);
    return 0;
}
