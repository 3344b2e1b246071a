/* Commands that change persistent reservations, down to the registry and back. */
#include "scsi_commands.h"
#include "site.h"

#include <errno.h>
#include <poll.h>

#include "captured_log.h"
#include "registry/db.h"
#include "server/reservation_store.h"

#define APTPL 0x01

static struct site site;
static struct reservation_store store;

static int setup(void **state)
{
    memset(&site, 0, sizeof(site));
    site_make(&site);
    struct registry_volume v = site_volume("disk", "/v/disk.raw");
    site_must(registry_volume_add(site.registry, &v, &site.error), &site.error);
    cleanup_catalog struct catalog *c = catalog_slot_get(site.slot);
    scsi_set_up(state);
    assert_int_equal(mailbox_open(io_thread_mailbox(port->thread)), 0);
    store = (struct reservation_store){site.registry, catalog_volume_by_name(c, "disk")->id};
    reservation_store_attach(&store, port->lu);
    return 0;
}

static int teardown(void **state)
{
    site_remove(&site);
    mailbox_close(io_thread_mailbox(port->thread));
    return scsi_tear_down(state);
}

/* Sends the command and waits for what the registry says. */
static void change(enum scsi_service_action action, uint8_t type, uint8_t key,
                   uint8_t service_action_key, uint8_t flags)
{
    uint8_t list[24] = {[7] = key, [15] = service_action_key, [20] = flags};
    struct mailbox *mailbox = io_thread_mailbox(port->thread);
    struct pollfd pollfd = {.fd = mailbox->fd, .events = POLLIN};
    scsi_port_begin(port, CDB(SCSI_PERSISTENT_RESERVE_OUT, (uint8_t)action, type, [8] = 24), list,
                    sizeof(list), 0);
    while (port->task) {
        poll(&pollfd, 1, -1);
        mailbox_run(mailbox);
    }
}

static void good(enum scsi_service_action action, uint8_t type, uint8_t key,
                 uint8_t service_action_key, uint8_t flags)
{
    change(action, type, key, service_action_key, flags);
    assert_int_equal(scsi_port_sense(port), SENSE_NONE);
}

static struct scsi_reservations *load(void)
{
    struct scsi_reservations *loaded = NULL;
    site_must(reservation_store_load(&store, &loaded, &site.error), &site.error);
    return loaded;
}

static void what_persists_is_there_after_a_restart(void **state)
{
    struct scsi_nexus other;
    scsi_port_connect(port, &other, 2);
    good(SCSI_REGISTER, 0, 0, 1, APTPL);
    port->speaker = &other;
    good(SCSI_REGISTER, 0, 0, 2, APTPL);
    good(SCSI_RESERVE, SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, 2, 0, 0);
    site_restart(&site);
    store.registry = site.registry;
    cleanup_free struct scsi_reservations *loaded = load();
    assert_int_equal(loaded->n, 2);
    assert_true(loaded->persist);
    assert_int_equal(loaded->generation, 0);
    assert_int_equal(loaded->type, SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY);
    const struct scsi_registration *r = scsi_reservations_find(loaded, &port->nexus.id);
    assert_int_equal(r->key, 1);
    assert_false(scsi_reservations_holds(loaded, r));
    r = scsi_reservations_find(loaded, &other.id);
    assert_int_equal(r->key, 2);
    assert_true(scsi_reservations_holds(loaded, r));
    scsi_nexus_disconnect(&other);
}

static void what_all_hold_is_held_by_all_again(void **state)
{
    struct scsi_nexus other;
    scsi_port_connect(port, &other, 2);
    good(SCSI_REGISTER, 0, 0, 1, APTPL);
    good(SCSI_RESERVE, SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS, 1, 0, 0);
    port->speaker = &other;
    good(SCSI_REGISTER, 0, 0, 2, APTPL);
    cleanup_free struct scsi_reservations *loaded = load();
    assert_int_equal(loaded->type, SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS);
    for (size_t i = 0; i < 2; i++) {
        assert_false(loaded->registrations[i].holds);
        assert_true(scsi_reservations_holds(loaded, &loaded->registrations[i]));
    }
    scsi_nexus_disconnect(&other);
}

static void what_does_not_persist_is_not_stored(void **state)
{
    good(SCSI_REGISTER, 0, 0, 1, 0);
    assert_null(load());
    good(SCSI_REGISTER, 0, 1, 2, APTPL);
    cleanup_free struct scsi_reservations *loaded = load();
    assert_int_equal(loaded->n, 1);
    good(SCSI_REGISTER, 0, 2, 3, 0); /* no longer */
    assert_null(load());
    good(SCSI_REGISTER, 0, 3, 4, APTPL);
    good(SCSI_CLEAR, 0, 4, 0, 0);
    assert_null(load());
}

static void what_cannot_be_stored_does_not_happen(void **state)
{
    struct captured_log log;
    char *path;
    good(SCSI_REGISTER, 0, 0, 1, APTPL);
    site_must(registry_volume_remove_begin(site.registry, "disk", NULL, &path, &site.error),
              &site.error);
    free(path);
    site_must(registry_volume_remove_end(site.registry, "disk", false, &site.error), &site.error);
    captured_log_begin(&log);
    change(SCSI_REGISTER, 0, 1, 2, APTPL);
    assert_int_equal(scsi_port_sense(port), SENSE_INTERNAL_FAILURE);
    assert_contains(captured_log_end(&log), "cannot store a persistent reservation");
    assert_int_equal(port->lu->reservations->registrations[0].key, 1);
}

static void run_sql(const char *sql)
{
    struct db db = {0};
    struct error error;
    site_must(db_open(&db, site.path, &error), &error);
    site_must(db_exec(&db, sql, &error), &error);
    db_close(&db);
}

static void rows_that_cannot_be_are_told(void **state)
{
    static const char *const spoilers[] = {
        "UPDATE registrations SET key = '0000000000000000'",
        /* two that hold what one can hold */
        "INSERT INTO registrations SELECT volume_id, 7, 'iqn.x', isid, target, key,"
        " all_target_ports, 3 FROM registrations",
    };
    struct scsi_reservations *loaded = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(spoilers); i++) {
        good(SCSI_REGISTER_AND_IGNORE_EXISTING_KEY, 0, 0, 1, APTPL);
        good(SCSI_RESERVE, SCSI_EXCLUSIVE_ACCESS, 1, 0, 0);
        run_sql(spoilers[i]);
        assert_int_equal(reservation_store_load(&store, &loaded, &site.error), -EUCLEAN);
        site_assert_told(&site, "delete its rows in the table registrations");
        assert_null(loaded);
    }
}

#define STEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STEST(what_persists_is_there_after_a_restart), STEST(what_all_hold_is_held_by_all_again),
        STEST(what_does_not_persist_is_not_stored),    STEST(what_cannot_be_stored_does_not_happen),
        STEST(rows_that_cannot_be_are_told),
    };
    return RUN_TESTS(tests);
}
