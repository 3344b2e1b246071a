/* The admin API in this process, with a provider of boot stages that the test drives. */
#include "admin_lab.h"

#include <pthread.h>

struct bench {
    struct admin_lab lab;
    pthread_mutex_t lock; /* protects the listeners */
    struct stage_listener *listeners;
};

static json_t *snapshot(void *context)
{
    return json_pack("{s:{s:s, s:I}}", "web1", "stage", "script", "since", (json_int_t)1234);
}

static void subscribe(void *context, struct stage_listener *listener)
{
    struct bench *b = context;
    pthread_mutex_lock(&b->lock);
    listener->next = b->listeners;
    b->listeners = listener;
    pthread_mutex_unlock(&b->lock);
}

static void unsubscribe(void *context, struct stage_listener *listener)
{
    struct bench *b = context;
    pthread_mutex_lock(&b->lock);
    struct stage_listener **place = &b->listeners;
    while (*place != listener)
        place = &(*place)->next;
    *place = listener->next;
    pthread_mutex_unlock(&b->lock);
}

static void publish(struct bench *b, const char *line)
{
    pthread_mutex_lock(&b->lock);
    for (struct stage_listener *l = b->listeners; l; l = l->next)
        l->event(l, line);
    pthread_mutex_unlock(&b->lock);
}

static bool has_listener(struct bench *b)
{
    pthread_mutex_lock(&b->lock);
    bool has = b->listeners != NULL;
    pthread_mutex_unlock(&b->lock);
    return has;
}

static uint32_t address_of(void *context, struct mac_address mac)
{
    return 0;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    pthread_mutex_init(&b->lock, NULL);
    b->lab.provider = (struct stage_provider){.snapshot = snapshot,
                                              .address_of = address_of,
                                              .subscribe = subscribe,
                                              .unsubscribe = unsubscribe,
                                              .context = b};
    admin_lab_make(&b->lab);
    site_add_node(&b->lab.site, "web1", 1, NULL);
    site_add_node(&b->lab.site, "web2", 2, NULL);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    admin_lab_stop(&b->lab);
    assert_false(has_listener(b));
    pthread_mutex_destroy(&b->lock);
    free(b);
    return 0;
}

/* Sends a request and skips the head of the answer. */
static FILE *ask(struct bench *b, const char *path)
{
    char line[512];
    FILE *file = fdopen(admin_lab_connect(&b->lab), "r+");
    fprintf(file, "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", path);
    fflush(file);
    do
        assert_non_null(fgets(line, sizeof(line), file));
    while (!str_eq(line, "\r\n"));
    return file;
}

static json_t *read_json(FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n = getline(&line, &room, file);
    json_t *json = n > 0 ? json_loadb(line, (size_t)n, 0, NULL) : NULL;
    free(line);
    return json;
}

static const char *member(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void assert_snapshot(const json_t *json)
{
    const json_t *nodes = json_object_get(json, "nodes");
    assert_int_equal(json_array_size(nodes), 2);
    const json_t *boot = json_object_get(json_array_get(nodes, 0), "boot");
    assert_string_equal(member(boot, "stage"), "script");
    assert_true(json_is_null(json_object_get(json_array_get(nodes, 1), "boot")));
}

static void the_status_has_each_nodes_stage(void **state)
{
    FILE *file = ask(*state, "/v1/status");
    json_t *json = read_json(file);
    assert_snapshot(json);
    json_decref(json);
    fclose(file);
}

static void a_watcher_gets_a_snapshot_then_every_event(void **state)
{
    struct bench *b = *state;
    FILE *file = ask(b, "/v1/events");
    json_t *json = read_json(file);
    assert_string_equal(member(json, "event"), "snapshot");
    assert_snapshot(json);
    json_decref(json);
    for (int i = 0; i < 100; i++) {
        char line[64];
        snprintf(line, sizeof(line), "{\"event\":\"stage\",\"number\":%d}", i);
        publish(b, line);
        json = read_json(file);
        assert_int_equal(json_integer_value(json_object_get(json, "number")), i);
        json_decref(json);
    }
    fclose(file);
    for (int i = 0; i < 60000 && has_listener(b); i++)
        usleep(1000);
    assert_false(has_listener(b));
}

static void who_reads_too_slowly_gets_a_new_snapshot(void **state)
{
    struct bench *b = *state;
    static char line[2048];
    snprintf(line, sizeof(line), "{\"event\":\"stage\",\"detail\":\"%01900d\"}", 0);
    FILE *file = ask(b, "/v1/events");
    json_decref(read_json(file));
    for (int i = 0; i < 20000; i++)
        publish(b, line);
    unsigned events = 0;
    for (;;) {
        json_t *json = read_json(file);
        assert_non_null(json);
        bool snapshot_again = str_eq(member(json, "event"), "snapshot");
        json_decref(json);
        if (snapshot_again)
            break;
        events++;
    }
    assert_true(events < 20000);
    publish(b, "{\"event\":\"last\"}"); /* and it goes on from there */
    json_t *json = read_json(file);
    assert_string_equal(member(json, "event"), "last");
    json_decref(json);
    fclose(file);
}

#define ADMIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMIN_TEST(the_status_has_each_nodes_stage),
        ADMIN_TEST(a_watcher_gets_a_snapshot_then_every_event),
        ADMIN_TEST(who_reads_too_slowly_gets_a_new_snapshot),
    };
    return RUN_TESTS(tests);
}
