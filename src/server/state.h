/* The state directory: made, and held by one daemon at a time. */
#pragma once

#include "core/error.h"

/* Makes the directory if it is not there (its parent must be) and locks it. Returns a descriptor
 * that holds the lock for as long as it is open; -EBUSY: another daemon has it. */
int state_directory_lock(const char *path, struct error *ret_error) MUST_CHECK;

/* Makes the directory that a socket or file is to be in, if it is not there. */
int state_make_parent(const char *path, struct error *ret_error) MUST_CHECK;
