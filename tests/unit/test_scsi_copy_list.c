#include "test.h"

#include "copy_parameters.h"

static struct copy_parameters p;
static struct scsi_copy_list list;
static const uint8_t naa[8] = {0x31, 2, 3, 4, 5, 6, 7, 8};

static int setup(void **state)
{
    p = (struct copy_parameters){0};
    return 0;
}

static void parse(enum scsi_sense sense, int field)
{
    /* of its own size, so that the address sanitizer sees who reads too far */
    uint8_t *exact = malloc(p.size ? p.size : 1);
    int at = -2;
    memcpy(exact, p.bytes, p.size);
    enum scsi_sense found = scsi_copy_list_parse(exact, p.size, &list, &at);
    free(exact);
    if (found != sense || at != field)
        fail_msg("sense %06x at %d instead of %06x at %d", found, at, sense, field);
}

/* One LU and one segment: the segment begins at byte 48. */
static void make_simple(void)
{
    copy_parameters_cscd(&p, naa, 512);
    copy_parameters_blocks(&p, 0x02, 0, 0, 100, 7, UINT64_C(0x123456789a));
    copy_parameters_head(&p, 9, SCSI_COPY_KEEP);
}

static void what_a_list_says(void **state)
{
    copy_parameters_cscd(&p, naa, 512);
    copy_parameters_cscd(&p, naa, 4096);
    copy_parameters_blocks(&p, 0x02, 0, 1, 100, 7, UINT64_C(0x123456789a));
    copy_parameters_bytes(&p, 1, 2, 12345, 8, 13, 9, 14);
    copy_parameters_head(&p, 9, SCSI_COPY_DISCARD);
    parse(SENSE_NONE, -1);
    assert_true(list.id == 9 && list.usage == SCSI_COPY_DISCARD);
    assert_true(list.n_cscds == 2 && list.n_segments == 2);
    const struct scsi_copy_cscd *c = &list.cscds[1];
    assert_true(c->code_set == 1 && c->designator_type == 3 && c->designator_size == 8);
    assert_int_equal(c->block_size, 4096);
    const struct scsi_copy_segment *s = &list.segments[0];
    assert_true(s->type == SCSI_COPY_BLOCKS && s->counts_destination);
    assert_true(s->source == 0 && s->destination == 1 && s->count == 100);
    assert_int_equal(s->at, 16 + 2 * 32);
    assert_true(s->source_lba == 7 && s->destination_lba == UINT64_C(0x123456789a));
    assert_true(s->source_offset == 0 && s->destination_offset == 0);
    s = &list.segments[1];
    assert_true(s->type == SCSI_COPY_BYTES && !s->counts_destination);
    assert_true(s->source == 1 && s->destination == 2 && s->count == 12345);
    assert_int_equal(s->at, 16 + 2 * 32 + 28);
    assert_true(s->source_lba == 8 && s->source_offset == 13);
    assert_true(s->destination_lba == 9 && s->destination_offset == 14);
}

static void a_list_of_nothing(void **state)
{
    copy_parameters_head(&p, 0, SCSI_COPY_ANONYMOUS);
    parse(SENSE_NONE, -1);
    assert_true(list.n_cscds == 0 && list.n_segments == 0);
}

static void cut_anywhere_it_has_the_wrong_length(void **state)
{
    make_simple();
    uint32_t whole = p.size;
    for (p.size = 0; p.size < whole; p.size++)
        parse(SENSE_PARAMETER_LIST_LENGTH, -1);
    p.size = whole + 1; /* what stands behind it is ignored */
    parse(SENSE_NONE, -1);
}

static void a_segment_that_is_cut_by_the_header(void **state)
{
    make_simple();
    for (uint8_t length = 1; length < 28; length++) {
        p.bytes[11] = length;
        parse(SENSE_PARAMETER_LIST_LENGTH, -1);
    }
    p.bytes[11] = 29; /* of the next one, there is a byte */
    p.size++;
    parse(SENSE_PARAMETER_LIST_LENGTH, -1);
    p = (struct copy_parameters){0};
    copy_parameters_bytes(&p, 0, 0, 1, 0, 0, 0, 0);
    p.segments_length = 31;
    copy_parameters_head(&p, 0, SCSI_COPY_KEEP);
    parse(SENSE_PARAMETER_LIST_LENGTH, -1);
}

static void as_many_as_are_promised(void **state)
{
    for (unsigned i = 0; i < SCSI_COPY_MAX_CSCDS; i++)
        copy_parameters_cscd(&p, naa, 512);
    for (unsigned i = 0; i < SCSI_COPY_MAX_SEGMENTS; i++)
        copy_parameters_bytes(&p, 0, 0, 1, 0, 0, 0, 0);
    assert_true(p.cscds_length + p.segments_length <= SCSI_COPY_MAX_LIST);
    copy_parameters_head(&p, 0, SCSI_COPY_KEEP);
    parse(SENSE_NONE, -1);
    copy_parameters_blocks(&p, 0, 0, 0, 1, 0, 0);
    copy_parameters_head(&p, 0, SCSI_COPY_KEEP);
    parse(SENSE_TOO_MANY_SEGMENTS, -1);
}

static void too_many_lus(void **state)
{
    for (unsigned i = 0; i <= SCSI_COPY_MAX_CSCDS; i++)
        copy_parameters_cscd(&p, naa, 512);
    copy_parameters_blocks(&p, 0, 0, 0, 1, 0, 0);
    assert_true(p.cscds_length + p.segments_length <= SCSI_COPY_MAX_LIST);
    copy_parameters_head(&p, 0, SCSI_COPY_KEEP);
    parse(SENSE_TOO_MANY_CSCDS, -1);
}

/* The length comes before the numbers. */
static void a_list_that_is_too_long(void **state)
{
    for (unsigned i = 0; i <= SCSI_COPY_MAX_CSCDS; i++)
        copy_parameters_cscd(&p, naa, 512);
    while (p.cscds_length + p.segments_length <= SCSI_COPY_MAX_LIST)
        copy_parameters_blocks(&p, 0, 0, 0, 1, 0, 0);
    copy_parameters_head(&p, 0, SCSI_COPY_KEEP);
    parse(SENSE_PARAMETER_LIST_LENGTH, -1);
    memset(p.bytes + 8, 0xff, 8); /* lengths that wrap when they are added */
    parse(SENSE_PARAMETER_LIST_LENGTH, -1);
}

static void the_header_is_checked(void **state)
{
    make_simple();
    p.bytes[1] = 1 << 3; /* reserved */
    parse(SENSE_INVALID_FIELD_IN_PARAMETERS, 1);
    p.bytes[1] = SCSI_COPY_ANONYMOUS << 3; /* with a list identifier */
    parse(SENSE_INVALID_FIELD_IN_PARAMETERS, 0);
    p.bytes[0] = 0;
    parse(SENSE_NONE, -1);
    p.bytes[15] = 1;
    parse(SENSE_PARAMETER_LIST_LENGTH, -1);
    p.size++;
    parse(SENSE_INLINE_DATA_LENGTH_EXCEEDED, 12);
    p.bytes[15] = 0;
    p.bytes[3] = 31;
    parse(SENSE_INVALID_FIELD_IN_PARAMETERS, 2);
}

static void descriptors_that_there_are_not(void **state)
{
    copy_parameters_cscd(&p, naa, 512);
    copy_parameters_cscd(&p, naa, 512);
    copy_parameters_blocks(&p, 0, 0, 0, 1, 0, 0);
    copy_parameters_blocks(&p, 0, 0, 0, 1, 0, 0);
    copy_parameters_head(&p, 0, SCSI_COPY_KEEP);
    p.bytes[16 + 32] = 0xe0; /* a port of Fibre Channel */
    parse(SENSE_UNSUPPORTED_CSCD_TYPE, 16 + 32);
    p.bytes[16 + 32] = SCSI_COPY_CSCD;
    p.bytes[16 + 64 + 28] = 0x03; /* stream to stream */
    parse(SENSE_UNSUPPORTED_SEGMENT_TYPE, 16 + 64 + 28);
    p.bytes[11] -= 8; /* which is shorter than ours */
    parse(SENSE_UNSUPPORTED_SEGMENT_TYPE, 16 + 64 + 28);
    p.bytes[11] += 8;
    p.bytes[16 + 64 + 28] = SCSI_COPY_BYTES; /* which is longer */
    parse(SENSE_INVALID_FIELD_IN_PARAMETERS, 16 + 64 + 28 + 2);
}

static void a_segment_that_is_too_large(void **state)
{
    copy_parameters_bytes(&p, 0, 0, SCSI_COPY_MAX_SEGMENT_SIZE, 0, 0, 0, 0);
    copy_parameters_head(&p, 0, SCSI_COPY_KEEP);
    parse(SENSE_NONE, -1);
    p.bytes[16 + 11]++;
    parse(SENSE_INVALID_FIELD_IN_PARAMETERS, 16 + 8);
}

#define LIST_TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIST_TEST(what_a_list_says),
        LIST_TEST(a_list_of_nothing),
        LIST_TEST(cut_anywhere_it_has_the_wrong_length),
        LIST_TEST(a_segment_that_is_cut_by_the_header),
        LIST_TEST(as_many_as_are_promised),
        LIST_TEST(too_many_lus),
        LIST_TEST(a_list_that_is_too_long),
        LIST_TEST(the_header_is_checked),
        LIST_TEST(descriptors_that_there_are_not),
        LIST_TEST(a_segment_that_is_too_large),
    };
    return RUN_TESTS(tests);
}
