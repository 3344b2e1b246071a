/*
 * Which program is it that logs in? Told by what it asks for, as data: a table in program.c. Pure.
 */
#pragma once

#include "core/util.h"

#define ISCSI_PROGRAMS 4

struct iscsi_program {
    const char *name; /* for people */
    /* Firmware, which reads a loader, a kernel and an initramfs: its machine has just been started,
     * and it knows only the PDUs that it cannot do without. */
    bool firmware;
    /* Takes over a session that somebody else has logged in. */
    bool adopts_session;
};

/* What it has asked for so far, by the rows of the table. Begins zeroed. */
struct iscsi_program_signs {
    uint8_t seen[ISCSI_PROGRAMS]; /* a bit for each of a row's keys */
    bool ruled_out[ISCSI_PROGRAMS];
};

/* Takes a key of its login. */
void iscsi_program_note(struct iscsi_program_signs *signs, const char *key, const char *value);
/* Lives for ever; NULL: one that the table does not know. */
const struct iscsi_program *iscsi_program_find(const struct iscsi_program_signs *signs);
