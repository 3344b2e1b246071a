/*
 * The tables of the registry and how older ones are brought up to date.
 *
 * A database carries its version in `user_version`. Each migration is one transaction that also
 * sets the version, so that a kill leaves either the old or the new tables, never half of them.
 */
#pragma once

#include "registry/db.h"

/* Opens the database at path, checks that it is whole and brings it up to date. A database newer
 * than this program is refused (-ENOTSUP), a damaged one too (-EUCLEAN). db must be zeroed;
 * db_close() it whatever this returns. */
int schema_open(struct db *db, const char *path, struct error *ret_error) MUST_CHECK;
