/* Overlays in real files: what is read and written, what survives, and what is refused. */
#include "overlay_lab.h"

#include "block/overlay_device.h"

#define SIZE      (4 * MIB + 1536) /* the last block is a short one */
#define BASE_SIZE (2 * MIB + 512)  /* ends within a block */

static struct overlay_lab lab;
static uint8_t model[SIZE], buffer[SIZE], pattern[SIZE];

static uint8_t base_byte(uint64_t offset)
{
    return (uint8_t)(1 + offset / 512 * 3 + offset % 251);
}

static int setup(void **state)
{
    overlay_lab_make(&lab);
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(0x80 | (i / 512 + i));
    memset(model, 0, sizeof(model));
    return 0;
}

static int teardown(void **state)
{
    umount2(lab.directory, MNT_DETACH);
    overlay_lab_remove(&lab);
    return 0;
}

static void make_volume(void)
{
    overlay_lab_make_base(&lab, BASE_SIZE, base_byte);
    for (size_t i = 0; i < BASE_SIZE; i++)
        model[i] = base_byte(i);
    overlay_lab_push(&lab, SIZE);
    overlay_lab_open(&lab);
    assert_false(lab.lost);
}

static void write_at(uint64_t offset, uint64_t length, unsigned flags)
{
    for (uint64_t at = 0; at < length; at += BUFFER_MAX_SIZE) {
        uint64_t n = MIN(length - at, BUFFER_MAX_SIZE);
        assert_int_equal(
            overlay_lab_run(&lab, BLOCK_WRITE, offset + at, n, pattern + offset + at, flags), 0);
    }
    memcpy(model + offset, pattern + offset, length);
}

static void zero_at(uint64_t offset, uint64_t length, unsigned flags)
{
    assert_int_equal(overlay_lab_run(&lab, BLOCK_WRITE_ZEROES, offset, length, NULL, flags), 0);
    memset(model + offset, 0, length);
}

/* All of the volume reads as the model says, in pieces of an odd size. */
static void assert_model(void)
{
    for (uint64_t at = 0, n; at < SIZE; at += n) {
        n = MIN(SIZE - at, (uint64_t)197 * 512);
        assert_int_equal(overlay_lab_read(&lab, at, n, buffer + at), 0);
    }
    for (size_t i = 0; i < SIZE; i++)
        if (buffer[i] != model[i])
            fail_msg("byte %zu is %02x, not %02x", i, buffer[i], model[i]);
}

static void assert_refused(int expected, const char *words)
{
    assert_int_equal(overlay_lab_try_open(&lab), expected);
    assert_null(lab.device);
    assert_contains(lab.error.text, words);
}

static int open_part(const char *suffix)
{
    char path[LAYER_PATH_SIZE];
    struct error error;
    assert_int_equal(layer_path(lab.paths[0], suffix, path, &error), 0);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* --- reading and writing --- */

static void an_untouched_layer_reads_as_what_is_below_and_takes_no_space(void **state)
{
    make_volume();
    assert_model();
    overlay_lab_flush(&lab);
    overlay_lab_close(&lab);
    assert_true(overlay_used(lab.paths[0]) <= 16 * KIB);
}

static void what_is_written_is_read_and_the_rest_comes_from_below(void **state)
{
    static const struct {
        uint64_t offset, length;
    } places[] = {
        {0, 4096},
        {8192, 512},              /* the beginning of a block, */
        {16384 + 1024, 1024},     /* its middle, */
        {28672 + 3584, 512},      /* its end, */
        {40960 + 512, 8192},      /* and parts of two */
        {65536, BUFFER_MAX_SIZE}, /* many */
        {BASE_SIZE - 512, 512},   /* up to the end of what is below, */
        {BASE_SIZE + 4096, 512},  /* behind it */
        {SIZE - 512, 512},        /* of the short block */
    };
    make_volume();
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        write_at(places[i].offset, places[i].length, 0);
        assert_model();
    }
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        write_at(places[i].offset, places[i].length, BLOCK_FUA); /* again, all in the layer */
    assert_model();
    overlay_lab_open(&lab);
    assert_model();
    lab.spec.read_only = true;
    overlay_lab_open(&lab);
    assert_model();
}

static void across_the_end_of_what_is_below(void **state)
{
    make_volume();
    write_at(BASE_SIZE - 1024, 2048, 0);
    assert_model();
    zero_at(BASE_SIZE - 8192 - 512, 1024, 0);
    assert_model();
}

static void over_nothing_all_is_zeroes(void **state)
{
    overlay_lab_push(&lab, SIZE);
    overlay_lab_open(&lab);
    assert_model();
    zero_at(0, SIZE, BLOCK_FUA); /* takes nothing */
    assert_true(overlay_used(lab.paths[0]) <= 16 * KIB);
    write_at(512, 1024, 0);
    write_at(MIB, MIB, 0);
    zero_at(1024, 512, 0);
    zero_at(MIB - 4096, MIB, 0);
    assert_model();
    overlay_lab_open(&lab);
    assert_model();
}

static void zeroes_hide_what_is_below_and_give_space_back(void **state)
{
    make_volume();
    write_at(MIB, 512 * KIB, 0);
    overlay_lab_flush(&lab);
    uint64_t before = overlay_used(lab.paths[0]);
    zero_at(MIB - 65536, MIB, BLOCK_FUA);
    assert_true(overlay_used(lab.paths[0]) + 400 * KIB < before);
    zero_at(4096 + 512, 1024, 0);
    zero_at(20480 + 1024, 8192, 0);
    zero_at(SIZE - 1024, 1024, 0);
    assert_model();
    write_at(MIB, 512, 0); /* into a block that is in the layer, as a hole */
    assert_model();
}

/* Each fills the rest of the block from below; both must be there afterwards. */
static void writes_to_parts_of_one_block_at_once(void **state)
{
    enum { COUNT = 24 };
    static struct overlay_lab_request requests[COUNT];
    make_volume();
    for (unsigned round = 0; round < 20; round++) {
        uint64_t at = round * 65536;
        for (unsigned i = 0; i < COUNT; i++) {
            uint64_t offset = at + i * 1024 % 16384;
            bool zeroes = i % 5 == 4;
            requests[i] =
                overlay_lab_request(&lab, zeroes ? BLOCK_WRITE_ZEROES : BLOCK_WRITE, offset, 512,
                                    pattern + offset, i % 7 == 6 ? BLOCK_FUA : 0);
            if (zeroes)
                memset(model + offset, 0, 512);
            else
                memcpy(model + offset, pattern + offset, 512);
        }
        for (unsigned i = 0; i < 16; i++)
            thread_call(lab.thread, overlay_lab_submit, &requests[i]);
        for (unsigned i = 0; i < 16; i++) {
            bell_wait(&requests[i].done, 1);
            assert_int_equal(requests[i].result, 0);
        }
        for (unsigned i = 16; i < COUNT; i++) { /* the same places again, one by one */
            thread_call(lab.thread, overlay_lab_submit, &requests[i]);
            bell_wait(&requests[i].done, 1);
            assert_int_equal(requests[i].result, 0);
        }
    }
    assert_model();
}

static void a_stack_of_layers(void **state)
{
    make_volume();
    write_at(0, 65536, 0);
    zero_at(MIB, 65536, 0);
    for (unsigned i = 1; i < 5; i++) {
        overlay_lab_close(&lab);
        overlay_lab_push(&lab, SIZE);
        overlay_lab_open(&lab);
        assert_model();
        write_at(i * 16384 + 512, 16384, 0);
        zero_at(MIB + i * 16384, 512, 0);
        assert_model();
    }
    overlay_lab_open(&lab);
    assert_model();
}

struct view_call {
    uint64_t offset, length;
    bool seen, right;
};

static void look(void *context)
{
    struct view_call *call = context;
    struct block_view view;
    call->seen = block_view(lab.device, call->offset, call->length, &view);
    if (!call->seen)
        return;
    call->right = true;
    for (uint64_t i = 0; i < call->length; i++)
        call->right &= view.data[i] == base_byte(call->offset + i);
    block_view_release(&view);
}

static bool is_seen(uint64_t offset, uint64_t length)
{
    struct view_call call = {.offset = offset, .length = length};
    thread_call(lab.thread, look, &call);
    assert_true(call.right || !call.seen);
    return call.seen;
}

/* The base was just written: it is in memory. */
static void what_is_wholly_of_the_image_is_seen_in_place(void **state)
{
    make_volume();
    assert_true(is_seen(0, 65536));
    assert_true(is_seen(BASE_SIZE - 512, 512));
    assert_false(is_seen(BASE_SIZE - 512, 1024));
    assert_false(is_seen(SIZE - 512, 512));
    write_at(8192, 4096, 0);
    assert_true(is_seen(0, 8192));
    assert_true(is_seen(12288, 4096));
    assert_false(is_seen(8192, 512));
    assert_false(is_seen(4096, 8192));
    overlay_lab_close(&lab);
    overlay_lab_push(&lab, SIZE); /* through two layers */
    overlay_lab_open(&lab);
    assert_true(is_seen(12288, 4096));
    assert_false(is_seen(8192, 512));
}

static void where_there_is_space(void **state)
{
    uint64_t length;
    make_volume();
    const struct block_operations *operations = lab.device->operations;
    assert_true(operations->is_allocated(lab.device, 0, &length));
    assert_true(length > 0 && length <= BASE_SIZE);
    assert_false(operations->is_allocated(lab.device, BASE_SIZE + 4096, &length));
    assert_int_equal(length, SIZE - BASE_SIZE - 4096);
    zero_at(65536, 65536, BLOCK_FUA);
    assert_false(operations->is_allocated(lab.device, 65536, &length));
    assert_int_equal(length, 65536);
    write_at(3 * MIB, 8192, BLOCK_FUA);
    assert_true(operations->is_allocated(lab.device, 3 * MIB + 512, &length));
    assert_int_equal(length, 8192 - 512);
    assert_false(operations->is_allocated(lab.device, SIZE - 512, &length));
    assert_int_equal(length, 512);
}

/* --- what survives --- */

static void a_daemon_that_dies_loses_nothing(void **state)
{
    make_volume();
    struct block_device *dead[4];
    for (unsigned i = 0; i < ARRAY_SIZE(dead); i++) {
        write_at(i * 131072 + 512, 65536, 0);
        zero_at(MIB + i * 131072, 16384 + 512, 0);
        if (i == 2)
            overlay_lab_flush(&lab);
        dead[i] = overlay_lab_kill(&lab);
        assert_false(lab.lost);
        assert_model();
    }
    overlay_lab_close(&lab);
    overlay_lab_reboot(&lab); /* it was closed: all is durable */
    for (unsigned i = 0; i < ARRAY_SIZE(dead); i++) {
        struct overlay *overlay = overlay_of(dead[i]);
        free((char *)take_ptr(overlay->parts.path)); /* the dead do not write */
        block_close(dead[i]);
    }
    overlay_lab_open(&lab);
    assert_false(lab.lost);
    assert_model();
}

/* The files are as the page cache had them; but the log is of a kernel that is gone. */
static void a_loss_of_power_loses_no_flushed_write_and_is_told(void **state)
{
    make_volume();
    write_at(0, 8192 + 512, 0);
    overlay_lab_flush(&lab);
    write_at(MIB, 4096, BLOCK_FUA);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_WRITE, 65536, 4096, pattern, 0), 0);
    overlay_lab_reboot(&lab);
    struct block_device *dead = overlay_lab_kill(&lab);
    assert_true(lab.lost);
    assert_model(); /* without the last one */
    struct block_device *dead_too = overlay_lab_kill(&lab);
    assert_true(lab.lost); /* nothing was written yet */
    write_at(2 * MIB, 4096, 0);
    struct block_device *dead_again = overlay_lab_kill(&lab);
    assert_false(lab.lost);
    assert_model();
    overlay_lab_close(&lab);
    struct block_device *all[] = {dead, dead_too, dead_again};
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        free((char *)take_ptr(overlay_of(all[i])->parts.path));
        block_close(all[i]);
    }
}

static void what_was_closed_is_not_lost(void **state)
{
    make_volume();
    write_at(4096 + 512, 65536, 0);
    overlay_lab_close(&lab);
    overlay_lab_reboot(&lab);
    overlay_lab_open(&lab);
    assert_false(lab.lost);
    assert_model();
}

static void after_a_flush_that_failed_it_is_as_if_power_was_lost(void **state)
{
    make_volume();
    write_at(0, 4096, BLOCK_FUA);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_WRITE, 65536, 4096, pattern, 0), 0);
    lab.device->failed = true;
    assert_int_equal(overlay_lab_read(&lab, 0, 512, buffer), -EIO);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_WRITE, 0, 512, pattern, 0), -EIO);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_FLUSH, 0, 0, NULL, 0), -EIO);
    overlay_lab_open(&lab);
    assert_true(lab.lost);
    assert_model();
}

static void a_log_that_is_full_begins_anew(void **state)
{
    make_volume();
    overlay_device_set_log_limit(lab.device, 3);
    for (unsigned i = 0; i < 50; i++)
        write_at(i * 16384, i % 2 ? 4096 : 512, 0);
    assert_model();
    struct block_device *dead = overlay_lab_kill(&lab);
    assert_false(lab.lost);
    assert_model();
    overlay_lab_close(&lab);
    free((char *)take_ptr(overlay_of(dead)->parts.path));
    block_close(dead);
}

static unsigned errors_told;

static void tell_error(struct block_device *device, enum block_operation operation, int result)
{
    assert_ptr_equal(device, lab.device);
    assert_int_equal(result, -ENOSPC);
    errors_told++;
}

static void a_full_file_system_is_told_and_does_no_more_harm(void **state)
{
    if (mount("tmpfs", lab.directory, "tmpfs", 0, "size=3200k") < 0)
        skip(); /* not root */
    make_volume();
    lab.device->on_error = tell_error;
    errors_told = 0;
    uint64_t at = 0;
    int r = 0;
    for (; r == 0 && at < 2 * MIB; at += r == 0 ? 65536 : 0) {
        r = overlay_lab_run(&lab, BLOCK_WRITE, at, 65536, pattern + at, 0);
        if (r == 0)
            memcpy(model + at, pattern + at, 65536);
    }
    assert_int_equal(r, -ENOSPC);
    assert_true(errors_told > 0);
    overlay_lab_run(&lab, BLOCK_WRITE, at, 65536, model + at, 0); /* not told of: either */
    assert_model();
    zero_at(0, 512 * KIB, 0);
    overlay_lab_flush(&lab);
    write_at(at, 65536, BLOCK_FUA);
    assert_model();
    overlay_lab_open(&lab);
    assert_model();
}

static void a_frozen_volume_cannot_be_written(void **state)
{
    make_volume();
    lab.spec.read_only = true;
    overlay_lab_open(&lab);
    assert_true(lab.device->read_only);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_WRITE, 0, 512, pattern, 0), -EIO);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_WRITE_ZEROES, 0, 512, NULL, 0), -EIO);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
    assert_model();
}

/* --- files --- */

static void a_layer_grows(void **state)
{
    overlay_lab_push(&lab, MIB + 512);
    overlay_lab_open(&lab);
    assert_int_equal(overlay_lab_run(&lab, BLOCK_WRITE, MIB, 512, pattern + MIB, 0), 0);
    memcpy(model + MIB, pattern + MIB, 512);
    overlay_lab_close(&lab);
    assert_int_equal(overlay_grow(lab.paths[0], lab.layers[0].id, MIB, &lab.error), -EINVAL);
    assert_contains(lab.error.text, "cannot get smaller");
    for (unsigned i = 0; i < 2; i++) /* the second time is none */
        overlay_lab_must(overlay_grow(lab.paths[0], lab.layers[0].id, SIZE, &lab.error),
                         &lab.error);
    overlay_lab_open(&lab); /* the registry has not heard of it yet */
    lab.spec.size = SIZE;
    overlay_lab_open(&lab);
    assert_model();
    write_at(MIB + 1024, 512, 0);
    write_at(SIZE - 512, 512, BLOCK_FUA);
    assert_model();
    overlay_lab_open(&lab);
    assert_model();
}

static void a_layer_is_made_over_what_is_there_and_removed(void **state)
{
    make_volume();
    write_at(0, 65536, 0);
    overlay_lab_close(&lab);
    overlay_lab_must(
        overlay_create(lab.paths[0], lab.layers[0].id, lab.spec.base_id, SIZE, &lab.error),
        &lab.error);
    for (size_t i = 0; i < 65536; i++)
        model[i] = base_byte(i);
    overlay_lab_open(&lab);
    assert_model();
    overlay_lab_close(&lab);
    for (unsigned i = 0; i < 2; i++)
        overlay_lab_must(overlay_remove(lab.paths[0], &lab.error), &lab.error);
    assert_int_equal(overlay_used(lab.paths[0]), 0);
    assert_refused(-ENOENT, ".data is missing");
    assert_int_equal(
        overlay_create(lab.paths[0], lab.layers[0].id, overlay_lab_nothing, 100, &lab.error),
        -EINVAL);
    assert_int_equal(
        overlay_create("/nowhere/layer", lab.layers[0].id, overlay_lab_nothing, 512, &lab.error),
        -ENOENT);
}

static void a_layer_opens_only_as_itself_over_what_it_was_made_for(void **state)
{
    make_volume();
    lab.layers[0].id[3] ^= 1;
    assert_refused(-EINVAL, "belongs to another volume");
    lab.layers[0].id[3] ^= 1;
    lab.spec.base_id[3] ^= 1;
    assert_refused(-EINVAL, "was made over something else");
    lab.spec.base_id[3] ^= 1;
    lab.spec.base_path = NULL;
    assert_refused(-EINVAL, "was made over something else");
    lab.spec.base_path = lab.base;
    lab.spec.size = SIZE + 512;
    assert_refused(-EIO, "of the volume's");
    lab.spec.size = SIZE;
    lab.spec.base_size = BASE_SIZE + 512;
    assert_refused(-EIO, "base.raw has only");
    lab.spec.base_size = BASE_SIZE;
    overlay_lab_open(&lab);
    assert_model();
}

static void files_that_were_cut_are_refused(void **state)
{
    static const char *const suffixes[] = {"data", "map", "log"};
    make_volume();
    overlay_lab_close(&lab);
    for (size_t i = 0; i < 2; i++) {
        cleanup_close int fd = open_part(suffixes[i]);
        off_t size = lseek(fd, 0, SEEK_END);
        assert_int_equal(ftruncate(fd, size - 1), 0);
        assert_refused(-EIO, "restore it from a backup");
        assert_int_equal(ftruncate(fd, size), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char path[LAYER_PATH_SIZE], away[LAYER_PATH_SIZE + 8];
        assert_int_equal(layer_path(lab.paths[0], suffixes[i], path, &lab.error), 0);
        snprintf(away, sizeof(away), "%s.away", path);
        assert_int_equal(rename(path, away), 0);
        assert_refused(-ENOENT, "is missing");
        assert_int_equal(rename(away, path), 0);
    }
    overlay_lab_open(&lab);
    assert_model();
}

/* The header is there twice: one may be torn, and the other one counts. */
static void a_header_that_was_torn(void **state)
{
    uint8_t slots[2][LAYER_SLOT_SIZE], torn[LAYER_SLOT_SIZE] = "nodiskMP";
    make_volume();
    write_at(0, 65536, 0);
    overlay_lab_close(&lab);
    cleanup_close int fd = open_part("map");
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(pread(fd, slots[i], LAYER_SLOT_SIZE, (off_t)layer_header_offset(i)),
                         LAYER_SLOT_SIZE);
    for (uint64_t i = 0; i < 2; i++) {
        torn[11] = 1; /* the version */
        assert_int_equal(pwrite(fd, torn, LAYER_SLOT_SIZE, (off_t)layer_header_offset(i)),
                         LAYER_SLOT_SIZE);
        overlay_lab_reboot(&lab);
        lab.spec.read_only = true;
        overlay_lab_open(&lab);
        assert_model();
        overlay_lab_close(&lab);
        torn[11] = 2;
        assert_int_equal(pwrite(fd, torn, LAYER_SLOT_SIZE, (off_t)layer_header_offset(i)),
                         LAYER_SLOT_SIZE);
        assert_refused(-ENOTSUP, "another version of nodisk");
        assert_int_equal(pwrite(fd, slots[i], LAYER_SLOT_SIZE, (off_t)layer_header_offset(i)),
                         LAYER_SLOT_SIZE);
    }
    torn[11] = 1;
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(pwrite(fd, torn, LAYER_SLOT_SIZE, (off_t)layer_header_offset(i)),
                         LAYER_SLOT_SIZE);
    assert_refused(-EIO, "no valid header");
}

static void only_what_is_below_is_merged(void **state)
{
    struct overlay_merge merge;
    make_volume();
    write_at(0, 65536, 0);
    overlay_lab_close(&lab);
    overlay_lab_push(&lab, SIZE);
    struct overlay_layer upper = lab.layers[0], lower = lab.layers[1];
    assert_int_equal(overlay_merge_begin(&merge, &lower, &upper, lab.spec.boot_id, &lab.error),
                     -EINVAL);
    assert_contains(lab.error.text, "was made over something else");
    overlay_merge_end(&merge);
    lower.path = "/nowhere/layer";
    assert_int_equal(overlay_merge_begin(&merge, &upper, &lower, lab.spec.boot_id, &lab.error),
                     -ENOENT);
    overlay_merge_end(&merge);
    overlay_lab_open(&lab);
    assert_model();
}

static void a_copy_takes_the_space_of_what_there_is(void **state)
{
    make_volume();
    write_at(3 * MIB, 65536, 0);
    zero_at(0, MIB, 0);
    overlay_lab_close(&lab);
    char path[64];
    snprintf(path, sizeof(path), "%s/copy", lab.directory);
    cleanup_close int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    struct overlay_copy copy = {.to = fd, .to_name = "copy"};
    overlay_lab_must(overlay_copy_begin(&copy, &lab.spec, &lab.error), &lab.error);
    while (overlay_copy_step(&copy, 0, &lab.error) > 0)
        ;
    overlay_copy_end(&copy);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, SIZE);
    assert_true((uint64_t)st.st_blocks * 512 < BASE_SIZE - MIB + 65536 + 64 * KIB);
    assert_int_equal(pread(fd, buffer, SIZE, 0), SIZE);
    assert_memory_equal(buffer, model, SIZE);
    lab.layers[0].id[0] ^= 1;
    assert_int_equal(overlay_copy_begin(&copy, &lab.spec, &lab.error), -EINVAL);
    overlay_copy_end(&copy);
}

static void the_kernel_has_an_id(void **state)
{
    uint8_t id[LAYER_ID_SIZE] = {0}, again[LAYER_ID_SIZE] = {0};
    assert_int_equal(overlay_boot_id(id, &lab.error), 0);
    assert_int_equal(overlay_boot_id(again, &lab.error), 0);
    assert_false(layer_id_is_zero(id));
    assert_memory_equal(id, again, LAYER_ID_SIZE);
}

#define OVERLAY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVERLAY_TEST(an_untouched_layer_reads_as_what_is_below_and_takes_no_space),
        OVERLAY_TEST(what_is_written_is_read_and_the_rest_comes_from_below),
        OVERLAY_TEST(across_the_end_of_what_is_below),
        OVERLAY_TEST(over_nothing_all_is_zeroes),
        OVERLAY_TEST(zeroes_hide_what_is_below_and_give_space_back),
        OVERLAY_TEST(writes_to_parts_of_one_block_at_once),
        OVERLAY_TEST(a_stack_of_layers),
        OVERLAY_TEST(what_is_wholly_of_the_image_is_seen_in_place),
        OVERLAY_TEST(where_there_is_space),
        OVERLAY_TEST(a_daemon_that_dies_loses_nothing),
        OVERLAY_TEST(a_loss_of_power_loses_no_flushed_write_and_is_told),
        OVERLAY_TEST(what_was_closed_is_not_lost),
        OVERLAY_TEST(after_a_flush_that_failed_it_is_as_if_power_was_lost),
        OVERLAY_TEST(a_log_that_is_full_begins_anew),
        OVERLAY_TEST(a_full_file_system_is_told_and_does_no_more_harm),
        OVERLAY_TEST(a_frozen_volume_cannot_be_written),
        OVERLAY_TEST(a_layer_grows),
        OVERLAY_TEST(a_layer_is_made_over_what_is_there_and_removed),
        OVERLAY_TEST(a_layer_opens_only_as_itself_over_what_it_was_made_for),
        OVERLAY_TEST(files_that_were_cut_are_refused),
        OVERLAY_TEST(a_header_that_was_torn),
        OVERLAY_TEST(only_what_is_below_is_merged),
        OVERLAY_TEST(a_copy_takes_the_space_of_what_there_is),
        OVERLAY_TEST(the_kernel_has_an_id),
    };
    scratch_dir_own_mounts();
    return RUN_TESTS(tests);
}
