/* /v1/sessions: what is asked of whoever has the sessions, and how his answers are told. */
#include "admin_lab.h"

#include <errno.h>

/* Whoever has them: two sessions, 7 and 8, on volumes that it does not look up. */
struct keeper {
    struct session_filter filter; /* of the last question */
    char node[64], volume[64];
    bool in_full;
    unsigned seconds;
};

static struct admin_lab *lab;
static struct keeper keeper;

static void note(struct keeper *k, const struct session_filter *filter)
{
    k->filter = *filter;
    str_copy(k->node, sizeof(k->node), filter->node ? filter->node : "");
    str_copy(k->volume, sizeof(k->volume), filter->volume ? filter->volume : "");
}

static int list(void *context, const struct session_filter *filter, bool in_full,
                json_t **ret_sessions, struct error *ret_error)
{
    struct keeper *k = context;
    note(k, filter);
    k->in_full = in_full;
    if (filter->id > 8)
        return error_set(ret_error, -ENOENT, "there is no session 9");
    *ret_sessions = filter->id ? json_pack("[{s:I}]", "id", (json_int_t)filter->id)
                               : json_pack("[{s:i}, {s:i}]", "id", 7, "id", 8);
    return 0;
}

static int end(void *context, const struct session_filter *filter, unsigned *ret_count,
               struct error *ret_error)
{
    note(context, filter);
    *ret_count = 3;
    return filter->id > 8 ? error_set(ret_error, -ENOENT, "there is no session 9") : 0;
}

static int drain(void *context, const struct session_filter *filter, unsigned seconds,
                 struct session_drain *ret_drain, struct error *ret_error)
{
    struct keeper *k = context;
    note(k, filter);
    k->seconds = seconds;
    *ret_drain = (struct session_drain){4, 2};
    return filter->volume && str_eq(filter->volume, "x") ? error_set(ret_error, -ENOENT, "no x")
                                                         : 0;
}

static int release(void *context, const struct session_filter *filter, struct error *ret_error)
{
    note(context, filter);
    return filter->volume ? error_set(ret_error, -ENOENT, "it is not being drained") : 0;
}

static int attach(void *context, const char *node, const char *volume,
                  struct session_attach *ret_attach, struct error *ret_error)
{
    struct keeper *k = context;
    str_copy(k->node, sizeof(k->node), node);
    str_copy(k->volume, sizeof(k->volume), volume);
    if (str_eq(volume, "gone"))
        return error_set(ret_error, -ENOENT, "there is no volume 'gone' any more");
    *ret_attach = (struct session_attach){2, str_eq(volume, "burnt") ? "its disk burns" : NULL};
    return 0;
}

static json_t *holds(void *context)
{
    return json_pack("[{s:s}]", "volume", "data");
}

static int setup(void **state)
{
    static const struct session_provider provider = {.list = list,
                                                     .end = end,
                                                     .drain = drain,
                                                     .release = release,
                                                     .attach = attach,
                                                     .holds = holds,
                                                     .context = &keeper};
    lab = calloc(1, sizeof(*lab));
    lab->sessions = &provider;
    keeper = (struct keeper){0};
    admin_lab_make(lab);
    return 0;
}

static int teardown(void **state)
{
    admin_lab_free(lab);
    return 0;
}

static void all_are_listed(void **state)
{
    admin_must(lab, "GET", "/v1/sessions", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "sessions")), 2);
    assert_true(!keeper.in_full && !keeper.filter.id && !keeper.node[0] && !keeper.volume[0]);
}

static void a_node_or_a_volume_is_asked_for(void **state)
{
    admin_must(lab, "GET", "/v1/sessions?node=web1", NULL);
    assert_string_equal(keeper.node, "web1");
    admin_must(lab, "GET", "/v1/sessions?volume=data", NULL);
    assert_string_equal(keeper.volume, "data");
    admin_refused(lab, "GET", "/v1/sessions?volume=data&node=web1", NULL, 400, "either");
}

static void one_is_shown_in_full(void **state)
{
    admin_must(lab, "GET", "/v1/sessions/8", NULL);
    admin_assert_number(lab, "id", 8);
    assert_true(keeper.in_full);
    assert_int_equal(keeper.filter.id, 8);
}

static void what_is_no_id_or_of_nobody_is_not_found(void **state)
{
    static const char *const names[] = {"0", "x", "-1", "8x", "+8", "99999999999999999999999"};
    char path[64];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "/v1/sessions/%s", names[i]);
        admin_refused(lab, "GET", path, NULL, 404, "there is no session");
    }
    admin_refused(lab, "GET", "/v1/sessions/9", NULL, 404, "there is no session 9");
}

static void sessions_are_ended(void **state)
{
    admin_must(lab, "DELETE", "/v1/sessions/8", NULL);
    admin_assert_number(lab, "ended", 3);
    assert_int_equal(keeper.filter.id, 8);
    admin_must(lab, "DELETE", "/v1/sessions?node=web1", NULL);
    assert_string_equal(keeper.node, "web1");
    admin_must(lab, "DELETE", "/v1/sessions?volume=data", NULL);
    assert_string_equal(keeper.volume, "data");
    admin_refused(lab, "DELETE", "/v1/sessions", NULL, 400, "say whose");
    admin_refused(lab, "DELETE", "/v1/sessions?volume=data&node=web1", NULL, 400, "either");
    admin_refused(lab, "DELETE", "/v1/sessions/9", NULL, 404, "there is no session 9");
    admin_refused(lab, "DELETE", "/v1/sessions/x", NULL, 404, "there is no session");
}

/* The sessions are asked once it is attached; what they say is told, and changes nothing. */
static void an_attached_volume_is_told_to_sessions(void **state)
{
    static const char *const volumes[] = {"good", "burnt", "gone"};
    static const char *const problems[] = {NULL, "its disk burns",
                                           "there is no volume 'gone' any more"};
    site_add_node(&lab->site, "web1", 1, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(volumes); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"name\": \"%s\", \"size\": 4096}", volumes[i]);
        admin_must(lab, "POST", "/v1/volumes", body);
        snprintf(body, sizeof(body), "{\"node\": \"web1\", \"volume\": \"%s\"}", volumes[i]);
        admin_must(lab, "POST", "/v1/attachments", body);
        assert_string_equal(keeper.node, "web1");
        assert_string_equal(keeper.volume, volumes[i]);
        admin_assert_number(lab, "lun", i + 1);
        admin_assert_number(lab, "sessions", i < 2 ? 2 : 0);
        const char *problem = json_string_value(admin_member(lab, "problem"));
        assert_true(problem == problems[i] ||
                    (problem && problems[i] && str_eq(problem, problems[i])));
    }
    keeper.volume[0] = 0;
    admin_refused(lab, "POST", "/v1/attachments", "{\"node\": \"web1\", \"volume\": \"good\"}", 409,
                  "is attached to node");
    assert_string_equal(keeper.volume, ""); /* nothing has changed */
}

static void a_drain_begins_and_ends(void **state)
{
    admin_must(lab, "POST", "/v1/holds", "{\"volume\": \"data\", \"seconds\": 77}");
    admin_assert_number(lab, "result.sessions", 4);
    admin_assert_number(lab, "result.asked", 2);
    assert_string_equal(keeper.volume, "data");
    assert_int_equal(keeper.seconds, 77);
    admin_must(lab, "POST", "/v1/holds", "{\"all\": true, \"seconds\": 1}");
    assert_true(!keeper.node[0] && !keeper.volume[0]);
    admin_refused(lab, "POST", "/v1/holds", "{\"volume\": \"x\", \"seconds\": 7}", 404, "no x");
    admin_refused(lab, "POST", "/v1/holds", "{\"seconds\": 7}", 400, "give one of");
    admin_must(lab, "GET", "/v1/holds", NULL);
    assert_int_equal(json_array_size(admin_member(lab, "holds")), 1);
    admin_must(lab, "DELETE", "/v1/holds?node=web1", NULL);
    assert_string_equal(keeper.node, "web1");
    admin_must(lab, "DELETE", "/v1/holds?all=true", NULL);
    admin_refused(lab, "DELETE", "/v1/holds", NULL, 400, "give one of");
    admin_refused(lab, "DELETE", "/v1/holds?all=true&node=web1", NULL, 400, "give one of");
    admin_refused(lab, "DELETE", "/v1/holds?volume=data", NULL, 404, "not being drained");
}

#define IN_LAB(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(all_are_listed),
        IN_LAB(a_node_or_a_volume_is_asked_for),
        IN_LAB(one_is_shown_in_full),
        IN_LAB(what_is_no_id_or_of_nobody_is_not_found),
        IN_LAB(sessions_are_ended),
        IN_LAB(a_drain_begins_and_ends),
        IN_LAB(an_attached_volume_is_told_to_sessions),
    };
    return RUN_TESTS(tests);
}
