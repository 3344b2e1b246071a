/*
 * Where the blocks of a thin LU come from, and the soft threshold of that (SBC-4 4.7.3.7).
 *
 * LUs that live on the same file system share its space, so what is available to one of them is
 * what is available to all. It is told in threshold sets, of about a MiB each. There is one
 * threshold, an armed decreasing one of the available space; only the server's administrator sets
 * it.
 *
 * An LU whose medium is removable has none: Linux takes whatever such a disk tells for a change of
 * its medium, and would lose the disk.
 */
#pragma once

#include "core/util.h"

#include <stdatomic.h>

struct scsi_lu;

/* Of a file system. Written by whoever measures it, read by any thread. */
struct scsi_space {
    _Atomic uint64_t total;     /* bytes */
    _Atomic uint64_t available; /* bytes */
    _Atomic uint64_t threshold; /* bytes that should be available; 0: nobody is to be told */
    atomic_bool low;            /* fewer are, or were and are not many more yet */
};

/* What the nexuses of an LU know of it. */
struct scsi_space_told {
    uint32_t threshold; /* sets */
    bool low;
};

/* Where the mode page of the threshold has its only descriptor (SBC-4 6.5.9). */
#define SCSI_THRESHOLD_DESCRIPTOR 16

/* The LU has this space from now on, before any nexus is connected; NULL: it has no threshold, and
 * nothing is known of its space. It must outlive the LU. */
void scsi_lu_set_space(struct scsi_lu *lu, const struct scsi_space *space);
/* Something of the space may have changed. On the LU's thread: tells every nexus of a threshold
 * that was reached, and of one that is another one than before. */
void scsi_lu_look_at_space(struct scsi_lu *lu);

bool scsi_lu_has_threshold(const struct scsi_lu *lu);
/* A threshold set has 2^n blocks; 0: the LU has no threshold. */
uint8_t scsi_threshold_exponent(const struct scsi_lu *lu);
/* For an LU that has a threshold, in sets. */
uint32_t scsi_threshold(const struct scsi_lu *lu); /* 0: it is not enabled */
uint32_t scsi_space_available(const struct scsi_lu *lu);
uint32_t scsi_space_used(const struct scsi_lu *lu);
