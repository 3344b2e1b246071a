/*
 * Taking the layer below into the upper one.
 *
 * First the blocks that only the lower one has are copied to .data of the upper one: nobody looks
 * at them there, since their bits are clear. Then, once they are durable, their bits are set: from
 * now on the upper one hides all of the lower one. Then the header of the upper one names what is
 * below the lower one as what is below; it also names the lower one, as one whose blocks it has, so
 * that it can be opened over either: a crash before the registry knows does no harm.
 */
#include "block/overlay_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

struct overlay_merge_state {
    const char *path; /* of the upper layer, for messages; owned */
    struct layer_files upper_files, lower_files;
    struct layer upper, lower;
    struct overlay_transfer transfer;
    uint64_t at;      /* block: all before it is copied */
    uint64_t run_end; /* block; where the run ends that is being copied */
    uint64_t offset;  /* bytes; how far that is */
};

/* --- opening --- */

static int open_layer(const struct overlay_layer *layer, const uint8_t *below_id,
                      const uint8_t *boot_id, bool read_only, struct layer_files *files,
                      struct layer *ret_layer, struct error *ret_error)
{
    struct layer_expected expected = {
        .id = layer->id, .below_id = below_id, .boot_id = boot_id, .read_only = read_only};
    int r = layer_files_open(layer->path, read_only, files, ret_error);
    return r < 0 ? r : layer_load(files, layer->path, &expected, ret_layer, ret_error);
}

static int check_sizes(const struct overlay_merge_state *state, struct error *ret_error)
{
    uint64_t upper = state->upper.header.size, lower = state->lower.header.size;
    if (lower <= upper)
        return 0;
    return error_set(ret_error, -EINVAL,
                     "%s has %llu bytes, less than the %llu of what is below it", state->path,
                     (unsigned long long)upper, (unsigned long long)lower);
}

int overlay_merge_begin(struct overlay_merge *merge, const struct overlay_layer *upper,
                        const struct overlay_layer *lower,
                        const uint8_t boot_id[static BLOCK_LAYER_ID_SIZE], struct error *ret_error)
{
    struct overlay_merge_state *state = calloc(1, sizeof(*state));
    *merge = (struct overlay_merge){.state = state};
    if (!state)
        return error_set(ret_error, -ENOMEM, "out of memory");
    state->upper_files = state->lower_files = LAYER_NO_FILES;
    state->path = strdup(upper->path);
    if (!state->path)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r =
        open_layer(upper, lower->id, boot_id, false, &state->upper_files, &state->upper, ret_error);
    if (r >= 0)
        r = open_layer(lower, NULL, boot_id, true, &state->lower_files, &state->lower, ret_error);
    if (r >= 0)
        r = check_sizes(state, ret_error);
    merge->total = state->lower.header.size;
    return r;
}

/* --- copying --- */

static int cannot_write(const struct overlay_merge_state *state, int r, struct error *ret_error)
{
    if (state->transfer.reading_failed)
        return error_set(ret_error, r, "what is below %s cannot be read: %s", state->path,
                         strerror(-r));
    if (r == -ENOSPC || r == -EDQUOT)
        return error_set(ret_error, r, "no space left for %s; free some and try again",
                         state->path);
    return error_set(ret_error, r, "%s cannot be written: %s", state->path, strerror(-r));
}

/* The bytes of a run in the upper layer: its last block may be longer than in the lower one. */
static uint64_t end_in_upper(const struct overlay_merge_state *state)
{
    return MIN(state->run_end * LAYER_BLOCK_SIZE, state->upper.header.size);
}

/* What was left there by a crash is not to show through where the lower one has holes. */
static int clear_run(struct overlay_merge_state *state)
{
    uint64_t from = state->at * LAYER_BLOCK_SIZE, length = end_in_upper(state) - from;
    int fd = state->upper_files.data;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)length) == 0)
        return 0;
    return overlay_transfer_zeroes(&state->transfer, fd, from, length);
}

/* The next run of blocks that only the lower one has, from state->at on; false: there is none. */
static bool find_run(struct overlay_merge_state *state)
{
    const struct block_map *upper = &state->upper.map, *lower = &state->lower.map;
    uint64_t end = lower->n_blocks, stop;
    for (; state->at < end; state->at = stop) {
        if (!block_map_run(lower, state->at, end, &stop))
            continue;
        if (block_map_run(upper, state->at, stop, &stop))
            continue;
        state->run_end = stop;
        state->offset = state->at * LAYER_BLOCK_SIZE;
        return true;
    }
    return false;
}

static int begin_run(struct overlay_merge_state *state)
{
    if (block_map_reserve(&state->upper.map, state->at, state->run_end) < 0)
        return -ENOMEM;
    return clear_run(state);
}

/* A piece of the run; when it is all there, its bits are set, in memory for now. */
static int copy_piece(struct overlay_merge_state *state)
{
    uint64_t end = end_in_upper(state);
    struct overlay_segment segment =
        overlay_segment_in(state->lower_files.data, state->lower.header.size, state->offset, end);
    ssize_t n = (ssize_t)segment.length;
    if (segment.fd >= 0)
        n = overlay_transfer_piece(&state->transfer, segment.fd, state->upper_files.data,
                                   state->offset, segment.length);
    if (n < 0)
        return (int)n;
    state->offset += (uint64_t)n;
    if (state->offset == end) {
        block_map_set(&state->upper.map, state->at, state->run_end);
        state->at = state->run_end;
        state->run_end = 0;
    }
    return 0;
}

/* 1: there is more; 0: all is copied. */
static int step(struct overlay_merge_state *state)
{
    if (!state->run_end) {
        if (!find_run(state))
            return 0;
        int r = begin_run(state);
        if (r < 0) {
            state->run_end = 0; /* another try begins it again */
            return r;
        }
    }
    int r = copy_piece(state);
    return r < 0 ? r : 1;
}

int overlay_merge_step(struct overlay_merge *merge, uint64_t budget, struct error *ret_error)
{
    struct overlay_merge_state *state = merge->state;
    uint64_t until = clock_monotonic_usec() + budget;
    int r;
    do {
        r = step(state);
        merge->done = MIN(MAX(state->at * LAYER_BLOCK_SIZE, state->offset), merge->total);
    } while (r > 0 && clock_monotonic_usec() < until);
    if (r == 0)
        merge->done = merge->total;
    return r < 0 ? cannot_write(state, r, ret_error) : r;
}

/* --- the end --- */

int overlay_merge_commit(struct overlay_merge *merge, struct error *ret_error)
{
    struct overlay_merge_state *state = merge->state;
    struct layer *upper = &state->upper;
    int r = fdatasync(state->upper_files.data) < 0 ? -errno : 0;
    if (r >= 0)
        r = layer_sync_map(state->upper_files.map, &upper->map);
    if (r >= 0) {
        memcpy(upper->header.below_id, state->lower.header.below_id, LAYER_ID_SIZE);
        memcpy(upper->header.merged_id, state->lower.header.id, LAYER_ID_SIZE);
        r = layer_write_header(state->upper_files.map, &upper->header);
    }
    state->transfer.reading_failed = false;
    return r < 0 ? cannot_write(state, r, ret_error) : 0;
}

void overlay_merge_end(struct overlay_merge *merge)
{
    struct overlay_merge_state *state = take_ptr(merge->state);
    if (!state)
        return;
    layer_files_close(&state->upper_files);
    layer_files_close(&state->lower_files);
    layer_free(&state->upper);
    layer_free(&state->lower);
    overlay_transfer_end(&state->transfer);
    free((char *)state->path);
    free(state);
}
