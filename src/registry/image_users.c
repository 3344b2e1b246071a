#include "registry/image_users.h"

#include "core/names.h"

#include <errno.h>

/* More are only counted. */
#define MAX_NAMED 4

_Static_assert(MAX_NAMED *(NAME_MAX_LEN + 4) + 32 <= IMAGE_USERS_TEXT_SIZE, "room for the names");

/* Do its layers, or those of a snapshot of it, stand on this version? */
static bool is_below(const struct catalog_image *image, const struct catalog_overlay *overlay)
{
    bool below = overlay->base.version_id == image->id;
    for (size_t i = 0; !below && i < overlay->n_snapshots; i++)
        below = overlay->snapshots[i].base.version_id == image->id;
    return below;
}

bool image_is_needed_by(const struct catalog_image *image, const struct catalog_volume *volume)
{
    if (volume->overlay)
        return is_below(image, volume->overlay);
    char reference[NAME_MAX_LEN + 16];
    snprintf(reference, sizeof(reference), "%s@%u", image->name, image->version);
    return volume->state == VOLUME_CREATING && volume->image && str_eq(volume->image, reference);
}

size_t image_users(const struct catalog *catalog, const struct catalog_image *image,
                   char text[static IMAGE_USERS_TEXT_SIZE])
{
    size_t count, used = 0, users = 0;
    const struct catalog_volume *volumes = catalog_volumes(catalog, &count);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (image_is_needed_by(image, &volumes[i]) && ++users <= MAX_NAMED)
            used += (size_t)snprintf(text + used, IMAGE_USERS_TEXT_SIZE - used, "%s'%s'",
                                     users > 1 ? ", " : "", volumes[i].name);
    if (users > MAX_NAMED)
        snprintf(text + used, IMAGE_USERS_TEXT_SIZE - used, " and %zu more", users - MAX_NAMED);
    return users;
}

int image_check_unused(const struct catalog *catalog, const struct catalog_image *image,
                       struct error *ret_error)
{
    char users[IMAGE_USERS_TEXT_SIZE];
    size_t n = image_users(catalog, image, users);
    if (n == 0)
        return 0;
    return error_set(
        ret_error, -EBUSY,
        "image '%s@%u' is in use by volume%s %s; remove %s first (a snapshot of a volume "
        "uses its image, too), or wait if it is being copied",
        image->name, image->version, n > 1 ? "s" : "", users, n > 1 ? "those" : "that");
}
