#include "hooks/hooks.h"

#include "core/net.h"
#include "hooks/directory.h"
#include "hooks/program.h"
#include "hooks/queue.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <sys/eventfd.h>

#define MAX_TOLD         1024 /* events that wait */
#define MAX_ASKED        4096
#define MAX_TOLD_OF_ONE  64 /* machine */
#define MAX_ASKED_OF_ONE 8
#define MAX_ENVIRONMENT  64
#define DROPPED_USEC     (10 * USEC_PER_SEC) /* between one complaint and the next */

/* What holds for one program. */
struct setting {
    char directory[PATH_MAX];
    unsigned seconds;
    uid_t uid;
    gid_t gid;
    char socket[sizeof(((struct hook_settings *)0)->socket)];
};

struct hooks {
    struct hook_listener listener;
    int stop_fd;
    struct hook_queue told, asked;
    pthread_mutex_t lock; /* protects all below */
    struct setting setting;
    uint64_t n_dropped, complained_at;
};

static const char *const event_names[] = {
    [HOOK_PLAN] = "plan",     [HOOK_REGISTERED] = "registered", [HOOK_STAGE] = "stage",
    [HOOK_BOOTED] = "booted", [HOOK_LOGIN] = "login",           [HOOK_FAILED] = "failed",
};

const char *hook_event_name(enum hook_event event)
{
    return event_names[event];
}

/* --- settings --- */

static int find_user(const char *name, struct setting *setting, struct error *ret_error)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;
    setting->uid = geteuid();
    setting->gid = getegid();
    if (!name[0])
        return 0;
    if (getpwnam_r(name, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
        return error_set(ret_error, -EINVAL, "[hooks] user: there is no user '%s'", name);
    setting->uid = found->pw_uid;
    setting->gid = found->pw_gid;
    return 0;
}

int hooks_set(struct hooks *hooks, const struct hook_settings *settings, struct error *ret_error)
{
    struct setting setting = {.seconds = settings->seconds};
    str_copy(setting.directory, sizeof(setting.directory), settings->directory);
    str_copy(setting.socket, sizeof(setting.socket), settings->socket);
    int r = find_user(settings->user, &setting, ret_error);
    if (r < 0)
        return r;
    pthread_mutex_lock(&hooks->lock);
    hooks->setting = setting;
    pthread_mutex_unlock(&hooks->lock);
    return 0;
}

static void get_setting(struct hooks *hooks, struct setting *ret_setting)
{
    pthread_mutex_lock(&hooks->lock);
    *ret_setting = hooks->setting;
    pthread_mutex_unlock(&hooks->lock);
}

int hooks_new(const struct hook_settings *settings, const struct hook_listener *listener,
              struct hooks **ret_hooks, struct error *ret_error)
{
    struct hooks *hooks = calloc(1, sizeof(*hooks));
    if (!hooks)
        return error_set(ret_error, -ENOMEM, "out of memory");
    hooks->listener = *listener;
    pthread_mutex_init(&hooks->lock, NULL);
    hook_queue_init(&hooks->told, settings->at_once, MAX_TOLD, MAX_TOLD_OF_ONE, true);
    hook_queue_init(&hooks->asked, settings->at_once, MAX_ASKED, MAX_ASKED_OF_ONE, false);
    hooks->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = hooks->stop_fd < 0
                ? error_set(ret_error, -errno, "cannot make an eventfd: %s", strerror(errno))
                : hooks_set(hooks, settings, ret_error);
    if (r < 0)
        hooks_free(hooks);
    else
        *ret_hooks = hooks;
    return r;
}

void hooks_stop(struct hooks *hooks)
{
    if (!hooks)
        return;
    (void)!eventfd_write(hooks->stop_fd, 1);
    hook_queue_stop(&hooks->asked);
    hook_queue_stop(&hooks->told);
}

void hooks_free(struct hooks *hooks)
{
    if (!hooks)
        return;
    hook_queue_destroy(&hooks->told);
    hook_queue_destroy(&hooks->asked);
    if (hooks->stop_fd >= 0)
        close(hooks->stop_fd);
    pthread_mutex_destroy(&hooks->lock);
    free(hooks);
}

bool hooks_any(struct hooks *hooks, enum hook_event event)
{
    struct setting setting;
    get_setting(hooks, &setting);
    return !hook_queue_is_stopping(&hooks->told) &&
           hook_directory_any(setting.directory, event_names[event]);
}

/* --- one program --- */

struct environment {
    const char *all[MAX_ENVIRONMENT + 1];
    size_t count, n_fixed;
};

static const char *const fixed[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
    "HOME=/"};

/* "bmc_address": "NODISK_BMC_ADDRESS=..."; NULL: it is none. */
static char *variable_of(const char *key, const json_t *value)
{
    char *text = NULL;
    int n = -1;
    if (json_is_string(value))
        n = asprintf(&text, "NODISK_%s=%s", key, json_string_value(value));
    else if (json_is_integer(value))
        n = asprintf(&text, "NODISK_%s=%lld", key, (long long)json_integer_value(value));
    if (n < 0)
        return NULL;
    for (char *p = text; *p != '='; p++)
        *p = (char)toupper((unsigned char)*p);
    return text;
}

static void add_variable(struct environment *env, const char *key, const json_t *value)
{
    char *text = env->count < MAX_ENVIRONMENT ? variable_of(key, value) : NULL;
    if (text)
        env->all[env->count++] = text;
}

static void make_environment(const struct setting *setting, const json_t *facts,
                             struct environment *env)
{
    const char *key;
    json_t *value;
    *env = (struct environment){.n_fixed = ARRAY_SIZE(fixed)};
    for (; env->count < env->n_fixed; env->count++)
        env->all[env->count] = fixed[env->count];
    json_object_foreach((json_t *)facts, key, value) add_variable(env, key, value);
    json_t *socket = setting->socket[0] ? json_string(setting->socket) : NULL;
    add_variable(env, "socket", socket);
    json_decref(socket);
}

static void free_environment(struct environment *env)
{
    for (size_t i = env->n_fixed; i < env->count; i++)
        free((char *)env->all[i]);
}

static int run(struct hooks *hooks, const struct setting *setting, const char *path,
               const char *argument, const json_t *facts, const char *secret,
               struct hook_output *ret_output, struct error *ret_error)
{
    const char *const arguments[] = {argument, NULL};
    cleanup_free char *input = json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS);
    struct environment env;
    if (!input)
        return error_set(ret_error, -ENOMEM, "could not be started: out of memory");
    make_environment(setting, facts, &env);
    const struct hook_program program = {.path = path,
                                         .arguments = arguments,
                                         .environment = env.all,
                                         .input = input,
                                         .secret = secret,
                                         .uid = setting->uid,
                                         .gid = setting->gid,
                                         .seconds = setting->seconds,
                                         .stop_fd = hooks->stop_fd};
    int r = hook_program_run(&program, ret_output, ret_error);
    free_environment(&env);
    return r;
}

static const char *node_of(const json_t *facts)
{
    return json_string_value(json_object_get(facts, "node"));
}

/* The machine that they are about, as a number; 0: there is none. */
static uint64_t subject_of(const json_t *facts)
{
    const char *text = json_string_value(json_object_get(facts, "mac"));
    struct mac_address mac;
    uint64_t subject = 0;
    if (text && mac_parse(text, &mac) >= 0)
        memcpy(&subject, mac.bytes, sizeof(mac.bytes));
    return subject;
}

static void report(struct hooks *hooks, const json_t *facts, const char *path, bool failed,
                   const char *text)
{
    const struct hook_report told = {node_of(facts), path, failed, text};
    hooks->listener.report(hooks->listener.context, &told);
}

struct refusals {
    struct hooks *hooks;
    const json_t *facts;
};

static void refused(void *context, const char *path, const char *why)
{
    const struct refusals *r = context;
    char text[256];
    snprintf(text, sizeof(text), "was not run: %s", why);
    report(r->hooks, r->facts, path, true, text);
}

/* Those of an event. NULL: there are none, which was told if it is somebody's mistake. */
static struct hook_list *list_of(struct hooks *hooks, const struct setting *setting,
                                 enum hook_event event, const json_t *facts)
{
    struct refusals context = {hooks, facts};
    struct error error;
    struct hook_list *list = NULL;
    if (hook_directory_any(setting->directory, event_names[event]))
        list = malloc(sizeof(*list));
    if (!list)
        return NULL;
    if (hook_directory_list(setting->directory, event_names[event], refused, &context, list,
                            &error) < 0) {
        report(hooks, facts, setting->directory, true, error.text);
        list->count = 0;
    }
    return list;
}

static void report_output(struct hooks *hooks, const json_t *facts, const char *path,
                          const struct hook_output *output)
{
    if (output->said[0])
        report(hooks, facts, path, false, output->said);
}

/* --- telling --- */

struct told_job {
    struct hook_job job;
    struct hooks *hooks;
    enum hook_event event;
    json_t *facts;
};

static void tell_one(struct told_job *told, const struct setting *setting, const char *path)
{
    struct hook_output output = {.text = NULL};
    struct error error;
    if (run(told->hooks, setting, path, NULL, told->facts, NULL, &output, &error) < 0) {
        if (error.code != -ECANCELED)
            report(told->hooks, told->facts, path, true, error.text);
        return;
    }
    report_output(told->hooks, told->facts, path, &output);
    free(output.text);
}

static void run_told(struct hook_job *job)
{
    struct told_job *told = container_of(job, struct told_job, job);
    struct setting setting;
    get_setting(told->hooks, &setting);
    struct hook_list *list = NULL;
    if (!hook_queue_is_stopping(&told->hooks->told))
        list = list_of(told->hooks, &setting, told->event, told->facts);
    for (size_t i = 0; list && i < list->count; i++)
        tell_one(told, &setting, list->paths[i]);
    free(list);
    json_decref(told->facts);
    free(told);
}

static void drop(struct hooks *hooks)
{
    uint64_t count = 0, now = clock_monotonic_usec();
    pthread_mutex_lock(&hooks->lock);
    hooks->n_dropped++;
    if (!hooks->complained_at || now - hooks->complained_at > DROPPED_USEC) {
        hooks->complained_at = now;
        count = hooks->n_dropped;
        hooks->n_dropped = 0;
    }
    pthread_mutex_unlock(&hooks->lock);
    if (count > 0)
        hooks->listener.dropped(hooks->listener.context, count);
}

void hooks_tell(struct hooks *hooks, enum hook_event event, json_t *facts)
{
    struct told_job *told = facts ? calloc(1, sizeof(*told)) : NULL;
    if (told)
        *told = (struct told_job){.job = {.subject = subject_of(facts), .run = run_told},
                                  .hooks = hooks,
                                  .event = event,
                                  .facts = facts};
    if (facts)
        json_object_set_new(facts, "event", json_string(event_names[event]));
    if (told && hook_queue_put(&hooks->told, &told->job))
        return;
    drop(hooks);
    json_decref(facts);
    free(told);
}

/* --- asking --- */

struct asked_job {
    struct hook_job job;
    struct hooks *hooks;
    struct hook_question *question;
    json_t *facts;
    uint64_t asked_at; /* clock_monotonic_usec() */
};

/* 1: this is the answer; 0: it has no opinion; negative: it has failed. */
static int ask_one(struct asked_job *asked, const struct setting *setting, const char *path)
{
    struct hook_question *question = asked->question;
    struct hook_output output = {.text = NULL};
    struct hook_answer answer;
    struct error error;
    int r = run(asked->hooks, setting, path, NULL, asked->facts, NULL, &output, &error);
    cleanup_free char *text = output.text;
    if (r >= 0) {
        report_output(asked->hooks, asked->facts, path, &output);
        r = hook_answer_parse(text, &answer, &error);
    }
    if (r >= 0 && hook_answer_is_empty(&answer))
        return 0;
    if (r >= 0)
        r = question->check(question, &answer, &error);
    if (r < 0 && r != -ECANCELED)
        report(asked->hooks, asked->facts, path, true, error.text);
    if (r < 0)
        return r;
    question->done(question, &answer, text);
    return 1;
}

/* What is left of the time of one, in whole seconds; 0: nothing. */
static unsigned time_left(const struct setting *setting, uint64_t since)
{
    uint64_t used = (clock_monotonic_usec() - since) / USEC_PER_SEC;
    return used >= setting->seconds ? 0 : setting->seconds - (unsigned)used;
}

static bool ask_all(struct asked_job *asked, const struct setting *setting)
{
    struct hook_list *list = list_of(asked->hooks, setting, HOOK_PLAN, asked->facts);
    uint64_t began = clock_monotonic_usec();
    bool answered = false;
    for (size_t i = 0; list && i < list->count && !answered; i++) {
        struct setting rest = *setting;
        rest.seconds = time_left(setting, began);
        if (rest.seconds > 0)
            answered = ask_one(asked, &rest, list->paths[i]) > 0;
        else
            report(asked->hooks, asked->facts, list->paths[i], true,
                   "was not asked: those before it took all the time");
    }
    free(list);
    return answered;
}

static void run_asked(struct hook_job *job)
{
    struct asked_job *asked = container_of(job, struct asked_job, job);
    struct setting setting;
    bool answered = false;
    get_setting(asked->hooks, &setting);
    if (hook_queue_is_stopping(&asked->hooks->asked))
        ; /* nobody is asked any more */
    else if (time_left(&setting, asked->asked_at) > 0)
        answered = ask_all(asked, &setting);
    else
        report(asked->hooks, asked->facts, setting.directory, true,
               "was not asked: too many nodes ask at this moment for how long hooks take; see "
               "at-once and timeout in [hooks]");
    if (!answered)
        asked->question->done(asked->question, NULL, NULL);
    json_decref(asked->facts);
    free(asked);
}

bool hooks_ask(struct hooks *hooks, struct hook_question *question)
{
    struct asked_job *asked = question->facts ? calloc(1, sizeof(*asked)) : NULL;
    if (!asked)
        return false;
    *asked = (struct asked_job){.job = {.subject = subject_of(question->facts), .run = run_asked},
                                .hooks = hooks,
                                .question = question,
                                .facts = question->facts,
                                .asked_at = clock_monotonic_usec()};
    json_object_set_new(asked->facts, "event", json_string(event_names[HOOK_PLAN]));
    if (hook_queue_put(&hooks->asked, &asked->job))
        return true;
    if (!hook_queue_is_stopping(&hooks->asked))
        drop(hooks);
    free(asked);
    return false;
}

/* --- acting --- */

static int act(struct hooks *hooks, const char *path, const char *argument, const json_t *facts,
               const char *secret, struct hook_answer *ret_answer, struct error *ret_error)
{
    struct setting setting;
    struct hook_output output = {.text = NULL};
    get_setting(hooks, &setting);
    int r = run(hooks, &setting, path, argument, facts, secret, &output, ret_error);
    if (r < 0)
        return r;
    r = hook_answer_parse(output.text, ret_answer, ret_error);
    free(output.text);
    return r;
}

/* As those of events, it is run only if nobody else could have put it there. */
static int check_hook(const char *directory, const char *folder, const char *path,
                      struct error *ret_error)
{
    char place[PATH_MAX + 64];
    snprintf(place, sizeof(place), "%s/%s", directory, folder);
    int r = hook_directory_check_folder(directory, ret_error);
    if (r >= 0)
        r = hook_directory_check_folder(place, ret_error);
    return r < 0 ? r : hook_directory_check(path, ret_error);
}

int hooks_act(struct hooks *hooks, const char *folder, const char *name, const char *argument,
              json_t *facts, const char *secret, struct hook_answer *ret_answer,
              struct error *ret_error)
{
    struct setting setting;
    char path[PATH_MAX + 256];
    get_setting(hooks, &setting);
    snprintf(path, sizeof(path), "%s/%s/%s", setting.directory, folder, name);
    int r = check_hook(setting.directory, folder, path, ret_error);
    if (r == -ENOENT)
        r = error_set(ret_error, -ENOENT, "there is no hook %s; see nodisk-hooks(7)", path);
    else if (r < 0)
        error_prefix(ret_error, "the hook %s was not run", path);
    else if ((r = act(hooks, path, argument, facts, secret, ret_answer, ret_error)) < 0)
        error_prefix(ret_error, "the hook %s", path);
    json_decref(facts);
    return r;
}
