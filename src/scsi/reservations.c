#include "scsi/reservations.h"

#define SCOPE_LU 0

static const struct scsi_verdict good = {SCSI_GOOD, SENSE_NONE};
static const struct scsi_verdict conflict = {SCSI_RESERVATION_CONFLICT, SENSE_NONE};

static struct scsi_verdict check(enum scsi_sense sense)
{
    return (struct scsi_verdict){SCSI_CHECK_CONDITION, sense};
}

/* --- types --- */

bool scsi_reservation_is_of_all(enum scsi_reservation_type type)
{
    return type == SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS ||
           type == SCSI_EXCLUSIVE_ACCESS_ALL_REGISTRANTS;
}

bool scsi_reservation_is_of_registrants(enum scsi_reservation_type type)
{
    return type == SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY ||
           type == SCSI_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY || scsi_reservation_is_of_all(type);
}

bool scsi_reservation_is_for_writes(enum scsi_reservation_type type)
{
    return type == SCSI_WRITE_EXCLUSIVE || type == SCSI_WRITE_EXCLUSIVE_REGISTRANTS_ONLY ||
           type == SCSI_WRITE_EXCLUSIVE_ALL_REGISTRANTS;
}

static bool is_type(uint8_t type)
{
    return type == SCSI_WRITE_EXCLUSIVE || type == SCSI_EXCLUSIVE_ACCESS ||
           scsi_reservation_is_of_registrants(type);
}

/* --- copies --- */

static size_t size_for(size_t n)
{
    return sizeof(struct scsi_reservations) + n * sizeof(struct scsi_registration);
}

struct scsi_reservations *scsi_reservations_new(size_t room)
{
    struct scsi_reservations *made = calloc(1, size_for(room));
    if (made)
        made->room = room;
    return made;
}

struct scsi_reservations *scsi_reservations_copy(const struct scsi_reservations *from, size_t room)
{
    struct scsi_reservations *copy = calloc(1, size_for(from->n + room));
    if (!copy)
        return NULL;
    memcpy(copy, from, size_for(from->n));
    copy->room = from->n + room;
    return copy;
}

bool scsi_reservations_restore(struct scsi_reservations *reservations,
                               const struct scsi_registration *registration)
{
    if (reservations->n == reservations->room || reservations->n == SCSI_MAX_REGISTRATIONS ||
        registration->key == 0 || scsi_reservations_find(reservations, &registration->nexus))
        return false;
    reservations->registrations[reservations->n++] = *registration;
    return true;
}

/* --- who is registered --- */

static struct scsi_registration *find(struct scsi_reservations *s,
                                      const struct scsi_nexus_id *nexus)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->registrations[i].removed && scsi_nexus_id_equal(&s->registrations[i].nexus, nexus))
            return &s->registrations[i];
    return NULL;
}

const struct scsi_registration *scsi_reservations_find(const struct scsi_reservations *reservations,
                                                       const struct scsi_nexus_id *nexus)
{
    for (size_t i = 0; i < reservations->n; i++)
        if (scsi_nexus_id_equal(&reservations->registrations[i].nexus, nexus))
            return &reservations->registrations[i];
    return NULL;
}

bool scsi_reservations_holds(const struct scsi_reservations *reservations,
                             const struct scsi_registration *registration)
{
    return registration && reservations->type &&
           (registration->holds || scsi_reservation_is_of_all(reservations->type));
}

static size_t count(const struct scsi_reservations *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += !s->registrations[i].removed;
    return n;
}

/* NULL: there are too many. */
static struct scsi_registration *add(struct scsi_reservations *s,
                                     const struct scsi_reservation_request *request,
                                     const struct scsi_nexus_id *nexus)
{
    if (count(s) == SCSI_MAX_REGISTRATIONS || s->n == s->room)
        return NULL;
    struct scsi_registration *r = &s->registrations[s->n++];
    *r = (struct scsi_registration){.nexus = *nexus,
                                    .key = request->service_action_key,
                                    .all_target_ports = request->all_target_ports};
    return r;
}

/* Everybody who stays registered, but for one, is told. */
static void notice_all(struct scsi_reservations *s, const struct scsi_registration *except,
                       enum scsi_sense sense)
{
    for (size_t i = 0; i < s->n; i++) {
        struct scsi_registration *r = &s->registrations[i];
        if (r != except && !r->removed)
            r->notice = sense;
    }
}

static void remove_registration(struct scsi_registration *r, enum scsi_sense notice)
{
    r->removed = true;
    r->holds = false;
    r->notice = notice;
}

static void end_reservation(struct scsi_reservations *s)
{
    s->type = SCSI_NO_RESERVATION;
    for (size_t i = 0; i < s->n; i++)
        s->registrations[i].holds = false;
}

/* Those who had a part in it are told. */
static void release_reservation(struct scsi_reservations *s, const struct scsi_registration *by)
{
    if (scsi_reservation_is_of_registrants(s->type))
        notice_all(s, by, SENSE_RESERVATIONS_RELEASED);
    end_reservation(s);
}

static void begin_reservation(struct scsi_reservations *s, struct scsi_registration *holder,
                              enum scsi_reservation_type type)
{
    end_reservation(s);
    s->type = type;
    holder->holds = !scsi_reservation_is_of_all(type);
}

/* --- REGISTER, REGISTER AND IGNORE EXISTING KEY --- */

/* With its holder, a reservation goes, too. */
static void unregister(struct scsi_reservations *s, struct scsi_registration *r)
{
    bool held = scsi_reservations_holds(s, r);
    remove_registration(r, SENSE_NONE);
    if (held && (!scsi_reservation_is_of_all(s->type) || count(s) == 0))
        release_reservation(s, r);
}

static bool any_is_registered(struct scsi_reservations *s,
                              const struct scsi_reservation_request *request)
{
    for (size_t i = 0; i < request->n_others; i++)
        if (find(s, &request->others[i]))
            return true;
    return false;
}

static struct scsi_verdict add_all(struct scsi_reservations *s,
                                   const struct scsi_reservation_request *request)
{
    if (any_is_registered(s, request))
        return check(SENSE_INVALID_FIELD_IN_PARAMETERS);
    bool fits = add(s, request, request->by);
    for (size_t i = 0; i < request->n_others; i++)
        fits = fits && (find(s, &request->others[i]) || add(s, request, &request->others[i]));
    return fits ? good : check(SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
}

static struct scsi_verdict change_key(struct scsi_reservations *s, struct scsi_registration *r,
                                      const struct scsi_reservation_request *request)
{
    if (request->names_others)
        return check(SENSE_INVALID_FIELD_IN_CDB);
    r->key = request->service_action_key;
    r->all_target_ports = request->all_target_ports;
    if (r->key == 0)
        unregister(s, r);
    return good;
}

static struct scsi_verdict register_always(struct scsi_reservations *s,
                                           const struct scsi_reservation_request *request)
{
    struct scsi_registration *r = find(s, request->by);
    if (!r && request->service_action_key == 0)
        return good; /* nothing is done */
    struct scsi_verdict verdict = r ? change_key(s, r, request) : add_all(s, request);
    s->persist = request->persist;
    s->generation++;
    return verdict;
}

static struct scsi_verdict register_with_key(struct scsi_reservations *s,
                                             const struct scsi_reservation_request *request)
{
    const struct scsi_registration *r = find(s, request->by);
    return request->key == (r ? r->key : 0) ? register_always(s, request) : conflict;
}

/* --- the others: only for registrants, with their key --- */

typedef struct scsi_verdict action(struct scsi_reservations *s, struct scsi_registration *r,
                                   const struct scsi_reservation_request *request);

static struct scsi_verdict reserve(struct scsi_reservations *s, struct scsi_registration *r,
                                   const struct scsi_reservation_request *request)
{
    if (request->scope != SCOPE_LU || !is_type(request->type))
        return check(SENSE_INVALID_FIELD_IN_CDB);
    if (!s->type)
        begin_reservation(s, r, request->type);
    else if (!scsi_reservations_holds(s, r) || s->type != request->type)
        return conflict;
    return good;
}

/* Of a type that it is not: refused. */
static struct scsi_verdict release(struct scsi_reservations *s, struct scsi_registration *r,
                                   const struct scsi_reservation_request *request)
{
    if (!scsi_reservations_holds(s, r))
        return good;
    if (request->scope != SCOPE_LU || request->type != s->type)
        return check(SENSE_INVALID_RELEASE);
    release_reservation(s, r);
    return good;
}

static struct scsi_verdict clear(struct scsi_reservations *s, struct scsi_registration *r,
                                 const struct scsi_reservation_request *request)
{
    for (size_t i = 0; i < s->n; i++)
        remove_registration(&s->registrations[i], SENSE_RESERVATIONS_PREEMPTED);
    r->notice = SENSE_NONE;
    end_reservation(s);
    s->generation++;
    return good;
}

/* Removes those with this key (0: all), but for one (or NULL); returns how many. */
static size_t remove_key(struct scsi_reservations *s, const struct scsi_registration *except,
                         uint64_t key)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct scsi_registration *r = &s->registrations[i];
        if (r == except || (key && r->key != key))
            continue;
        remove_registration(r, SENSE_REGISTRATIONS_PREEMPTED);
        n++;
    }
    return n;
}

/* The reservation changes hands. */
static struct scsi_verdict preempt_reservation(struct scsi_reservations *s,
                                               struct scsi_registration *r,
                                               const struct scsi_reservation_request *request)
{
    if (request->scope != SCOPE_LU || !is_type(request->type))
        return check(SENSE_INVALID_FIELD_IN_CDB);
    (void)remove_key(s, r, request->service_action_key);
    if (s->type != request->type)
        notice_all(s, r, SENSE_RESERVATIONS_RELEASED);
    begin_reservation(s, r, request->type);
    return good;
}

/* The reservation stays, unless nobody is left of all those who held it. */
static struct scsi_verdict preempt_registrations(struct scsi_reservations *s,
                                                 struct scsi_registration *r,
                                                 const struct scsi_reservation_request *request)
{
    if (request->service_action_key == 0)
        return check(SENSE_INVALID_FIELD_IN_PARAMETERS);
    if (remove_key(s, NULL, request->service_action_key) == 0)
        return conflict;
    if (r->removed)
        r->notice = SENSE_NONE; /* it knows */
    if (count(s) == 0)
        end_reservation(s);
    return good;
}

static bool is_key_of_holder(const struct scsi_reservations *s, uint64_t key)
{
    if (scsi_reservation_is_of_all(s->type))
        return key == 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->registrations[i].holds)
            return s->registrations[i].key == key;
    return false;
}

static struct scsi_verdict preempt(struct scsi_reservations *s, struct scsi_registration *r,
                                   const struct scsi_reservation_request *request)
{
    s->generation++;
    return is_key_of_holder(s, request->service_action_key) ? preempt_reservation(s, r, request)
                                                            : preempt_registrations(s, r, request);
}

static struct scsi_verdict move(struct scsi_reservations *s, struct scsi_registration *r,
                                const struct scsi_reservation_request *request)
{
    const struct scsi_nexus_id *to = request->others;
    if (!s->type)
        return check(SENSE_INVALID_FIELD_IN_CDB);
    if (!r->holds)
        return conflict; /* nor can what all hold be moved */
    if (request->service_action_key == 0 || request->n_others != 1 ||
        scsi_nexus_id_equal(to, request->by))
        return check(SENSE_INVALID_FIELD_IN_PARAMETERS);
    struct scsi_registration *holder = find(s, to);
    if (!holder)
        holder = add(s, request, to);
    if (!holder)
        return check(SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
    holder->key = request->service_action_key;
    begin_reservation(s, holder, s->type);
    if (request->unregister)
        remove_registration(r, SENSE_NONE);
    s->persist = request->persist;
    s->generation++;
    return good;
}

struct scsi_verdict scsi_reservations_change(struct scsi_reservations *reservations,
                                             const struct scsi_reservation_request *request)
{
    static action *const actions[] = {
        [SCSI_RESERVE] = reserve,
        [SCSI_RELEASE] = release,
        [SCSI_CLEAR] = clear,
        [SCSI_PREEMPT] = preempt,
        [SCSI_PREEMPT_AND_ABORT] = preempt,
        [SCSI_REGISTER_AND_MOVE] = move,
    };
    if (request->action == SCSI_REGISTER)
        return register_with_key(reservations, request);
    if (request->action == SCSI_REGISTER_AND_IGNORE_EXISTING_KEY)
        return register_always(reservations, request);
    struct scsi_registration *r = find(reservations, request->by);
    if (!r || r->key != request->key)
        return conflict;
    return actions[request->action](reservations, r, request);
}

void scsi_reservations_settle(struct scsi_reservations *reservations,
                              void (*tell)(void *context, const struct scsi_registration *r),
                              void *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < reservations->n; i++) {
        struct scsi_registration *r = &reservations->registrations[i];
        if (r->removed || r->notice)
            tell(context, r);
        r->notice = SENSE_NONE;
        if (!r->removed)
            reservations->registrations[kept++] = *r;
    }
    reservations->n = kept;
}
