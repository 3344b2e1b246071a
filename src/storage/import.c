#include "storage/import.h"

#include "core/size.h"
#include "storage/qemu.h"
#include "storage/space.h"
#include "storage/unpacked.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#define BUFFER_SIZE (1 * MIB)

/* Steps return 1: call me again; 0: done with this, go on with what import->step says. Whoever
 * drives the import is told of each, however little time it takes. */
struct import_step {
    const char *stage;
    int (*run)(struct import *import, uint64_t until, struct error *ret_error);
};

static int run_copy(struct import *import, uint64_t until, struct error *ret_error);
static int run_unpack(struct import *import, uint64_t until, struct error *ret_error);
static int run_check(struct import *import, uint64_t until, struct error *ret_error);
static int run_convert(struct import *import, uint64_t until, struct error *ret_error);
static int run_digest(struct import *import, uint64_t until, struct error *ret_error);

static const struct import_step copying = {"copying", run_copy};
static const struct import_step unpacking = {"unpacking", run_unpack};
static const struct import_step checking = {"checking", run_check};
static const struct import_step converting = {"converting", run_convert};
static const struct import_step checksum = {"computing the checksum", run_digest};

static void go_on_with(struct import *import, const struct import_step *step, uint64_t total)
{
    import->step = step;
    import->stage = step->stage;
    import->done = 0;
    import->total = total;
}

static void finish_filling(struct import *import, uint64_t size)
{
    import->size = import->filled = size;
    go_on_with(import, &checksum, size);
    import->done = import->digest.done;
}

/* --- a raw disk --- */

int import_check_size(const char *name, uint64_t size, struct error *ret_error)
{
    if (size > 0 && size % 512 == 0)
        return 0;
    return error_set(ret_error, -EINVAL,
                     "%s has %llu bytes, which is not a multiple of the block size 512: not a raw "
                     "disk",
                     name, (unsigned long long)size);
}

static int begin_copy(struct import *import, uint64_t size, struct error *ret_error)
{
    int r = import_check_size(import->from_name, size, ret_error);
    if (r < 0)
        return r;
    import->copy = (struct copy){.from = import->from,
                                 .to = import->to,
                                 .from_name = import->from_name,
                                 .to_name = import->to_name,
                                 .size = size};
    go_on_with(import, &copying, size);
    return copy_begin(&import->copy, ret_error);
}

/* The checksum follows on its heels, so that it finds everything in the page cache. */
static int run_copy(struct import *import, uint64_t until, struct error *ret_error)
{
    uint64_t now = clock_monotonic_usec();
    int r = copy_step(&import->copy, until > now ? (until - now) / 2 : 0, ret_error);
    if (r < 0)
        return r;
    import->filled = import->copy.done;
    if (r == 0) {
        finish_filling(import, import->copy.size);
        return 0;
    }
    r = digest_step(&import->digest, import->to, import->to_name, import->filled, until + 1000000,
                    ret_error);
    import->done = import->digest.done;
    return r < 0 ? r : 1;
}

/* --- what qemu-img reads --- */

static int begin_check(struct import *import, int from, const struct format *format,
                       struct error *ret_error)
{
    struct qemu_info info;
    int r = qemu_look(from, import->from_name, format, import->limit, &info, ret_error);
    if (r >= 0)
        r = space_check(import->to, import->to_name, info.data, ret_error);
    if (r < 0)
        return r;
    if (ftruncate(import->to, (off_t)info.size) < 0)
        return error_set(ret_error, -errno, "%s cannot be made that large: %s", import->to_name,
                         strerror(errno));
    import->size = info.size;
    import->convert_from = from;
    import->convert_format = format;
    go_on_with(import, &checking, info.size);
    return qemu_check(&import->child, from, format, info.size, ret_error);
}

static int run_check(struct import *import, uint64_t until, struct error *ret_error)
{
    char text[1024];
    ssize_t n;
    while ((n = child_read(&import->child, text, sizeof(text), until)) > 0)
        ;
    if (n == -EAGAIN)
        return 1;
    int r = qemu_check_finish(&import->child, import->from_name, ret_error);
    if (r < 0)
        return r;
    go_on_with(import, &converting, import->size);
    import->progress = 0;
    return qemu_convert(&import->child, import->convert_from, import->convert_format, import->size,
                        import->to, ret_error);
}

static int convert_failed(struct import *import, struct error *error)
{
    if (strstr(error->text, "No space left"))
        return unpacked_no_space(import->to_name, error);
    if (strstr(error->text, "Failed to get") && strstr(error->text, "lock"))
        return error_set(error, -EBUSY,
                         "%s is in use by another program (a virtual machine?): what is copied now "
                         "would be torn; shut that down first",
                         import->from_name);
    return error_prefix(error, "%.200s cannot be converted", import->from_name);
}

static int run_convert(struct import *import, uint64_t until, struct error *ret_error)
{
    char text[1024];
    ssize_t n;
    while ((n = child_read(&import->child, text, sizeof(text), until)) > 0)
        import->progress = qemu_parse_progress(text, (size_t)n, import->progress);
    import->done = (uint64_t)((double)import->size / 10000 * import->progress);
    if (n == -EAGAIN)
        return 1;
    int r = child_finish(&import->child, ret_error);
    if (r < 0)
        return convert_failed(import, ret_error);
    finish_filling(import, import->size);
    return 0;
}

/* --- what another program unpacks --- */

static int begin_unpack(struct import *import, const struct format *format, struct error *ret_error)
{
    const char *const argv[] = {format->unpack, "-dc", NULL};
    const struct child_spec spec = {.argv = argv,
                                    .package = format->package,
                                    .input = import->from,
                                    .files = {-1, -1},
                                    .seconds = 600 + import->limit / (2 * MIB)};
    if (lseek(import->from, 0, SEEK_SET) < 0)
        return error_set(ret_error, -errno, "%s cannot be read: %s", import->from_name,
                         strerror(errno));
    import->buffer = malloc(BUFFER_SIZE);
    if (!import->buffer)
        return error_set(ret_error, -ENOMEM, "out of memory");
    go_on_with(import, &unpacking, import->from_size);
    return child_start(&import->child, &spec, ret_error);
}

/* What comes out is known by its beginning. */
static int choose_where(struct import *import, struct error *ret_error)
{
    struct format_found found;
    int r = format_detect_in(import->buffer, import->n_buffer, NULL, import->from_name,
                             import->n_buffer, &found, ret_error);
    if (r < 0)
        return r;
    if (found.format->kind == FORMAT_PACKED)
        return error_set(ret_error, -EINVAL,
                         "%s is packed twice (a %s file inside of it); unpack "
                         "it once first",
                         import->from_name, found.format->name);
    char outer[sizeof(import->format)];
    str_copy(outer, sizeof(outer), import->format);
    snprintf(import->format, sizeof(import->format), "%.10s in %.8s", found.format->name, outer);
    import->found = found;
    if (found.format->kind == FORMAT_QEMU) {
        import->unpacked = unpacked_create(import->to_name, ret_error);
        if (import->unpacked < 0)
            return import->unpacked;
    }
    import->into = import->unpacked >= 0 ? import->unpacked : import->to;
    return 0;
}

/* Writes out what has gathered. */
static int flush(struct import *import, struct error *ret_error)
{
    int r = import->into < 0 ? choose_where(import, ret_error) : 0;
    if (r >= 0)
        r = unpacked_write(import->into, import->to_name, import->buffer, import->n_buffer,
                           import->n_unpacked, import->limit, ret_error);
    if (r < 0)
        return r;
    import->n_unpacked += import->n_buffer;
    import->n_buffer = 0;
    /* the end may turn out to be the footer of a fixed VHD, which is no part of the disk */
    if (import->into == import->to && import->n_unpacked > FORMAT_TAIL_SIZE)
        import->filled = import->n_unpacked - FORMAT_TAIL_SIZE;
    return 0;
}

static int unpacked_all(struct import *import, struct error *ret_error)
{
    struct format_found found;
    int r = flush(import, ret_error);
    if (r >= 0)
        r = child_finish(&import->child, ret_error);
    if (r < 0)
        return error_prefix(ret_error, "%.200s cannot be unpacked", import->from_name);
    if (import->into == import->unpacked)
        return begin_check(import, import->unpacked, import->found.format, ret_error);
    r = format_detect(import->to, import->from_name, import->n_unpacked, &found, ret_error);
    if (r < 0)
        return r;
    r = import_check_size(import->from_name, found.size, ret_error);
    if (r < 0)
        return error_prefix(ret_error, "unpacked");
    if (ftruncate(import->to, (off_t)found.size) < 0)
        return error_set(ret_error, -errno, "%s cannot be written: %s", import->to_name,
                         strerror(errno));
    finish_filling(import, found.size);
    return 0;
}

static int run_unpack(struct import *import, uint64_t until, struct error *ret_error)
{
    ssize_t n;
    int r = 0;
    while (r >= 0 && (n = child_read(&import->child, import->buffer + import->n_buffer,
                                     BUFFER_SIZE - import->n_buffer, until)) > 0) {
        import->n_buffer += (size_t)n;
        if (import->n_buffer == BUFFER_SIZE)
            r = flush(import, ret_error);
        if (r >= 0 && import->into == import->to)
            r = digest_step(&import->digest, import->to, import->to_name, import->filled,
                            until + 1000000, ret_error);
        if (clock_monotonic_usec() >= until)
            break;
    }
    off_t at = lseek(import->from, 0, SEEK_CUR); /* the program reads through the same open file */
    import->done = at < 0 ? 0 : (uint64_t)at;
    if (r >= 0 && n < 0 && n != -EAGAIN)
        r = error_set(ret_error, (int)n, "%s cannot be unpacked: %s", import->from_name,
                      strerror((int)-n));
    if (r < 0)
        return r;
    return n == 0 ? unpacked_all(import, ret_error) : 1;
}

/* --- the checksum of what is not yet in it --- */

static int run_digest(struct import *import, uint64_t until, struct error *ret_error)
{
    int r =
        digest_step(&import->digest, import->to, import->to_name, import->size, until, ret_error);
    import->done = import->digest.done;
    if (r < 0 || import->digest.done < import->size)
        return r < 0 ? r : 1;
    digest_text(&import->digest, import->sha256);
    import->step = NULL; /* its stage remains to be told */
    return 0;
}

static int find_limit(struct import *import, struct error *ret_error)
{
    struct statvfs fs;
    if (fstatvfs(import->to, &fs) < 0)
        return error_set(ret_error, -errno, "%s cannot be looked at: %s", import->to_name,
                         strerror(errno));
    import->limit = (uint64_t)fs.f_blocks * fs.f_frsize;
    return 0;
}

static int begin_by_format(struct import *import, struct error *ret_error)
{
    const struct format *format = import->found.format;
    switch (format->kind) {
    case FORMAT_RAW:
        return begin_copy(import, import->found.size, ret_error);
    case FORMAT_QEMU:
        return begin_check(import, import->from, format, ret_error);
    case FORMAT_PACKED:
    default:
        return begin_unpack(import, format, ret_error);
    }
}

int import_begin(struct import *import, struct error *ret_error)
{
    import->begun = true;
    import->unpacked = import->into = -1;
    int r = format_detect(import->from, import->from_name, import->from_size, &import->found,
                          ret_error);
    if (r >= 0)
        r = find_limit(import, ret_error);
    if (r >= 0)
        r = digest_begin(&import->digest, ret_error);
    if (r < 0)
        return r;
    str_copy(import->format, sizeof(import->format), import->found.format->name);
    return begin_by_format(import, ret_error);
}

int import_step(struct import *import, uint64_t budget, struct error *ret_error)
{
    int r = import->step->run(import, clock_monotonic_usec() + budget, ret_error);
    return r < 0 ? r : import->step != NULL;
}

void import_end(struct import *import)
{
    if (!import->begun)
        return;
    child_stop(&import->child);
    copy_end(&import->copy);
    digest_end(&import->digest);
    free(import->buffer);
    import->buffer = NULL;
    if (import->unpacked >= 0)
        close(import->unpacked);
    import->unpacked = -1;
}
