/*
 * What the files of the command set share: the table of commands, how a handler moves data and how
 * it ends its task.
 *
 * A handler starts something and returns. The task completes by itself when nothing of it is under
 * way any more: with GOOD, or with the first failure that was told.
 */
#pragma once

#include "scsi/task.h"

struct scsi_command {
    uint8_t opcode;
    uint8_t service_action; /* if the opcode has some */
    uint8_t flags;          /* SCSI_CMD_... */
    uint8_t access;         /* SCSI_PASSES_...: while somebody else has a reservation */
    void (*handler)(struct scsi_task *task);
    /* CDB usage data of REPORT SUPPORTED OPERATION CODES: which bits of the CDB are looked at, from
     * byte 1 on. */
    uint8_t usage[SCSI_CDB_SIZE - 1];
    /* With byte 4 of the CDB so, it passes every reservation. mask 0: it never does. */
    struct {
        uint8_t mask, value;
    } passes_if;
};

#define SCSI_CMD_SERVICE_ACTION 0x01 /* the low five bits of CDB byte 1 are a service action */
#define SCSI_CMD_ANY_LUN        0x02 /* answered for LUNs that do not exist, too */
#define SCSI_CMD_SKIPS_UA       0x04 /* neither reports nor clears a unit attention (SPC-4) */
#define SCSI_CMD_WRITES         0x08 /* refused on a write-protected LU */
#define SCSI_CMD_THIN           0x10 /* only a thin LU has it */
#define SCSI_CMD_NO_MEDIUM      0x20 /* goes without the medium, too */
#define SCSI_CMD_CHANGES_LU     0x40 /* leaves something behind, as what writes does */

/* Which reservations of others let a command pass. Persistent ones of registrants let these do
 * whatever they want (SPC-4 and SBC-3: tables of commands and reservations). */
#define SCSI_PASSES_WRITE_EXCLUSIVE  0x01
#define SCSI_PASSES_EXCLUSIVE_ACCESS 0x02
#define SCSI_PASSES_RESERVE_6        0x04 /* (SPC-2) */
/* Persistent reservations: one's own RESERVE(6) lets them not pass, either (SPC-2 5.5.1). */
#define SCSI_NOT_BESIDE_RESERVE_6    0x08

/* Does a reservation keep the nexus from what has this access (SPC-4, SPC-2)? On the LU's thread.
 */
bool scsi_nexus_is_kept_out(const struct scsi_nexus *nexus, uint8_t access);

/* All commands, ordered by opcode and service action. */
extern const struct scsi_command scsi_commands[];
extern const size_t scsi_n_commands;

/* lu: NULL: none. */
static inline bool scsi_command_applies(const struct scsi_command *command,
                                        const struct scsi_lu *lu)
{
    return !(command->flags & SCSI_CMD_THIN && lu && lu->thick);
}

/* Bytes of a CDB with this opcode, by its group code: 6, 10, 12 or 16; 0 for a reserved one. */
unsigned scsi_cdb_size(uint8_t opcode);

/* Most that one UNMAP or WRITE SAME may name, so that none keeps a volume busy for long; told in
 * the block limits page (SBC-4 6.6.4). */
#define SCSI_MAX_ZERO_BYTES        (512 * MIB)
#define SCSI_MAX_UNMAP_DESCRIPTORS 256

/* Most that one COMPARE AND WRITE may compare: it comes in one burst with what is written; told in
 * the block limits page. */
static inline uint32_t scsi_max_compare_blocks(const struct scsi_lu *lu)
{
    return MIN(BUFFER_MAX_SIZE / 2 / lu->block_size, UINT8_MAX);
}

/* LBA and number of blocks of a CDB that names a range. */
struct scsi_range {
    uint64_t lba;
    uint32_t count;
};

/* As it stands in the CDB; of 6, 10, 12 or 16 bytes. */
struct scsi_range scsi_cdb_range(const uint8_t *cdb);

/* The same, of a command that moves blocks: within the LU, without protection information. False:
 * the task was ended. */
bool scsi_get_range(struct scsi_task *task, struct scsi_range *ret_range);

static inline bool scsi_in_bounds(const struct scsi_lu *lu, uint64_t lba, uint64_t count)
{
    return lba <= lu->n_blocks && count <= lu->n_blocks - lba;
}

/* For task_set.c: it may begin, since what had to come first has ended. */
void scsi_task_enabled(struct scsi_task *task);

/* --- ending a task: it completes as soon as no burst of it is under way --- */

void scsi_task_good(struct scsi_task *task);
/* CHECK CONDITION; the first failure of a task is the one that is told. */
void scsi_task_check(struct scsi_task *task, enum scsi_sense sense);
/* The same with the INFORMATION field: what it says depends on the command. */
void scsi_task_check_at(struct scsi_task *task, enum scsi_sense sense, uint32_t information);
/* The same for what the device said: -ENOSPC, or the sense given for anything else. */
void scsi_task_check_errno(struct scsi_task *task, int result, enum scsi_sense otherwise);
/* INVALID FIELD IN CDB, and which byte of the CDB it is (not 0). */
void scsi_task_check_field(struct scsi_task *task, uint8_t cdb_field);
/* RESERVATION CONFLICT; no sense. */
void scsi_task_conflict(struct scsi_task *task);
/* What is wrong with the parameter list, and at which of its bytes. */
void scsi_task_check_parameter(struct scsi_task *task, enum scsi_sense sense, uint16_t field);

/* --- sense data (sense.c) --- */

struct scsi_sense_data {
    enum scsi_sense code;
    bool has_information;
    uint32_t information; /* what it says depends on the command */
    uint8_t cdb_field;    /* the byte of the CDB that is wrong; 0: not told */
    bool in_parameters;   /* the byte of the parameter list that is wrong is... */
    uint16_t parameter_field;
    bool has_segment; /* of EXTENDED COPY: which one of the list, from 0 */
    uint16_t segment;
};

/* What there is to tell, with all that always belongs to it. */
struct scsi_sense_data scsi_sense_of(enum scsi_sense sense);
/* CHECK CONDITION, with all that sense data may say. */
void scsi_task_check_with(struct scsi_task *task, const struct scsi_sense_data *data);

/* In fixed or in descriptor format; returns the size. */
uint8_t scsi_sense_fill(uint8_t sense[static SCSI_SENSE_MAX_SIZE],
                        const struct scsi_sense_data *data, bool in_descriptors);

/* --- moving data (transfer.c) --- */

/* A buffer for a reply of up to size bytes, zeroed; the writer writes into it. False if there is
 * no memory (the task is then ended). */
bool scsi_reply_begin(struct scsi_task *task, uint32_t size, struct wire_writer *ret_writer);
/* Sends what was written, cut to allocation_length, and ends the task. */
void scsi_reply_end(struct scsi_task *task, const struct wire_writer *writer,
                    uint32_t allocation_length);

/* Moves length bytes between the device, from byte position on, and the initiator. */
void scsi_transfer_read(struct scsi_task *task, uint64_t position, uint64_t length);
void scsi_transfer_write(struct scsi_task *task, uint64_t position, uint64_t length);
/* Takes length bytes from the initiator and has process() look at each burst of them; process()
 * calls scsi_burst_finish(), at once or later. A parameter list of up to BUFFER_MAX_SIZE bytes
 * comes in a single burst. */
void scsi_transfer_out(struct scsi_task *task, uint64_t length,
                       void (*process)(struct scsi_task *task, struct scsi_burst *burst));
/* The same for data that is written at byte position on. If the initiator sends less than the
 * command moves, the medium takes what came, to the byte: the rest of a block that came in part
 * stays as it was, and the residual tells. */
void scsi_transfer_blocks(struct scsi_task *task, uint64_t position, uint64_t length,
                          void (*process)(struct scsi_task *task, struct scsi_burst *burst));
/* process() is through with this burst. */
void scsi_burst_finish(struct scsi_burst *burst);

/* A burst for a handler without data of the initiator's. */
struct scsi_burst *scsi_device_burst(struct scsi_task *task);
/* Runs burst->request (fill in operation, flags, offset, length, data) and finishes the burst. */
void scsi_device_submit(struct scsi_burst *burst);
/* Runs several requests, one after the other: step() fills in burst->request and returns true, or
 * returns false when there is nothing left to do; then the burst is finished. */
void scsi_device_steps(struct scsi_burst *burst, bool (*step)(struct scsi_burst *burst));
/* The same while nobody else writes to those bytes of the device, from before the first step on
 * until after the last. No step goes beyond them. */
void scsi_device_steps_alone(struct scsi_burst *burst, uint64_t position, uint64_t length,
                             bool (*step)(struct scsi_burst *burst));
/* Calls run() when no other burst has those bytes to itself or writes there any more: at once, or
 * later (not if the task is aborted before), until it is finished. */
void scsi_burst_alone(struct scsi_burst *burst, uint64_t position, uint64_t length,
                      void (*run)(struct scsi_burst *burst));
/* For a step: fills in burst->request to read length bytes (the first time as many as ever) at
 * position into burst->beside. False: there is no memory, and the task has failed. */
bool scsi_read_beside(struct scsi_burst *burst, uint64_t position, uint32_t length);

/* Where a and b, which are not the same, first differ. */
static inline uint32_t scsi_first_difference(const uint8_t *a, const uint8_t *b)
{
    uint32_t at = 0;
    while (a[at] == b[at])
        at++;
    return at;
}

/* --- handlers, by file --- */

/* inquiry.c */
#define SCSI_VPD_BODY_SIZE 256 /* room for the body of a VPD page */
void scsi_inquiry(struct scsi_task *task);
/* The body of VPD page 83: how the LU is named. */
void scsi_write_identification(const struct scsi_lu *lu, struct wire_writer *w);
/* extended_copy.c */
void scsi_extended_copy(struct scsi_task *task);
/* receive_copy_results.c */
void scsi_receive_copy_status(struct scsi_task *task);
void scsi_receive_copy_data(struct scsi_task *task);
void scsi_receive_copy_parameters(struct scsi_task *task);
void scsi_receive_copy_failure(struct scsi_task *task);
/* The body of VPD page 8F. */
void scsi_write_third_party_copy(const struct scsi_lu *lu, struct wire_writer *w);
/* log_sense.c */
void scsi_log_sense(struct scsi_task *task);
/* mode.c */
void scsi_mode_sense_6(struct scsi_task *task);
void scsi_mode_sense_10(struct scsi_task *task);
/* mode_select.c */
void scsi_mode_select_6(struct scsi_task *task);
void scsi_mode_select_10(struct scsi_task *task);
/* report.c */
void scsi_report_luns(struct scsi_task *task);
void scsi_report_supported_operation_codes(struct scsi_task *task);
void scsi_report_supported_tmf(struct scsi_task *task);
void scsi_request_sense(struct scsi_task *task);
/* block_commands.c */
void scsi_test_unit_ready(struct scsi_task *task);
void scsi_send_diagnostic(struct scsi_task *task);
void scsi_read_capacity_10(struct scsi_task *task);
void scsi_read_capacity_16(struct scsi_task *task);
void scsi_read_defect_data_10(struct scsi_task *task);
void scsi_read_defect_data_12(struct scsi_task *task);
void scsi_read(struct scsi_task *task);
void scsi_write(struct scsi_task *task);
void scsi_synchronize_cache(struct scsi_task *task);
void scsi_pre_fetch(struct scsi_task *task);
/* medium.c */
void scsi_start_stop_unit(struct scsi_task *task);
void scsi_prevent_allow(struct scsi_task *task);
/* compare_and_write.c */
void scsi_compare_and_write(struct scsi_task *task);
/* orwrite.c */
void scsi_orwrite(struct scsi_task *task);
/* persistent_reserve_in.c */
void scsi_read_keys(struct scsi_task *task);
void scsi_read_reservation(struct scsi_task *task);
void scsi_report_capabilities(struct scsi_task *task);
void scsi_read_full_status(struct scsi_task *task);
/* persistent_reserve_out.c */
void scsi_persistent_reserve_out(struct scsi_task *task);
/* reserve.c */
void scsi_reserve_6(struct scsi_task *task);
void scsi_release_6(struct scsi_task *task);
/* verify.c */
void scsi_verify(struct scsi_task *task);
void scsi_write_and_verify(struct scsi_task *task);
/* provisioning.c */
void scsi_unmap(struct scsi_task *task);
void scsi_write_same(struct scsi_task *task);
void scsi_get_lba_status(struct scsi_task *task);
