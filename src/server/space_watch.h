/*
 * How full the file systems are that thin volumes live on: that of the state directory always, any
 * other while a volume on it is open.
 *
 * Each is looked at every few seconds, by a thread of its own: if it is that of a server which is
 * away, looking may take for ever, and holds up nobody else.
 */
#pragma once

#include "core/error.h"
#include "scsi/space.h"
#include "server/warn_free.h"

#include <jansson.h>

struct space_watch;
struct space_place; /* a file system, for those whose blocks are there */

/* It says at once whether that of the directory is too full, and whenever that changes. */
int space_watch_start(const char *directory, const struct warn_free *warn,
                      struct space_watch **ret_watch, struct error *ret_error) MUST_CHECK;
/* All places must have been given back. A thread that waits for a file system is not waited for:
 * the process is about to end. NULL: no-op. */
void space_watch_stop(struct space_watch *watch);

/* What should stay free, from now on. Any thread. */
void space_watch_set(struct space_watch *watch, const struct warn_free *warn);
/* changed() is called, on any thread, when a place has become low or is no longer, or has another
 * threshold; it must not wait. NULL: nobody is told; when this returns, nobody is being told. */
void space_watch_listen(struct space_watch *watch, void (*changed)(void *context), void *context);

/* Where a file lies; NULL if that cannot be found out. May block. Any thread. */
struct space_place *space_watch_get(struct space_watch *watch, const char *path);
/* That of the state directory. Any thread. */
struct space_place *space_watch_home(struct space_watch *watch);
/* NULL: no-op. Any thread. */
void space_place_put(struct space_place *place);
/* Lives as long as the place. */
const struct scsi_space *space_place_space(const struct space_place *place);

/* {"warn_below": bytes, "low": whether there is less} of the state directory's, and of all others
 * "elsewhere": [{"path": of a volume, "total", "free", "warn_below", "low"}]. New. */
json_t *space_watch_to_json(struct space_watch *watch);
