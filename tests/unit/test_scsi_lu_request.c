/* Requests to an LU of this thread and of another one. */
#include "test.h"

#include "memdisk.h"
#include "thread_call.h"

#include "scsi/lu_request.h"

#include <errno.h>

static struct io_thread *threads[2]; /* the LU's is the second */
static struct memdisk *disk;
static struct scsi_lu *lu;
static struct scsi_nexus nexus;

static struct {
    struct scsi_lu_request request;
    struct bell done;
    pthread_t told_on;
    int result;
} asked;

static uint8_t data[4096];

static int setup(void **state)
{
    static const uint8_t serial[16] = {1};
    struct error error;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(io_thread_start(i, 8 * MIB, &threads[i], &error), 0);
    disk = memdisk_new(1 * MIB);
    disk->immediate = true;
    lu = scsi_lu_new(threads[1], &disk->device, 512, serial);
    scsi_nexus_connect(&nexus, lu, &(struct scsi_nexus_id){0}, NULL);
    asked.done = BELL_NEW;
    return 0;
}

static int teardown(void **state)
{
    scsi_nexus_disconnect(&nexus);
    for (unsigned i = 0; i < 2; i++)
        io_thread_stop(threads[i]);
    scsi_lu_free(lu);
    return 0;
}

static void was_done(struct scsi_lu_request *request, int result)
{
    asked.told_on = pthread_self();
    asked.result = result;
    bell_ring(&asked.done);
}

static void submit(void *context)
{
    scsi_lu_request_submit(context);
}

static void begin(unsigned from, enum block_operation operation)
{
    asked.request = (struct scsi_lu_request){
        .lu = lu,
        .nexus = &nexus,
        .thread = threads[from],
        .request = {.operation = operation, .offset = 8192, .length = sizeof(data), .data = data},
        .done = was_done};
    asked.done = BELL_NEW;
    thread_call(threads[from], submit, &asked.request);
}

static int ask(unsigned from, enum block_operation operation)
{
    begin(from, operation);
    bell_wait(&asked.done, 1);
    assert_true(pthread_equal(asked.told_on, threads[from]->thread));
    return asked.result;
}

static void from_either_thread(void **state)
{
    for (unsigned from = 0; from < 2; from++) {
        memset(data, 0x40 + (int)from, sizeof(data));
        assert_int_equal(ask(from, BLOCK_WRITE), 0);
        assert_memory_equal(disk->data + 8192, data, sizeof(data));
        memset(disk->data + 8192, 0x77, sizeof(data));
        assert_int_equal(ask(from, BLOCK_READ), 0);
        assert_int_equal(data[4095], 0x77);
    }
}

static void what_the_disk_says(void **state)
{
    disk->fail_with = -ENOSPC;
    for (unsigned from = 0; from < 2; from++)
        assert_int_equal(ask(from, BLOCK_WRITE), -ENOSPC);
}

static void what_refuses_a_command_refuses_it(void **state)
{
    for (unsigned from = 0; from < 2; from++) {
        lu->ejected = true;
        assert_int_equal(ask(from, BLOCK_READ), -ENOMEDIUM);
        assert_int_equal(ask(from, BLOCK_WRITE), -ENOMEDIUM);
        lu->ejected = false;
        lu->mode.write_protect = true;
        assert_int_equal(ask(from, BLOCK_READ), 0);
        assert_int_equal(ask(from, BLOCK_WRITE), -EROFS);
        lu->mode.write_protect = false;
        lu->reservations->type = SCSI_WRITE_EXCLUSIVE;
        assert_int_equal(ask(from, BLOCK_READ), 0);
        assert_int_equal(ask(from, BLOCK_WRITE), -EBUSY);
        lu->reservations->type = SCSI_EXCLUSIVE_ACCESS;
        assert_int_equal(ask(from, BLOCK_READ), -EBUSY);
        lu->reservations->type = 0;
    }
    assert_int_equal(disk->writes, 0);
}

static void claim(void *context)
{
    assert_true(scsi_range_claim(&lu->ranges, context));
}

static void release(void *context)
{
    scsi_range_release(&lu->ranges, context);
}

static void a_write_waits_for_its_bytes(void **state)
{
    for (unsigned from = 0; from < 2; from++) {
        struct scsi_range_claim other = {.begin = 8192, .end = 8193, .exclusive = true};
        unsigned before = disk->writes;
        thread_call(threads[1], claim, &other);
        assert_int_equal(ask(from, BLOCK_READ), 0); /* reads do not */
        begin(from, BLOCK_WRITE);
        thread_end_round(threads[1]); /* it has come there */
        assert_int_equal(disk->writes, before);
        thread_call(threads[1], release, &other);
        bell_wait(&asked.done, 1);
        assert_int_equal(asked.result, 0);
        assert_int_equal(disk->writes, before + 1);
        assert_true(list_empty(&lu->ranges.held) && list_empty(&lu->ranges.waiting));
    }
}

#define REQUEST_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REQUEST_TEST(from_either_thread),
        REQUEST_TEST(what_the_disk_says),
        REQUEST_TEST(what_refuses_a_command_refuses_it),
        REQUEST_TEST(a_write_waits_for_its_bytes),
    };
    return RUN_TESTS(tests);
}
