#include "server/reservation_store.h"

#include <errno.h>

#include "core/log.h"

/* --- loading --- */

struct loading {
    struct scsi_reservations *reservations;
    size_t room;
    bool damaged;
};

static struct scsi_registration from_row(const struct registry_registration *row)
{
    struct scsi_registration r = {.key = row->key, .all_target_ports = row->all_target_ports};
    str_copy(r.nexus.initiator.name, sizeof(r.nexus.initiator.name), row->initiator);
    memcpy(r.nexus.initiator.isid, row->isid, SCSI_ISID_SIZE);
    str_copy(r.nexus.target, sizeof(r.nexus.target), row->target);
    r.holds = row->reservation && !scsi_reservation_is_of_all(row->reservation);
    return r;
}

/* There is one reservation: those who hold it agree, and one of them does unless all do. */
static bool take_reservation(struct scsi_reservations *s, enum scsi_reservation_type type)
{
    if (type == SCSI_NO_RESERVATION)
        return true;
    if (s->type && (s->type != type || !scsi_reservation_is_of_all(type)))
        return false;
    s->type = type;
    return true;
}

static void add(void *context, const struct registry_registration *row)
{
    struct loading *loading = context;
    struct scsi_reservations *s = loading->reservations;
    if (loading->damaged)
        return;
    if (!s)
        s = loading->reservations = scsi_reservations_new(SCSI_MAX_REGISTRATIONS);
    struct scsi_registration r = from_row(row);
    loading->damaged =
        !s || !take_reservation(s, row->reservation) || !scsi_reservations_restore(s, &r);
}

int reservation_store_load(const struct reservation_store *store,
                           struct scsi_reservations **ret_reservations, struct error *ret_error)
{
    struct loading loading = {0};
    int r = registry_registration_list(store->registry, store->volume_id, add, &loading, ret_error);
    if (r >= 0 && loading.damaged)
        r = error_set(ret_error, -EUCLEAN,
                      "what the registry has of its persistent reservations is damaged; delete its "
                      "rows in the table registrations, and have its initiators register anew");
    if (r < 0) {
        free(loading.reservations);
        return r;
    }
    if (loading.reservations)
        loading.reservations->persist = true;
    *ret_reservations = loading.reservations;
    return 0;
}

/* --- storing --- */

struct storing {
    struct registry_reply reply;
    struct scsi_reservations_save *save;
};

static void is_stored(struct message *message)
{
    struct storing *storing = container_of(message, struct storing, reply.message);
    struct scsi_reservations_save *save = storing->save;
    int code = storing->reply.error.code;
    if (code < 0)
        log_error("cannot store a persistent reservation, its initiator gets an error: %s",
                  storing->reply.error.text);
    free(storing);
    save->done(save, code);
}

static struct registry_registration to_row(const struct scsi_reservations *s,
                                           const struct scsi_registration *r)
{
    struct registry_registration row = {
        .key = r->key,
        .all_target_ports = r->all_target_ports,
        .reservation = scsi_reservations_holds(s, r) ? (uint8_t)s->type : 0,
    };
    str_copy(row.initiator, sizeof(row.initiator), r->nexus.initiator.name);
    memcpy(row.isid, r->nexus.initiator.isid, SCSI_ISID_SIZE);
    str_copy(row.target, sizeof(row.target), r->nexus.target);
    return row;
}

/* None, if they are not to persist. NULL: no memory. */
static struct registry_registration *to_rows(const struct scsi_reservations *s, size_t *ret_n)
{
    struct registry_registration *rows = calloc(s->n + 1, sizeof(*rows));
    *ret_n = 0;
    for (size_t i = 0; rows && s->persist && i < s->n; i++)
        if (!s->registrations[i].removed)
            rows[(*ret_n)++] = to_row(s, &s->registrations[i]);
    return rows;
}

static void store(struct scsi_lu *lu, struct scsi_reservations_save *save)
{
    const struct reservation_store *to = lu->context;
    struct storing *storing = calloc(1, sizeof(*storing));
    size_t n;
    struct registry_registration *rows = to_rows(save->reservations, &n);
    int r = -ENOMEM;
    if (storing && rows) {
        storing->reply.mailbox = io_thread_mailbox(lu->thread);
        storing->reply.message.run = is_stored;
        storing->save = save;
        r = registry_registrations_store(to->registry, to->volume_id, rows, n, &storing->reply);
    }
    free(rows);
    if (r < 0) {
        free(storing);
        save->done(save, r);
    }
}

void reservation_store_attach(struct reservation_store *to, struct scsi_lu *lu)
{
    lu->context = to;
    lu->save = store;
}
