/*
 * PERSISTENT RESERVE OUT (SPC-4 6.16): registering, reserving, and taking both away from others.
 *
 * Such commands run one after the other on an LU: each has a byte behind the end of the medium to
 * itself, so that who comes first is first, and who is aborted leaves the queue. Its turn come, it
 * makes the change to a copy of the reservations (reservations.h); has that saved, if it is to
 * survive a loss of power; puts it in force; and, of PREEMPT AND ABORT, waits until nothing that
 * those who were preempted had under way can land on the medium any more. Then it is GOOD.
 */
#include "scsi/command.h"

#define LIST_SIZE        24 /* without what is additional */
#define MAX_LIST_SIZE    (64 * KIB)
#define MIN_TRANSPORT_ID 24

/* A change under way. */
struct change {
    struct list link; /* in lu->preempting */
    struct scsi_burst *burst;
    struct scsi_reservations *next;
    struct scsi_reservations_save save;
    bool aborts; /* PREEMPT AND ABORT */
};

static struct scsi_lu *lu_of(const struct change *change)
{
    return change->burst->task->nexus->lu;
}

static void finish(struct change *change)
{
    struct scsi_burst *burst = change->burst;
    free(change->next);
    free(change);
    scsi_burst_finish(burst);
}

/* --- waiting for the tasks of those who were preempted --- */

static bool anybody_lingers(const struct scsi_lu *lu)
{
    list_for_each(node, &lu->nexuses) {
        const struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        if (nexus->preempted && nexus->operations->lingers(nexus))
            return true;
    }
    return false;
}

static void forget_preempted(struct scsi_lu *lu)
{
    list_for_each(node, &lu->nexuses) {
        struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        nexus->preempted = nexus->aborting = false;
    }
}

/* There is one at most: they run one after the other. */
static void check_preempting(struct io_deferred *deferred)
{
    struct scsi_lu *lu = container_of(deferred, struct scsi_lu, check_preempting);
    if (list_empty(&lu->preempting) || anybody_lingers(lu))
        return;
    struct change *change = container_of(list_pop(&lu->preempting), struct change, link);
    forget_preempted(lu);
    finish(change);
}

static struct scsi_nexus *next_to_abort(struct scsi_lu *lu)
{
    list_for_each(node, &lu->nexuses) {
        struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        if (nexus->preempted && !nexus->aborting)
            return nexus;
    }
    return NULL;
}

/* All tasks but this one, whose nexus may be among them (SPC-4 5.13.11.2.6). Tasks that end may
 * take nexuses along. */
static void abort_preempted(const struct change *change)
{
    for (struct scsi_nexus *nexus; (nexus = next_to_abort(lu_of(change)));) {
        nexus->aborting = true;
        nexus->operations->abort_tasks(nexus, change->burst->task);
    }
}

/* --- putting a change in force --- */

/* Those that have no session now learn nothing: they will have lost their nexus. */
static void tell(void *context, const struct scsi_registration *r)
{
    const struct change *change = context;
    list_for_each(node, &lu_of(change)->nexuses) {
        struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        if (!scsi_nexus_id_equal(&nexus->id, &r->nexus))
            continue;
        if (r->notice)
            scsi_nexus_establish_unit_attention(nexus, r->notice);
        if (r->notice == SENSE_REGISTRATIONS_PREEMPTED)
            nexus->prevents_removal = false; /* SPC-4, PREVENT ALLOW MEDIUM REMOVAL */
        if (change->aborts && r->removed && nexus->operations)
            nexus->preempted = true;
    }
}

static void put_in_force(struct change *change)
{
    struct scsi_lu *lu = lu_of(change);
    scsi_reservations_settle(change->next, tell, change);
    scsi_lu_set_reservations(lu, take_ptr(change->next));
    if (!change->aborts) {
        finish(change);
        return;
    }
    abort_preempted(change);
    list_append(&lu->preempting, &change->link);
    lu->check_preempting.run = check_preempting;
    scsi_lu_tasks_ended(lu);
}

static void saved(struct scsi_reservations_save *save, int result)
{
    struct change *change = container_of(save, struct change, save);
    if (result == 0) {
        put_in_force(change);
        return;
    }
    scsi_task_check(change->burst->task, SENSE_INTERNAL_FAILURE);
    finish(change);
}

static void save_or_go_on(struct change *change)
{
    struct scsi_lu *lu = lu_of(change);
    if (!lu->save || (!change->next->persist && !lu->reservations->persist)) {
        put_in_force(change);
        return;
    }
    change->save = (struct scsi_reservations_save){.reservations = change->next, .done = saved};
    lu->save(lu, &change->save);
}

/* --- the parameter list --- */

/* What a list names: room for all that it can hold. */
struct names {
    struct scsi_nexus_id *ids;
    size_t n, room;
};

static bool add_name(struct names *names, const struct scsi_nexus *by,
                     const struct scsi_initiator_port *port)
{
    if (names->n == names->room)
        return false;
    struct scsi_nexus_id *id = &names->ids[names->n++];
    id->initiator = *port;
    memcpy(id->target, by->id.target, sizeof(id->target));
    return true;
}

/* Of a device: all its ports that are connected here (SPC-4 7.6.4.6); at least one. */
static bool add_ports(struct names *names, const struct scsi_nexus *by, const char *device)
{
    size_t before = names->n;
    bool fits = true;
    list_for_each(node, &by->lu->nexuses) {
        const struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        if (str_eq(nexus->id.initiator.name, device) && str_eq(nexus->id.target, by->id.target))
            fits = fits && add_name(names, by, &nexus->id.initiator);
    }
    return fits && names->n > before;
}

/* TransportIDs, up to the end of r. */
static bool get_names(struct wire_reader *r, const struct scsi_nexus *by, struct names *names)
{
    struct scsi_transport_id id;
    while (wire_reader_left(r) > 0)
        if (!scsi_transport_id_get(r, &id) ||
            !(id.names_port ? add_name(names, by, &id.port) : add_ports(names, by, id.port.name)))
            return false;
    return true;
}

/* Reads what all service actions have. */
static void get_basic(struct wire_reader *r, struct scsi_reservation_request *request)
{
    request->key = wire_get_be64(r);
    request->service_action_key = wire_get_be64(r);
    wire_skip(r, 4);
    uint8_t flags = wire_get_u8(r);
    wire_skip(r, 3);
    request->names_others = flags & 0x08;
    request->all_target_ports = flags & 0x04;
    request->persist = flags & 0x01;
}

static enum scsi_sense get_register(struct wire_reader *r, const struct scsi_nexus *by,
                                    struct scsi_reservation_request *request, struct names *names)
{
    get_basic(r, request);
    if (request->names_others && request->action != SCSI_REGISTER)
        return SENSE_INVALID_FIELD_IN_PARAMETERS;
    if (!request->names_others)
        return wire_reader_left(r) > 0 ? SENSE_PARAMETER_LIST_LENGTH : SENSE_NONE;
    uint32_t length = wire_get_be32(r);
    if (!wire_reader_ok(r) || length != wire_reader_left(r))
        return SENSE_PARAMETER_LIST_LENGTH;
    return get_names(r, by, names) ? SENSE_NONE : SENSE_INVALID_FIELD_IN_PARAMETERS;
}

/* The new holder, through the target port that is there. */
static enum scsi_sense get_move(struct wire_reader *r, const struct scsi_nexus *by,
                                struct scsi_reservation_request *request, struct names *names)
{
    request->key = wire_get_be64(r);
    request->service_action_key = wire_get_be64(r);
    wire_skip(r, 1);
    uint8_t flags = wire_get_u8(r);
    request->unregister = flags & 0x02;
    request->persist = flags & 0x01;
    uint16_t target_port = wire_get_be16(r);
    uint32_t length = wire_get_be32(r);
    if (!wire_reader_ok(r) || length != wire_reader_left(r))
        return SENSE_PARAMETER_LIST_LENGTH;
    bool named = get_names(r, by, names) && names->n == 1;
    return named && target_port == SCSI_TARGET_PORT ? SENSE_NONE
                                                    : SENSE_INVALID_FIELD_IN_PARAMETERS;
}

static bool heeds_persist(enum scsi_service_action action)
{
    return action == SCSI_REGISTER || action == SCSI_REGISTER_AND_IGNORE_EXISTING_KEY ||
           action == SCSI_REGISTER_AND_MOVE;
}

static enum scsi_sense get_list(struct scsi_burst *burst, struct scsi_reservation_request *request,
                                struct names *names)
{
    const struct scsi_nexus *by = burst->task->nexus;
    struct wire_reader r = wire_reader_of(burst->buffer->data, burst->length);
    enum scsi_sense sense = request->action == SCSI_REGISTER_AND_MOVE
                                ? get_move(&r, by, request, names)
                                : get_register(&r, by, request, names);
    request->others = names->ids;
    request->n_others = names->n;
    if (!sense && request->persist && !by->lu->save && heeds_persist(request->action))
        return SENSE_INVALID_FIELD_IN_PARAMETERS; /* it would not */
    return sense;
}

/* --- the command --- */

/* A list this long may name so many ports: each by itself, or all that are connected. */
static size_t most_names(const struct scsi_burst *burst)
{
    size_t n = (burst->length - LIST_SIZE) / MIN_TRANSPORT_ID;
    if (n > 0)
        list_for_each(node, &burst->task->nexus->lu->nexuses)
            n++;
    return MIN(n, SCSI_MAX_REGISTRATIONS);
}

static struct scsi_verdict check(enum scsi_sense sense)
{
    return (struct scsi_verdict){SCSI_CHECK_CONDITION, sense};
}

/* Makes the change to the copy. */
static struct scsi_verdict try_change(struct change *change, struct names *names)
{
    const struct scsi_task *task = change->burst->task;
    struct scsi_reservation_request request = {.action = task->cdb[1] & 0x1f,
                                               .scope = task->cdb[2] >> 4,
                                               .type = task->cdb[2] & 0x0f,
                                               .by = &task->nexus->id};
    enum scsi_sense sense = get_list(change->burst, &request, names);
    if (sense)
        return check(sense);
    change->aborts = request.action == SCSI_PREEMPT_AND_ABORT;
    change->next = scsi_reservations_copy(lu_of(change)->reservations, 1 + names->n);
    return change->next ? scsi_reservations_change(change->next, &request)
                        : check(SENSE_INTERNAL_FAILURE);
}

static void end_with(struct change *change, struct scsi_verdict verdict)
{
    if (verdict.status == SCSI_RESERVATION_CONFLICT)
        scsi_task_conflict(change->burst->task);
    else
        scsi_task_check(change->burst->task, verdict.sense);
    finish(change);
}

/* Its turn has come. */
static void run(struct scsi_burst *burst)
{
    struct names names = {.room = most_names(burst)};
    struct change *change = calloc(1, sizeof(*change));
    names.ids = calloc(names.room + 1, sizeof(*names.ids));
    if (!change || !names.ids) {
        free(change);
        free(names.ids);
        scsi_task_check(burst->task, SENSE_INTERNAL_FAILURE);
        scsi_burst_finish(burst);
        return;
    }
    change->burst = burst;
    struct scsi_verdict verdict = try_change(change, &names);
    free(names.ids);
    if (verdict.status == SCSI_GOOD)
        save_or_go_on(change);
    else
        end_with(change, verdict);
}

static void parameters(struct scsi_task *task, struct scsi_burst *burst)
{
    scsi_burst_alone(burst, task->nexus->lu->device->size, 1, run);
}

void scsi_persistent_reserve_out(struct scsi_task *task)
{
    struct wire_reader r = wire_reader_of(task->cdb + 5, 4);
    uint32_t length = wire_get_be32(&r);
    if (length < LIST_SIZE || length > MAX_LIST_SIZE || task->expected_out < length)
        scsi_task_check(task, SENSE_PARAMETER_LIST_LENGTH);
    else
        scsi_transfer_out(task, length, parameters);
}
