/* Who needs a version of an image: as long as there is anybody, it cannot be removed. */
#pragma once

#include "core/error.h"
#include "registry/catalog.h"

#define IMAGE_USERS_TEXT_SIZE 320

/* Does this volume read from it, now or later? One that was copied from it does not. */
bool image_is_needed_by(const struct catalog_image *image, const struct catalog_volume *volume);

/* How many volumes need it. text: their names, "'a', 'b' and 17 more"; "" if there are none. */
size_t image_users(const struct catalog *catalog, const struct catalog_image *image,
                   char text[static IMAGE_USERS_TEXT_SIZE]);

/* -EBUSY and a sentence with their names if there are any. */
int image_check_unused(const struct catalog *catalog, const struct catalog_image *image,
                       struct error *ret_error) MUST_CHECK;
