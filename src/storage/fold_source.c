#include "storage/fold_source.h"

#include "block/sparse.h"
#include "io/buffer.h"
#include "storage/space.h"

#include <errno.h>
#include <fcntl.h>

#define PIECE_SIZE BUFFER_MAX_SIZE

struct fold_source_kind {
    int (*prepare)(struct fold_source *source, struct error *ret_error);
    int (*begin)(struct fold_source *source, struct error *ret_error);
    int (*step)(struct fold_source *source, uint64_t budget, struct error *ret_error);
};

/* --- an overlay --- */

static int take_snapshot(struct fold_source *source, struct error *ret_error)
{
    snapshot_name_temporary(source->snapshot);
    int r = overlay_add_snapshot(source->storage, source->volume, source->snapshot, ret_error);
    source->own_snapshot = r >= 0;
    return r;
}

/* Nobody has opened it yet: the files of its layers are still to be made. */
static int make_layers(const struct fold_source *source, struct stack *stack,
                       struct error *ret_error)
{
    struct storage *storage = source->storage;
    uint64_t id = 0;
    int r = overlay_claim(storage, source->volume, false, &id, ret_error);
    if (r < 0)
        return r;
    r = stack_make(stack, storage->settings.registry, ret_error);
    overlay_release(storage, id);
    return r;
}

/* Whoever has it open has made them. */
static int check_layers(struct fold_source *source, struct error *ret_error)
{
    struct catalog_slot *slot = source->storage->settings.catalog;
    cleanup_stack struct stack stack = {0};
    int r = stack_find(slot, source->id, source->snapshot, &stack, ret_error);
    source->total = stack.spec.size;
    if (r < 0 || stack.made)
        return r;
    r = make_layers(source, &stack, ret_error);
    if (r != -EBUSY)
        return r;
    stack_release(&stack);
    r = stack_find(slot, source->id, source->snapshot, &stack, ret_error);
    if (r >= 0 && !stack.made)
        return error_set(ret_error, -EBUSY, "volume '%s' is being opened; try again",
                         source->volume);
    return r;
}

static int prepare_overlay(struct fold_source *source, struct error *ret_error)
{
    int r = source->snapshot[0] ? 0 : take_snapshot(source, ret_error);
    return r < 0 ? r : check_layers(source, ret_error);
}

/* It may have fewer layers by now than when it was looked for: others may have come first. */
static int begin_overlay(struct fold_source *source, struct error *ret_error)
{
    struct storage *storage = source->storage;
    cleanup_stack struct stack stack = {0};
    source->overlay = (struct overlay_copy){.to = source->to, .to_name = source->to_name};
    storage_pause(storage, source->id);
    int r = stack_find(storage->settings.catalog, source->id, source->snapshot, &stack, ret_error);
    if (r >= 0)
        r = overlay_copy_begin(&source->overlay, &stack.spec, ret_error);
    storage_resume(storage, source->id);
    source->needed = source->overlay.needed;
    return r;
}

static int step_overlay(struct fold_source *source, uint64_t budget, struct error *ret_error)
{
    int r = overlay_copy_step(&source->overlay, budget, ret_error);
    source->done = source->overlay.done;
    return r;
}

static const struct fold_source_kind overlay_kind = {prepare_overlay, begin_overlay, step_overlay};

/* --- a file or a device --- */

static int prepare_file(struct fold_source *source, struct error *ret_error)
{
    source->fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (source->fd < 0)
        return error_set(ret_error, -errno, "%s cannot be opened: %s", source->path,
                         strerror(errno));
    int r = copy_needed_space(source->fd, source->total, &source->needed);
    return r < 0 ? error_set(ret_error, r, "%s cannot be looked at: %s", source->path, strerror(-r))
                 : 0;
}

static int begin_file(struct fold_source *source, struct error *ret_error)
{
    source->copy = (struct copy){.from = source->fd,
                                 .to = source->to,
                                 .from_name = source->path,
                                 .to_name = source->to_name,
                                 .size = source->total};
    return copy_begin(&source->copy, ret_error);
}

static int step_file(struct fold_source *source, uint64_t budget, struct error *ret_error)
{
    int r = copy_step(&source->copy, budget, ret_error);
    source->done = source->copy.done;
    return r;
}

static const struct fold_source_kind file_kind = {prepare_file, begin_file, step_file};

/* --- what another server has --- */

static int prepare_remote(struct fold_source *source, struct error *ret_error)
{
    const struct storage_settings *settings = &source->storage->settings;
    source->needed = source->total; /* which of it are holes, nobody says */
    if (!settings->open_reader)
        return error_set(ret_error, -EOPNOTSUPP, "volume '%s' cannot be read", source->volume);
    source->buffer = malloc(PIECE_SIZE);
    if (!source->buffer)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return settings->open_reader(settings->context, source->id, &source->reader, ret_error);
}

static int begin_remote(struct fold_source *source, struct error *ret_error)
{
    int r = space_check(source->to, source->to_name, source->needed, ret_error);
    if (r >= 0 && ftruncate(source->to, (off_t)source->total) < 0)
        r = error_set(ret_error, -errno, "%s cannot be written: %s", source->to_name,
                      strerror(errno));
    return r;
}

static int copy_piece(struct fold_source *source, struct error *ret_error)
{
    const struct storage_settings *settings = &source->storage->settings;
    size_t size = (size_t)MIN(source->total - source->done, PIECE_SIZE);
    int r = settings->read(settings->context, source->reader, source->done, source->buffer, size);
    if (r < 0)
        return error_set(ret_error, r, "%.200s cannot be read: %s", source->path, strerror(-r));
    r = sparse_write(source->to, source->buffer, size, source->done);
    if (r < 0)
        return error_set(ret_error, r, "%s cannot be written: %s", source->to_name, strerror(-r));
    (void)sync_file_range(source->to, (off64_t)source->done, (off64_t)size, SYNC_FILE_RANGE_WRITE);
    source->done += size;
    return 0;
}

static int step_remote(struct fold_source *source, uint64_t budget, struct error *ret_error)
{
    uint64_t until = clock_monotonic_usec() + budget;
    int r = 0;
    while (r >= 0 && source->done < source->total && clock_monotonic_usec() < until)
        r = copy_piece(source, ret_error);
    return r < 0 ? r : source->done < source->total;
}

static const struct fold_source_kind remote_kind = {prepare_remote, begin_remote, step_remote};

/* --- whatever it is --- */

static const struct fold_source_kind *const kinds[] = {
    [VOLUME_FILE] = &file_kind,
    [VOLUME_DEVICE] = &file_kind,
    [VOLUME_OVERLAY] = &overlay_kind,
    [VOLUME_NBD] = &remote_kind,
};

/* What it is, as the catalog has it. *ret_claim: nobody may use it meanwhile. */
static int find(struct fold_source *source, bool *ret_claim, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(source->storage->settings.catalog);
    const struct catalog_volume *v = catalog_volume_by_name(catalog, source->volume);
    if (!v)
        return error_set(ret_error, -ENOENT, "there is no volume '%.64s'; see: nodisk volume list",
                         source->volume);
    if (v->state != VOLUME_READY)
        return error_set(ret_error, -EBUSY, "volume '%s' is not ready; see: nodisk volume show %s",
                         v->name, v->name);
    if (v->elsewhere)
        return error_set(ret_error, -EOPNOTSUPP,
                         "volume '%s' is a LUN of a target elsewhere, which this server does not "
                         "read; a machine that may log in there can (qemu-img convert)",
                         v->name);
    if (source->snapshot[0] && !v->overlay)
        return registry_no_overlay(v->name, ret_error);
    source->id = v->id;
    source->kind = kinds[v->kind];
    source->total = v->size;
    str_copy(source->path, sizeof(source->path), v->path);
    *ret_claim = !v->overlay && !v->read_only;
    return 0;
}

static int claim(struct fold_source *source, struct error *ret_error)
{
    const struct storage_settings *settings = &source->storage->settings;
    char peer[256];
    if (storage_volume_in_use(source->storage, source->id, peer))
        return error_set(ret_error, -EBUSY,
                         "volume '%s' is in use by %s, and what is copied now would be torn: shut "
                         "that machine down first (of an overlay a snapshot would be taken)",
                         source->volume, peer);
    int r = settings->claim
                ? settings->claim(settings->context, source->id, source->volume, false, ret_error)
                : 0;
    source->claimed = r >= 0;
    return r;
}

int fold_source_prepare(struct fold_source *source, struct storage *storage, const char *volume,
                        const char *snapshot, struct error *ret_error)
{
    bool exclusive = false;
    source->storage = storage;
    source->fd = -1;
    str_copy(source->volume, sizeof(source->volume), volume);
    str_copy(source->snapshot, sizeof(source->snapshot), snapshot ? snapshot : "");
    int r = find(source, &exclusive, ret_error);
    if (r >= 0 && exclusive)
        r = claim(source, ret_error);
    return r < 0 ? r : source->kind->prepare(source, ret_error);
}

int fold_source_begin(struct fold_source *source, int to, const char *to_name,
                      struct error *ret_error)
{
    source->to = to;
    source->to_name = to_name;
    return source->kind->begin(source, ret_error);
}

int fold_source_step(struct fold_source *source, uint64_t budget, struct error *ret_error)
{
    return source->kind->step(source, budget, ret_error);
}

static void close_reader(struct fold_source *source)
{
    const struct storage_settings *settings = &source->storage->settings;
    if (source->reader)
        settings->close_reader(settings->context, take_ptr(source->reader));
    free(take_ptr(source->buffer));
}

void fold_source_release(struct fold_source *source)
{
    const struct storage_settings *settings = &source->storage->settings;
    overlay_copy_end(&source->overlay);
    copy_end(&source->copy);
    close_reader(source);
    if (source->fd >= 0)
        close(take_fd(&source->fd));
    if (source->claimed && settings->release)
        settings->release(settings->context, source->id);
    source->claimed = false;
}

void fold_source_forget(struct fold_source *source)
{
    struct error ignored;
    if (source->own_snapshot)
        (void)!overlay_drop_snapshot(source->storage, source->id, source->volume, source->snapshot,
                                     &ignored);
    source->own_snapshot = false;
}
