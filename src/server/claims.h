/*
 * Volumes that somebody changes: while one is claimed, nobody logs in to it, and nobody has it
 * open. For admin threads.
 */
#pragma once

#include "server/sessions.h"

/* See struct storage_settings. */
int claims_take(struct sessions *sessions, uint64_t volume_id, const char *volume, bool force,
                struct error *ret_error) MUST_CHECK;
/* Makes a change while the volume may be in use; nobody logs in to it meanwhile. */
int claims_exchange(struct sessions *sessions, uint64_t volume_id, const char *volume,
                    int (*change)(void *argument, bool in_use, struct error *ret_error),
                    void *argument, struct error *ret_error) MUST_CHECK;
void claims_release(struct sessions *sessions, uint64_t volume_id);
