#include "site.h"

#include <errno.h>
#include <poll.h>

#include "registry/db.h"

#define MAX_ROWS 8

static struct site site;
static struct mailbox mailbox;
static uint64_t disk, spare; /* volumes */

static struct registry_registration rows[MAX_ROWS]; /* that were listed last */
static size_t n_rows;

static uint64_t id_of(const char *name)
{
    cleanup_catalog struct catalog *c = catalog_slot_get(site.slot);
    return catalog_volume_by_name(c, name)->id;
}

static int setup(void **state)
{
    memset(&site, 0, sizeof(site));
    site_make(&site);
    assert_int_equal(mailbox_open(&mailbox), 0);
    struct registry_volume v = site_volume("disk", "/v/disk.raw");
    site_must(registry_volume_add(site.registry, &v, &site.error), &site.error);
    v = site_volume("spare", "/v/spare.raw");
    site_must(registry_volume_add(site.registry, &v, &site.error), &site.error);
    disk = id_of("disk");
    spare = id_of("spare");
    return 0;
}

static int teardown(void **state)
{
    site_remove(&site);
    mailbox_close(&mailbox);
    return 0;
}

static struct registry_registration row(uint8_t n, uint8_t reservation)
{
    struct registry_registration r = {.isid = {0xfe, 0, 1, 0xab, 0, n},
                                      .key = 0xfedcba9876543200 | n,
                                      .all_target_ports = n & 1,
                                      .reservation = reservation};
    snprintf(r.initiator, sizeof(r.initiator), SITE_IQN ":host%u", n);
    snprintf(r.target, sizeof(r.target), SITE_IQN ":disk");
    return r;
}

struct answer {
    struct registry_reply reply;
    bool came;
};

static void note(struct message *message)
{
    container_of(message, struct answer, reply.message)->came = true;
}

static int store(uint64_t volume_id, const struct registry_registration *list, size_t n)
{
    struct answer answer = {.reply = {.message.run = note, .mailbox = &mailbox}};
    struct pollfd pollfd = {.fd = mailbox.fd, .events = POLLIN};
    assert_int_equal(registry_registrations_store(site.registry, volume_id, list, n, &answer.reply),
                     0);
    while (!answer.came) {
        poll(&pollfd, 1, -1);
        mailbox_run(&mailbox);
    }
    site.error = answer.reply.error;
    return answer.reply.error.code;
}

static void see(void *context, const struct registry_registration *r)
{
    assert_ptr_equal(context, &site);
    assert_true(n_rows < MAX_ROWS);
    rows[n_rows++] = *r;
}

static size_t list(uint64_t volume_id)
{
    n_rows = 0;
    site_must(registry_registration_list(site.registry, volume_id, see, &site, &site.error),
              &site.error);
    return n_rows;
}

static void assert_row(size_t i, uint8_t n, uint8_t reservation)
{
    struct registry_registration expected = row(n, reservation);
    assert_string_equal(rows[i].initiator, expected.initiator);
    assert_memory_equal(rows[i].isid, expected.isid, REGISTRY_ISID_SIZE);
    assert_string_equal(rows[i].target, expected.target);
    assert_true(rows[i].key == expected.key);
    assert_int_equal(rows[i].all_target_ports, expected.all_target_ports);
    assert_int_equal(rows[i].reservation, reservation);
}

static void what_was_stored_is_listed_in_order(void **state)
{
    struct registry_registration three[] = {row(9, 0), row(1, 5), row(4, 0)};
    assert_int_equal(list(disk), 0);
    assert_int_equal(store(disk, three, 3), 0);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(list(disk), 3);
        assert_row(0, 9, 0);
        assert_row(1, 1, 5);
        assert_row(2, 4, 0);
        assert_int_equal(list(spare), 0);
        site_restart(&site);
    }
}

static void it_is_replaced_as_a_whole(void **state)
{
    struct registry_registration three[] = {row(1, 8), row(2, 8), row(3, 8)};
    assert_int_equal(store(disk, three, 3), 0);
    assert_int_equal(store(spare, three, 2), 0);
    assert_int_equal(store(disk, three + 2, 1), 0);
    assert_int_equal(list(disk), 1);
    assert_row(0, 3, 8);
    assert_int_equal(store(disk, NULL, 0), 0);
    assert_int_equal(list(disk), 0);
    assert_int_equal(list(spare), 2);
}

static void what_is_refused_changes_nothing(void **state)
{
    struct registry_registration twice[] = {row(1, 0), row(2, 0), row(1, 3)};
    struct registry_registration odd[] = {row(5, 2)}; /* a type that there is not */
    assert_int_equal(store(disk, twice, 2), 0);
    assert_true(store(disk, twice, 3) < 0);
    assert_true(store(disk, odd, 1) < 0);
    assert_int_equal(list(disk), 2);
    assert_row(0, 1, 0);
    assert_row(1, 2, 0);
}

static void they_go_with_their_volume(void **state)
{
    struct registry_registration one[] = {row(1, 1)};
    char *path;
    assert_int_equal(store(disk, one, 1), 0);
    site_must(registry_volume_remove_begin(site.registry, "disk", NULL, &path, &site.error),
              &site.error);
    free(path);
    site_must(registry_volume_remove_end(site.registry, "disk", false, &site.error), &site.error);
    assert_int_equal(list(disk), 0);
    assert_true(store(disk, one, 1) < 0); /* it is gone */
    assert_int_equal(store(disk, one, 0), 0);
}

#define STEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STEST(what_was_stored_is_listed_in_order),
        STEST(it_is_replaced_as_a_whole),
        STEST(what_is_refused_changes_nothing),
        STEST(they_go_with_their_volume),
    };
    return RUN_TESTS(tests);
}
