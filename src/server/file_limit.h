/* How many files the daemon may have open. */
#pragma once

#include "core/error.h"

/* Allows as many as the system lets us, and at least what so many sessions at once need (0: any
 * number). What it cannot allow is told, with what to do. */
int file_limit_raise(uint32_t sessions, struct error *ret_error) MUST_CHECK;
