/*
 * Persistent reservations that survive a restart (APTPL), kept in the registry: loaded when a
 * volume is opened, stored when an initiator changes them. That is confirmed to it when it is
 * durable; the I/O thread of the volume does not wait meanwhile.
 */
#pragma once

#include "registry/registry.h"
#include "scsi/lu.h"

/* Of a volume; lives as long as its LU. */
struct reservation_store {
    struct registry *registry;
    uint64_t volume_id;
};

/* Blocks: not on an I/O thread. *ret_reservations: NULL if none are stored. */
int reservation_store_load(const struct reservation_store *store,
                           struct scsi_reservations **ret_reservations,
                           struct error *ret_error) MUST_CHECK;
/* From now on the LU's reservations are stored there. */
void reservation_store_attach(struct reservation_store *store, struct scsi_lu *lu);
