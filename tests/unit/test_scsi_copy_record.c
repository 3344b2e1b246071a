#include "test.h"

#include "scsi/copy_record.h"

static struct scsi_copy_records records;

static int setup(void **state)
{
    records = (struct scsi_copy_records){0};
    return 0;
}

static void found_by_its_list_identifier(void **state)
{
    assert_null(scsi_copy_record_find(&records, 0));
    struct scsi_copy_record *a = scsi_copy_record_new(&records, false, 0);
    struct scsi_copy_record *b = scsi_copy_record_new(&records, false, 7);
    assert_ptr_equal(scsi_copy_record_find(&records, 0), a);
    assert_ptr_equal(scsi_copy_record_find(&records, 7), b);
    assert_null(scsi_copy_record_find(&records, 8));
}

static void one_without_an_identifier_is_not_found(void **state)
{
    assert_non_null(scsi_copy_record_new(&records, true, 0));
    assert_null(scsi_copy_record_find(&records, 0));
}

static void no_more_than_a_few_run(void **state)
{
    for (uint8_t i = 0; i < SCSI_MAX_COPIES; i++)
        assert_non_null(scsi_copy_record_new(&records, i % 2, i));
    assert_null(scsi_copy_record_new(&records, false, 100));
    assert_null(scsi_copy_record_new(&records, true, 0));
    records.records[1].state = SCSI_COPY_NONE;
    assert_ptr_equal(scsi_copy_record_new(&records, false, 100), &records.records[1]);
}

static void the_oldest_makes_room(void **state)
{
    for (uint8_t i = 0; i < SCSI_MAX_COPIES; i++)
        scsi_copy_record_new(&records, false, i)->state = SCSI_COPY_ENDED;
    scsi_copy_record_find(&records, 0)->state = SCSI_COPY_RUNS;
    assert_non_null(scsi_copy_record_new(&records, false, 100));
    assert_non_null(scsi_copy_record_find(&records, 0));
    assert_null(scsi_copy_record_find(&records, 1));
    assert_non_null(scsi_copy_record_find(&records, 2));
}

static void the_same_identifier_begins_anew(void **state)
{
    struct scsi_copy_record *a = scsi_copy_record_new(&records, false, 3);
    *a = (struct scsi_copy_record){
        .state = SCSI_COPY_FAILED, .list_id = 3, .bytes = 7, .sense_size = 18};
    assert_ptr_equal(scsi_copy_record_new(&records, false, 3), a);
    assert_int_equal(a->state, SCSI_COPY_RUNS);
    assert_true(a->bytes == 0 && a->sense_size == 0);
}

static void a_reset_forgets_what_has_ended(void **state)
{
    scsi_copy_record_new(&records, false, 1)->state = SCSI_COPY_ENDED;
    scsi_copy_record_new(&records, false, 2)->state = SCSI_COPY_FAILED;
    scsi_copy_record_new(&records, false, 3);
    scsi_copy_records_forget(&records);
    assert_null(scsi_copy_record_find(&records, 1));
    assert_null(scsi_copy_record_find(&records, 2));
    assert_non_null(scsi_copy_record_find(&records, 3));
}

#define RECORD_TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORD_TEST(found_by_its_list_identifier),
        RECORD_TEST(one_without_an_identifier_is_not_found),
        RECORD_TEST(no_more_than_a_few_run),
        RECORD_TEST(the_oldest_makes_room),
        RECORD_TEST(the_same_identifier_begins_anew),
        RECORD_TEST(a_reset_forgets_what_has_ended),
    };
    return RUN_TESTS(tests);
}
