/*
 * Machines that boot here and are no nodes, where they may become some (`unknown = register`): what
 * is known of them, until somebody adopts or forgets them.
 *
 * Of bounded size: who was not seen for longest makes room. The registry has a copy, which is
 * brought up to date at most every few seconds, with a bounded number of rows, whatever comes.
 *
 * Thread-safe; calls never wait, but where it is said.
 */
#pragma once

#include "registry/registry.h"

#include <jansson.h>

struct pending;

/* Somebody who is told. Both are called with nothing locked, on any thread, and must not wait. */
struct pending_listener {
    /* A machine that was not there before, as pending_to_json() has it, in an event on a line. */
    void (*arrived)(void *context, const char *json_line);
    /* One for whom it is to be decided whether a rule adopts it: again and again, while it asks. */
    void (*undecided)(void *context);
    void *context;
};

/* Takes back what the registry has. */
int pending_new(struct registry *registry, struct catalog_slot *catalog,
                const struct pending_listener *listener, struct pending **ret_pending,
                struct error *ret_error) MUST_CHECK;
/* Stores what is not stored yet; the registry must still run. NULL: no-op. */
void pending_free(struct pending *pending);

/* What was seen of a machine just now. */
struct pending_sight {
    struct mac_address mac;
    uint32_t address;       /* that it has; 0: not known */
    const char *subnet;     /* NULL: not known; likewise all that follows */
    const char *circuit_id; /* of the relay; "" if there is none */
    const char *remote_id;
    const struct facts *facts;
    bool proven;     /* with facts: the address is known to be this MAC's */
    bool asked_dhcp; /* it has its address from now on */
};

/* Of a MAC that is no node's. */
void pending_see(struct pending *pending, const struct pending_sight *sight);
/* How long it has had its address from us (usec); UINT64_MAX: nobody knows. */
uint64_t pending_address_age(struct pending *pending, struct mac_address mac);

/* False: there is none. */
bool pending_get(struct pending *pending, struct mac_address mac,
                 struct registry_pending *ret_machine);
/* An array of all, the last one seen first; free() it. NULL without memory. */
struct registry_pending *pending_all(struct pending *pending, size_t *ret_count);
/* Why it was not adopted: shown. "": nobody has tried. True: it is another reason than before. */
bool pending_set_reason(struct pending *pending, struct mac_address mac, const char *reason);
/* One that is to be decided on, and counts as decided from now on; false: there is none.
 * *ret_proven: it is the machine with that MAC that has told this. */
bool pending_take_undecided(struct pending *pending, struct registry_pending *ret_machine,
                            bool *ret_proven);
/* All are to be decided on anew: the rules have changed. */
void pending_undecide(struct pending *pending);

/* Waits for the registry. -ENOENT: there is none. It is there again when it asks again. */
int pending_forget(struct pending *pending, struct mac_address mac,
                   struct error *ret_error) MUST_CHECK;

/* A new array, the last one seen first. */
json_t *pending_to_json(struct pending *pending);
