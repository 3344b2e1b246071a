/*
 * What a damaged or hostile disk has in the file of a boot set. Input: the file; checksums are put
 * right where they would be if the first bit of the input, which comes before it, says so.
 */
#include "storage/boot_set.h"

#include "core/wire.h"

#include <assert.h>
#include <errno.h>

#include <isa-l/crc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IMAGE_SIZE (40 * 64 * KIB + 512)

static uint32_t crc32c(uint8_t *bytes, size_t size)
{
    return crc32_iscsi(bytes, (int)size, ~0u) ^ ~0u;
}

static void mend(uint8_t *bytes, size_t size)
{
    if (size < BOOT_SET_HEADER_SIZE)
        return;
    struct wire_writer w = wire_writer_of(bytes + BOOT_SET_HEADER_SIZE - 8, 8);
    wire_put_be32(&w, crc32c(bytes + BOOT_SET_HEADER_SIZE, size - BOOT_SET_HEADER_SIZE));
    wire_put_be32(&w, crc32c(bytes, BOOT_SET_HEADER_SIZE - 4));
}

static void check_runs(const struct boot_set *set)
{
    uint64_t last = IMAGE_SIZE + 1;
    for (uint64_t limit = IMAGE_SIZE; limit > 0; limit /= 2) {
        unsigned threshold = boot_set_threshold(set, limit);
        uint64_t bytes = boot_set_bytes(set, threshold), sum = 0, length;
        for (uint64_t at = 0; boot_set_next_run(set, threshold, &at, &length); at += length) {
            assert(length > 0 && at + length <= IMAGE_SIZE);
            sum += length;
        }
        assert(sum == bytes && bytes <= limit && bytes <= last);
        last = bytes;
    }
}

/* What is understood is written as it was read. */
static void check_same(const struct boot_set *set, const uint8_t *bytes, size_t size)
{
    uint8_t *again = malloc(size);
    assert(boot_set_encoded_size(set) == size);
    boot_set_encode(set, again);
    assert(memcmp(again, bytes, size) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t id[BOOT_SET_IDENTITY_SIZE] = "identity";
    struct error error = {0};
    struct boot_set set;
    if (size == 0)
        return 0;
    uint8_t *bytes = malloc(size);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1)
        mend(bytes, size - 1);
    int r = boot_set_decode(bytes, size - 1, id, IMAGE_SIZE, &set, &error);
    assert(r == 0 || r == -EBADMSG || r == -ENOTSUP);
    assert((r == 0) == !error.text[0]);
    if (r == 0) {
        check_runs(&set);
        check_same(&set, bytes, size - 1);
        boot_set_free(&set);
    }
    free(bytes);
    return 0;
}
