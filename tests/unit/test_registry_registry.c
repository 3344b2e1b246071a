#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define REFUSED_ADDRESS 0x0a000001

static int check_address(void *context, uint32_t address, struct error *ret_error)
{
    assert_true(address != 0); /* that is none */
    if (address == REFUSED_ADDRESS)
        return error_set(ret_error, -EINVAL, "that is the server's own address");
    return 0;
}

static int setup(void **state)
{
    struct site *b = calloc(1, sizeof(*b));
    b->settings.check_address = check_address;
    site_make(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct site *b = *state;
    site_remove(b);
    free(b);
    return 0;
}

static int add_node(struct site *b, const char *name, unsigned mac_number, uint32_t address)
{
    struct mac_address macs[] = {site_mac(mac_number)};
    b->error = (struct error){0};
    return registry_node_add(
        b->registry,
        &(struct registry_node){.name = name, .macs = macs, .n_macs = 1, .address = address}, NULL,
        &b->error);
}

static int add_volume(struct site *b, const char *name, const char *path)
{
    struct registry_volume v = site_volume(name, path);
    return registry_volume_add(b->registry, &v, &b->error);
}

static void a_node_is_in_the_catalog_when_the_call_returns(void **state)
{
    struct site *b = *state;
    assert_int_equal(registry_group_add(b->registry, "rack1", &b->error), 0);
    assert_int_equal(add_volume(b, "web1", "/v/web1.raw"), 0);
    struct mac_address macs[] = {site_mac(2), site_mac(1)};
    struct registry_node node = {.name = "web1",
                                 .group = "rack1",
                                 .address = 0x0a00000b,
                                 .volume = "web1",
                                 .macs = macs,
                                 .n_macs = 2};
    assert_int_equal(registry_node_add(b->registry, &node, NULL, &b->error), 0);
    for (int again = 0; again < 2; again++) {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        const struct catalog_node *found = catalog_node_by_name(c, "web1");
        assert_non_null(found);
        assert_string_equal(found->group, "rack1");
        assert_true(found->address == 0x0a00000b);
        assert_int_equal(found->n_macs, 2);
        assert_true(mac_eq(found->macs[0], macs[0])); /* in the order given */
        assert_string_equal(catalog_volume_by_id(c, found->volume_id)->path, "/v/web1.raw");
        assert_true(found->created_at > 0);
        site_restart(b);
    }
}

static void conflicts_name_the_holder_and_change_nothing(void **state)
{
    struct site *b = *state;
    assert_int_equal(add_node(b, "web1", 1, 0x0a00000b), 0);
    assert_int_equal(add_node(b, "web1", 2, 0), -EEXIST);
    site_assert_told(b, "there is a node 'web1' already");
    assert_int_equal(add_node(b, "web2", 1, 0), -EEXIST);
    site_assert_told(b,
                     "mac 52:54:00:00:00:01 already belongs to node 'web1'; remove it there first");
    assert_int_equal(add_node(b, "web2", 2, 0x0a00000b), -EEXIST);
    site_assert_told(b, "address 10.0.0.11 already belongs to node 'web1'");
    assert_int_equal(add_node(b, "web2", 2, REFUSED_ADDRESS), -EINVAL);
    site_assert_told(b, "the server's own");
    assert_int_equal(add_node(b, "52-54-00-00-00-01", 2, 0), -EINVAL);
    site_assert_told(b, "reads like a mac address");
    assert_int_equal(add_node(b, "Web", 2, 0), -EINVAL);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    assert_null(catalog_node_by_name(c, "web2"));
    assert_null(catalog_node_by_mac(c, site_mac(2)));
}

static void a_volume_has_one_writer(void **state)
{
    struct site *b = *state;
    assert_int_equal(add_volume(b, "disk", "/v/disk.raw"), 0);
    assert_int_equal(add_volume(b, "disk", "/v/other.raw"), -EEXIST);
    site_assert_told(b, "there is a volume 'disk' already");
    assert_int_equal(add_volume(b, "disk2", "/v/disk.raw"), -EEXIST);
    site_assert_told(b, "/v/disk.raw is already volume 'disk'");
    assert_int_equal(add_node(b, "a", 1, 0), 0);
    assert_int_equal(add_node(b, "b", 2, 0), 0);
    struct registry_node_change change = {.set_volume = true, .volume = "disk"};
    assert_int_equal(registry_node_set(b->registry, "a", &change, NULL, &b->error), 0);
    assert_int_equal(registry_node_set(b->registry, "a", &change, NULL, &b->error), 0);
    assert_int_equal(registry_node_set(b->registry, "b", &change, NULL, &b->error), -EBUSY);
    site_assert_told(b, "already the disk of node 'a'");
    char *path = NULL;
    assert_int_equal(registry_volume_remove_begin(b->registry, "disk", NULL, &path, &b->error),
                     -EBUSY);
    site_assert_told(b, "is the disk of node 'a'");
    assert_int_equal(registry_volume_remove_begin(b->registry, "disk", "a", &path, &b->error), 0);
    assert_string_equal(path, "/v/disk.raw");
    free(path);
    {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        assert_int_equal(catalog_volume_by_name(c, "disk")->state, VOLUME_REMOVING);
    }
    assert_int_equal(registry_volume_remove_end(b->registry, "disk", false, &b->error), 0);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    assert_null(catalog_volume_by_name(c, "disk"));
    assert_int_equal(catalog_node_by_name(c, "a")->volume_id, 0);
}

static void node_and_volume_come_both_or_not_at_all(void **state)
{
    struct site *b = *state;
    struct mac_address macs[] = {site_mac(1)};
    struct registry_node node = {.name = "web1", .macs = macs, .n_macs = 1};
    struct registry_volume v = site_volume("web1", "/v/web1.raw");
    v.state = VOLUME_CREATING;
    assert_int_equal(add_volume(b, "web1", "/elsewhere"), 0);
    assert_int_equal(registry_node_add(b->registry, &node, &v, &b->error), -EEXIST);
    {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        assert_null(catalog_node_by_name(c, "web1"));
    }
    v.name = "web1-disk";
    assert_int_equal(registry_node_add(b->registry, &node, &v, &b->error), 0);
    assert_int_equal(
        registry_volume_finish(b->registry, "web1-disk", "the copy was interrupted", &b->error), 0);
    uint64_t failed_id;
    {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        const struct catalog_volume *failed = catalog_volume_by_name(c, "web1-disk");
        assert_int_equal(failed->state, VOLUME_FAILED);
        assert_string_equal(failed->failure, "the copy was interrupted");
        failed_id = failed->id;
    }
    /* a failed one makes room for the next of its name, and its node follows */
    v.state = VOLUME_READY;
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), 0);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    const struct catalog_volume *fresh = catalog_volume_by_name(c, "web1-disk");
    assert_int_equal(fresh->state, VOLUME_READY);
    assert_true(fresh->id > failed_id);
    assert_true(catalog_node_by_name(c, "web1")->volume_id == fresh->id);
}

static void a_failed_volume_without_a_node_is_gone(void **state)
{
    struct site *b = *state;
    struct registry_volume v = site_volume("x", "/v/x.raw");
    v.state = VOLUME_CREATING;
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), 0);
    assert_int_equal(registry_volume_finish(b->registry, "x", "no", &b->error), 0);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    assert_null(catalog_volume_by_name(c, "x"));
}

static void a_group_with_nodes_stays(void **state)
{
    struct site *b = *state;
    assert_int_equal(registry_group_add(b->registry, "rack1", &b->error), 0);
    assert_int_equal(registry_group_add(b->registry, "rack1", &b->error), -EEXIST);
    assert_int_equal(add_node(b, "a", 1, 0), 0);
    struct registry_node_change change = {.set_group = true, .group = "rack1"};
    assert_int_equal(registry_node_set(b->registry, "a", &change, NULL, &b->error), 0);
    assert_int_equal(registry_group_remove(b->registry, "rack1", &b->error), -EBUSY);
    site_assert_told(b, "still has node 'a'");
    assert_int_equal(registry_node_remove(b->registry, "a", &b->error), 0);
    assert_int_equal(registry_node_remove(b->registry, "a", &b->error), -ENOENT);
    assert_int_equal(registry_group_remove(b->registry, "rack1", &b->error), 0);
    assert_int_equal(registry_group_remove(b->registry, "rack1", &b->error), -ENOENT);
}

static const struct registry_image_result image_result = {
    .size = GIB,
    .sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    .format = "qcow2"};

static uint32_t import(struct site *b, const char *name, bool finish)
{
    uint32_t version = 0;
    char *path = NULL;
    const struct registry_image image = {
        .name = name, .directory = "/images", .source = "debian.qcow2"};
    assert_int_equal(registry_image_begin(b->registry, &image, &version, &path, &b->error), 0);
    free(path);
    if (finish)
        assert_int_equal(
            registry_image_finish(b->registry, name, version, &image_result, &b->error), 0);
    return version;
}

static void versions_of_an_image_are_never_given_twice(void **state)
{
    struct site *b = *state;
    assert_int_equal(import(b, "debian12", true), 1);
    assert_int_equal(import(b, "debian12", false), 2);
    {
        cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
        assert_int_equal(catalog_image_find(c, "debian12", 0)->version, 1); /* 2 is not ready */
    }
    struct registry_leftover *leftovers;
    size_t count;
    assert_int_equal(registry_list_leftovers(b->registry, &leftovers, &count, &b->error), 0);
    assert_int_equal(count, 1);
    assert_string_equal(leftovers[0].path, "/images/debian12/2.raw");
    free(leftovers);
    assert_int_equal(registry_image_abandon(b->registry, "debian12", 2, &b->error), 0);
    assert_int_equal(import(b, "debian12", true), 2); /* nobody saw the first 2 */
    char *path = NULL;
    assert_int_equal(registry_image_remove_begin(b->registry, "debian12", 2, &path, &b->error), 0);
    free(path);
    assert_int_equal(registry_image_remove_end(b->registry, "debian12", 2, &b->error), 0);
    assert_int_equal(import(b, "debian12", true), 3);
}

static void an_image_that_is_being_copied_stays(void **state)
{
    struct site *b = *state;
    import(b, "debian12", true);
    struct registry_volume v = site_volume("x", "/v/x.raw");
    v.state = VOLUME_CREATING;
    v.image = "debian12@1";
    assert_int_equal(registry_volume_add(b->registry, &v, &b->error), 0);
    char *path = NULL;
    assert_int_equal(registry_image_remove_begin(b->registry, "debian12", 1, &path, &b->error),
                     -EBUSY);
    site_assert_told(b, "image 'debian12@1' is in use by volume 'x'; remove that first");
    assert_int_equal(registry_volume_finish(b->registry, "x", NULL, &b->error), 0);
    assert_int_equal(registry_image_remove_begin(b->registry, "debian12", 1, &path, &b->error), 0);
    free(path);
}

/* --- asynchronous requests --- */

struct answer {
    struct registry_reply reply;
    unsigned *answered;
};

static void note_answer(struct message *message)
{
    ++*container_of(message, struct answer, reply.message)->answered;
}

static void count_answer(struct message *message)
{
    struct answer *a = container_of(message, struct answer, reply.message);
    assert_int_equal(a->reply.error.code, 0);
    note_answer(message);
}

static void wait_for(struct mailbox *mailbox, const unsigned *answered, unsigned expected)
{
    struct pollfd pollfd = {.fd = mailbox->fd, .events = POLLIN};
    while (*answered < expected) {
        assert_int_equal(poll(&pollfd, 1, 60000), 1);
        mailbox_run(mailbox);
    }
}

struct seen {
    unsigned leases, boots, stages;
    struct registry_lease last;
    struct registry_boot_stage last_stage;
};

static void see_lease(void *context, const struct registry_lease *lease)
{
    struct seen *seen = context;
    seen->leases++;
    seen->last = *lease;
}

static void leases_are_durable_before_they_are_promised(void **state)
{
    struct site *b = *state;
    enum { COUNT = 500 };
    struct mailbox mailbox;
    struct answer *answers = calloc(COUNT, sizeof(*answers));
    unsigned answered = 0;
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        struct registry_lease lease = {.address = 0x0a000100 + i,
                                       .mac = site_mac(i),
                                       .client_id = {1, 2, 3},
                                       .client_id_size = 3,
                                       .host_name = "x",
                                       .subnet = "lab",
                                       .node_id = 4711, /* no such node: kept without it */
                                       .expires_at = 123456789};
        answers[i].answered = &answered;
        answers[i].reply.message.run = count_answer;
        answers[i].reply.mailbox = &mailbox;
        assert_int_equal(registry_lease_store(b->registry, &lease, &answers[i].reply), 0);
    }
    wait_for(&mailbox, &answered, COUNT);
    struct registry_lease declined = {.address = 0x0a0000ff, .state = REGISTRY_LEASE_DECLINED};
    assert_int_equal(registry_lease_store(b->registry, &declined, NULL), 0);
    site_restart(b);
    struct seen seen = {0};
    assert_int_equal(registry_lease_list(b->registry, see_lease, &seen, &b->error), 0);
    assert_int_equal(seen.leases, COUNT + 1);
    assert_int_equal(seen.last.client_id_size, 3);
    assert_true(seen.last.expires_at == 123456789 && seen.last.node_id == 0);
    mailbox_close(&mailbox);
    free(answers);
}

static void see_boot(void *context, const struct registry_boot *boot)
{
    ((struct seen *)context)->boots++;
}

static void see_stage(void *context, const struct registry_boot_stage *stage)
{
    struct seen *seen = context;
    seen->stages++;
    seen->last_stage = *stage;
}

static void store_boots(struct site *b, uint64_t node_id, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct registry_boot boot = {.id = registry_boot_new_id(b->registry),
                                     .node_id = node_id,
                                     .mac = site_mac(1),
                                     .started_at = 1000 + i};
        struct registry_boot_stage stage = {
            .boot_id = boot.id, .stage = "address", .reached_at = 2000 + i};
        assert_int_equal(registry_boot_store(b->registry, &boot, NULL), 0);
        assert_int_equal(registry_boot_stage_store(b->registry, &stage, NULL), 0);
        str_copy(stage.stage, sizeof(stage.stage), "up");
        assert_int_equal(registry_boot_stage_store(b->registry, &stage, NULL), 0);
    }
}

static void the_last_boots_of_a_node_are_kept(void **state)
{
    struct site *b = *state;
    assert_int_equal(add_node(b, "a", 1, 0), 0);
    assert_int_equal(add_node(b, "b", 2, 0), 0);
    store_boots(b, 1, 60);
    store_boots(b, 2, 1);
    store_boots(b, 4711, 1); /* no such node */
    struct seen seen = {0};
    assert_int_equal(
        registry_boot_list(b->registry, 1, 1000, see_boot, see_stage, &seen, &b->error), 0);
    assert_int_equal(seen.boots, REGISTRY_BOOTS_PER_NODE);
    assert_int_equal(seen.stages, 2 * REGISTRY_BOOTS_PER_NODE);
    assert_string_equal(seen.last_stage.stage, "up");
    assert_true(seen.last_stage.reached_at == 2059);
    uint64_t id = registry_boot_new_id(b->registry);
    site_restart(b);
    assert_true(registry_boot_new_id(b->registry) + 10 > id); /* goes on behind the stored ones */
    seen = (struct seen){0};
    assert_int_equal(registry_boot_list(b->registry, 0, 1, see_boot, see_stage, &seen, &b->error),
                     0);
    assert_int_equal(seen.boots, 2); /* the newest of each */
    assert_int_equal(registry_node_remove(b->registry, "a", &b->error), 0);
    seen = (struct seen){0};
    assert_int_equal(registry_boot_list(b->registry, 0, 99, see_boot, see_stage, &seen, &b->error),
                     0);
    assert_int_equal(seen.boots, 1);
}

/* --- when the disk is full --- */

struct full_disk {
    struct site site;
    char ballast[PATH_MAX];
    _Atomic(unsigned) lost;
};

static void count_lost(void *context, const struct error *error)
{
    struct full_disk *d = context;
    assert_int_equal(error->code, -ENOSPC);
    d->lost++;
}

/* Takes all that is left of the file system, or gives it back. */
static void fill(struct full_disk *d, bool full)
{
    static char page[4096];
    cleanup_close int fd = open(d->ballast, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (full && write(fd, page, sizeof(page)) > 0)
        ;
}

static int set_up_full_disk(void **state)
{
    struct full_disk *d = calloc(1, sizeof(*d));
    struct site *site = &d->site;
    site->settings.lost = count_lost;
    site->settings.context = d;
    site->directory = scratch_dir_make();
    bool mounted = mount("tmpfs", site->directory, "tmpfs", 0, "size=1m") == 0;
    snprintf(site->path, sizeof(site->path), "%s/registry.db", site->directory);
    snprintf(d->ballast, sizeof(d->ballast), "%s/ballast", site->directory);
    site->slot = catalog_slot_new();
    site_start(site);
    if (mounted)
        fill(d, true);
    else
        d->ballast[0] = '\0'; /* not root */
    *state = d;
    return 0;
}

static int tear_down_full_disk(void **state)
{
    struct full_disk *d = *state;
    registry_stop(d->site.registry);
    catalog_slot_free(d->site.slot);
    umount2(d->site.directory, MNT_DETACH);
    scratch_dir_remove(d->site.directory);
    free(d);
    return 0;
}

/* Groups until there is no room; how many there were. */
static unsigned add_groups_until_full(struct site *site)
{
    char name[32];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "group%u", i);
        if (registry_group_add(site->registry, name, &site->error) < 0)
            return i;
    }
    fail();
    return 0;
}

static size_t count_groups(struct site *site)
{
    size_t count;
    cleanup_catalog struct catalog *c = catalog_slot_get(site->slot);
    catalog_groups(c, &count);
    return count;
}

static void what_has_no_room_is_refused_and_nothing_is_half_done(void **state)
{
    struct full_disk *d = *state;
    struct registry_lease lease = {.address = 0x0a00000b};
    if (!d->ballast[0])
        skip();
    unsigned added = add_groups_until_full(&d->site);
    assert_int_equal(d->site.error.code, -ENOSPC);
    site_assert_told(&d->site, "no space left for the registry");
    assert_int_equal(count_groups(&d->site), added);    /* those before it are there */
    for (unsigned i = 0; i < 20 && d->lost == 0; i++) { /* nobody waits for these */
        assert_int_equal(registry_lease_store(d->site.registry, &lease, NULL), 0);
        assert_true(registry_group_add(d->site.registry, "x", &d->site.error) < 0);
    }
    assert_true(d->lost > 0);
    fill(d, false);
    assert_int_equal(registry_group_add(d->site.registry, "x", &d->site.error), 0);
    assert_int_equal(count_groups(&d->site), added + 1);
    site_restart(&d->site);
    assert_int_equal(count_groups(&d->site), added + 1);
}

static void who_asked_is_told_that_there_is_no_room(void **state)
{
    struct full_disk *d = *state;
    struct mailbox mailbox;
    unsigned answered = 0;
    struct answer a = {.answered = &answered, .reply.message.run = note_answer};
    struct registry_lease lease = {.address = 0x0a000100};
    if (!d->ballast[0])
        skip();
    assert_int_equal(mailbox_open(&mailbox), 0);
    a.reply.mailbox = &mailbox;
    while (a.reply.error.code == 0 && answered < 10000) {
        lease.address++;
        assert_int_equal(registry_lease_store(d->site.registry, &lease, &a.reply), 0);
        wait_for(&mailbox, &answered, answered + 1);
    }
    assert_int_equal(a.reply.error.code, -ENOSPC);
    assert_contains(a.reply.error.text, "no space left for the registry");
    assert_int_equal(d->lost, 0);
    mailbox_close(&mailbox);
}

/* --- many at once --- */

struct adder {
    struct site *bench;
    unsigned first, refused;
};

static void *add_many(void *argument)
{
    struct adder *adder = argument;
    for (unsigned i = adder->first; i < adder->first + 50; i++) {
        char name[32];
        struct error error;
        struct mac_address macs[] = {site_mac(i / 2)}; /* every second one is refused */
        snprintf(name, sizeof(name), "node%u", i);
        int r = registry_node_add(adder->bench->registry,
                                  &(struct registry_node){.name = name, .macs = macs, .n_macs = 1},
                                  NULL, &error);
        adder->refused += r == -EEXIST;
    }
    return NULL;
}

static void a_refused_request_harms_no_other_of_its_batch(void **state)
{
    struct site *b = *state;
    pthread_t threads[8];
    struct adder adders[8];
    for (unsigned i = 0; i < 8; i++) {
        adders[i] = (struct adder){.bench = b, .first = 2 + i * 50};
        pthread_create(&threads[i], NULL, add_many, &adders[i]);
    }
    unsigned refused = 0;
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        refused += adders[i].refused;
    }
    assert_int_equal(refused, 200);
    cleanup_catalog struct catalog *c = catalog_slot_get(b->slot);
    size_t count;
    catalog_nodes(c, &count);
    assert_int_equal(count, 200);
}

#define REGISTRY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTRY_TEST(a_node_is_in_the_catalog_when_the_call_returns),
        REGISTRY_TEST(conflicts_name_the_holder_and_change_nothing),
        REGISTRY_TEST(a_volume_has_one_writer),
        REGISTRY_TEST(node_and_volume_come_both_or_not_at_all),
        REGISTRY_TEST(a_failed_volume_without_a_node_is_gone),
        REGISTRY_TEST(a_group_with_nodes_stays),
        REGISTRY_TEST(versions_of_an_image_are_never_given_twice),
        REGISTRY_TEST(an_image_that_is_being_copied_stays),
        REGISTRY_TEST(leases_are_durable_before_they_are_promised),
        REGISTRY_TEST(the_last_boots_of_a_node_are_kept),
        cmocka_unit_test_setup_teardown(what_has_no_room_is_refused_and_nothing_is_half_done,
                                        set_up_full_disk, tear_down_full_disk),
        cmocka_unit_test_setup_teardown(who_asked_is_told_that_there_is_no_room, set_up_full_disk,
                                        tear_down_full_disk),
        REGISTRY_TEST(a_refused_request_harms_no_other_of_its_batch),
    };
    scratch_dir_own_mounts();
    return RUN_TESTS(tests);
}
