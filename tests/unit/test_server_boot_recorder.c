/* What is recorded of which boot, on two real I/O threads; the device is a plain one. */
#include "test.h"

#include "thread_call.h"

#include "server/boot_recorder.h"

#define IQN   "iqn.2026-11.lan.example"
#define SIZE  (16 * MIB)
#define PIECE (64 * KIB)
#define NODES 6

struct lab {
    struct catalog_slot *slot;
    struct boot_recorder *recorder;
    struct io_thread *thread;
    struct block_device device; /* of the volume that is open */
    uint64_t volume_id;         /* of the next call on the thread */
};

static struct lab lab;

/* node i boots volume i, over the image version 7; volume 100 is nobody's disk; 101 is no overlay.
 */
static void set_catalog(uint64_t version_id)
{
    struct catalog *c = catalog_new(IQN, 1);
    const struct catalog_layer layer = {.id = 1, .size = SIZE, .path = "/layer"};
    const struct catalog_overlay overlay = {
        .n_layers = 1,
        .layers = &layer,
        .base = {
            .version_id = version_id, .image = "golden@3", .path = "/golden/3.raw", .size = SIZE}};
    static const uint64_t ids[] = {1, 2, 3, 4, 5, 6, 100, 101};
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        char name[16];
        snprintf(name, sizeof(name), "v%llu", (unsigned long long)ids[i]);
        const struct catalog_volume volume = {.id = ids[i],
                                              .name = name,
                                              .state = VOLUME_READY,
                                              .kind = ids[i] == 101 ? VOLUME_FILE : VOLUME_OVERLAY,
                                              .path = "/v",
                                              .size = SIZE,
                                              .block_size = 512,
                                              .overlay = ids[i] == 101 ? NULL : &overlay};
        assert_int_equal(catalog_add_volume(c, &volume), 0);
        if (ids[i] == 100)
            continue;
        const struct mac_address mac = {{0x52, 0x54, 0, 0, 0, (uint8_t)ids[i]}};
        const struct catalog_node node = {
            .id = ids[i], .name = name, .macs = &mac, .n_macs = 1, .volume_id = ids[i]};
        assert_int_equal(catalog_add_node(c, &node), 0);
    }
    assert_int_equal(catalog_seal(c), 0);
    catalog_slot_set(lab.slot, c);
}

static void set_up(uint64_t patience)
{
    struct error error;
    lab = (struct lab){.slot = catalog_slot_new()};
    set_catalog(7);
    lab.recorder = boot_recorder_new(lab.slot, patience);
    assert_int_equal(io_thread_start(0, MIB, &lab.thread, &error), 0);
}

static int setup(void **state)
{
    set_up(BOOT_RECORDER_PATIENCE);
    return 0;
}

static int teardown(void **state)
{
    boot_recorder_stop(lab.recorder);
    io_thread_stop(lab.thread);
    boot_recorder_free(lab.recorder);
    catalog_slot_free(lab.slot);
    return 0;
}

static void attach_now(void *context)
{
    boot_recorder_attach(lab.recorder, lab.volume_id, lab.thread, &lab.device);
}

static void detach_now(void *context)
{
    boot_recorder_detach(lab.recorder, lab.volume_id);
}

static void attach(uint64_t volume_id)
{
    lab.volume_id = volume_id;
    thread_call(lab.thread, attach_now, NULL);
}

static void detach(uint64_t volume_id)
{
    lab.volume_id = volume_id;
    thread_call(lab.thread, detach_now, NULL);
}

static void read_now(void *context)
{
    const uint64_t *piece = context;
    if (lab.device.reads)
        block_reads_note(lab.device.reads, *piece * PIECE, 512);
}

static void read_piece(uint64_t piece)
{
    thread_call(lab.thread, read_now, &piece);
}

static struct boot_record *wait_for_record(void)
{
    return boot_recorder_wait(lab.recorder, UINT64_MAX);
}

/* And frees it. */
static void assert_read(struct boot_record *record, uint64_t pieces)
{
    assert_non_null(record);
    assert_string_equal(record->image.image, "golden@3");
    assert_string_equal(record->image.path, "/golden/3.raw");
    for (uint64_t i = 0; i < SIZE / PIECE; i++)
        assert_int_equal(block_reads_has(record->reads, i), i < 64 && pieces >> i & 1);
    boot_record_free(record);
}

static void assert_nothing(void)
{
    assert_null(boot_recorder_wait(lab.recorder, 0));
}

static void test_from_firmware_to_up(void **state)
{
    read_piece(1);
    boot_recorder_begin(lab.recorder, 1);
    assert_null(lab.device.reads); /* not before it is open */
    attach(1);
    read_piece(2);
    detach(1); /* between firmware and initramfs */
    assert_null(lab.device.reads);
    read_piece(3);
    attach(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_INITRAMFS);
    read_piece(4);
    assert_nothing();
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    assert_read(wait_for_record(), 1 << 2 | 1 << 4);
    assert_null(lab.device.reads);
    attach(1); /* opened again, later */
    assert_null(lab.device.reads);
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    assert_nothing();
}

static void test_up_while_it_is_closed(void **state)
{
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(5);
    detach(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    assert_read(boot_recorder_wait(lab.recorder, 0), 1 << 5);
}

static void test_what_is_not_recorded(void **state)
{
    boot_recorder_begin(lab.recorder, 100); /* nobody's disk */
    boot_recorder_begin(lab.recorder, 101); /* no overlay */
    boot_recorder_begin(lab.recorder, 102); /* nothing */
    for (uint64_t id = 100; id <= 102; id++) {
        attach(id);
        assert_null(lab.device.reads);
    }
    set_catalog(0); /* over nothing */
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    assert_null(lab.device.reads);
    boot_recorder_begin(NULL, 1);
    boot_recorder_reached(NULL, 1, BOOT_UP);
    boot_recorder_attach(NULL, 1, lab.thread, &lab.device);
    boot_recorder_detach(NULL, 1);
}

static void test_a_few_at_once_are_enough(void **state)
{
    for (uint64_t id = 1; id <= NODES; id++) {
        boot_recorder_begin(lab.recorder, id);
        attach(id);
        assert_int_equal(lab.device.reads != NULL, id <= BOOT_RECORDER_MAX_PER_IMAGE);
        detach(id);
    }
    boot_recorder_reached(lab.recorder, 2, BOOT_UP);
    assert_read(wait_for_record(), 0);
    boot_recorder_begin(lab.recorder, NODES);
    attach(NODES);
    assert_non_null(lab.device.reads);
    detach(NODES);
}

static void test_a_boot_that_begins_again_is_one(void **state)
{
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(1);
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(2);
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    assert_read(wait_for_record(), 1 << 1 | 1 << 2);
    assert_nothing();
}

static void test_the_next_boot_while_the_last_one_ends(void **state)
{
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    assert_read(wait_for_record(), 1 << 1);
    read_piece(2);
    detach(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    assert_read(wait_for_record(), 1 << 2);
}

static void test_another_image_is_another_boot(void **state)
{
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(1);
    detach(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_INITRAMFS);
    set_catalog(8);
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(2);
    detach(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    assert_read(wait_for_record(), 1 << 2);
    assert_nothing();
}

static int setup_impatient(void **state)
{
    set_up(0);
    return 0;
}

static void test_a_boot_ends_when_its_time_is_over(void **state)
{
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_SYSTEM); /* which is never up */
    assert_read(wait_for_record(), 1 << 1);
    assert_null(lab.device.reads);
}

static void test_firmware_alone_is_no_boot(void **state)
{
    boot_recorder_begin(lab.recorder, 1);
    attach(1);
    read_piece(1);
    boot_recorder_reached(lab.recorder, 1, BOOT_FIRMWARE);
    boot_recorder_begin(lab.recorder, 2);
    boot_recorder_reached(lab.recorder, 2, BOOT_INITRAMFS);
    assert_read(wait_for_record(), 0);
    while (lab.device.reads)
        assert_null(boot_recorder_wait(lab.recorder, 1000));
    assert_nothing();
}

static void test_nobody_waits_when_it_is_stopped(void **state)
{
    boot_recorder_begin(lab.recorder, 1);
    boot_recorder_reached(lab.recorder, 1, BOOT_UP);
    boot_recorder_stop(lab.recorder);
    assert_true(boot_recorder_stopped(lab.recorder));
    assert_null(wait_for_record());
}

int main(void)
{
#define LAB_TEST(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define IMPATIENT(f) cmocka_unit_test_setup_teardown(f, setup_impatient, teardown)
    const struct CMUnitTest tests[] = {
        LAB_TEST(test_from_firmware_to_up),
        LAB_TEST(test_up_while_it_is_closed),
        LAB_TEST(test_what_is_not_recorded),
        LAB_TEST(test_a_few_at_once_are_enough),
        LAB_TEST(test_a_boot_that_begins_again_is_one),
        LAB_TEST(test_the_next_boot_while_the_last_one_ends),
        LAB_TEST(test_another_image_is_another_boot),
        IMPATIENT(test_a_boot_ends_when_its_time_is_over),
        IMPATIENT(test_firmware_alone_is_no_boot),
        LAB_TEST(test_nobody_waits_when_it_is_stopped),
    };
    return RUN_TESTS(tests);
}
