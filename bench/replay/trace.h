/*
 * The trace of one boot: what a machine did, step by step. tests/lab/trace.py makes one out of a
 * recording and says what each line means.
 */
#pragma once

#include "core/error.h"
#include "core/util.h"

enum step_kind {
    STEP_DHCP,
    STEP_TFTP,
    STEP_HTTP,
    STEP_LOGIN,
    STEP_READ,
    STEP_WRITE,
    STEP_SCSI,
    STEP_LOGOUT,
    STEP_CLOSE,
    STEP_KINDS,
};

enum asker { /* who asks DHCP */
             ASKER_PXE,
             ASKER_IPXE,
             ASKER_SYSTEM,
             ASKERS,
};

#define TRACE_MAX_DEPTH    64
#define TRACE_MAX_SESSIONS 8
#define TRACE_MAX_DATA     256 /* that a command other than a write sends */

struct step {
    enum step_kind kind;
    unsigned depth;   /* steps under way with this one */
    uint32_t pause;   /* microseconds */
    unsigned session; /* from 0 */
    union {
        struct {
            enum asker asker;
            unsigned architecture, flags, hold;
        } dhcp;
        struct {
            bool whole; /* else only its size */
            unsigned blksize, window;
        } tftp;
        struct {
            char *method, *path; /* path "script": the URL that DHCP told */
        } http;
        struct {
            uint8_t isid[6], flags;
            char *keys;
        } login;
        struct {
            uint64_t lba;
            unsigned blocks, fua;
        } io;
        struct {
            uint8_t cdb[16], *data;
            unsigned receive, size;
        } scsi;
    };
};

struct trace {
    struct step *steps;
    size_t count;
    struct {
        size_t first, last; /* steps of a session */
    } sessions[TRACE_MAX_SESSIONS];
};

int trace_read(const char *path, struct trace *ret_trace, struct error *ret_error) MUST_CHECK;
void trace_free(struct trace *trace);
