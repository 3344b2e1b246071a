#include "boot/ext4.h"

#include <errno.h>
#include <sys/stat.h>

#include "core/wire.h"

#define SUPERBLOCK_AT    1024
#define SUPERBLOCK_SIZE  1024
#define MAGIC            0xef53
#define ROOT_INODE       2
#define MAX_BLOCK_SIZE   4096
#define MIN_INODE_SIZE   128
#define BLOCK_FIELD_SIZE 60 /* i_block */
#define EXTENT_MAGIC     0xf30a
#define EXTENT_SIZE      12 /* header and entries alike */
#define MAX_DEPTH        5
#define MAX_EXTENT_LEN   32768 /* more: allocated, but never written */
#define MAX_LINKS        8
#define MAX_FILE_SIZE    ((uint64_t)1 << 40)
#define MAX_DIRECTORY    (4 * MIB)

/* s_feature_incompat */
enum {
    FILETYPE = 0x2,
    RECOVER = 0x4, /* the journal is not empty: GRUB does not look at it either */
    EXTENTS = 0x40,
    BIT64 = 0x80,
    FLEX_BG = 0x200,
};
#define KNOWN_FEATURES (FILETYPE | RECOVER | EXTENTS | BIT64 | FLEX_BG)
#define RO_BIGALLOC    0x200

/* i_flags: compressed, encrypted, names without case, inline data */
#define STRANGE_FLAGS (0x4u | 0x800u | 0x40000000u | 0x10000000u)
#define USES_EXTENTS  0x80000u

struct inode {
    uint16_t mode;
    uint32_t flags;
    uint64_t size;
    uint8_t block[BLOCK_FIELD_SIZE];
};

static int damaged(struct error *ret_error, const char *what)
{
    return error_set(ret_error, -EBADMSG, "its file system is damaged: %s", what);
}

static int unknown(struct error *ret_error, const char *what)
{
    return error_set(ret_error, -ENOTSUP, "its file system has %s", what);
}

/* --- the file system --- */

struct superblock {
    uint32_t log_block_size, blocks_per_group, revision;
    uint32_t incompatible, read_only;
    uint16_t magic;
};

static void decode_superblock(const uint8_t *bytes, struct ext4 *fs, struct superblock *s)
{
    struct wire_reader r = wire_reader_of(bytes, SUPERBLOCK_SIZE);
    fs->n_inodes = wire_get_le32(&r);
    fs->n_blocks = wire_get_le32(&r);
    wire_skip(&r, 0x14 - 0x08);
    fs->first_block = wire_get_le32(&r);
    s->log_block_size = wire_get_le32(&r);
    wire_skip(&r, 0x20 - 0x1c);
    s->blocks_per_group = wire_get_le32(&r);
    wire_skip(&r, 0x28 - 0x24);
    fs->inodes_per_group = wire_get_le32(&r);
    wire_skip(&r, 0x38 - 0x2c);
    s->magic = wire_get_le16(&r);
    wire_skip(&r, 0x4c - 0x3a);
    s->revision = wire_get_le32(&r);
    wire_skip(&r, 0x58 - 0x50);
    fs->inode_size = wire_get_le16(&r);
    wire_skip(&r, 0x60 - 0x5a);
    s->incompatible = wire_get_le32(&r);
    s->read_only = wire_get_le32(&r);
    wire_get_copy(&r, fs->uuid, sizeof(fs->uuid));
    wire_skip(&r, 0xfe - 0x78);
    fs->descriptor_size = wire_get_le16(&r);
    if (!(s->incompatible & BIT64)) {
        fs->descriptor_size = 32;
        return;
    }
    wire_skip(&r, 0x150 - 0x100);
    fs->n_blocks |= (uint64_t)wire_get_le32(&r) << 32;
}

static int check_superblock(struct ext4 *fs, const struct superblock *s, uint64_t size,
                            struct error *ret_error)
{
    if (s->magic != MAGIC)
        return error_set(ret_error, -ENOENT, "there is no ext4 file system");
    if (s->revision != 1 || !(s->incompatible & EXTENTS) || s->incompatible & ~KNOWN_FEATURES ||
        s->read_only & RO_BIGALLOC)
        return unknown(ret_error, "features that are not known here");
    if (s->log_block_size > 2)
        return unknown(ret_error, "blocks of more than 4 KiB");
    fs->block_size = (uint32_t)1024 << s->log_block_size;
    if (!fs->n_blocks || fs->n_blocks > size / fs->block_size)
        return damaged(ret_error, "it is larger than its partition");
    if (!fs->inodes_per_group || fs->inode_size < MIN_INODE_SIZE ||
        fs->inode_size > fs->block_size || (fs->inode_size & (fs->inode_size - 1)) ||
        fs->descriptor_size < 32 || fs->descriptor_size > 1024 || fs->first_block > 1)
        return damaged(ret_error, "its superblock makes no sense");
    if (s->incompatible & BIT64 && fs->descriptor_size < 64)
        return damaged(ret_error, "its group descriptors are too small");
    return 0;
}

int ext4_open(struct boot_disk *disk, uint64_t offset, uint64_t size, struct ext4 *ret_fs,
              struct error *ret_error)
{
    uint8_t bytes[SUPERBLOCK_SIZE] = {0};
    struct ext4 fs = {.disk = disk, .offset = offset};
    struct superblock s;
    if (size < SUPERBLOCK_AT + SUPERBLOCK_SIZE)
        return error_set(ret_error, -ENOENT, "there is no ext4 file system");
    int r = boot_disk_read(disk, offset + SUPERBLOCK_AT, bytes, sizeof(bytes), ret_error);
    if (r < 0)
        return r;
    decode_superblock(bytes, &fs, &s);
    r = check_superblock(&fs, &s, size, ret_error);
    if (r >= 0)
        *ret_fs = fs;
    return r;
}

/* size bytes at a place in a block. */
static int read_block(const struct ext4 *fs, uint64_t block, uint64_t at, uint8_t *data,
                      size_t size, struct error *ret_error)
{
    block += at / fs->block_size;
    at %= fs->block_size;
    if (block >= fs->n_blocks || at + size > fs->block_size)
        return damaged(ret_error, "something lies behind its end");
    return boot_disk_read(fs->disk, fs->offset + block * fs->block_size + at, data, size,
                          ret_error);
}

/* --- inodes --- */

static int find_inode_table(const struct ext4 *fs, uint32_t group, uint64_t *ret_block,
                            struct error *ret_error)
{
    uint8_t bytes[64] = {0};
    size_t size = MIN(fs->descriptor_size, sizeof(bytes));
    int r = read_block(fs, (uint64_t)fs->first_block + 1, (uint64_t)group * fs->descriptor_size,
                       bytes, size, ret_error);
    if (r < 0)
        return r;
    struct wire_reader reader = wire_reader_of(bytes, sizeof(bytes));
    wire_skip(&reader, 8);
    uint64_t block = wire_get_le32(&reader);
    wire_skip(&reader, 0x28 - 12);
    *ret_block = block | (uint64_t)wire_get_le32(&reader) << 32;
    return 0;
}

static void decode_inode(const uint8_t bytes[static MIN_INODE_SIZE], struct inode *inode)
{
    struct wire_reader r = wire_reader_of(bytes, MIN_INODE_SIZE);
    inode->mode = wire_get_le16(&r);
    wire_skip(&r, 2);
    inode->size = wire_get_le32(&r);
    wire_skip(&r, 0x20 - 8);
    inode->flags = wire_get_le32(&r);
    wire_skip(&r, 0x28 - 0x24);
    wire_get_copy(&r, inode->block, sizeof(inode->block));
    wire_skip(&r, 0x6c - 0x64);
    inode->size |= (uint64_t)wire_get_le32(&r) << 32;
}

static int read_inode(const struct ext4 *fs, uint32_t number, struct inode *ret_inode,
                      struct error *ret_error)
{
    uint8_t bytes[MIN_INODE_SIZE] = {0};
    uint64_t table = 0;
    if (number == 0 || number > fs->n_inodes)
        return damaged(ret_error, "there is no such inode");
    uint32_t index = (number - 1) % fs->inodes_per_group;
    int r = find_inode_table(fs, (number - 1) / fs->inodes_per_group, &table, ret_error);
    if (r >= 0)
        r = read_block(fs, table, (uint64_t)index * fs->inode_size, bytes, sizeof(bytes),
                       ret_error);
    if (r < 0)
        return r;
    decode_inode(bytes, ret_inode);
    if (ret_inode->flags & STRANGE_FLAGS)
        return unknown(ret_error, "a file on the way that is not stored plainly");
    if (ret_inode->size > MAX_FILE_SIZE)
        return damaged(ret_error, "a file is larger than any can be");
    return 0;
}

/* --- extents --- */

static uint64_t file_end(const struct ext4_file *file)
{
    if (file->n_extents == 0)
        return 0;
    const struct ext4_extent *last = &file->extents[file->n_extents - 1];
    return last->at + last->length;
}

static int add_extent(const struct ext4 *fs, struct wire_reader entry, struct ext4_file *file,
                      struct error *ret_error)
{
    uint64_t at = (uint64_t)wire_get_le32(&entry) * fs->block_size;
    uint32_t n_blocks = wire_get_le16(&entry);
    uint64_t high = wire_get_le16(&entry), block = high << 32 | wire_get_le32(&entry);
    if (n_blocks > MAX_EXTENT_LEN)
        return unknown(ret_error, "a file on the way that was never written");
    if (!n_blocks || block >= fs->n_blocks || n_blocks > fs->n_blocks - block ||
        at < file_end(file))
        return damaged(ret_error, "the blocks of a file make no sense");
    if (at >= file->size)
        return 0; /* space in advance */
    if (file->n_extents == EXT4_MAX_EXTENTS)
        return unknown(ret_error, "a file on the way that is in very many pieces");
    file->extents[file->n_extents++] =
        (struct ext4_extent){.at = at,
                             .length = MIN((uint64_t)n_blocks * fs->block_size, file->size - at),
                             .disk = fs->offset + block * fs->block_size};
    return 0;
}

/* A node of the tree of extents, with what of it is still to be gone through. */
struct tree_node {
    struct wire_reader entries;
    unsigned depth; /* 0: a leaf */
    uint8_t bytes[MAX_BLOCK_SIZE];
};

static int open_node(struct tree_node *node, size_t size, struct error *ret_error)
{
    struct wire_reader r = wire_reader_of(node->bytes, size);
    node->entries = r;
    uint16_t magic = wire_get_le16(&r), count = wire_get_le16(&r);
    wire_skip(&r, 2);
    node->depth = wire_get_le16(&r);
    wire_skip(&r, 4);
    if (magic != EXTENT_MAGIC || node->depth > MAX_DEPTH)
        return damaged(ret_error, "the blocks of a file make no sense");
    node->entries = wire_get_sub(&r, (size_t)count * EXTENT_SIZE);
    if (!wire_reader_ok(&r))
        return damaged(ret_error, "the blocks of a file make no sense");
    return 0;
}

/* The node that the next entry of `parent` points to. */
static int open_child(const struct ext4 *fs, struct tree_node *parent, struct tree_node *child,
                      struct error *ret_error)
{
    struct wire_reader entry = wire_get_sub(&parent->entries, EXTENT_SIZE);
    wire_skip(&entry, 4);
    uint64_t low = wire_get_le32(&entry), block = low | (uint64_t)wire_get_le16(&entry) << 32;
    int r = read_block(fs, block, 0, child->bytes, fs->block_size, ret_error);
    if (r >= 0)
        r = open_node(child, fs->block_size, ret_error);
    if (r >= 0 && child->depth + 1 != parent->depth)
        r = damaged(ret_error, "the blocks of a file make no sense");
    return r;
}

/* The tree, from left to right. */
static int walk(const struct ext4 *fs, struct tree_node *nodes, struct ext4_file *file,
                struct error *ret_error)
{
    unsigned level = 0;
    int r = 0;
    while (r >= 0) {
        struct tree_node *node = &nodes[level];
        if (wire_reader_left(&node->entries) == 0) {
            if (level == 0)
                return 0;
            level--;
        } else if (node->depth == 0) {
            r = add_extent(fs, wire_get_sub(&node->entries, EXTENT_SIZE), file, ret_error);
        } else {
            r = open_child(fs, node, &nodes[level + 1], ret_error);
            level++;
        }
    }
    return r;
}

static int find_extents(const struct ext4 *fs, const struct inode *inode,
                        struct ext4_file *ret_file, struct error *ret_error)
{
    if (!(inode->flags & USES_EXTENTS))
        return unknown(ret_error, "a file on the way that has no extents");
    struct tree_node nodes[MAX_DEPTH + 1];
    ret_file->size = inode->size;
    ret_file->n_extents = 0;
    memcpy(nodes[0].bytes, inode->block, sizeof(inode->block));
    int r = open_node(&nodes[0], sizeof(inode->block), ret_error);
    return r < 0 ? r : walk(fs, nodes, ret_file, ret_error);
}

bool ext4_file_run(const struct ext4_file *file, uint64_t at, uint64_t *ret_length,
                   uint64_t *ret_disk)
{
    uint64_t end = file->size;
    for (size_t i = 0; i < file->n_extents; i++) {
        const struct ext4_extent *extent = &file->extents[i];
        if (at < extent->at) {
            end = extent->at;
            break;
        }
        if (at - extent->at < extent->length) {
            *ret_length = extent->length - (at - extent->at);
            *ret_disk = extent->disk + (at - extent->at);
            return true;
        }
    }
    *ret_length = end - at;
    return false;
}

/* size bytes of the file, within it. */
static int read_file(const struct ext4 *fs, const struct ext4_file *file, uint64_t at,
                     uint8_t *data, size_t size, struct error *ret_error)
{
    int r = 0;
    for (uint64_t length, disk; r >= 0 && size > 0;) {
        bool is_data = ext4_file_run(file, at, &length, &disk);
        size_t n = (size_t)MIN(MIN(length, size), BOOT_DISK_MAX_READ);
        if (is_data)
            r = boot_disk_read(fs->disk, disk, data, n, ret_error);
        else
            memset(data, 0, n);
        at += n;
        data += n;
        size -= n;
    }
    return r;
}

int ext4_read(const struct ext4 *fs, const struct ext4_file *file, size_t max, char **ret_text,
              struct error *ret_error)
{
    if (file->size > max)
        return error_set(ret_error, -EFBIG, "it has more than %zu bytes", max);
    cleanup_free char *text = malloc(file->size + 1);
    if (!text)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = read_file(fs, file, 0, (uint8_t *)text, file->size, ret_error);
    if (r < 0)
        return r;
    text[file->size] = '\0';
    *ret_text = take_ptr(text);
    return 0;
}

/* --- names --- */

/* The first entry of a block of a directory that has this name; 0: none. */
static int search_block(const uint8_t *bytes, size_t size, const char *name, size_t name_size,
                        uint32_t *ret_number, struct error *ret_error)
{
    struct wire_reader r = wire_reader_of(bytes, size);
    while (wire_reader_left(&r) > 0) {
        size_t left = wire_reader_left(&r);
        uint32_t number = wire_get_le32(&r);
        size_t length = wire_get_le16(&r), found_size = wire_get_u8(&r);
        wire_skip(&r, 1);
        if (length < 8 + found_size || length % 4 || length > left)
            return damaged(ret_error, "a directory makes no sense");
        const uint8_t *found = wire_get_bytes(&r, length - 8);
        if (number && found_size == name_size && memcmp(found, name, name_size) == 0) {
            *ret_number = number;
            return 0;
        }
    }
    return 0;
}

/* The index that large directories have is not used. */
static int search_directory(const struct ext4 *fs, const struct ext4_file *directory,
                            const char *name, size_t name_size, uint32_t *ret_number,
                            struct error *ret_error)
{
    uint8_t bytes[MAX_BLOCK_SIZE] = {0};
    uint32_t number = 0;
    int r = 0;
    if (directory->size > MAX_DIRECTORY || directory->size % fs->block_size)
        return damaged(ret_error, "a directory has a strange size");
    for (uint64_t at = 0; r >= 0 && !number && at < directory->size; at += fs->block_size) {
        r = read_file(fs, directory, at, bytes, fs->block_size, ret_error);
        if (r >= 0)
            r = search_block(bytes, fs->block_size, name, name_size, &number, ret_error);
    }
    if (r >= 0)
        *ret_number = number;
    return r;
}

/* A short target is in the inode itself. */
static int read_link(const struct ext4 *fs, const struct inode *inode, struct ext4_file *scratch,
                     char target[static EXT4_MAX_PATH], struct error *ret_error)
{
    if (inode->size == 0 || inode->size >= EXT4_MAX_PATH)
        return damaged(ret_error, "a symbolic link is too long");
    target[inode->size] = '\0';
    if (inode->size < BLOCK_FIELD_SIZE) {
        memcpy(target, inode->block, inode->size);
        return 0;
    }
    int r = find_extents(fs, inode, scratch, ret_error);
    return r < 0 ? r : read_file(fs, scratch, 0, (uint8_t *)target, inode->size, ret_error);
}

/* Where somebody is on the way to a file. */
struct walker {
    const struct ext4 *fs;
    struct ext4_file *scratch;
    struct inode directory, found;
    unsigned links;
    char rest[EXT4_MAX_PATH]; /* of the path */
};

/* Puts the target of a link before what is left of the path. */
static int follow(struct walker *w, const char *after, struct error *ret_error)
{
    char target[EXT4_MAX_PATH], path[2 * EXT4_MAX_PATH];
    if (w->links++ == MAX_LINKS)
        return error_set(ret_error, -ELOOP, "too many symbolic links lead to each other");
    int r = read_link(w->fs, &w->found, w->scratch, target, ret_error);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s/%s", target, after);
    if (!str_copy(w->rest, sizeof(w->rest), path))
        return error_set(ret_error, -ENAMETOOLONG, "a symbolic link leads too far");
    return target[0] == '/' ? read_inode(w->fs, ROOT_INODE, &w->directory, ret_error) : 0;
}

/* To the next name of the path, in the directory where it is. */
static int step(struct walker *w, const char *name, size_t size, struct error *ret_error)
{
    uint32_t number = 0;
    if (!S_ISDIR(w->directory.mode))
        return error_set(ret_error, -ENOENT, "there is no such file");
    int r = find_extents(w->fs, &w->directory, w->scratch, ret_error);
    if (r >= 0)
        r = search_directory(w->fs, w->scratch, name, size, &number, ret_error);
    if (r >= 0 && !number)
        r = error_set(ret_error, -ENOENT, "there is no such file");
    return r < 0 ? r : read_inode(w->fs, number, &w->found, ret_error);
}

static int go(struct walker *w, struct error *ret_error)
{
    int r = read_inode(w->fs, ROOT_INODE, &w->directory, ret_error);
    while (r >= 0) {
        const char *name = w->rest + strspn(w->rest, "/");
        size_t size = strcspn(name, "/");
        if (size == 0)
            return 0;
        r = step(w, name, size, ret_error);
        if (r >= 0 && S_ISLNK(w->found.mode)) {
            r = follow(w, name + size, ret_error);
        } else if (r >= 0) {
            w->directory = w->found;
            memmove(w->rest, name + size, strlen(name + size) + 1);
        }
    }
    return r;
}

int ext4_find(const struct ext4 *fs, const char *path, struct ext4_file *file,
              struct error *ret_error)
{
    struct walker w = {.fs = fs, .scratch = file};
    if (!str_copy(w.rest, sizeof(w.rest), path))
        return error_set(ret_error, -ENAMETOOLONG, "its name is too long");
    int r = go(&w, ret_error);
    if (r >= 0 && !S_ISREG(w.directory.mode))
        r = error_set(ret_error, -ENOENT, "it is no file");
    if (r >= 0)
        r = find_extents(fs, &w.directory, file, ret_error);
    return r;
}
