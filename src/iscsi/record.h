/*
 * What is told of a session: what it did, how long its commands took, and what went wrong last.
 * Pure; belongs to the session's thread. It costs a command a handful of instructions.
 */
#pragma once

#include "scsi/words.h"

struct iscsi_session_counters {
    uint64_t commands;
    uint64_t read_bytes;
    uint64_t written_bytes;
    uint64_t round_trips; /* responses sent while no other command was under way */
};

/* Commands by how long they took, from the header to the last answer: less than 1 us, then one
 * bucket for each power of two, and in the last one all that took longer: 4 s and more. */
#define ISCSI_LATENCY_BUCKETS 24

struct iscsi_record {
    uint64_t since; /* usec since 1970: the login */
    struct iscsi_session_counters counters;
    uint64_t latency[ISCSI_LATENCY_BUCKETS];

    uint64_t errors;      /* how many there were */
    uint64_t error_at;    /* of the last one: usec since 1970 */
    const char *error;    /* of the last one, static; NULL: a command failed, ... */
    uint32_t error_sense; /* ... with this sense (enum scsi_sense), */
    uint8_t error_opcode; /* and it was this one */
};

static inline void iscsi_record_latency(struct iscsi_record *record, uint64_t usec)
{
    unsigned bucket = usec ? 64 - (unsigned)__builtin_clzll(usec) : 0;
    record->latency[MIN(bucket, ISCSI_LATENCY_BUCKETS - 1)]++;
}
/* What is in the bucket took less than this (usec); 0: it has no bound. */
uint64_t iscsi_latency_bound(unsigned bucket);
/* Of so many thousandths of the commands it is true that they took less than this (usec, a bound of
 * a bucket; 0: they may have taken longer than the last bound, or there was no command). */
uint64_t iscsi_record_quantile(const struct iscsi_record *record, unsigned thousandths);

/* Something went wrong that did not end the session. what: static. */
void iscsi_record_error(struct iscsi_record *record, const char *what);
/* A command ended with sense data. What tells no fault is left out: unit attentions, and the
 * answers by which a system finds out what a disk can do. */
void iscsi_record_sense(struct iscsi_record *record, uint8_t opcode, const uint8_t *sense,
                        size_t size);

#define ISCSI_ERROR_TEXT_SIZE (2 * SCSI_WORDS_SIZE + 16)
/* The last one in words; NULL: there was none. */
const char *iscsi_record_error_text(const struct iscsi_record *record,
                                    char text[static ISCSI_ERROR_TEXT_SIZE]);
