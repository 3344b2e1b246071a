#include "site.h"

#include "storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define IMAGE_SIZE (8 << 20)

struct bench {
    struct site site;
    struct storage *storage;
    bool session_open;
};

static bool in_use(void *context, uint64_t volume_id, char peer[static 256])
{
    struct bench *b = context;
    str_copy(peer, 256, "iqn.x from 10.0.0.7");
    return b->session_open;
}

static const char *path_of(const struct bench *b, const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", b->site.directory, name);
    return path;
}

static void open_storage(struct bench *b)
{
    struct storage_settings storage = {.directory = b->site.directory,
                                       .registry = b->site.registry,
                                       .catalog = b->site.slot,
                                       .in_use = in_use,
                                       .context = b};
    site_must(storage_open(&storage, &b->storage, &b->site.error), &b->site.error);
}

static void stop(struct bench *b)
{
    storage_close(b->storage);
    registry_stop(b->site.registry);
}

static void start(struct bench *b)
{
    site_start(&b->site);
    open_storage(b);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    site_make(&b->site);
    open_storage(b);
    int fd = open(path_of(b, "source"), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(ftruncate(fd, IMAGE_SIZE), 0);
    assert_int_equal(pwrite(fd, "golden", 6, 1 << 20), 6);
    close(fd);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    storage_close(b->storage);
    site_remove(&b->site);
    free(b);
    return 0;
}

static bool exists(const struct bench *b, const char *name)
{
    return access(path_of(b, name), F_OK) == 0;
}

static void assert_told(const struct bench *b, const char *words)
{
    site_assert_told(&b->site, words);
}

static int run(struct bench *b, struct storage_job *job)
{
    int r = 0;
    while (job && (r = storage_job_step(job, &b->site.error)) > 0)
        ;
    storage_job_free(job);
    return r;
}

static int begin_import(struct bench *b, const char *path, const char *name,
                        struct storage_job **ret_job)
{
    const struct storage_import what = {.path = path, .name = name};
    return storage_image_import(b->storage, &what, ret_job, &b->site.error);
}

static void import(struct bench *b)
{
    struct storage_job *job = NULL;
    if (begin_import(b, path_of(b, "source"), "golden", &job) < 0 || run(b, job) < 0)
        fail_msg("%s", b->site.error.text);
}

static int create(struct bench *b, struct storage_volume volume)
{
    struct storage_job *job = NULL;
    int r = storage_volume_create(b->storage, &volume, &job, &b->site.error);
    return r < 0 ? r : run(b, job);
}

static void an_import_is_complete_and_read_only(void **state)
{
    struct bench *b = *state;
    struct stat st;
    char text[6];
    import(b);
    assert_int_equal(stat(path_of(b, "images/golden/1.raw"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_true(st.st_size == IMAGE_SIZE && st.st_blocks * 512 <= 65536);
    cleanup_close int fd = open(path_of(b, "images/golden/1.raw"), O_RDONLY);
    assert_int_equal(pread(fd, text, 6, 1 << 20), 6);
    assert_memory_equal(text, "golden", 6);
    import(b);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    assert_int_equal(catalog_image_find(c, "golden", 0)->version, 2);
}

static void a_cancelled_import_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct storage_job *job = NULL;
    assert_int_equal(begin_import(b, path_of(b, "source"), "golden", &job), 0);
    assert_true(exists(b, "images/golden/1.raw.tmp"));
    storage_job_free(job);
    assert_false(exists(b, "images/golden/1.raw.tmp"));
    import(b); /* is version 1: the number was given back */
    assert_true(exists(b, "images/golden/1.raw"));
}

static void what_cannot_be_imported_is_told(void **state)
{
    struct bench *b = *state;
    struct storage_job *job = NULL;
    assert_int_equal(begin_import(b, "source", "x", &job), -EINVAL);
    assert_told(b, "must be an absolute path");
    assert_int_equal(begin_import(b, "/nowhere", "x", &job), -ENOENT);
    assert_told(b, "/nowhere cannot be opened: No such file");
    assert_int_equal(begin_import(b, "/dev/null", "x", &job), -EINVAL);
    assert_told(b, "neither a file nor a block device");
    mkfifo(path_of(b, "fifo"), 0600);
    assert_int_equal(begin_import(b, path_of(b, "fifo"), "x", &job), -EINVAL);
    assert_int_equal(truncate(path_of(b, "source"), 777), 0);
    assert_int_equal(begin_import(b, path_of(b, "source"), "x", &job), -EINVAL);
    assert_told(b, "777 bytes, which is not a multiple of the block size 512");
    assert_int_equal(begin_import(b, path_of(b, "source"), "../x", &job), -EINVAL);
}

static void a_volume_of_each_source(void **state)
{
    struct bench *b = *state;
    import(b);
    assert_int_equal(create(b, (struct storage_volume){.name = "blank", .size = 1 << 20}), 0);
    assert_int_equal(
        create(b,
               (struct storage_volume){.name = "copy", .source = STORAGE_IMAGE, .image = "golden"}),
        0);
    char source[PATH_MAX];
    str_copy(source, sizeof(source), path_of(b, "source"));
    assert_int_equal(
        create(b, (struct storage_volume){.name = "own", .source = STORAGE_FILE, .path = source}),
        0);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    const struct catalog_volume *blank = catalog_volume_by_name(c, "blank");
    const struct catalog_volume *copy = catalog_volume_by_name(c, "copy");
    const struct catalog_volume *own = catalog_volume_by_name(c, "own");
    assert_true(blank->size == 1 << 20 && blank->block_size == 512 && blank->owned);
    assert_true(copy->size == IMAGE_SIZE && str_eq(copy->image, "golden@1"));
    assert_true(own->size == IMAGE_SIZE && !own->owned);
    assert_string_equal(copy->path, path_of(b, "volumes/copy.raw"));
    assert_memory_not_equal(copy->serial, blank->serial, 16);
}

static uint64_t space_of(const struct bench *b, const char *name)
{
    struct stat st;
    assert_int_equal(stat(path_of(b, name), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static bool is_thick(const struct bench *b, const char *name)
{
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    const struct catalog_volume *v = catalog_volume_by_name(c, name);
    assert_int_equal(v->state, VOLUME_READY);
    return v->thick;
}

static void thick_volumes_take_their_space_at_once(void **state)
{
    struct bench *b = *state;
    char source[PATH_MAX];
    str_copy(source, sizeof(source), path_of(b, "source"));
    import(b);
    int r = create(b, (struct storage_volume){.name = "blank", .size = 1 << 20, .thick = true});
    if (r == -EOPNOTSUPP)
        skip();
    assert_int_equal(r, 0);
    assert_int_equal(create(b, (struct storage_volume){.name = "copy",
                                                       .source = STORAGE_IMAGE,
                                                       .image = "golden",
                                                       .thick = true}),
                     0);
    struct storage_volume own = {
        .name = "own", .source = STORAGE_FILE, .path = source, .read_only = true, .thick = true};
    assert_int_equal(create(b, own), 0);
    assert_true(space_of(b, "source") < IMAGE_SIZE); /* it is only read */
    assert_int_equal(storage_volume_remove(b->storage, "own", NULL, &b->site.error), 0);
    own.read_only = false;
    assert_int_equal(create(b, own), 0);
    assert_true(space_of(b, "volumes/blank.raw") >= 1 << 20);
    assert_true(space_of(b, "volumes/copy.raw") >= IMAGE_SIZE);
    assert_true(space_of(b, "source") >= IMAGE_SIZE);
    assert_true(is_thick(b, "blank") && is_thick(b, "copy") && is_thick(b, "own"));
    cleanup_close int fd = open(source, O_RDONLY);
    char text[6];
    assert_int_equal(pread(fd, text, 6, 1 << 20), 6);
    assert_memory_equal(text, "golden", 6); /* what was in it still is */
    assert_int_equal(create(b, (struct storage_volume){.name = "thin", .size = 4096}), 0);
    assert_false(is_thick(b, "thin"));
}

static void a_thick_volume_without_room_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct storage_volume v = {.name = "v", .size = UINT64_C(1) << 50, .thick = true};
    assert_int_equal(create(b, v), -ENOSPC);
    assert_told(b, "volumes/v.raw: it needs 1 PiB, ");
    assert_false(exists(b, "volumes/v.raw.tmp"));
    assert_int_equal(truncate(path_of(b, "source"), INT64_C(1) << 42), 0);
    char source[PATH_MAX];
    str_copy(source, sizeof(source), path_of(b, "source"));
    v = (struct storage_volume){.name = "v", .source = STORAGE_FILE, .path = source, .thick = true};
    assert_int_equal(create(b, v), -ENOSPC);
    assert_told(b, "source: it needs 3.9 TiB, ");
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    assert_null(catalog_volume_by_name(c, "v"));
}

static void what_cannot_be_a_volume_is_told(void **state)
{
    struct bench *b = *state;
    char source[PATH_MAX], other[PATH_MAX];
    str_copy(source, sizeof(source), path_of(b, "source"));
    str_copy(other, sizeof(other), path_of(b, "link"));
    struct storage_volume v = {.name = "v", .source = STORAGE_FILE, .path = source};
    assert_int_equal(create(b, (struct storage_volume){.name = "v", .size = 1000}), -EINVAL);
    assert_told(b, "multiple of 512");
    assert_int_equal(
        create(b, (struct storage_volume){.name = "v", .size = 4608, .block_size = 4096}), -EINVAL);
    assert_int_equal(
        create(b, (struct storage_volume){.name = "v", .size = 4096, .block_size = 1024}), -EINVAL);
    assert_told(b, "must be 512 or 4096");
    assert_int_equal(
        create(b, (struct storage_volume){.name = "v", .source = STORAGE_IMAGE, .image = "nope"}),
        -ENOENT);
    assert_told(b, "import it first");
    assert_int_equal(create(b, v), 0);
    assert_int_equal(symlink(source, other), 0);
    v = (struct storage_volume){.name = "w", .source = STORAGE_FILE, .path = other};
    assert_int_equal(create(b, v), -EEXIST); /* by another name it is the same disk */
    assert_told(b, "is already volume 'v'");
    v.source = STORAGE_DEVICE;
    assert_int_equal(create(b, v), -EINVAL);
    assert_told(b, "is not a block device; use --file");
    v = (struct storage_volume){.name = "w", .source = STORAGE_FILE, .path = b->site.directory};
    assert_true(create(b, v) < 0);
}

static void a_golden_image_is_no_volume(void **state)
{
    struct bench *b = *state;
    char path[PATH_MAX];
    if (geteuid() != 0)
        skip(); /* cannot open it for writing in the first place */
    import(b);
    str_copy(path, sizeof(path), path_of(b, "images/golden/1.raw"));
    struct storage_volume v = {.name = "v", .source = STORAGE_FILE, .path = path};
    assert_int_equal(create(b, v), -EEXIST);
    assert_told(b, "is image 'golden@1', which never changes");
}

static void a_strangers_file_in_the_way_stays(void **state)
{
    struct bench *b = *state;
    close(open(path_of(b, "volumes/v.raw"), O_CREAT | O_WRONLY, 0600));
    assert_int_equal(create(b, (struct storage_volume){.name = "v", .size = 4096}), -EEXIST);
    assert_told(b, "volumes/v.raw is in the way");
    assert_true(exists(b, "volumes/v.raw"));
    assert_false(exists(b, "volumes/v.raw.tmp"));
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    assert_null(catalog_volume_by_name(c, "v"));
}

static void removal_is_refused_while_it_is_used(void **state)
{
    struct bench *b = *state;
    char source[PATH_MAX];
    assert_int_equal(create(b, (struct storage_volume){.name = "v", .size = 4096}), 0);
    b->session_open = true;
    assert_int_equal(storage_volume_remove(b->storage, "v", NULL, &b->site.error), -EBUSY);
    assert_told(b, "in use by iqn.x from 10.0.0.7");
    {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
        assert_int_equal(catalog_volume_by_name(c, "v")->state, VOLUME_READY); /* as before */
    }
    b->session_open = false;
    assert_int_equal(storage_volume_remove(b->storage, "v", NULL, &b->site.error), 0);
    assert_false(exists(b, "volumes/v.raw"));
    str_copy(source, sizeof(source), path_of(b, "source"));
    struct storage_volume v = {.name = "own", .source = STORAGE_FILE, .path = source};
    assert_int_equal(create(b, v), 0);
    assert_int_equal(storage_volume_remove(b->storage, "own", NULL, &b->site.error), 0);
    assert_true(exists(b, "source")); /* not ours */
    assert_int_equal(storage_volume_remove(b->storage, "own", NULL, &b->site.error), -ENOENT);
}

static void add_node(struct bench *b, uint32_t version)
{
    struct mac_address macs[] = {{{0x52, 0x54, 0, 0, 0, 1}}};
    struct registry_node node = {.name = "web1", .macs = macs, .n_macs = 1};
    if (storage_node_add(b->storage, &node, "golden", version, &b->site.error) < 0)
        fail_msg("%s", b->site.error.text);
}

static void a_node_has_an_overlay_at_once(void **state)
{
    struct bench *b = *state;
    import(b);
    add_node(b, 0);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    const struct catalog_node *node = catalog_node_by_name(c, "web1");
    const struct catalog_volume *v = catalog_volume_by_id(c, node->volume_id);
    assert_string_equal(v->name, "web1");
    assert_true(v->state == VOLUME_READY && v->kind == VOLUME_OVERLAY && v->size == IMAGE_SIZE);
    assert_string_equal(v->image, "golden@1");
    assert_true(v->overlay->n_layers == 1 && !v->overlay->layers[0].made && v->overlay->follows);
    assert_int_equal(storage_volume_used(v), 0);
    assert_int_equal(storage_image_remove(b->storage, "golden", 0, &b->site.error), -EBUSY);
    assert_told(b, "web1");
    assert_true(exists(b, "images/golden/1.raw"));
}

static void a_node_keeps_the_version_that_was_named(void **state)
{
    struct bench *b = *state;
    struct registry_node_change change = {0};
    import(b);
    add_node(b, 1);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    assert_false(catalog_volume_by_name(c, "web1")->overlay->follows);
    assert_int_equal(storage_node_set(b->storage, "web1", &change, "golden", 0, &b->site.error),
                     -EEXIST);
    assert_told(b, "the node has the disk 'web1' already");
}

/* What a killed daemon leaves: rows that are not ready, and files. */
static void leftovers_are_cleared_at_start(void **state)
{
    struct bench *b = *state;
    uint32_t version;
    char *path = NULL, volume_path[PATH_MAX];
    import(b);
    const struct registry_image image = {.name = "golden", .directory = path_of(b, "images")};
    assert_int_equal(
        registry_image_begin(b->site.registry, &image, &version, &path, &b->site.error), 0);
    free(path);
    close(open(path_of(b, "images/golden/2.raw.tmp"), O_CREAT | O_WRONLY, 0600));
    str_copy(volume_path, sizeof(volume_path), path_of(b, "volumes/half.raw"));
    struct registry_volume half = {.name = "half",
                                   .state = VOLUME_CREATING,
                                   .path = volume_path,
                                   .owned = true,
                                   .size = 4096,
                                   .block_size = 512};
    assert_int_equal(registry_volume_add(b->site.registry, &half, &b->site.error), 0);
    close(open(volume_path, O_CREAT | O_WRONLY, 0600)); /* renamed, but not yet ready */
    close(open(path_of(b, "volumes/stray.raw.tmp"), O_CREAT | O_WRONLY, 0600));
    assert_int_equal(create(b, (struct storage_volume){.name = "kept", .size = 4096}), 0);
    assert_int_equal(
        registry_volume_remove_begin(b->site.registry, "kept", NULL, &path, &b->site.error), 0);
    free(path);
    assert_int_equal(create(b, (struct storage_volume){.name = "gone", .size = 4096}), 0);
    assert_int_equal(
        registry_volume_remove_begin(b->site.registry, "gone", NULL, &path, &b->site.error), 0);
    unlink(path);
    free(path);
    stop(b);
    start(b);
    assert_true(exists(b, "images/golden/1.raw"));
    assert_false(exists(b, "images/golden/2.raw.tmp"));
    assert_false(exists(b, "volumes/half.raw"));
    assert_false(exists(b, "volumes/stray.raw.tmp"));
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    assert_null(catalog_volume_by_name(c, "half"));
    assert_null(catalog_volume_by_name(c, "gone"));
    assert_int_equal(catalog_volume_by_name(c, "kept")->state, VOLUME_READY);
    import(b);
    assert_true(exists(b, "images/golden/2.raw"));
}

static void no_more_than_a_few_copy_at_once(void **state)
{
    struct bench *b = *state;
    struct storage_job *jobs[STORAGE_MAX_COPIES + 1];
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        assert_int_equal(begin_import(b, path_of(b, "source"), "golden", &jobs[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        assert_int_equal(storage_job_step(jobs[i], &b->site.error), 1);
    assert_true(storage_job_progress(jobs[STORAGE_MAX_COPIES]).waiting);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        assert_int_equal(run(b, jobs[i]), 0);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->site.slot);
    assert_int_equal(catalog_image_find(c, "golden", 0)->version, 3);
}

#define STORAGE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORAGE_TEST(an_import_is_complete_and_read_only),
        STORAGE_TEST(a_cancelled_import_leaves_nothing),
        STORAGE_TEST(what_cannot_be_imported_is_told),
        STORAGE_TEST(a_volume_of_each_source),
        STORAGE_TEST(thick_volumes_take_their_space_at_once),
        STORAGE_TEST(a_thick_volume_without_room_leaves_nothing),
        STORAGE_TEST(what_cannot_be_a_volume_is_told),
        STORAGE_TEST(a_golden_image_is_no_volume),
        STORAGE_TEST(a_strangers_file_in_the_way_stays),
        STORAGE_TEST(removal_is_refused_while_it_is_used),
        STORAGE_TEST(a_node_has_an_overlay_at_once),
        STORAGE_TEST(a_node_keeps_the_version_that_was_named),
        STORAGE_TEST(leftovers_are_cleared_at_start),
        STORAGE_TEST(no_more_than_a_few_copy_at_once),
    };
    return RUN_TESTS(tests);
}
