#include "boot/direct_boot.h"

#include <errno.h>

#include "boot/gpt.h"

#include <nettle/sha2.h>

#define BOOT_CODE_SIZE   440 /* of the first sector, before the disk's own number */
#define LOADER_AREA_SIZE (1 * MIB)
#define MAX_LOADER_AREAS 4 /* so that nobody has us hash for long */
#define HASH_PIECE       (32 * KIB)
#define MAX_CONFIG_SIZE  ((size_t)(256 * KIB))
#define MAX_KERNEL_SIZE  (256 * MIB)
#define MAX_INITRD_SIZE  (1 * GIB)

_Static_assert(LOADER_RECORD_HASH_SIZE == SHA256_DIGEST_SIZE, "a hash is a SHA-256");
_Static_assert(LOADER_RECORD_UUID_SIZE == EXT4_UUID_SIZE, "a UUID is a UUID");

/* --- where the record is --- */

/* Whatever else is on the disk may be as it likes. */
static bool is_elsewhere(int r)
{
    return r == -ENOENT || r == -ENOTSUP || r == -EBADMSG || r == -ELOOP || r == -ENAMETOOLONG;
}

static int find_in_partition(struct boot_disk *disk, const struct gpt_partition *partition,
                             struct ext4 *fs, struct ext4_file *file, struct error *ret_error)
{
    int r = ext4_open(disk, partition->offset, partition->size, fs, ret_error);
    return r < 0 ? r : ext4_find(fs, LOADER_RECORD_PATH, file, ret_error);
}

/* Two of them: who knows which one the loader means. */
static int find_record(struct boot_disk *disk, const struct gpt *gpt, struct ext4 *ret_fs,
                       struct ext4_file *scratch, char **ret_text, struct error *ret_error)
{
    cleanup_free char *text = NULL;
    struct ext4 fs;
    for (size_t i = 0; i < gpt->count; i++) {
        struct error error;
        if (gpt->partitions[i].kind != GPT_OTHER)
            continue;
        int r = find_in_partition(disk, &gpt->partitions[i], &fs, scratch, &error);
        if (r >= 0 && text)
            return error_set(ret_error, -EEXIST, "it has several %s", LOADER_RECORD_PATH);
        if (r >= 0)
            r = ext4_read(&fs, scratch, LOADER_RECORD_MAX_SIZE, &text, &error);
        if (r < 0 && !is_elsewhere(r))
            return error_set(ret_error, r, "%s: %s", LOADER_RECORD_PATH, error.text);
        if (r >= 0)
            *ret_fs = fs;
    }
    if (!text)
        return error_set(ret_error, -ENOENT, "it has no %s in an ext4 file system",
                         LOADER_RECORD_PATH);
    *ret_text = take_ptr(text);
    return 0;
}

/* --- whether it still holds --- */

static int hash_area(struct boot_disk *disk, uint64_t offset, uint64_t size,
                     struct sha256_ctx *hash, struct error *ret_error)
{
    uint8_t data[HASH_PIECE];
    int r = 0;
    for (size_t n; r >= 0 && size > 0; offset += n, size -= n) {
        n = (size_t)MIN(size, sizeof(data));
        r = boot_disk_read(disk, offset, data, n, ret_error);
        if (r >= 0)
            sha256_update(hash, n, data);
    }
    return r;
}

static int check_loader_areas(struct boot_disk *disk, const struct gpt *gpt,
                              const struct loader_record *record, struct error *ret_error)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx hash;
    unsigned n_areas = 0;
    sha256_init(&hash);
    int r = hash_area(disk, 0, BOOT_CODE_SIZE, &hash, ret_error);
    for (size_t i = 0; r >= 0 && i < gpt->count; i++) {
        const struct gpt_partition *p = &gpt->partitions[i];
        if (p->kind == GPT_OTHER)
            continue;
        if (n_areas++ == MAX_LOADER_AREAS)
            return error_set(ret_error, -E2BIG, "it has too many partitions for boot loaders");
        r = hash_area(disk, p->offset, MIN(p->size, LOADER_AREA_SIZE), &hash, ret_error);
    }
    if (r < 0)
        return r;
    sha256_digest(&hash, sizeof(digest), digest);
    if (memcmp(digest, record->loader, sizeof(digest)) != 0)
        return error_set(ret_error, -ESTALE, "its boot loader is another one than %s was made for",
                         LOADER_RECORD_PATH);
    return 0;
}

static int check_file(const struct ext4 *fs, const struct loader_record_file *expected,
                      struct ext4_file *scratch, struct error *ret_error)
{
    cleanup_free char *text = NULL;
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx hash;
    int r = ext4_find(fs, expected->path, scratch, ret_error);
    if (r >= 0)
        r = ext4_read(fs, scratch, MAX_CONFIG_SIZE, &text, ret_error);
    if (r < 0)
        return error_prefix(ret_error, "%s", expected->path);
    sha256_init(&hash);
    sha256_update(&hash, scratch->size, (const uint8_t *)text);
    sha256_digest(&hash, sizeof(digest), digest);
    if (memcmp(digest, expected->sha256, sizeof(digest)) != 0)
        return error_set(ret_error, -ESTALE, "%s was changed since %s was made", expected->path,
                         LOADER_RECORD_PATH);
    return 0;
}

static int check_files(const struct ext4 *fs, const struct loader_record *record,
                       struct ext4_file *scratch, struct error *ret_error)
{
    if (memcmp(record->filesystem, fs->uuid, sizeof(fs->uuid)) != 0)
        return error_set(ret_error, -ESTALE, "%s was made for another file system",
                         LOADER_RECORD_PATH);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < record->n_files; i++)
        r = check_file(fs, &record->files[i], scratch, ret_error);
    return r;
}

/* --- what it boots --- */

static int find_file(const struct ext4 *fs, const char *path, uint64_t max,
                     struct ext4_file **ret_file, struct error *ret_error)
{
    cleanup_free struct ext4_file *file = calloc(1, sizeof(*file));
    if (!file)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = ext4_find(fs, path, file, ret_error);
    if (r >= 0 && (file->size == 0 || file->size > max))
        r = error_set(ret_error, -EFBIG, "it is empty, or too large");
    if (r < 0)
        return error_prefix(ret_error, "%s", path);
    *ret_file = take_ptr(file);
    return 0;
}

static void hash_places(struct sha256_ctx *hash, const struct ext4_file *file)
{
    sha256_update(hash, sizeof(file->size), (const uint8_t *)&file->size);
    sha256_update(hash, file->n_extents * sizeof(file->extents[0]), (const uint8_t *)file->extents);
}

static void make_token(struct direct_boot *boot, const uint8_t record[static SHA256_DIGEST_SIZE])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, SHA256_DIGEST_SIZE, record);
    hash_places(&hash, boot->kernel);
    hash_places(&hash, boot->initrd);
    sha256_digest(&hash, sizeof(digest), digest);
    for (size_t i = 0; i < (DIRECT_BOOT_TOKEN_SIZE - 1) / 2; i++)
        snprintf(boot->token + 2 * i, 3, "%02x", digest[i]);
}

static int read_record(struct boot_disk *disk, const struct gpt *gpt, struct ext4 *ret_fs,
                       struct ext4_file *scratch, struct direct_boot *boot,
                       uint8_t digest[static SHA256_DIGEST_SIZE], struct error *ret_error)
{
    struct sha256_ctx hash;
    int r = find_record(disk, gpt, ret_fs, scratch, &boot->text, ret_error);
    if (r < 0)
        return r;
    sha256_init(&hash);
    sha256_update(&hash, scratch->size, (const uint8_t *)boot->text);
    sha256_digest(&hash, SHA256_DIGEST_SIZE, digest);
    return loader_record_parse(boot->text, &boot->record, ret_error);
}

static int look(struct boot_disk *disk, bool check_loader, struct ext4_file *scratch,
                struct direct_boot *boot, struct error *ret_error)
{
    uint8_t digest[SHA256_DIGEST_SIZE] = {0};
    struct gpt gpt;
    struct ext4 fs;
    int r = gpt_read(disk, &gpt, ret_error);
    if (r >= 0)
        r = read_record(disk, &gpt, &fs, scratch, boot, digest, ret_error);
    if (r >= 0 && check_loader)
        r = check_loader_areas(disk, &gpt, &boot->record, ret_error);
    if (r >= 0)
        r = check_files(&fs, &boot->record, scratch, ret_error);
    if (r >= 0)
        r = find_file(&fs, boot->record.kernel, MAX_KERNEL_SIZE, &boot->kernel, ret_error);
    if (r >= 0)
        r = find_file(&fs, boot->record.initrd, MAX_INITRD_SIZE, &boot->initrd, ret_error);
    if (r >= 0)
        make_token(boot, digest);
    return r;
}

int direct_boot_find(struct boot_disk *disk, bool check_loader, struct direct_boot *ret_boot,
                     struct error *ret_error)
{
    struct direct_boot boot = {0};
    struct ext4_file *scratch = calloc(1, sizeof(*scratch));
    disk->budget = DIRECT_BOOT_READS;
    int r = scratch ? look(disk, check_loader, scratch, &boot, ret_error)
                    : error_set(ret_error, -ENOMEM, "out of memory");
    free(scratch);
    if (r < 0)
        direct_boot_release(&boot);
    else
        *ret_boot = boot;
    return r;
}

void direct_boot_release(struct direct_boot *boot)
{
    free(boot->text);
    free(boot->kernel);
    free(boot->initrd);
    *boot = (struct direct_boot){0};
}
