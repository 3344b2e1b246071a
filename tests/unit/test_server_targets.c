/* Who may log in to which volume, who uses one, and which targets are open on which thread. */
#include "scratch_dir.h"

#include "thread_call.h"

#include "server/targets.h"

#include <fcntl.h>

#define IQN  "iqn.2026-11.lan.example"
#define SIZE (1 * MIB)

#define N_THREADS 3

static const struct mac_address mac = {{0x52, 0x54, 0, 0, 0, 1}};

struct bench {
    char *directory;
    char path[PATH_MAX];
    struct catalog_slot *slot;
    struct mailbox control;
    struct targets *targets;
    const struct iscsi_portal_operations *ops;
    struct io_thread *threads[N_THREADS];

    /* the last event that was told */
    unsigned events;
    struct session_event event;
    char initiator[IQN_MAX_LEN + 1], target[IQN_MAX_LEN + 1];
};

static struct bench b;

static const struct iscsi_uri there = {"nas", 3260, "iqn.2005-10.org.x:there", 1};

/* web1 boots disk1 (id 1); disk2 (id 2) is web2's, who has no MAC here; `shared` (id 5) is for
 * anybody, `golden` (id 6) too, but to be read alone; `bound` (id 9) to who comes from 10.0.0.8/29
 * or from its node's address, which is 10.0.0.7 for web1. */
static void set_catalog(enum volume_state disk1_state)
{
    struct catalog *c = catalog_new(IQN, 1);
    struct source sources[2];
    assert_int_equal(source_parse("10.0.0.8/29", &sources[0]), 0);
    assert_int_equal(source_parse("node", &sources[1]), 0);
    const struct catalog_node web1 = {
        .id = 1, .name = "web1", .macs = &mac, .n_macs = 1, .volume_id = 1, .address = 0x0a000007};
    struct catalog_volume volumes[] = {
        {.id = 1, .name = "disk1", .state = disk1_state},
        {.id = 2, .name = "disk2"},
        {.id = 5, .name = "shared", .allow_any = true, .shared = true},
        {.id = 6,
         .name = "golden",
         .allow_any = true,
         .shared = true,
         .read_only = true,
         .thick = true,
         .removable = true},
        {.id = 7, .name = "gone", .allow_any = true, .path = "/nowhere/gone.raw"},
        {.id = 8, .name = "there", .allow_any = true, .elsewhere = &there},
        {.id = 9, .name = "bound", .allow_any = true, .sources = sources, .n_sources = 2},
    };
    assert_int_equal(catalog_add_node(c, &web1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(volumes); i++) {
        struct catalog_volume *v = &volumes[i];
        if (!v->path)
            v->path = b.path;
        if (v->id != 1)
            v->state = VOLUME_READY;
        v->size = SIZE;
        v->block_size = 512;
        v->serial[0] = (uint8_t)v->id;
        assert_int_equal(catalog_add_volume(c, v), 0);
    }
    assert_int_equal(catalog_seal(c), 0);
    catalog_slot_set(b.slot, c);
}

/* The linker has catalog_slot_get() called through here (meson.build). */
struct catalog *__real_catalog_slot_get(struct catalog_slot *slot);
struct catalog *__wrap_catalog_slot_get(struct catalog_slot *slot);

/* What a login saw that looked at the catalog while somebody removed its volume. */
static struct {
    bool watched;
    unsigned count;
    bool used[2]; /* was it visible as a user of the volume by then? */
} looks;

struct catalog *__wrap_catalog_slot_get(struct catalog_slot *slot)
{
    struct catalog *catalog = __real_catalog_slot_get(slot);
    char user[256];
    if (looks.watched && looks.count < ARRAY_SIZE(looks.used)) {
        looks.used[looks.count++] = targets_in_use(b.targets, 1, user);
        set_catalog(VOLUME_REMOVING);
    }
    return catalog;
}

static void on_event(void *context, const struct session_event *event)
{
    assert_ptr_equal(context, &b);
    b.events++;
    b.event = *event;
    str_copy(b.initiator, sizeof(b.initiator), event->initiator);
    str_copy(b.target, sizeof(b.target), event->target);
}

static int setup(void **state)
{
    struct error error;
    b = (struct bench){.directory = scratch_dir_make(), .slot = catalog_slot_new()};
    snprintf(b.path, sizeof(b.path), "%s/volume.raw", b.directory);
    cleanup_close int fd = open(b.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    assert_int_equal(mailbox_open(&b.control), 0);
    set_catalog(VOLUME_READY);
    assert_int_equal(targets_new(b.slot, NULL, NULL, NULL, b.threads, N_THREADS, &b.control,
                                 on_event, &b, &b.targets, &error),
                     0);
    b.ops = targets_operations(b.targets);
    for (unsigned i = 0; i < N_THREADS; i++)
        assert_int_equal(io_thread_start(i, MIB, &b.threads[i], &error), 0);
    return 0;
}

static int teardown(void **state)
{
    targets_drain(b.targets);
    for (unsigned i = 0; i < N_THREADS; i++)
        io_thread_stop(b.threads[i]);
    targets_free(b.targets);
    mailbox_run(&b.control);
    mailbox_close(&b.control);
    catalog_slot_free(b.slot);
    scratch_dir_remove(b.directory);
    return 0;
}

static struct endpoint peer(uint8_t last)
{
    char text[32];
    struct endpoint e;
    snprintf(text, sizeof(text), "10.0.0.%u:1024", last);
    assert_int_equal(endpoint_parse(text, &e), 0);
    return e;
}

static struct iscsi_login_identity identity(const char *node, const char *volume, uint8_t address)
{
    struct iscsi_login_identity id = {.source = peer(address)};
    snprintf(id.initiator, sizeof(id.initiator), "%s:%s", IQN, node);
    snprintf(id.target, sizeof(id.target), "%s:%s", IQN, volume);
    return id;
}

/* The admission, or NULL; *ret_status is what was answered. */
static void *try(const char *node, const char *volume, enum iscsi_login_status *ret_status)
{
    struct iscsi_login_identity id = identity(node, volume, 7);
    void *admission = NULL;
    const char *reason = NULL;
    *ret_status = b.ops->admit(b.ops->context, &id, &admission, &reason);
    assert_true((*ret_status == ISCSI_LOGIN_OK) == (admission != NULL));
    assert_true(admission || (reason && *reason));
    return admission;
}

static void *admit(const char *node, const char *volume)
{
    enum iscsi_login_status status;
    void *admission = try(node, volume, &status);
    assert_int_equal(status, ISCSI_LOGIN_OK);
    return admission;
}

static void let_go(void *admission)
{
    b.ops->release(b.ops->context, admission);
}

static void assert_refused(const char *node, const char *volume, enum iscsi_login_status expected)
{
    enum iscsi_login_status status;
    assert_null(try(node, volume, &status));
    assert_int_equal(status, expected);
}

static void assert_used(uint64_t volume_id, const char *by)
{
    char text[256] = "";
    assert_int_equal(targets_in_use(b.targets, volume_id, text), by != NULL);
    if (by)
        assert_string_equal(text, by);
}

/* --- admission --- */

static void nobody_logs_in_here_to_what_is_elsewhere(void **state)
{
    enum iscsi_login_status status;
    struct iscsi_login_identity id = identity("web1", "there", 7);
    void *admission = NULL;
    const char *reason = NULL;
    status = b.ops->admit(b.ops->context, &id, &admission, &reason);
    assert_int_equal(status, ISCSI_LOGIN_TARGET_NOT_FOUND);
    assert_contains(reason, "is a LUN of a target elsewhere");
}

static void a_node_may_use_its_own_volume(void **state)
{
    let_go(admit("web1", "disk1"));
    let_go(admit("52-54-00-00-00-01", "disk1"));
    let_go(admit("anybody", "shared"));
    assert_refused("web1", "disk2", ISCSI_LOGIN_NOT_AUTHORIZED);
    assert_refused("web2", "disk1", ISCSI_LOGIN_NOT_AUTHORIZED);
    assert_refused("web1", "disk3", ISCSI_LOGIN_TARGET_NOT_FOUND);
    assert_refused("web1", "", ISCSI_LOGIN_TARGET_NOT_FOUND);
}

static const struct chap_credentials *older_of_node;

/* web1 has CHAP, and so has the volume `shared` for everybody else. */
static void set_catalog_with_chap(const char *secret)
{
    struct chap_credentials of_node = {.mode = CHAP_ONE_WAY, .initiator = {.user = "web1"}};
    const struct chap_credentials of_volume = {.mode = CHAP_ONE_WAY,
                                               .initiator = {"others", "battery-staple"}};
    struct catalog *c = catalog_new(IQN, 1);
    const struct catalog_node web1 = {
        .id = 1, .name = "web1", .macs = &mac, .n_macs = 1, .volume_id = 1, .chap = &of_node};
    const struct catalog_volume volumes[] = {
        {.id = 1,
         .name = "disk1",
         .path = b.path,
         .size = SIZE,
         .block_size = 512,
         .state = VOLUME_READY},
        {.id = 5,
         .name = "shared",
         .path = b.path,
         .size = SIZE,
         .block_size = 512,
         .state = VOLUME_READY,
         .allow_any = true,
         .shared = true,
         .chap = &of_volume},
    };
    str_copy(of_node.initiator.secret, sizeof(of_node.initiator.secret), secret);
    of_node.older = older_of_node;
    assert_int_equal(catalog_add_node(c, &web1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(volumes); i++)
        assert_int_equal(catalog_add_volume(c, &volumes[i]), 0);
    assert_int_equal(catalog_seal(c), 0);
    catalog_slot_set(b.slot, c);
}

static void assert_secret(void *admission, const char *secret)
{
    const struct chap_credentials *c = b.ops->credentials(b.ops->context, admission);
    assert_string_equal(c ? c->initiator.secret : "", secret);
    assert_int_equal(c ? c->mode : CHAP_NONE, *secret ? CHAP_ONE_WAY : CHAP_NONE);
}

static void what_has_to_be_proved_is_that_of_the_admission(void **state)
{
    static const struct chap_credentials finder = {.mode = CHAP_ONE_WAY,
                                                   .initiator = {"finder", "correct-finder"}};
    void *before = admit("web1", "disk1");
    assert_secret(before, "");
    assert_secret(NULL, ""); /* discovery */
    set_catalog_with_chap("correct-horse");
    void *own = admit("web1", "disk1"), *by_mac = admit("52-54-00-00-00-01", "disk1"),
         *elsewhere = admit("web1", "shared"), *other = admit("x", "shared");
    set_catalog_with_chap("changed-horse"); /* holds from the next login on */
    assert_secret(before, "");
    assert_secret(own, "correct-horse");
    assert_secret(by_mac, "correct-horse");
    assert_secret(elsewhere, "correct-horse");
    assert_secret(other, "battery-staple");
    void *next = admit("web1", "disk1");
    assert_secret(next, "changed-horse");
    targets_set_discovery_chap(b.targets, &finder);
    assert_secret(NULL, "correct-finder");
    void *all[] = {before, own, by_mac, elsewhere, other, next};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        let_go(all[i]);
}

static void what_is_older_is_in_the_admission(void **state)
{
    static const struct chap_credentials older = {
        .mode = CHAP_ONE_WAY, .initiator = {"web1", "older-horse-1"}, .tag = 1};
    older_of_node = &older;
    set_catalog_with_chap("correct-horse");
    void *own = admit("web1", "disk1"), *other = admit("web1", "shared");
    older_of_node = NULL;
    set_catalog_with_chap("changed-horse"); /* the older one is gone from the next login on */
    assert_secret(own, "correct-horse");
    assert_string_equal(b.ops->credentials(b.ops->context, own)->older->initiator.secret,
                        "older-horse-1");
    assert_int_equal(b.ops->credentials(b.ops->context, other)->older->tag, 1);
    void *next = admit("web1", "disk1");
    assert_null(b.ops->credentials(b.ops->context, next)->older);
    let_go(own);
    let_go(other);
    let_go(next);
}

/* Asked at the login and again when the session begins. */
static void nobody_comes_to_what_is_held(void **state)
{
    static const struct {
        enum hold_kind kind;
        uint64_t id;
        bool web1, shared; /* are they refused? */
    } examples[] = {{HOLD_VOLUME, 1, true, false},
                    {HOLD_VOLUME, 5, false, true},
                    {HOLD_NODE, 1, true, false},
                    {HOLD_NODE, 5, false, false},
                    {HOLD_ALL, 0, true, true}};
    struct holds *holds = targets_holds(b.targets);
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        void *web1 = admit("web1", "disk1"), *anybody = admit("anybody", "shared");
        const char *reason = NULL;
        assert_int_equal(holds_add(holds, examples[i].kind, examples[i].id), 0);
        assert_int_equal(b.ops->check(b.ops->context, web1, &reason),
                         examples[i].web1 ? ISCSI_LOGIN_UNAVAILABLE : ISCSI_LOGIN_OK);
        assert_int_equal(b.ops->check(b.ops->context, anybody, &reason),
                         examples[i].shared ? ISCSI_LOGIN_UNAVAILABLE : ISCSI_LOGIN_OK);
        if (reason)
            assert_contains(reason, "nodisk session release");
        let_go(web1);
        let_go(anybody);
        if (examples[i].web1)
            assert_refused("web1", "disk1", ISCSI_LOGIN_UNAVAILABLE);
        if (examples[i].shared)
            assert_refused("anybody", "shared", ISCSI_LOGIN_UNAVAILABLE);
        assert_true(holds_remove(holds, examples[i].kind, examples[i].id));
        assert_used(1, NULL);
    }
}

static void a_volume_must_be_ready(void **state)
{
    set_catalog(VOLUME_CREATING);
    assert_refused("web1", "disk1", ISCSI_LOGIN_UNAVAILABLE);
    set_catalog(VOLUME_REMOVING);
    assert_refused("web1", "disk1", ISCSI_LOGIN_UNAVAILABLE);
    set_catalog(VOLUME_FAILED);
    assert_refused("web1", "disk1", ISCSI_LOGIN_TARGET_ERROR);
    assert_refused("web2", "disk1", ISCSI_LOGIN_NOT_AUTHORIZED); /* it is none of its business */
    assert_used(1, NULL);
    set_catalog(VOLUME_READY);
    let_go(admit("web1", "disk1"));
}

static void anybody_may_discover(void **state)
{
    struct iscsi_login_identity id = {.discovery = true, .initiator = "iqn.2020-01.x:y"};
    void *admission = NULL;
    const char *reason;
    assert_int_equal(b.ops->admit(b.ops->context, &id, &admission, &reason), ISCSI_LOGIN_OK);
    assert_null(admission);
}

static enum iscsi_login_status come_from(const char *node, uint8_t address, const char **ret_reason)
{
    struct iscsi_login_identity id = identity(node, "bound", address);
    void *admission = NULL;
    enum iscsi_login_status status = b.ops->admit(b.ops->context, &id, &admission, ret_reason);
    if (admission)
        let_go(admission);
    return status;
}

static void one_comes_from_where_the_volume_is_bound_to(void **state)
{
    const char *reason = NULL;
    assert_int_equal(come_from("web1", 7, &reason), ISCSI_LOGIN_OK);
    assert_int_equal(come_from("web2", 8, &reason), ISCSI_LOGIN_OK);
    assert_int_equal(come_from("web1", 15, &reason), ISCSI_LOGIN_OK);
    assert_null(reason);
    assert_int_equal(come_from("web2", 7, &reason), ISCSI_LOGIN_NOT_AUTHORIZED);
    assert_non_null(strstr(reason, "volume set --allow-from"));
    assert_int_equal(come_from("web1", 16, &reason), ISCSI_LOGIN_NOT_AUTHORIZED);
}

static void each_volume_has_its_thread(void **state)
{
    void *disk = admit("web1", "disk1"), *shared = admit("x", "shared"),
         *gold = admit("x", "golden");
    assert_int_equal(b.ops->owner(b.ops->context, disk), 1 % N_THREADS);
    assert_int_equal(b.ops->owner(b.ops->context, shared), 5 % N_THREADS);
    assert_int_equal(b.ops->owner(b.ops->context, gold), 6 % N_THREADS);
    let_go(disk);
    let_go(shared);
    let_go(gold);
}

/* --- who uses a volume --- */

static void a_login_on_its_way_uses_its_volume(void **state)
{
    assert_used(1, NULL);
    void *one = admit("web1", "disk1"), *two = admit("web1", "disk1");
    assert_used(1, IQN ":web1 from 10.0.0.7");
    assert_used(2, NULL);
    let_go(one);
    assert_used(1, IQN ":web1 from 10.0.0.7");
    let_go(two);
    assert_used(1, NULL);
}

/* The volume is taken away right after the first look at the catalog. */
static void a_login_is_visible_before_it_is_admitted(void **state)
{
    memset(&looks, 0, sizeof(looks));
    looks.watched = true;
    assert_refused("web1", "disk1", ISCSI_LOGIN_UNAVAILABLE);
    looks.watched = false;
    assert_int_equal(looks.count, 2);
    assert_false(looks.used[0]);
    assert_true(looks.used[1]); /* who removes the volume sees that there is somebody */
    assert_used(1, NULL);
}

/* --- open targets --- */

struct opening {
    struct io_thread *thread;
    const void *admission;
    bool begins_anew;
    struct iscsi_target_request request;
    struct iscsi_target *target;
    const char *reason;
    struct bell done;
};

static void opened(struct iscsi_target_request *request, struct iscsi_target *target,
                   const char *reason)
{
    struct opening *o = container_of(request, struct opening, request);
    assert_true(pthread_equal(pthread_self(), o->thread->thread));
    o->target = target;
    o->reason = reason;
    if (target) /* a session, or it would be closed again */
        list_append(&target->sessions, &request->link);
    bell_ring(&o->done);
}

static void open_on_thread(void *context)
{
    struct opening *o = context;
    struct iscsi_login_traits traits = {.firmware = o->begins_anew};
    b.ops->target(b.ops->context, o->thread, o->admission, &traits, &o->request);
}

static void begin_opening(struct opening *o, const void *admission)
{
    *o = (struct opening){.thread = b.threads[b.ops->owner(b.ops->context, admission)],
                          .admission = admission,
                          .begins_anew = o->begins_anew,
                          .request.done = opened,
                          .done = BELL_NEW};
    thread_call(o->thread, open_on_thread, o);
}

static struct iscsi_target *open_target(struct opening *o, const void *admission)
{
    begin_opening(o, admission);
    bell_wait(&o->done, 1);
    return o->target;
}

static void end_session(void *context)
{
    struct opening *o = context;
    list_remove(&o->request.link);
    iscsi_target_check_idle(o->target);
}

/* The session of an opening, and all that its end brings about. */
static void end(struct opening *o)
{
    thread_call(o->thread, end_session, o);
    thread_end_round(o->thread);
}

static void a_target_is_opened_once(void **state)
{
    void *admission = admit("web1", "disk1");
    struct opening one = {0}, two = {0};
    struct iscsi_target *target = open_target(&one, admission);
    assert_non_null(target);
    assert_string_equal(target->name, IQN ":disk1");
    assert_true(target->single_writer);
    assert_int_equal(target->lun0.lu->n_blocks, SIZE / 512);
    assert_int_equal(target->lun0.lu->serial[0], 1);
    assert_false(target->lun0.lu->read_only);
    assert_false(target->lun0.lu->thick);
    assert_false(target->lun0.lu->removable);
    assert_ptr_equal(open_target(&two, admission), target);
    end(&one);
    end(&two);
    let_go(admission);
}

/* While nobody has it open yet, and while it is being closed. */
static void many_may_ask_at_once(void **state)
{
    void *admission = admit("web1", "disk1");
    struct opening all[8] = {0};
    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
            begin_opening(&all[i], admission);
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
            bell_wait(&all[i].done, 1);
            assert_ptr_equal(all[i].target, all[0].target);
        }
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
            end(&all[i]);
    }
    let_go(admission);
}

static void an_idle_target_is_closed_and_opened_again(void **state)
{
    void *admission = admit("web1", "disk1");
    struct opening o = {0};
    assert_non_null(open_target(&o, admission));
    cleanup_close int fd = open(b.path, O_RDWR);
    assert_int_equal(ftruncate(fd, 0), 0); /* so that it cannot be opened a second time */
    end(&o);
    assert_null(open_target(&o, admission));
    assert_int_equal(ftruncate(fd, SIZE), 0);
    assert_non_null(open_target(&o, admission));
    end(&o);
    let_go(admission);
}

static void shared_and_read_only_volumes_have_many_users(void **state)
{
    void *shared = admit("x", "shared"), *golden = admit("x", "golden");
    struct opening one = {0}, two = {0};
    assert_false(open_target(&one, shared)->single_writer);
    assert_false(open_target(&two, golden)->single_writer);
    assert_true(two.target->lun0.lu->read_only);
    assert_true(two.target->lun0.lu->thick);
    assert_true(two.target->lun0.lu->removable);
    end(&one);
    end(&two);
    let_go(shared);
    let_go(golden);
}

static void a_volume_that_cannot_be_opened_is_told(void **state)
{
    void *admission = admit("x", "gone");
    struct opening o = {0};
    assert_null(open_target(&o, admission));
    assert_non_null(strstr(o.reason, "cannot be opened"));
    let_go(admission);
}

/* --- volumes whose flush has failed --- */

static void fail_flush(void *context)
{
    struct opening *o = context;
    struct block_device *device = o->target->lun0.lu->device;
    device->failed = true;
    device->on_error(device, BLOCK_FLUSH, -EIO);
}

static bool is_failed(const struct opening *o)
{
    return o->target->lun0.lu->device->failed;
}

static void a_failed_volume_stays_failed_until_somebody_begins_anew(void **state)
{
    void *admission = admit("web1", "disk1");
    struct opening o = {0}, anew = {.begins_anew = true};
    open_target(&o, admission);
    assert_false(is_failed(&o));
    thread_call(o.thread, fail_flush, &o);
    end(&o);
    for (unsigned i = 0; i < 3; i++) {
        open_target(&o, admission);
        assert_true(is_failed(&o));
        end(&o);
    }
    open_target(&anew, admission);
    assert_false(is_failed(&anew));
    end(&anew);
    open_target(&o, admission);
    assert_false(is_failed(&o));
    end(&o);
    let_go(admission);
}

static void log_out(void *context)
{
    struct opening *o = context;
    struct iscsi_login_identity id = identity("web1", "disk1", 9);
    struct iscsi_login_traits traits = {0};
    struct iscsi_session_counters counters = {0};
    struct iscsi_event event = {.kind = ISCSI_EVENT_LOGIN,
                                .identity = &id,
                                .traits = &traits,
                                .target = o->target,
                                .peer = &id.source};
    b.ops->event(b.ops->context, &event);
    event.kind = ISCSI_EVENT_END;
    event.counters = &counters;
    event.reason = "logged out";
    event.orderly = true;
    b.ops->event(b.ops->context, &event);
}

static void the_last_one_to_log_out_has_let_go_of_it(void **state)
{
    void *admission = admit("web1", "disk1");
    struct opening one = {0}, two = {0};
    open_target(&one, admission);
    open_target(&two, admission);
    thread_call(one.thread, fail_flush, &one);
    thread_call(one.thread, log_out, &one); /* the other one still hopes */
    end(&one);
    end(&two);
    open_target(&one, admission);
    assert_true(is_failed(&one));
    thread_call(one.thread, log_out, &one);
    end(&one);
    open_target(&one, admission);
    assert_false(is_failed(&one));
    end(&one);
    let_go(admission);
}

/* --- discovery --- */

static char listed[512];

static void add_to_list(struct iscsi_conn *conn, const char *target)
{
    size_t used = strlen(listed);
    snprintf(listed + used, sizeof(listed) - used, "%s ", strrchr(target, ':') + 1);
    assert_true(str_has_prefix(target, IQN ":"));
}

static void assert_listed(const char *node, const char *only, const char *expected)
{
    struct iscsi_login_identity id = identity(node, "", 7);
    listed[0] = '\0';
    b.ops->list_targets(b.ops->context, NULL, &id, only, add_to_list);
    assert_string_equal(listed, expected);
}

static void one_sees_what_one_may_use(void **state)
{
    assert_listed("web1", NULL, "bound disk1 golden gone shared ");
    assert_listed("web2", NULL, "golden gone shared ");
    assert_listed("web1", IQN ":disk1", "disk1 ");
    assert_listed("web2", IQN ":disk1", "");
    assert_listed("web1", IQN ":nothing", "");
}

/* --- events --- */

static void an_event_reaches_the_control_thread_whole(void **state)
{
    struct iscsi_login_identity id = identity("web1", "disk1", 9);
    struct iscsi_login_traits traits = {.firmware = true};
    struct iscsi_session_counters counters = {.commands = 5, .read_bytes = 6};
    struct iscsi_event event = {.kind = ISCSI_EVENT_END,
                                .identity = &id,
                                .traits = &traits,
                                .counters = &counters,
                                .peer = &id.source,
                                .reason = "logged out",
                                .violated = true};
    uint64_t before = clock_wall_usec();
    b.ops->event(b.ops->context, &event);
    memset(&id, 0, sizeof(id)); /* it is a copy */
    assert_int_equal(b.events, 0);
    mailbox_run(&b.control);
    assert_int_equal(b.events, 1);
    assert_int_equal(b.event.kind, ISCSI_EVENT_END);
    assert_string_equal(b.initiator, IQN ":web1");
    assert_string_equal(b.target, IQN ":disk1");
    assert_true(b.event.traits.firmware);
    assert_true(b.event.had_session && b.event.violated);
    assert_int_equal(b.event.counters.commands, 5);
    assert_int_equal(b.event.counters.read_bytes, 6);
    assert_string_equal(b.event.reason, "logged out");
    assert_true(b.event.at >= before && b.event.at <= clock_wall_usec());
    struct endpoint expected = peer(9);
    assert_true(endpoint_same_host(&b.event.peer, &expected));
}

static void an_event_of_somebody_without_a_name(void **state)
{
    struct endpoint from = peer(9);
    struct iscsi_event event = {.kind = ISCSI_EVENT_REFUSED,
                                .peer = &from,
                                .status = ISCSI_LOGIN_MISSING_PARAMETER,
                                .reason = "gave no InitiatorName"};
    b.ops->event(b.ops->context, &event);
    mailbox_run(&b.control);
    assert_string_equal(b.initiator, "");
    assert_string_equal(b.target, "");
    assert_false(b.event.had_session);
    assert_int_equal(b.event.status, ISCSI_LOGIN_MISSING_PARAMETER);
}

static void a_session_uses_its_volume_until_it_ends(void **state)
{
    void *admission = admit("web1", "disk1");
    struct iscsi_login_identity id = identity("web1", "disk1", 9);
    struct iscsi_login_traits traits = {0};
    struct iscsi_session_counters counters = {0};
    struct opening o = {0};
    struct iscsi_event event = {.kind = ISCSI_EVENT_LOGIN,
                                .identity = &id,
                                .traits = &traits,
                                .target = open_target(&o, admission),
                                .peer = &id.source};
    b.ops->event(b.ops->context, &event);
    let_go(admission); /* as soon as there is a session */
    assert_used(1, IQN ":web1 from 10.0.0.9");
    event.kind = ISCSI_EVENT_END;
    event.counters = &counters;
    event.reason = "gone";
    b.ops->event(b.ops->context, &event);
    assert_used(1, NULL);
    end(&o);
    mailbox_run(&b.control);
    assert_int_equal(b.events, 2);
}

#define TARGETS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TARGETS_TEST(a_node_may_use_its_own_volume),
        TARGETS_TEST(nobody_logs_in_here_to_what_is_elsewhere),
        TARGETS_TEST(what_has_to_be_proved_is_that_of_the_admission),
        TARGETS_TEST(what_is_older_is_in_the_admission),
        TARGETS_TEST(nobody_comes_to_what_is_held),
        TARGETS_TEST(a_volume_must_be_ready),
        TARGETS_TEST(anybody_may_discover),
        TARGETS_TEST(one_comes_from_where_the_volume_is_bound_to),
        TARGETS_TEST(each_volume_has_its_thread),
        TARGETS_TEST(a_login_on_its_way_uses_its_volume),
        TARGETS_TEST(a_login_is_visible_before_it_is_admitted),
        TARGETS_TEST(a_target_is_opened_once),
        TARGETS_TEST(many_may_ask_at_once),
        TARGETS_TEST(an_idle_target_is_closed_and_opened_again),
        TARGETS_TEST(shared_and_read_only_volumes_have_many_users),
        TARGETS_TEST(a_volume_that_cannot_be_opened_is_told),
        TARGETS_TEST(a_failed_volume_stays_failed_until_somebody_begins_anew),
        TARGETS_TEST(the_last_one_to_log_out_has_let_go_of_it),
        TARGETS_TEST(one_sees_what_one_may_use),
        TARGETS_TEST(an_event_reaches_the_control_thread_whole),
        TARGETS_TEST(an_event_of_somebody_without_a_name),
        TARGETS_TEST(a_session_uses_its_volume_until_it_ends),
    };
    return RUN_TESTS(tests);
}
