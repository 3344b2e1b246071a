/*
 * Who may write where on the medium of an LU.
 *
 * A COMPARE AND WRITE must not have anybody write between its read and its write (SBC-3 5.3), and
 * the same goes for ORWRITE, and for WRITE AND VERIFY until it has read back. So every write to the
 * medium claims its bytes while it is with the device: writes share them with each other, an
 * exclusive claim with nobody. Reads claim nothing.
 *
 * A claim waits for those that came before it and that it cannot share with, whether they have
 * their bytes or wait themselves: first come first served, nobody starves. Who has a claim waits
 * for nothing but the device before giving it back, and never makes a second one that overlaps; so
 * there is no deadlock. No locks are needed: all of it happens on the LU's thread.
 */
#pragma once

#include "io/thread.h"

struct scsi_range_lock {
    struct io_thread *thread;
    struct list held;    /* struct scsi_range_claim */
    struct list waiting; /* in the order in which they came */
    unsigned exclusive;  /* claims that are, of both lists */
    struct io_deferred serve;
};

/* Zeroed at first, then private but for what is said. Embedded in what writes. */
struct scsi_range_claim {
    struct list link;
    uint64_t begin, end; /* set by the claimant: bytes of the device, without end */
    bool exclusive;      /* set by the claimant */
    /* set by the claimant: its turn has come. Never called inside somebody else's call. */
    void (*ready)(struct scsi_range_claim *claim);
};

void scsi_range_lock_init(struct scsi_range_lock *lock, struct io_thread *thread);
/* True: the bytes are the claim's. False: it waits, and ready() will be called. */
bool scsi_range_claim(struct scsi_range_lock *lock, struct scsi_range_claim *claim) MUST_CHECK;
/* Gives the bytes back, or no longer waits for them. No-op for a claim that does neither. */
void scsi_range_release(struct scsi_range_lock *lock, struct scsi_range_claim *claim);

/* It was made, and not given back. */
static inline bool scsi_range_claimed(const struct scsi_range_claim *claim)
{
    return list_linked(&claim->link);
}
