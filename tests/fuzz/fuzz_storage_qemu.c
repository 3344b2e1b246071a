/*
 * What qemu-img says of a stranger's image. The first byte chooses: its info (of a format), what it
 * measures, its progress.
 */
#include "storage/qemu.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct format formats[] = {
    {FORMAT_QEMU, "qcow2", "qcow2", true, NULL, NULL},
    {FORMAT_QEMU, "vmdk", "vmdk", true, NULL, NULL},
    {FORMAT_QEMU, "vhd", "vpc", false, NULL, NULL},
};

static void check(int r, const struct error *error)
{
    assert(r <= 0 && error->code == r && (r == 0) == (error->text[0] == '\0'));
    for (const char *c = error->text; *c; c++)
        assert(*c >= ' ' && *c <= '~'); /* nothing of it reaches a terminal as it is */
}

static void try_info(const char *text, size_t size, const struct format *format)
{
    struct error error = {0};
    uint64_t bytes = 0;
    int r = qemu_parse_info(text, size, "/x/y", format, &bytes, &error);
    check(r, &error);
    assert(r < 0 || (bytes > 0 && bytes % 512 == 0 && bytes <= INT64_MAX));
    assert(r == 0 || bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    uint64_t bytes = 0;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    switch (data[0]) {
    case 'm':
        check(qemu_parse_measure(text, size - 1, &bytes, &error), &error);
        break;
    case 'p':
        assert(qemu_parse_progress(text, size - 1, 77) <= 10000);
        break;
    default:
        try_info(text, size - 1, &formats[data[0] % ARRAY_SIZE(formats)]);
    }
    return 0;
}
