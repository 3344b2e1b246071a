#include "test.h"

#include "tftp/transfer.h"

#define SECOND USEC_PER_SEC

/* A transfer and the client at its other end. */
struct lab {
    struct tftp_transfer transfer;
    struct tftp_output output;
    uint64_t now;
};

static struct lab start(struct tftp_options options, uint64_t file_size)
{
    struct lab lab = {.now = 1000 * SECOND};
    tftp_transfer_start(&lab.transfer, &options, file_size, 1468, lab.now);
    return lab;
}

static bool next(struct lab *lab)
{
    return tftp_transfer_next(&lab->transfer, lab->now, &lab->output);
}

static void ack(struct lab *lab, uint16_t block)
{
    const uint8_t packet[] = {0, TFTP_ACK, (uint8_t)(block >> 8), (uint8_t)block};
    tftp_transfer_receive(&lab->transfer, packet, sizeof(packet), lab->now);
}

static void tick(struct lab *lab, uint64_t seconds)
{
    lab->now += seconds * SECOND;
    tftp_transfer_tick(&lab->transfer, lab->now);
}

/* The next packet is this block... */
static void assert_block(struct lab *lab, uint16_t block, uint64_t offset, size_t size)
{
    const uint8_t header[] = {0, TFTP_DATA, (uint8_t)(block >> 8), (uint8_t)block};
    assert_true(next(lab));
    assert_int_equal(lab->output.size, 4);
    assert_memory_equal(lab->output.header, header, 4);
    assert_int_equal(lab->output.offset, offset);
    assert_int_equal(lab->output.file_bytes, size);
}

/* ... and that is all for now. */
static void assert_nothing(struct lab *lab)
{
    assert_false(next(lab));
}

static void a_plain_transfer_goes_in_lock_step(void **state)
{
    struct lab lab = start((struct tftp_options){0}, 1100);
    assert_block(&lab, 1, 0, 512);
    assert_nothing(&lab);
    ack(&lab, 1);
    assert_block(&lab, 2, 512, 512);
    assert_nothing(&lab);
    ack(&lab, 2);
    assert_block(&lab, 3, 1024, 76);
    ack(&lab, 3);
    assert_nothing(&lab);
    assert_int_equal(lab.transfer.state, TFTP_FINISHED);
    assert_int_equal(tftp_transfer_bytes(&lab.transfer), 1100);
}

static void the_last_block_is_short_even_if_empty(void **state)
{
    static const struct {
        uint64_t size;
        uint64_t blocks;
    } cases[] = {{0, 1}, {1, 1}, {511, 1}, {512, 2}, {513, 2}, {1024, 3}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct lab lab = start((struct tftp_options){0}, cases[i].size);
        uint64_t blocks = 0;
        while (next(&lab)) {
            ack(&lab, (uint16_t)++blocks);
            assert_int_equal(lab.output.file_bytes < 512, blocks == cases[i].blocks);
        }
        assert_int_equal(blocks, cases[i].blocks);
        assert_int_equal(lab.transfer.state, TFTP_FINISHED);
    }
}

static void options_are_acknowledged_first(void **state)
{
    struct lab lab = start((struct tftp_options){.blksize = 1432, .tsize = true}, 74213);
    assert_true(next(&lab));
    assert_memory_equal(lab.output.header,
                        "\0\6tsize\0"
                        "74213\0blksize\0"
                        "1432\0",
                        27);
    assert_int_equal(lab.output.file_bytes, 0);
    assert_nothing(&lab);
    ack(&lab, 1); /* not the answer to an OACK */
    assert_nothing(&lab);
    ack(&lab, 0);
    assert_block(&lab, 1, 0, 1432);
    assert_int_equal(lab.transfer.n_blocks, 52);
}

static void no_option_is_more_than_asked_for(void **state)
{
    struct lab lab = start((struct tftp_options){.blksize = 65464, .windowsize = 65535}, 1 << 20);
    assert_int_equal(lab.transfer.options.blksize, 1468); /* a frame */
    assert_int_equal(lab.transfer.options.windowsize, TFTP_MAX_WINDOW);
    lab = start((struct tftp_options){.blksize = 100, .windowsize = 3, .timeout = 7}, 1 << 20);
    assert_int_equal(lab.transfer.options.blksize, 100);
    assert_int_equal(lab.transfer.options.windowsize, 3);
    assert_int_equal(lab.transfer.timeout, 7 * SECOND);
}

static void repeated_acks_cause_nothing(void **state)
{
    struct lab lab = start((struct tftp_options){0}, 5000);
    assert_block(&lab, 1, 0, 512);
    ack(&lab, 1);
    assert_block(&lab, 2, 512, 512);
    for (int i = 0; i < 5; i++) {
        ack(&lab, 1); /* RFC 1123 4.2.3.1 */
        assert_nothing(&lab);
    }
    ack(&lab, 2);
    assert_block(&lab, 3, 1024, 512);
    ack(&lab, 1);     /* very old */
    ack(&lab, 4);     /* not sent yet */
    ack(&lab, 40000); /* absurd */
    assert_nothing(&lab);
}

static void lost_packets_are_sent_again_at_the_same_pace(void **state)
{
    struct lab lab = start((struct tftp_options){0}, 5000);
    assert_block(&lab, 1, 0, 512);
    ack(&lab, 1);
    assert_block(&lab, 2, 512, 512);
    for (int i = 0; i < TFTP_TRIES_HEARD; i++) {
        tftp_transfer_tick(&lab.transfer, lab.now + SECOND - 1);
        assert_nothing(&lab);
        tick(&lab, 1);
        assert_block(&lab, 2, 512, 512);
    }
    tick(&lab, 1);
    assert_nothing(&lab);
    assert_int_equal(lab.transfer.state, TFTP_LOST);
    assert_int_equal(tftp_transfer_bytes(&lab.transfer), 512);
}

static void progress_starts_the_count_anew(void **state)
{
    struct lab lab = start((struct tftp_options){0}, 512 * 100);
    for (uint16_t block = 1; block < 50; block++) {
        assert_true(next(&lab));
        for (unsigned i = 0; i + 1 < TFTP_TRIES_UNHEARD; i++)
            tick(&lab, 1);
        assert_true(next(&lab));
        ack(&lab, block);
    }
    assert_int_equal(lab.transfer.state, TFTP_SENDING);
}

static void a_client_that_never_answers_is_given_up_soon(void **state)
{
    struct tftp_options cases[] = {{0}, {.tsize = true}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct lab lab = start(cases[i], 5000);
        unsigned packets = 0;
        for (int seconds = 0; seconds < 60; seconds++) {
            packets += next(&lab);
            tick(&lab, 1);
        }
        assert_int_equal(packets, 1 + TFTP_TRIES_UNHEARD);
        assert_int_equal(lab.transfer.state, TFTP_LOST);
    }
}

static void a_long_timeout_is_no_way_to_stay_for_ever(void **state)
{
    struct lab lab = start((struct tftp_options){.timeout = 255}, 5000);
    assert_true(next(&lab));
    ack(&lab, 0);
    assert_true(next(&lab));
    tick(&lab, 255);
    assert_int_equal(lab.transfer.state, TFTP_LOST);
}

static void a_window_is_sent_at_once(void **state)
{
    struct lab lab = start((struct tftp_options){.blksize = 1000, .windowsize = 4}, 10500);
    assert_true(next(&lab));
    ack(&lab, 0);
    for (uint16_t block = 1; block <= 4; block++)
        assert_block(&lab, block, (block - 1) * 1000, 1000);
    assert_nothing(&lab);
    ack(&lab, 4);
    for (uint16_t block = 5; block <= 8; block++)
        assert_block(&lab, block, (block - 1) * 1000, 1000);
    assert_nothing(&lab);
    ack(&lab, 8);
    assert_block(&lab, 9, 8000, 1000);
    assert_block(&lab, 10, 9000, 1000);
    assert_block(&lab, 11, 10000, 500);
    assert_nothing(&lab);
    ack(&lab, 11);
    assert_int_equal(lab.transfer.state, TFTP_FINISHED);
}

static void a_loss_inside_a_window_goes_on_behind_what_arrived(void **state)
{
    struct lab lab = start((struct tftp_options){.blksize = 1000, .windowsize = 4}, 10500);
    assert_true(next(&lab));
    ack(&lab, 0);
    while (next(&lab))
        ;
    ack(&lab, 2); /* 3 was lost */
    assert_block(&lab, 3, 2000, 1000);
    assert_block(&lab, 4, 3000, 1000);
    assert_block(&lab, 5, 4000, 1000);
    assert_block(&lab, 6, 5000, 1000);
    assert_nothing(&lab);
    ack(&lab, 2); /* 3 was lost again: told by the same ACK, honoured once */
    assert_block(&lab, 3, 2000, 1000);
    while (next(&lab))
        ;
    ack(&lab, 2);
    ack(&lab, 2);
    assert_nothing(&lab);
    tick(&lab, 1);
    assert_block(&lab, 3, 2000, 1000);
}

static void block_numbers_roll_over(void **state)
{
    uint64_t size = 70000ULL * 8 + 3;
    struct lab lab = start((struct tftp_options){.blksize = 8, .windowsize = 16}, size);
    uint64_t blocks = 0, bytes = 0;
    assert_true(next(&lab));
    ack(&lab, 0);
    while (!tftp_transfer_is_over(&lab.transfer)) {
        while (next(&lab)) {
            assert_int_equal(lab.output.offset, blocks * 8);
            blocks++;
            bytes += lab.output.file_bytes;
            assert_int_equal(lab.output.header[2] << 8 | lab.output.header[3], blocks & 0xffff);
        }
        ack(&lab, (uint16_t)blocks);
    }
    assert_int_equal(lab.transfer.state, TFTP_FINISHED);
    assert_int_equal(blocks, 70001);
    assert_int_equal(bytes, size);
}

static void the_client_may_break_it_off(void **state)
{
    struct lab lab = start((struct tftp_options){.tsize = true}, 5000);
    assert_true(next(&lab));
    tftp_transfer_receive(&lab.transfer, "\0\5\0\10only asking", 16, lab.now);
    assert_int_equal(lab.transfer.state, TFTP_ABORTED);
    assert_int_equal(lab.transfer.answer.code, 8);
    assert_string_equal(lab.transfer.answer.text, "only asking");
    assert_nothing(&lab);
    ack(&lab, 0);
    tick(&lab, 100);
    assert_int_equal(lab.transfer.state, TFTP_ABORTED);
}

static void rubbish_is_ignored(void **state)
{
    struct lab lab = start((struct tftp_options){0}, 5000);
    assert_block(&lab, 1, 0, 512);
    tftp_transfer_receive(&lab.transfer, "", 0, lab.now);
    tftp_transfer_receive(&lab.transfer, "\0\4\0", 3, lab.now);
    tftp_transfer_receive(&lab.transfer, "\0\3\0\1data", 8, lab.now);
    tftp_transfer_receive(&lab.transfer, "\0\1file\0octet\0", 13, lab.now);
    assert_nothing(&lab);
    assert_int_equal(lab.transfer.state, TFTP_SENDING);
}

static void a_repeated_request_repeats_the_first_answer(void **state)
{
    struct lab lab = start((struct tftp_options){.tsize = true}, 5000);
    assert_true(next(&lab));
    tftp_transfer_repeat_first(&lab.transfer);
    assert_true(next(&lab));
    assert_int_equal(lab.output.header[1], TFTP_OACK);
    lab = start((struct tftp_options){0}, 5000);
    assert_block(&lab, 1, 0, 512);
    tftp_transfer_repeat_first(&lab.transfer);
    assert_block(&lab, 1, 0, 512);
    ack(&lab, 1);
    assert_block(&lab, 2, 512, 512);
    tftp_transfer_repeat_first(&lab.transfer); /* too late */
    assert_nothing(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_transfer_goes_in_lock_step),
        TEST(the_last_block_is_short_even_if_empty),
        TEST(options_are_acknowledged_first),
        TEST(no_option_is_more_than_asked_for),
        TEST(repeated_acks_cause_nothing),
        TEST(lost_packets_are_sent_again_at_the_same_pace),
        TEST(progress_starts_the_count_anew),
        TEST(a_client_that_never_answers_is_given_up_soon),
        TEST(a_long_timeout_is_no_way_to_stay_for_ever),
        TEST(a_window_is_sent_at_once),
        TEST(a_loss_inside_a_window_goes_on_behind_what_arrived),
        TEST(block_numbers_roll_over),
        TEST(the_client_may_break_it_off),
        TEST(rubbish_is_ignored),
        TEST(a_repeated_request_repeats_the_first_answer),
    };
    return RUN_TESTS(tests);
}
