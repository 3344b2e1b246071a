/*
 * Makes nodes of machines that wait and that a rule is for ([adopt NAME]). On a thread of its own,
 * one machine after the other: each name is free when it is given.
 */
#pragma once

#include "boot/pending.h"
#include "server/adopt_rules.h"
#include "storage/storage.h"

struct adopter;

int adopter_start(struct pending *pending, struct storage *storage, struct registry *registry,
                  struct catalog_slot *catalog, struct adopter **ret_adopter,
                  struct error *ret_error) MUST_CHECK;
/* Lets it finish what it does. NULL: no-op. */
void adopter_stop(struct adopter *adopter);
/* These hold from now on; copied. Who waits is looked at anew. Any thread. */
void adopter_set_rules(struct adopter *adopter, const struct adopt_rules *rules);
/* There is somebody to decide on. Never waits; any thread; NULL: no-op. */
void adopter_wake(struct adopter *adopter);
