/* Stacks of layers in real files, on a real I/O thread. */
#pragma once

#include "scratch_dir.h"

#include "thread_call.h"

#include "block/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define OVERLAY_LAB_MAX_LAYERS 8

struct overlay_lab {
    char *directory;
    struct io_thread *thread;
    struct block_device *device;
    struct overlay_spec spec;
    struct overlay_layer layers[OVERLAY_LAB_MAX_LAYERS];
    char paths[OVERLAY_LAB_MAX_LAYERS][64];
    char base[64];
    bool lost;
    struct error error;
    uint8_t n_made; /* ids are given in turn */
};

static const uint8_t overlay_lab_nothing[LAYER_ID_SIZE];

static inline void overlay_lab_must(int r, const struct error *error)
{
    if (r < 0)
        fail_msg("%s", error->text);
}

static inline void overlay_lab_make(struct overlay_lab *lab)
{
    *lab = (struct overlay_lab){.directory = scratch_dir_make()};
    lab->spec.layers = lab->layers;
    memset(lab->spec.boot_id, 0xb0, LAYER_ID_SIZE);
    overlay_lab_must(io_thread_start(0, 8 * MIB, &lab->thread, &lab->error), &lab->error);
}

static inline void overlay_lab_remove(struct overlay_lab *lab)
{
    block_close(lab->device);
    io_thread_stop(lab->thread);
    scratch_dir_remove(lab->directory);
}

/* The raw file at the bottom, with the byte of pattern(offset). */
static inline void overlay_lab_make_base(struct overlay_lab *lab, uint64_t size,
                                         uint8_t (*pattern)(uint64_t offset))
{
    snprintf(lab->base, sizeof(lab->base), "%s/base.raw", lab->directory);
    cleanup_free uint8_t *bytes = malloc(size);
    cleanup_close int fd = open(lab->base, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = pattern(i);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    lab->spec.base_path = lab->base;
    lab->spec.base_size = size;
    memset(lab->spec.base_id, 0xba, LAYER_ID_SIZE);
}

static inline const uint8_t *overlay_lab_below_id(const struct overlay_lab *lab)
{
    if (lab->spec.n_layers > 0)
        return lab->layers[0].id;
    return lab->spec.base_path ? lab->spec.base_id : overlay_lab_nothing;
}

/* A new top of this size, which the volume gets, too. */
static inline void overlay_lab_push(struct overlay_lab *lab, uint64_t size)
{
    struct overlay_spec *spec = &lab->spec;
    uint8_t number = ++lab->n_made, id[LAYER_ID_SIZE];
    assert_true(spec->n_layers < OVERLAY_LAB_MAX_LAYERS);
    char path[64];
    snprintf(path, sizeof(path), "%s/layer%u", lab->directory, number);
    memset(id, number, sizeof(id));
    overlay_lab_must(overlay_create(path, id, overlay_lab_below_id(lab), size, &lab->error),
                     &lab->error);
    memmove(lab->layers + 1, lab->layers, spec->n_layers * sizeof(lab->layers[0]));
    memmove(lab->paths + 1, lab->paths, spec->n_layers * sizeof(lab->paths[0]));
    spec->n_layers++;
    str_copy(lab->paths[0], sizeof(lab->paths[0]), path);
    memcpy(lab->layers[0].id, id, sizeof(id));
    for (size_t i = 0; i < spec->n_layers; i++)
        lab->layers[i].path = lab->paths[i];
    spec->size = size;
}

/* The stack without the layer i; its files stay. */
static inline void overlay_lab_forget(struct overlay_lab *lab, size_t i)
{
    struct overlay_spec *spec = &lab->spec;
    spec->n_layers--;
    memmove(lab->layers + i, lab->layers + i + 1, (spec->n_layers - i) * sizeof(lab->layers[0]));
    memmove(lab->paths + i, lab->paths + i + 1, (spec->n_layers - i) * sizeof(lab->paths[0]));
    for (size_t j = 0; j < spec->n_layers; j++)
        lab->layers[j].path = lab->paths[j];
}

static inline int overlay_lab_try_open(struct overlay_lab *lab)
{
    block_close(take_ptr(lab->device));
    lab->error = (struct error){0};
    return block_overlay_open(lab->thread, &lab->spec, &lab->device, &lab->lost, &lab->error);
}

static inline void overlay_lab_open(struct overlay_lab *lab)
{
    overlay_lab_must(overlay_lab_try_open(lab), &lab->error);
}

static inline void overlay_lab_close(struct overlay_lab *lab)
{
    block_close(take_ptr(lab->device));
}

/* The daemon is killed and another one opens the volume: the old device is left as it is; it is to
 * be closed when nothing is asked of the files any more. */
static inline struct block_device *overlay_lab_kill(struct overlay_lab *lab)
{
    struct block_device *dead = take_ptr(lab->device);
    overlay_lab_open(lab);
    return dead;
}

/* Another kernel runs: the last one has lost what was in its page cache. */
static inline void overlay_lab_reboot(struct overlay_lab *lab)
{
    lab->spec.boot_id[0]++;
}

/* --- requests --- */

struct overlay_lab_request {
    struct block_request request;
    struct block_device *device;
    int result;
    struct bell done;
};

static inline void overlay_lab_done(struct block_request *request, int result)
{
    struct overlay_lab_request *r = container_of(request, struct overlay_lab_request, request);
    r->result = result;
    bell_ring(&r->done);
}

static inline void overlay_lab_submit(void *context)
{
    struct overlay_lab_request *r = context;
    block_submit(r->device, &r->request);
}

static inline struct overlay_lab_request overlay_lab_request(const struct overlay_lab *lab,
                                                             enum block_operation operation,
                                                             uint64_t offset, uint64_t length,
                                                             const uint8_t *data, unsigned flags)
{
    return (struct overlay_lab_request){.request = {.operation = operation,
                                                    .flags = flags,
                                                    .offset = offset,
                                                    .length = length,
                                                    .data = (uint8_t *)data,
                                                    .done = overlay_lab_done},
                                        .device = lab->device,
                                        .done = BELL_NEW};
}

static inline int overlay_lab_run(struct overlay_lab *lab, enum block_operation operation,
                                  uint64_t offset, uint64_t length, const uint8_t *data,
                                  unsigned flags)
{
    struct overlay_lab_request r = overlay_lab_request(lab, operation, offset, length, data, flags);
    thread_call(lab->thread, overlay_lab_submit, &r);
    bell_wait(&r.done, 1);
    return r.result;
}

static inline int overlay_lab_read(struct overlay_lab *lab, uint64_t offset, uint64_t length,
                                   uint8_t *data)
{
    memset(data, 0xee, length);
    return overlay_lab_run(lab, BLOCK_READ, offset, length, data, 0);
}

static inline void overlay_lab_flush(struct overlay_lab *lab)
{
    assert_int_equal(overlay_lab_run(lab, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
}
