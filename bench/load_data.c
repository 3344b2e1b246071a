/*
 * What is written, and what reads are compared with: a file, or a pattern of which each eight bytes
 * say where they lie.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MULTIPLIER 0x9e3779b97f4a7c15U
#define TOLD       10 /* mismatches that are described */

uint32_t load_crc(uint32_t crc, const void *data, size_t length)
{
    return crc32_iscsi((unsigned char *)(uintptr_t)data, (int)length, crc);
}

static uint64_t word_at(uint64_t offset)
{
    return (offset / 8 + 1) * MULTIPLIER;
}

static void fill(uint8_t *data, uint64_t offset, size_t length)
{
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = word_at(offset + i);
        memcpy(data + i, &word, 8);
    }
}

static void map_file(struct load *load)
{
    struct stat st;
    cleanup_close int fd = open(load->options.against, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        load_fail(NULL, "%s: %s", load->options.against, strerror(errno));
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        load_fail(NULL, "%s: %s", load->options.against, strerror(errno));
    load->data.against = map;
    load->data.against_size = (uint64_t)st.st_size;
}

void load_data_open(struct load *load)
{
    load->data.filler = malloc(load->options.block);
    if (!load->data.filler)
        load_fail(NULL, "out of memory");
    fill((uint8_t *)load->data.filler, 1, load->options.block);
    if (load->options.against)
        map_file(load);
}

const uint8_t *load_data_for_write(struct load *load, struct task *task)
{
    uint32_t length = load->options.block;
    if (!load->options.verify && !load->options.fill)
        return (const uint8_t *)load->data.filler;
    if (load->data.against) {
        if (task->offset + length > load->data.against_size)
            load_fail(NULL, "%s ends before what is to be written", load->options.against);
        return load->data.against + task->offset;
    }
    if (!task->data && !(task->data = malloc(length)))
        load_fail(NULL, "out of memory");
    fill(task->data, task->offset, length);
    return task->data;
}

static size_t first_difference(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static void tell(struct session *session, uint64_t offset)
{
    struct load *load = session->load;
    if (load->mismatches++ < TOLD)
        fprintf(stderr, "session %u: the byte at %llu is not what it must be\n", session->index,
                (unsigned long long)offset);
}

static void compare_file(struct session *session, uint64_t offset, const uint8_t *data,
                         size_t length)
{
    const struct load_data *all = &session->load->data;
    if (offset + length > all->against_size)
        load_fail(session, "the file to compare with ends at %llu",
                  (unsigned long long)all->against_size);
    if (memcmp(data, all->against + offset, length) != 0)
        tell(session, offset + first_difference(data, all->against + offset, length));
}

void load_data_compare(struct session *session, uint64_t offset, const uint8_t *data, size_t length)
{
    uint8_t expected[4096 + 8];
    if (session->load->data.against) {
        compare_file(session, offset, data, length);
        return;
    }
    while (length > 0) {
        size_t skip = offset % 8, n = MIN(length, sizeof(expected) - 8);
        fill(expected, offset - skip, (skip + n + 7) / 8 * 8);
        if (memcmp(data, expected + skip, n) != 0) {
            tell(session, offset + first_difference(data, expected + skip, n));
            return;
        }
        data += n;
        offset += n;
        length -= n;
    }
}
