/*
 * RFC 1350 2 and 6 (lock step, end by a short block), RFC 2347 (option acknowledgement answered by
 * ACK 0), RFC 7440 (windows).
 *
 * Block numbers on the wire are the low 16 bits of ours, which never wrap: files of any size work
 * with clients that let them roll over to 0.
 */
#include "tftp/transfer.h"

/* Only what was asked for is agreed, and never more than that. */
static struct tftp_options agree(const struct tftp_options *wanted, uint32_t max_blksize)
{
    struct tftp_options agreed = *wanted;
    if (agreed.blksize > max_blksize)
        agreed.blksize = max_blksize;
    if (agreed.windowsize > TFTP_MAX_WINDOW)
        agreed.windowsize = TFTP_MAX_WINDOW;
    return agreed;
}

static bool has_options(const struct tftp_options *options)
{
    return options->blksize || options->timeout || options->windowsize || options->tsize;
}

void tftp_transfer_start(struct tftp_transfer *transfer, const struct tftp_options *wanted,
                         uint64_t file_size, uint32_t max_blksize, uint64_t now)
{
    struct tftp_options options = agree(wanted, max_blksize);
    uint32_t blksize = options.blksize ? options.blksize : TFTP_DEFAULT_BLKSIZE;
    uint32_t seconds = options.timeout ? options.timeout : TFTP_DEFAULT_TIMEOUT;
    bool offering = has_options(&options);
    *transfer = (struct tftp_transfer){
        .state = offering ? TFTP_OFFERING : TFTP_SENDING,
        .options = options,
        .file_size = file_size,
        .blksize = blksize,
        .window = options.windowsize ? options.windowsize : 1,
        .timeout = seconds * USEC_PER_SEC,
        .n_blocks = file_size / blksize + 1,
        .next = 1,
        .progress_at = now,
        .deadline = now + TFTP_DEFAULT_TIMEOUT * USEC_PER_SEC,
        .offer_due = offering,
    };
}

/* How long to wait for an answer. */
static uint64_t patience(const struct tftp_transfer *transfer)
{
    uint64_t unheard = TFTP_DEFAULT_TIMEOUT * USEC_PER_SEC;
    return transfer->heard ? transfer->timeout : MIN(transfer->timeout, unheard);
}

static void make_progress(struct tftp_transfer *transfer, uint64_t now)
{
    transfer->heard = true;
    transfer->tries = 0;
    transfer->went_back = false;
    transfer->progress_at = now;
    transfer->deadline = now + transfer->timeout;
}

/* Block 0 stands for the option acknowledgement. */
static void on_ack(struct tftp_transfer *transfer, uint16_t block, uint64_t now)
{
    uint16_t ahead = (uint16_t)(block - (uint16_t)transfer->acknowledged);
    if (transfer->state == TFTP_OFFERING) {
        if (block != 0)
            return;
        transfer->state = TFTP_SENDING;
        transfer->offer_due = false;
        make_progress(transfer, now);
        return;
    }
    if (ahead == 0) {
        if (transfer->window > 1 && !transfer->went_back)
            transfer->next = transfer->acknowledged + 1;
        transfer->went_back = true;
        return;
    }
    if (ahead >= transfer->next - transfer->acknowledged)
        return; /* of something not sent yet, or very old */
    transfer->acknowledged += ahead;
    transfer->next = transfer->acknowledged + 1;
    make_progress(transfer, now);
    if (transfer->acknowledged == transfer->n_blocks)
        transfer->state = TFTP_FINISHED;
}

void tftp_transfer_receive(struct tftp_transfer *transfer, const void *data, size_t size,
                           uint64_t now)
{
    struct tftp_answer answer;
    if (tftp_transfer_is_over(transfer) || tftp_parse_answer(data, size, &answer) < 0)
        return;
    if (answer.opcode == TFTP_ACK) {
        on_ack(transfer, answer.block, now);
    } else {
        transfer->answer = answer;
        transfer->state = TFTP_ABORTED;
    }
}

static void send_again(struct tftp_transfer *transfer)
{
    if (transfer->state == TFTP_OFFERING)
        transfer->offer_due = true;
    else
        transfer->next = transfer->acknowledged + 1;
}

void tftp_transfer_repeat_first(struct tftp_transfer *transfer)
{
    if (!tftp_transfer_is_over(transfer) && !transfer->heard)
        send_again(transfer);
}

void tftp_transfer_tick(struct tftp_transfer *transfer, uint64_t now)
{
    unsigned allowed = transfer->heard ? TFTP_TRIES_HEARD : TFTP_TRIES_UNHEARD;
    if (tftp_transfer_is_over(transfer) || now < transfer->deadline)
        return;
    if (transfer->tries >= allowed || now - transfer->progress_at >= TFTP_MAX_IDLE * USEC_PER_SEC) {
        transfer->state = TFTP_LOST;
        return;
    }
    transfer->tries++;
    transfer->went_back = false;
    transfer->deadline = now + patience(transfer);
    send_again(transfer);
}

static void next_block(struct tftp_transfer *transfer, struct tftp_output *output)
{
    uint64_t block = transfer->next++;
    output->offset = (block - 1) * transfer->blksize;
    output->file_bytes = (size_t)MIN(transfer->file_size - output->offset, transfer->blksize);
    output->size = TFTP_HEADER_SIZE;
    tftp_build_data_header(output->header, (uint16_t)block);
}

bool tftp_transfer_next(struct tftp_transfer *transfer, uint64_t now,
                        struct tftp_output *ret_output)
{
    uint64_t window_end = MIN(transfer->acknowledged + transfer->window, transfer->n_blocks);
    if (transfer->state == TFTP_OFFERING && transfer->offer_due) {
        transfer->offer_due = false;
        *ret_output = (struct tftp_output){0};
        ret_output->size =
            tftp_build_oack(ret_output->header, &transfer->options, transfer->file_size);
        return true;
    }
    if (transfer->state != TFTP_SENDING || transfer->next > window_end)
        return false;
    next_block(transfer, ret_output);
    transfer->deadline = MAX(transfer->deadline, now + patience(transfer));
    return true;
}

uint64_t tftp_transfer_bytes(const struct tftp_transfer *transfer)
{
    return MIN(transfer->acknowledged * transfer->blksize, transfer->file_size);
}
