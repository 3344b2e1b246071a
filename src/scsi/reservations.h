/*
 * Persistent reservations of a logical unit, pure (SPC-4, "Persistent reservations"): who is
 * registered with which key, who holds the reservation, and what each service action of PERSISTENT
 * RESERVE OUT makes of it.
 *
 * A change is made to a copy. Whoever asks for it makes that copy the LU's when it is durable (if
 * it has to be), or drops it; so nothing is ever half changed, and nobody is told of what did not
 * come to be. What the change means for others is noted in the copy: scsi_reservations_settle()
 * tells it.
 */
#pragma once

#include "scsi/constants.h"
#include "scsi/transport_id.h"

/* Most that an LU takes. */
#define SCSI_MAX_REGISTRATIONS 256

enum scsi_reservation_type {
    SCSI_NO_RESERVATION = 0,
    SCSI_WRITE_EXCLUSIVE = 1,
    SCSI_EXCLUSIVE_ACCESS = 3,
    SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5,
    SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6,
    SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7,
    SCSI_EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8,
};

struct scsi_registration {
    struct scsi_nexus_id nexus;
    uint64_t key; /* not 0 */
    bool all_target_ports;
    bool holds; /* the reservation, of a type that one nexus holds */
    /* until it is settled: */
    bool removed;
    enum scsi_sense notice; /* what its nexus is to be told; SENSE_NONE: nothing */
};

struct scsi_reservations {
    uint32_t generation;
    bool persist; /* APTPL: what is here survives a loss of power */
    enum scsi_reservation_type type;
    size_t n, room;
    struct scsi_registration registrations[]; /* oldest first */
};

/* What a PERSISTENT RESERVE OUT asks for. */
struct scsi_reservation_request {
    enum scsi_service_action action;
    uint8_t scope, type; /* as in the CDB */
    uint64_t key, service_action_key;
    bool persist, all_target_ports;
    bool names_others;                  /* SPEC_I_PT */
    bool unregister;                    /* REGISTER AND MOVE: UNREG */
    const struct scsi_nexus_id *by;     /* that it came from */
    const struct scsi_nexus_id *others; /* SPEC_I_PT; REGISTER AND MOVE: one, the new holder */
    size_t n_others;
};

/* What it came to: GOOD, RESERVATION CONFLICT, or CHECK CONDITION with this sense. */
struct scsi_verdict {
    enum scsi_status status;
    enum scsi_sense sense;
};

/* Nobody is registered; with room for so many to be put back. NULL: no memory. */
struct scsi_reservations *scsi_reservations_new(size_t room);
/* A copy, with room for so many registrations more. NULL: no memory. */
struct scsi_reservations *scsi_reservations_copy(const struct scsi_reservations *from, size_t room);
/* Puts a registration back that was saved: of nobody else's nexus, with a key. False: it does not
 * fit. */
bool scsi_reservations_restore(struct scsi_reservations *reservations,
                               const struct scsi_registration *registration);

/* Carries it out; there is room for 1 + n_others registrations. Unless GOOD, the copy is spoilt. */
struct scsi_verdict scsi_reservations_change(struct scsi_reservations *reservations,
                                             const struct scsi_reservation_request *request);
/* The change has come true: calls tell() for each registration that was removed or has a notice,
 * and forgets what was removed. */
void scsi_reservations_settle(struct scsi_reservations *reservations,
                              void (*tell)(void *context, const struct scsi_registration *r),
                              void *context);

/* NULL: it is not registered. */
const struct scsi_registration *scsi_reservations_find(const struct scsi_reservations *reservations,
                                                       const struct scsi_nexus_id *nexus);
/* Does this registrant hold the reservation? */
bool scsi_reservations_holds(const struct scsi_reservations *reservations,
                             const struct scsi_registration *registration);
/* The types that every registrant holds. */
bool scsi_reservation_is_of_all(enum scsi_reservation_type type);
/* The types that let registrants do as the holder does. */
bool scsi_reservation_is_of_registrants(enum scsi_reservation_type type);
/* The types that keep only writes out. */
bool scsi_reservation_is_for_writes(enum scsi_reservation_type type);

/* Nothing to remember: nobody has ever changed anything. */
static inline bool scsi_reservations_untouched(const struct scsi_reservations *reservations)
{
    return reservations->generation == 0 && reservations->n == 0;
}
