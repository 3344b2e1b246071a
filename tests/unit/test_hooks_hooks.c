/* Real programs in a directory of their own; the process between is this test program, again. */
#include "scratch_dir.h"
#include "test.h"

#include "hooks/directory.h"
#include "hooks/hooks.h"
#include "hooks/supervise.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct lab {
    char *directory;
    struct hooks *hooks;
    pthread_mutex_t lock;
    char reports[16 * 1024];
    uint64_t dropped;
};

static void on_report(void *context, const struct hook_report *report)
{
    struct lab *lab = context;
    pthread_mutex_lock(&lab->lock);
    size_t used = strlen(lab->reports);
    snprintf(lab->reports + used, sizeof(lab->reports) - used, "%s: %s: %s%s\n",
             report->node ? report->node : "-", strrchr(report->hook, '/') + 1,
             report->failed ? "" : "says ", report->text);
    pthread_mutex_unlock(&lab->lock);
}

static void on_dropped(void *context, uint64_t count)
{
    struct lab *lab = context;
    pthread_mutex_lock(&lab->lock);
    lab->dropped += count;
    pthread_mutex_unlock(&lab->lock);
}

static struct hook_settings settings_of(const struct lab *lab, unsigned seconds)
{
    struct hook_settings settings = {.seconds = seconds, .at_once = 4};
    str_copy(settings.directory, sizeof(settings.directory), lab->directory);
    return settings;
}

static int set_up(void **state)
{
    struct lab *lab = *state = calloc(1, sizeof(*lab));
    struct error error;
    lab->directory = scratch_dir_make();
    pthread_mutex_init(&lab->lock, NULL);
    const struct hook_listener listener = {on_report, on_dropped, lab};
    const struct hook_settings settings = settings_of(lab, 60);
    return hooks_new(&settings, &listener, &lab->hooks, &error);
}

static int tear_down(void **state)
{
    struct lab *lab = *state;
    hooks_stop(lab->hooks);
    hooks_free(lab->hooks);
    scratch_dir_remove(lab->directory);
    pthread_mutex_destroy(&lab->lock);
    free(lab);
    return 0;
}

static void path_of(const struct lab *lab, const char *name, char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", lab->directory, name);
}

static void put(const struct lab *lab, const char *name, const char *text, mode_t mode)
{
    char path[PATH_MAX], *slash;
    path_of(lab, name, path);
    if (strchr(name, '/') && (slash = strrchr(path, '/'))) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static char *get(const struct lab *lab, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    path_of(lab, name, path);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, size - 1, file) : 0;
    text[n] = '\0';
    if (file)
        fclose(file);
    return text;
}

/* Ends everything; all that was asked has its answer then. */
static void wait_for_all(struct lab *lab, const char *name)
{
    char text[4096];
    for (int i = 0; i < 6000 && !*get(lab, name, text, sizeof(text)); i++)
        usleep(10000);
    assert_true(*text);
}

struct asked {
    struct hook_question question;
    sem_t done;
    bool answered;
    char boot[64];
    bool is_script;
};

static int check(const struct hook_question *question, const struct hook_answer *answer,
                 struct error *ret_error)
{
    static const char *const keys[] = {"boot", "reason", NULL};
    return hook_answer_check_keys(answer, keys, ret_error);
}

static void done(struct hook_question *question, const struct hook_answer *answer, const char *text)
{
    struct asked *asked = container_of(question, struct asked, question);
    const char *boot = answer ? hook_answer_get(answer, "boot") : NULL;
    asked->answered = answer != NULL;
    asked->is_script = answer && answer->is_script && str_has_prefix(text, "#!ipxe");
    str_copy(asked->boot, sizeof(asked->boot), boot ? boot : "");
    sem_post(&asked->done);
}

static void begin_to_ask_with(struct lab *lab, struct asked *asked, json_t *facts)
{
    asked->question = (struct hook_question){.facts = facts, .check = check, .done = done};
    sem_init(&asked->done, 0, 0);
    assert_true(hooks_ask(lab->hooks, &asked->question));
}

static void begin_to_ask(struct lab *lab, struct asked *asked)
{
    begin_to_ask_with(
        lab, asked,
        json_pack("{s:s, s:s, s:i}", "node", "web1", "product", "a'b $(id) \"c\"", "cores", 4));
}

static void wait_for_answer(struct asked *asked)
{
    while (sem_wait(&asked->done) < 0)
        ;
    sem_destroy(&asked->done);
}

static void ask(struct lab *lab, struct asked *asked)
{
    begin_to_ask(lab, asked);
    wait_for_answer(asked);
}

static void it_is_told_what_is_known(void **state)
{
    struct lab *lab = *state;
    char script[PATH_MAX + 256], text[4096];
    snprintf(script, sizeof(script),
             "#!/bin/sh\ncat > %s/input; env | sort > %s/env; pwd > %s/cwd\n"
             "echo \"boot=$NODISK_NODE-$NODISK_CORES\"\necho why >&2\n",
             lab->directory, lab->directory, lab->directory);
    put(lab, "plan", script, 0755);
    struct asked asked;
    assert_true(hooks_any(lab->hooks, HOOK_PLAN));
    assert_false(hooks_any(lab->hooks, HOOK_LOGIN));
    ask(lab, &asked);
    assert_true(asked.answered);
    assert_string_equal(asked.boot, "web1-4");
    assert_string_equal(get(lab, "input", text, sizeof(text)),
                        "{\"cores\":4,\"event\":\"plan\",\"node\":\"web1\","
                        "\"product\":\"a'b $(id) \\\"c\\\"\"}");
    get(lab, "env", text, sizeof(text));
    assert_contains(text, "NODISK_PRODUCT=a'b $(id) \"c\"\n");
    assert_contains(text, "NODISK_EVENT=plan\n");
    assert_null(strstr(text, "CMOCKA"));
    assert_string_equal(get(lab, "cwd", text, sizeof(text)), "/\n");
    assert_contains(lab->reports, "web1: plan: says why\n");
}

static void it_has_no_descriptor_of_ours(void **state)
{
    struct lab *lab = *state;
    cleanup_close int ours = memfd_create("ours", 0);
    put(lab, "plan",
        "#!/bin/sh\nn=0; l=\nwhile [ $n -lt 64 ]; do [ ! -e /dev/fd/$n ] || l=$l.$n; n=$((n+1)); "
        "done\n"
        "echo boot=$l\n",
        0755);
    struct asked asked;
    ask(lab, &asked);
    assert_true(ours >= 0);
    assert_true(str_eq(asked.boot, ".0.1.2") ||
                str_eq(asked.boot, ".0.1.2.10")); /* dash's script */
}

static void the_first_opinion_counts(void **state)
{
    struct lab *lab = *state;
    put(lab, "plan.d/10-none", "#!/bin/sh\n", 0755);
    put(lab, "plan.d/20-fails", "#!/bin/sh\necho broken >&2\nexit 3\n", 0755);
    put(lab, "plan.d/30-json", "#!/bin/sh\necho '{\"boot\": \"third\"}'\n", 0755);
    put(lab, "plan.d/40-late", "#!/bin/sh\necho boot=fourth\n", 0755);
    put(lab, "plan.d/05-old~", "#!/bin/sh\necho boot=editor\n", 0755);
    put(lab, "plan.d/.hidden", "#!/bin/sh\necho boot=hidden\n", 0755);
    put(lab, "plan.d/06-text", "boot=text\n", 0644);
    struct asked asked;
    ask(lab, &asked);
    assert_string_equal(asked.boot, "third");
    assert_contains(lab->reports, "web1: 20-fails: failed (status 3): broken\n");
    assert_contains(lab->reports, "web1: 06-text: was not run: it is not executable");
}

static void a_script_is_an_answer(void **state)
{
    struct lab *lab = *state;
    put(lab, "plan", "#!/bin/sh\nprintf '#!ipxe\\nshell\\n'\n", 0755);
    struct asked asked;
    ask(lab, &asked);
    assert_true(asked.answered && asked.is_script);
}

static void what_goes_wrong_is_no_answer_and_told(void **state)
{
    static const struct {
        const char *script, *report;
    } wrong[] = {
        {"#!/bin/sh\nkill -SEGV $$\n", "crashed (signal 11)"},
        {"#!/bin/sh\nexit 1\n", "failed (status 1)"},
        {"#!/bin/sh\nhead -c 100000000 /dev/zero\n", "more than 64 KiB"},
        {"#!/bin/sh\nhead -c 1000 /dev/zero\n", "no text"},
        {"#!/bin/sh\necho hello\n", "neither KEY=VALUE"},
        {"#!/bin/sh\necho power=off\n", "nothing that was asked"},
        {"#!/no/such/interpreter\n", "cannot be run"},
        {"no script\n\xff", "cannot be run"},
    };
    struct lab *lab = *state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct asked asked;
        put(lab, "plan", wrong[i].script, 0755);
        lab->reports[0] = '\0';
        ask(lab, &asked);
        assert_false(asked.answered);
        assert_contains(lab->reports, wrong[i].report);
    }
}

/* One that had no time to begin is not. */
static bool is_there(const struct lab *lab, const char *name)
{
    char text[64];
    get(lab, name, text, sizeof(text));
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    return pid > 1 && kill(pid, 0) == 0;
}

static void it_takes_all_with_it(void **state)
{
    struct lab *lab = *state;
    char script[PATH_MAX + 256];
    snprintf(script, sizeof(script),
             "#!/bin/sh\n"
             "setsid sh -c 'echo $$ > %s/daemon; sleep 1000' &\n"
             "while [ ! -s %s/daemon ]; do sleep 0.01; done\necho boot=x\n",
             lab->directory, lab->directory);
    put(lab, "plan", script, 0755);
    struct asked asked;
    ask(lab, &asked);
    assert_string_equal(asked.boot, "x");
    assert_false(is_there(lab, "daemon"));
}

static void it_has_its_time(void **state)
{
    struct lab *lab = *state;
    char script[PATH_MAX + 256];
    struct error error;
    snprintf(script, sizeof(script),
             "#!/bin/sh\ntrap '' TERM INT HUP ALRM\n"
             "setsid sh -c 'trap \"\" TERM; echo $$ > %s/daemon; sleep 1000' &\nsleep 1000\n",
             lab->directory);
    put(lab, "plan", script, 0755);
    const struct hook_settings settings = settings_of(lab, 5);
    assert_int_equal(hooks_set(lab->hooks, &settings, &error), 0);
    struct asked asked;
    ask(lab, &asked);
    assert_false(asked.answered);
    assert_contains(lab->reports, "took more than 5 s");
    assert_false(is_there(lab, "daemon"));
}

static void what_others_could_write_is_not_run(void **state)
{
    struct lab *lab = *state;
    struct asked asked;
    put(lab, "plan", "#!/bin/sh\necho boot=x\n", 0757);
    ask(lab, &asked);
    assert_false(asked.answered);
    assert_contains(lab->reports, "others than its owner may write to it");
    put(lab, "plan", "#!/bin/sh\necho boot=x\n", 0755);
    assert_int_equal(chmod(lab->directory, 0777), 0);
    lab->reports[0] = '\0';
    ask(lab, &asked);
    assert_false(asked.answered);
    assert_contains(lab->reports, "others than its owner may write to it");
}

static void events_are_told_to_all(void **state)
{
    struct lab *lab = *state;
    char script[PATH_MAX + 256], text[256];
    for (int i = 1; i <= 2; i++) {
        char name[32];
        snprintf(name, sizeof(name), "booted.d/%d", i);
        snprintf(script, sizeof(script),
                 "#!/bin/sh\necho \"$NODISK_EVENT $NODISK_NODE\" > %s/out%d\n", lab->directory, i);
        put(lab, name, script, 0755);
    }
    hooks_tell(lab->hooks, HOOK_BOOTED, json_pack("{s:s}", "node", "web7"));
    wait_for_all(lab, "out2");
    assert_string_equal(get(lab, "out1", text, sizeof(text)), "booted web7\n");
}

static void events_are_dropped_when_there_are_too_many(void **state)
{
    struct lab *lab = *state;
    put(lab, "stage", "#!/bin/sh\nsleep 1000\n", 0755);
    for (int i = 0; i < 1100; i++)
        hooks_tell(lab->hooks, HOOK_STAGE, json_pack("{s:s}", "node", "web1"));
    assert_true(lab->dropped > 0);
}

#define FIRST_MAC  "52:54:00:00:00:01"
#define SECOND_MAC "52:54:00:00:00:02"

static void tell(struct lab *lab, const char *mac, int number)
{
    hooks_tell(lab->hooks, HOOK_STAGE, json_pack("{s:s, s:i}", "mac", mac, "detail", number));
}

/* The first machine's first hook ends when the second machine's has run. */
static void events_of_one_machine_are_told_in_order(void **state)
{
    struct lab *lab = *state;
    char script[2 * PATH_MAX + 256], text[256];
    snprintf(script, sizeof(script),
             "#!/bin/sh\ncd %s || exit 1\n"
             "[ $NODISK_DETAIL = 1 ] && while [ ! -e second ]; do sleep 0.01; done\n"
             "[ $NODISK_MAC = " SECOND_MAC " ] && exec touch second\n"
             "echo $NODISK_DETAIL >> first\n[ $NODISK_DETAIL -lt 9 ] || echo all > all\n",
             lab->directory);
    put(lab, "stage", script, 0755);
    for (int i = 1; i <= 9; i++)
        tell(lab, FIRST_MAC, i);
    tell(lab, SECOND_MAC, 0);
    wait_for_all(lab, "all");
    assert_string_equal(get(lab, "first", text, sizeof(text)), "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    assert_string_equal(lab->reports, "");
}

static void one_machine_cannot_take_the_place_of_others(void **state)
{
    struct lab *lab = *state;
    struct asked asked[8], ninth;
    char script[PATH_MAX + 256];
    snprintf(script, sizeof(script),
             "#!/bin/sh\n[ $NODISK_MAC = " FIRST_MAC
             " ] && exec sleep 1000\necho > %s/second all\n",
             lab->directory);
    put(lab, "stage", script, 0755);
    put(lab, "plan", "#!/bin/sh\nsleep 1000\n", 0755);
    for (int i = 0; i < 100; i++)
        tell(lab, FIRST_MAC, i);
    assert_true(lab->dropped > 0);
    tell(lab, SECOND_MAC, 0);
    wait_for_all(lab, "second");

    for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
        begin_to_ask_with(lab, &asked[i], json_pack("{s:s}", "mac", FIRST_MAC));
    ninth.question.facts = json_pack("{s:s}", "mac", FIRST_MAC);
    assert_false(hooks_ask(lab->hooks, &ninth.question));
    json_decref(ninth.question.facts);
    hooks_stop(lab->hooks);
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
        wait_for_answer(&asked[i]);
}

static void a_stop_answers_all(void **state)
{
    struct lab *lab = *state;
    struct asked asked[20];
    put(lab, "plan", "#!/bin/sh\nsleep 1000\n", 0755);
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
        begin_to_ask(lab, &asked[i]);
    hooks_stop(lab->hooks);
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        wait_for_answer(&asked[i]);
        assert_false(asked[i].answered);
    }
    assert_false(hooks_any(lab->hooks, HOOK_PLAN));
}

static void an_action_has_its_secret_as_a_file(void **state)
{
    struct lab *lab = *state;
    struct hook_answer answer;
    struct error error;
    put(lab, "power.d/test",
        "#!/bin/sh\nread -r s < /dev/fd/3\n[ \"$s\" = 'p \"w' ] || exit 1\n"
        "! env | grep -q 'p \"w' || exit 2\n! tr '\\0' ' ' < /proc/$$/cmdline | grep -q 'p \"w' || "
        "exit 3\n"
        "echo \"power=$1\"\n",
        0755);
    assert_int_equal(hooks_act(lab->hooks, "power.d", "test", "on",
                               json_pack("{s:s}", "node", "web1"), "p \"w", &answer, &error),
                     0);
    assert_string_equal(hook_answer_get(&answer, "power"), "on");
    assert_int_equal(
        hooks_act(lab->hooks, "power.d", "none", "on", json_object(), NULL, &answer, &error),
        -ENOENT);
    assert_contains(error.text, "/power.d/none");
    assert_int_equal(
        hooks_act(lab->hooks, "power.d", "test", "on", json_object(), "other", &answer, &error),
        -EIO);
    assert_contains(error.text, "failed (status 1)");
}

/* What others can write to, they can put any program of root's into. */
static void no_action_is_run_where_others_can_write(void **state)
{
    struct lab *lab = *state;
    struct hook_answer answer;
    struct error error;
    char folder[PATH_MAX];
    put(lab, "power.d/test", "#!/bin/sh\n", 0755);
    snprintf(folder, sizeof(folder), "%s/power.d", lab->directory);
    assert_int_equal(chmod(folder, 0775), 0);
    assert_int_equal(
        hooks_act(lab->hooks, "power.d", "test", "on", json_object(), NULL, &answer, &error),
        -EACCES);
    assert_contains(error.text, "chmod go-w");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(
        hooks_act(lab->hooks, "power.d", "test", "on", json_object(), NULL, &answer, &error), 0);
}

static void it_runs_as_another_user(void **state)
{
    struct lab *lab = *state;
    struct hook_settings settings = settings_of(lab, 60);
    struct error error;
    struct asked asked;
    str_copy(settings.user, sizeof(settings.user), "no-such-user");
    assert_int_equal(hooks_set(lab->hooks, &settings, &error), -EINVAL);
    if (geteuid() != 0)
        skip();
    str_copy(settings.user, sizeof(settings.user), "nobody");
    assert_int_equal(hooks_set(lab->hooks, &settings, &error), 0);
    assert_int_equal(chmod(lab->directory, 0755), 0);
    put(lab, "plan", "#!/bin/sh\necho \"boot=$(id -un) $(id -G | wc -w)\"\n", 0755);
    ask(lab, &asked);
    assert_string_equal(asked.boot, "nobody 1");
}

#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(it_is_told_what_is_known),
        LAB_TEST(it_has_no_descriptor_of_ours),
        LAB_TEST(the_first_opinion_counts),
        LAB_TEST(a_script_is_an_answer),
        LAB_TEST(what_goes_wrong_is_no_answer_and_told),
        LAB_TEST(it_takes_all_with_it),
        LAB_TEST(it_has_its_time),
        LAB_TEST(what_others_could_write_is_not_run),
        LAB_TEST(events_are_told_to_all),
        LAB_TEST(events_are_dropped_when_there_are_too_many),
        LAB_TEST(events_of_one_machine_are_told_in_order),
        LAB_TEST(one_machine_cannot_take_the_place_of_others),
        LAB_TEST(a_stop_answers_all),
        LAB_TEST(an_action_has_its_secret_as_a_file),
        LAB_TEST(no_action_is_run_where_others_can_write),
        LAB_TEST(it_runs_as_another_user),
    };
    if (argc > 0 && str_eq(argv[0], HOOK_SUPERVISE_NAME))
        return hook_supervise(argc, argv);
    return RUN_TESTS(tests);
}
