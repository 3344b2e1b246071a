/* Volumes: creation from each kind of source, and removal. */
#include "storage/private.h"
#include "storage/space.h"
#include "storage/stack.h"

#include <errno.h>
#include <fcntl.h>

/* A registry row in the making, with the memory that it points to. */
struct draft {
    struct registry_volume row;
    char path[PATH_MAX];
    char image[NAME_MAX_LEN + 16];
    char from_path[PATH_MAX]; /* of the image */
};

static int check_block_size(uint32_t block_size, struct error *ret_error)
{
    if (block_size == 0 || block_size == 512 || block_size == 4096)
        return 0;
    return error_set(ret_error, -EINVAL, "the block size must be 512 or 4096, not %u", block_size);
}

static int draft_begin(struct storage *storage, const struct storage_volume *volume,
                       struct draft *draft, struct error *ret_error)
{
    int r = check_block_size(volume->block_size, ret_error);
    if (r < 0)
        return r;
    if (!name_is_object(volume->name))
        return error_set(ret_error, -EINVAL,
                         "'%s' cannot be a volume's name: use lower case letters, digits, . and "
                         "-, at most %d",
                         volume->name, NAME_MAX_LEN);
    draft->row = (struct registry_volume){
        .name = volume->name,
        .state = VOLUME_READY,
        .kind = VOLUME_FILE,
        .path = draft->path,
        .block_size = volume->block_size,
        .read_only = volume->read_only,
        .thick = volume->thick,
        .removable = volume->removable,
        .allow_any = volume->allow_any,
        .allow = volume->allow,
        .n_allow = volume->n_allow,
        .sources = volume->sources,
        .n_sources = volume->n_sources,
        .chap = volume->chap,
    };
    return 0;
}

/* It will be a file of ours. */
static int draft_own_file(struct storage *storage, struct draft *draft, struct error *ret_error)
{
    draft->row.owned = true;
    draft->row.state = VOLUME_CREATING;
    if (draft->row.block_size == 0)
        draft->row.block_size = 512;
    int n =
        snprintf(draft->path, sizeof(draft->path), "%s/%s.raw", storage->volumes, draft->row.name);
    if (n < 0 || (size_t)n >= sizeof(draft->path))
        return error_set(ret_error, -ENAMETOOLONG, "the state directory's path is too long");
    return 0;
}

/* Its files are layers, which are made when they are needed. */
static int draft_overlay(struct storage *storage, struct draft *draft,
                         const struct storage_volume *volume, struct error *ret_error)
{
    int n = snprintf(draft->path, sizeof(draft->path), "%s/%s", storage->layers, draft->row.name);
    if (n < 0 || (size_t)n >= sizeof(draft->path))
        return error_set(ret_error, -ENAMETOOLONG, "the state directory's path is too long");
    draft->row.kind = VOLUME_OVERLAY;
    draft->row.owned = true;
    draft->row.state = VOLUME_READY;
    draft->row.follows = volume->follows;
    draft->row.ephemeral = volume->ephemeral;
    return 0;
}

static int draft_image(struct storage *storage, const char *image, uint32_t version,
                       struct draft *draft, struct error *ret_error)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_image *found = catalog_image_find(catalog, image, version);
    if (!found && version)
        return error_set(ret_error, -ENOENT, "there is no image '%s@%u'; see: nodisk image list",
                         image, version);
    if (!found)
        return error_set(ret_error, -ENOENT,
                         "there is no image '%s'; import it first: nodisk image import FILE "
                         "--name %s",
                         image, image);
    int r = draft_own_file(storage, draft, ret_error);
    if (r < 0)
        return r;
    if (found->size % draft->row.block_size)
        return error_set(ret_error, -EINVAL, "image '%s@%u' is not a multiple of %u bytes",
                         found->name, found->version, draft->row.block_size);
    str_copy(draft->from_path, sizeof(draft->from_path), found->path);
    snprintf(draft->image, sizeof(draft->image), "%s@%u", found->name, found->version);
    draft->row.image = draft->image;
    draft->row.size = found->size;
    return 0;
}

/* The row is in the registry: begin to copy, or undo it. */
static int begin_copy(struct storage *storage, const struct draft *draft,
                      struct storage_job **ret_job, struct error *ret_error)
{
    int from = open(draft->from_path, O_RDONLY | O_CLOEXEC);
    if (from >= 0) {
        return fill_begin(storage, from, draft->from_path, draft->path, draft->row.name,
                          draft->row.thick, ret_job, ret_error);
    }
    struct error ignored;
    int r = error_set(ret_error, -errno, "image '%s' cannot be opened at %s: %s", draft->image,
                      draft->from_path, strerror(errno));
    (void)!registry_volume_finish(storage->settings.registry, draft->row.name, ret_error->text,
                                  &ignored);
    return r;
}

static int make_blank_file(const struct draft *draft, struct error *ret_error)
{
    cleanup_close int fd = file_create_tmp(draft->path, ret_error);
    if (fd < 0)
        return fd;
    if (draft->row.thick) {
        int r = space_reserve(fd, draft->path, draft->row.size, ret_error);
        if (r < 0)
            return r;
    } else if (ftruncate(fd, (off_t)draft->row.size) < 0) {
        return errno == EFBIG || errno == EINVAL
                   ? error_set(ret_error, -EFBIG,
                               "the file system of %s cannot hold a file that large", draft->path)
                   : error_set(ret_error, -errno, "%s cannot be made: %s", draft->path,
                               strerror(errno));
    }
    return file_publish(fd, draft->path, 0600, ret_error);
}

static int check_size(const struct draft *draft, uint64_t size, struct error *ret_error)
{
    if (size == 0 || size > STORAGE_MAX_SIZE || size % draft->row.block_size)
        return error_set(ret_error, -EINVAL, "the size must be a multiple of %u bytes and not 0",
                         draft->row.block_size);
    return 0;
}

static int create_blank(struct storage *storage, struct draft *draft, uint64_t size,
                        struct error *ret_error)
{
    struct error ignored;
    int r = draft_own_file(storage, draft, ret_error);
    if (r < 0)
        return r;
    r = check_size(draft, size, ret_error);
    if (r < 0)
        return r;
    draft->row.size = size;
    r = registry_volume_add(storage->settings.registry, &draft->row, ret_error);
    if (r < 0)
        return r;
    r = make_blank_file(draft, ret_error);
    bool published = r >= 0;
    if (published)
        r = registry_volume_finish(storage->settings.registry, draft->row.name, NULL, ret_error);
    if (r < 0) {
        file_remove(draft->path, published, &ignored);
        (void)!registry_volume_finish(storage->settings.registry, draft->row.name, ret_error->text,
                                      &ignored);
    }
    return r < 0 ? r : 0;
}

static int check_larger(const struct draft *draft, uint64_t size, struct error *ret_error)
{
    if (size >= draft->row.size)
        return check_size(draft, size, ret_error);
    return error_set(ret_error, -EINVAL,
                     "the image has %llu bytes, and what is behind the size of a volume over it "
                     "would be lost; give no size, or a larger one",
                     (unsigned long long)draft->row.size);
}

/* Over an image, which it is as large as or larger, or over nothing. */
static int fill_overlay(struct storage *storage, struct draft *draft,
                        const struct storage_volume *volume, struct error *ret_error)
{
    if (draft->row.block_size == 0)
        draft->row.block_size = 512;
    int r = volume->image ? draft_image(storage, volume->image, volume->version, draft, ret_error)
                          : draft_own_file(storage, draft, ret_error);
    if (r >= 0 && volume->image && volume->size)
        r = check_larger(draft, volume->size, ret_error);
    else if (r >= 0 && !volume->image)
        r = check_size(draft, volume->size, ret_error);
    if (r < 0)
        return r;
    if (volume->size)
        draft->row.size = volume->size;
    return draft_overlay(storage, draft, volume, ret_error);
}

static int create_overlay(struct storage *storage, struct draft *draft,
                          const struct storage_volume *volume, struct error *ret_error)
{
    int r = fill_overlay(storage, draft, volume, ret_error);
    return r < 0 ? r : registry_volume_add(storage->settings.registry, &draft->row, ret_error);
}

static int create_copy(struct storage *storage, struct draft *draft,
                       const struct storage_volume *volume, struct storage_job **ret_job,
                       struct error *ret_error)
{
    int r = draft_image(storage, volume->image, volume->version, draft, ret_error);
    if (r >= 0)
        r = registry_volume_add(storage->settings.registry, &draft->row, ret_error);
    return r < 0 ? r : begin_copy(storage, draft, ret_job, ret_error);
}

/* The holes of a file that stays where it is are filled; what is in it stays as it is. */
static int add_and_reserve(struct storage *storage, struct draft *draft, struct error *ret_error)
{
    struct error ignored;
    struct registry *registry = storage->settings.registry;
    draft->row.state = VOLUME_CREATING;
    int r = registry_volume_add(registry, &draft->row, ret_error);
    if (r < 0)
        return r;
    cleanup_close int fd = open(draft->path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        r = error_set(ret_error, -errno, "%s cannot be opened: %s", draft->path, strerror(errno));
    else
        r = space_reserve(fd, draft->path, draft->row.size, ret_error);
    if (r >= 0)
        r = registry_volume_finish(registry, draft->row.name, NULL, ret_error);
    if (r < 0)
        (void)!registry_volume_finish(registry, draft->row.name, ret_error->text, &ignored);
    return r;
}

static int create_in_place(struct storage *storage, struct draft *draft,
                           const struct storage_volume *volume, struct error *ret_error)
{
    int r;
    if (!str_copy(draft->path, sizeof(draft->path), volume->path))
        return error_set(ret_error, -ENAMETOOLONG, "the path is longer than %d bytes", PATH_MAX);
    if (volume->source == STORAGE_DEVICE) {
        draft->row.kind = VOLUME_DEVICE;
        r = source_check_device(storage, draft->path, &draft->row.block_size, &draft->row.size,
                                volume->read_only, ret_error);
    } else if (volume->source == STORAGE_NBD) {
        draft->row.kind = VOLUME_NBD;
        r = export_check(storage, draft->path, &draft->row.block_size, &draft->row.size,
                         volume->read_only, ret_error);
    } else {
        r = source_check_file(storage, draft->path, &draft->row.block_size, &draft->row.size,
                              volume->read_only, ret_error);
    }
    if (r < 0)
        return r;
    return draft->row.thick && draft->row.kind == VOLUME_FILE && !draft->row.read_only
               ? add_and_reserve(storage, draft, ret_error)
               : registry_volume_add(storage->settings.registry, &draft->row, ret_error);
}

/* Nobody asks there whether it is right: nodes may reach what the server does not. */
static int create_elsewhere(struct storage *storage, struct draft *draft,
                            const struct storage_volume *volume, struct error *ret_error)
{
    struct iscsi_uri uri;
    int r = iscsi_uri_parse(volume->path, &uri, ret_error);
    if (r < 0)
        return r;
    iscsi_uri_format(&uri, draft->path);
    draft->row.kind = VOLUME_ISCSI;
    draft->row.block_size = 512; /* as good as any: it is not known */
    return registry_volume_add(storage->settings.registry, &draft->row, ret_error);
}

int storage_volume_create(struct storage *storage, const struct storage_volume *volume,
                          struct storage_job **ret_job, struct error *ret_error)
{
    struct draft draft = {0};
    struct storage_job *job = NULL;
    int r = draft_begin(storage, volume, &draft, ret_error);
    if (r < 0)
        return r;
    switch (volume->source) {
    case STORAGE_BLANK:
        r = create_blank(storage, &draft, volume->size, ret_error);
        break;
    case STORAGE_IMAGE:
        r = create_copy(storage, &draft, volume, &job, ret_error);
        break;
    case STORAGE_OVERLAY:
        r = create_overlay(storage, &draft, volume, ret_error);
        break;
    case STORAGE_FILE:
    case STORAGE_DEVICE:
    case STORAGE_NBD:
        r = create_in_place(storage, &draft, volume, ret_error);
        break;
    case STORAGE_ISCSI:
        r = create_elsewhere(storage, &draft, volume, ret_error);
        break;
    }
    if (r < 0)
        return r;
    *ret_job = job;
    return 0;
}

/* Over the image; it follows it if no version is named. */
static int draft_for_node(struct storage *storage, const char *node, const char *image,
                          uint32_t version, struct draft *draft, struct error *ret_error)
{
    const struct storage_volume volume = {
        .name = node, .image = image, .version = version, .follows = version == 0};
    int r = draft_begin(storage, &volume, draft, ret_error);
    return r < 0 ? r : fill_overlay(storage, draft, &volume, ret_error);
}

int storage_node_add(struct storage *storage, const struct registry_node *node, const char *image,
                     uint32_t version, struct error *ret_error)
{
    struct draft draft = {0};
    int r = draft_for_node(storage, node->name, image, version, &draft, ret_error);
    return r < 0 ? r : registry_node_add(storage->settings.registry, node, &draft.row, ret_error);
}

int storage_node_set(struct storage *storage, const char *name,
                     const struct registry_node_change *change, const char *image, uint32_t version,
                     struct error *ret_error)
{
    struct draft draft = {0};
    int r = draft_for_node(storage, name, image, version, &draft, ret_error);
    return r < 0
               ? r
               : registry_node_set(storage->settings.registry, name, change, &draft.row, ret_error);
}

bool storage_volume_in_use(struct storage *storage, uint64_t volume_id, char peer[static 256])
{
    const struct storage_settings *settings = &storage->settings;
    return settings->in_use && settings->in_use(settings->context, volume_id, peer);
}

/* The volume is in REMOVING: nobody can log in any more. Is anybody still there? */
static int check_no_session(struct storage *storage, const char *name, struct error *ret_error)
{
    char peer[256] = "somebody";
    const struct storage_settings *settings = &storage->settings;
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, name);
    if (!volume || !storage_volume_in_use(storage, volume->id, peer)) {
        if (volume && settings->is_shut)
            (void)settings->is_shut(settings->context, volume->id);
        return 0;
    }
    return error_set(ret_error, -EBUSY, "volume '%s' is in use by %s; log out there first", name,
                     peer);
}

static bool is_overlay(struct storage *storage, const char *name)
{
    cleanup_catalog struct catalog *catalog = catalog_slot_get(storage->settings.catalog);
    const struct catalog_volume *volume = catalog_volume_by_name(catalog, name);
    return volume && volume->kind == VOLUME_OVERLAY;
}

int storage_volume_remove(struct storage *storage, const char *name, const char *except_node,
                          struct error *ret_error)
{
    cleanup_free char *path = NULL;
    struct error ignored;
    struct registry *registry = storage->settings.registry;
    int r = registry_volume_remove_begin(registry, name, except_node, &path, ret_error);
    if (r < 0)
        return r;
    r = check_no_session(storage, name, ret_error);
    if (r >= 0 && path)
        r = file_remove(path, true, ret_error);
    else if (r >= 0 && is_overlay(storage, name))
        r = registry_overlay_drop(registry, name, ret_error);
    if (r < 0) {
        (void)!registry_volume_remove_end(registry, name, true, &ignored);
        return r;
    }
    r = path ? file_sync_directory(path, ret_error) : layers_clear(registry, ret_error);
    if (r >= 0)
        r = registry_volume_remove_end(registry, name, false, ret_error);
    return r < 0 ? r : 0;
}
