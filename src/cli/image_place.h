/*
 * Where an image is worked on before the daemon imports it: a directory of its own under
 * /var/cache/nodisk (or NODISK_CACHE), held by a lock. A process beside us removes it when we are
 * gone, however that came: so also a command that is killed leaves nothing. Of a machine that loses
 * its power, the next build removes what is left.
 */
#pragma once

#include "core/error.h"

#include <limits.h>
#include <sys/types.h>

struct image_place {
    char directory[PATH_MAX / 2];
    char file[PATH_MAX]; /* for the image, in it; not there yet */
    int lock, keeper;
    pid_t pid; /* who removes it */
};

#define IMAGE_PLACE_NONE ((struct image_place){.lock = -1, .keeper = -1})

/* name: of the file, without its ending. image_place_remove() it, also after an error; until then
 * it is IMAGE_PLACE_NONE. */
int image_place_make(const char *name, struct image_place *place,
                     struct error *ret_error) MUST_CHECK;
void image_place_remove(struct image_place *place);
