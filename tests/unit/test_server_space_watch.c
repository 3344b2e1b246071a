/* The file system is that of /tmp: what is full enough is a matter of what should be free. */
#include "test.h"

#include "server/space_watch.h"

#include <pthread.h>

#define ALL_OF_IT ((struct warn_free){.bytes = (uint64_t)1 << 60})
#define NONE      ((struct warn_free){0})

/* What is told, by any thread. */
struct news {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned count;
};

static struct news news = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void on_change(void *context)
{
    struct news *n = context;
    pthread_mutex_lock(&n->lock);
    n->count++;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

/* Until something has been told; then it has not. */
static void wait_for_news(void)
{
    pthread_mutex_lock(&news.lock);
    while (news.count == 0)
        pthread_cond_wait(&news.changed, &news.lock);
    news.count = 0;
    pthread_mutex_unlock(&news.lock);
}

static struct space_watch *start(struct warn_free warn)
{
    struct space_watch *watch;
    struct error error;
    assert_int_equal(space_watch_start("/tmp", &warn, &watch, &error), 0);
    news.count = 0;
    space_watch_listen(watch, on_change, &news);
    return watch;
}

static void it_is_known_from_the_beginning(void **state)
{
    struct space_watch *watch = start(ALL_OF_IT);
    struct space_place *home = space_watch_home(watch);
    const struct scsi_space *space = space_place_space(home);
    assert_true(atomic_load(&space->total) > 0);
    assert_true(atomic_load(&space->available) <= atomic_load(&space->total));
    assert_true(atomic_load(&space->threshold) == (uint64_t)1 << 60);
    assert_true(atomic_load(&space->low));
    space_place_put(home);
    space_watch_stop(watch);
    watch = start(NONE);
    home = space_watch_home(watch);
    assert_false(atomic_load(&space_place_space(home)->low));
    space_place_put(home);
    space_watch_stop(watch);
}

static void another_threshold_holds_at_once_and_is_told(void **state)
{
    struct space_watch *watch = start(NONE);
    struct space_place *home = space_watch_home(watch);
    const struct scsi_space *space = space_place_space(home);
    for (int i = 0; i < 3; i++) {
        space_watch_set(watch, &ALL_OF_IT);
        wait_for_news();
        assert_true(atomic_load(&space->low));
        space_watch_set(watch, &NONE);
        wait_for_news();
        assert_false(atomic_load(&space->low));
    }
    space_watch_listen(watch, NULL, NULL);
    space_watch_set(watch, &ALL_OF_IT);
    space_place_put(home);
    space_watch_stop(watch);
    assert_int_equal(news.count, 0);
}

static void a_file_system_has_one_place(void **state)
{
    struct space_watch *watch = start(NONE);
    struct space_place *home = space_watch_home(watch);
    struct space_place *same = space_watch_get(watch, "/tmp/.");
    struct space_place *other = space_watch_get(watch, "/proc/self/status");
    assert_ptr_equal(same, home);
    assert_non_null(other);
    assert_ptr_not_equal(other, home);
    assert_null(space_watch_get(watch, "/tmp/there/is/no/such/file"));
    space_place_put(same);
    space_place_put(home);
    space_place_put(other);
    space_place_put(NULL);
    other = space_watch_get(watch, "/proc/self/status"); /* it may be going, or is new */
    assert_non_null(other);
    assert_true(atomic_load(&space_place_space(other)->threshold) == 0);
    space_place_put(other);
    space_watch_stop(watch);
}

static void others_are_described_while_they_are_used(void **state)
{
    struct space_watch *watch = start(ALL_OF_IT);
    struct space_place *other = space_watch_get(watch, "/proc/self/status");
    json_t *json = space_watch_to_json(watch);
    assert_true(json_is_true(json_object_get(json, "low")));
    assert_true(json_integer_value(json_object_get(json, "warn_below")) == (json_int_t)1 << 60);
    const json_t *place = json_array_get(json_object_get(json, "elsewhere"), 0);
    assert_string_equal(json_string_value(json_object_get(place, "path")), "/proc/self/status");
    assert_true(json_is_false(json_object_get(place, "low"))); /* it has no size */
    assert_true(json_is_integer(json_object_get(place, "total")));
    assert_true(json_is_integer(json_object_get(place, "free")));
    json_decref(json);
    space_place_put(other);
    json = space_watch_to_json(watch);
    assert_int_equal(json_array_size(json_object_get(json, "elsewhere")), 0);
    json_decref(json);
    space_watch_stop(watch);
}

static void a_directory_that_is_not_there(void **state)
{
    struct space_watch *watch;
    struct error error;
    assert_true(space_watch_start("/tmp/there/is/none", &NONE, &watch, &error) < 0);
    assert_non_null(strstr(error.text, "/tmp/there/is/none"));
    space_watch_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_known_from_the_beginning),
        cmocka_unit_test(another_threshold_holds_at_once_and_is_told),
        cmocka_unit_test(a_file_system_has_one_place),
        cmocka_unit_test(others_are_described_while_they_are_used),
        cmocka_unit_test(a_directory_that_is_not_there),
    };
    return RUN_TESTS(tests);
}
