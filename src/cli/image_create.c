/*
 * nodisk image create: Debian's packages become a disk image by the recipe that is installed beside
 * the program (image/debian12/build), which prepares it with this very program; the daemon then
 * imports it like any other file. The file lives in a directory of its own under /var/cache that we
 * hold by a lock: one that nobody holds is removed by the next build.
 */
#include "cli/image_labels.h"
#include "cli/image_make.h"
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DEFAULT_CACHE "/var/cache/nodisk"
#define MAX_ARGV      256

static const struct {
    const char *name, *suite;
} systems[] = {{"debian12", "bookworm"}, {"debian13", "trixie"}};

static const char *suite_of(const char *system)
{
    for (size_t i = 0; i < ARRAY_SIZE(systems); i++)
        if (str_eq(systems[i].name, system))
            return systems[i].suite;
    return NULL;
}

struct place {
    char directory[PATH_MAX / 2], file[PATH_MAX];
    int lock;
};

/* The name begins as the builder's own do: what is left of one that was killed is its to remove. */
static int place_make(const char *system, struct place *ret_place, struct error *ret_error)
{
    const char *cache = getenv("NODISK_CACHE");
    cache = cache && cache[0] ? cache : DEFAULT_CACHE;
    int n = snprintf(ret_place->directory, sizeof(ret_place->directory), "%s/build-XXXXXX", cache);
    if (n < 0 || (size_t)n >= sizeof(ret_place->directory))
        return error_set(ret_error, -ENAMETOOLONG, "%s is too long a path", cache);
    if ((mkdir(cache, 0755) < 0 && errno != EEXIST) || !mkdtemp(ret_place->directory))
        return error_set(ret_error, -errno, "no directory can be made in %s: %s", cache,
                         strerror(errno));
    snprintf(ret_place->file, sizeof(ret_place->file), "%s/%s.raw", ret_place->directory, system);
    ret_place->lock = open(ret_place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret_place->lock < 0 || flock(ret_place->lock, LOCK_EX | LOCK_NB) < 0)
        return error_set(ret_error, -errno, "%s cannot be locked: %s", ret_place->directory,
                         strerror(errno));
    return 0;
}

static void place_remove(struct place *place)
{
    unlink(place->file);
    rmdir(place->directory);
    if (place->lock >= 0)
        close(place->lock);
}

struct words {
    const char *argv[MAX_ARGV];
    size_t count;
};

static void add(struct words *words, const char *option, const char *value)
{
    if (value && words->count + 3 < MAX_ARGV) {
        words->argv[words->count++] = option;
        words->argv[words->count++] = value;
    }
}

/* Options that the builder has by the same names. */
static void add_options(struct words *words, const struct args *args)
{
    static const char *const passed[][2] = {{"package", "--package"},
                                            {"ssh-key", "--ssh-key"},
                                            {"size", "--size"},
                                            {"kernel", "--kernel"},
                                            {"mirror", "--mirror"}};
    for (size_t i = 0; i < args->n_values; i++)
        for (size_t j = 0; j < ARRAY_SIZE(passed); j++)
            if (str_eq(args->values[i].option->name, passed[j][0]))
                add(words, passed[j][1], args->values[i].value);
}

/* The builder prepares with this very program. */
static void name_myself(void)
{
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (size <= 0)
        return;
    path[size] = '\0';
    setenv("NODISK", path, 1);
}

static int build(const struct args *args, const char *suite, const char *file,
                 struct error *ret_error)
{
    cleanup_free char *program = program_data_path("image/debian12/build");
    struct words words = {.argv = {program, "--no-cache"}, .count = 2};
    const char *password = args_value(args, "root-password");
    add(&words, "--suite", suite);
    add_options(&words, args);
    words.argv[words.count++] = file;
    if (password)
        setenv("NODISK_ROOT_PASSWORD", password, 1); /* seen by no other user, unlike a word */
    name_myself();
    int r = program_run(words.argv, ret_error);
    if (r == -EINTR)
        error_set(ret_error, r, "interrupted: nothing was left behind, and no image was made");
    return r;
}

static json_t *import_body(const char *name, const char *file, json_t *labels)
{
    return json_pack("{s:s, s:s, s:O}", "name", name, "path", file, "labels", labels);
}

static int make(const struct cli *cli, const struct args *args, const char *name, json_t *labels,
                json_t **ret_json)
{
    struct cli_job job = {.interrupted = "the daemon undoes what was not finished"};
    struct place place = {.lock = -1};
    struct error error;
    int r = place_make(args->words[0], &place, &error);
    if (r == 0)
        r = build(args, suite_of(args->words[0]), place.file, &error);
    snprintf(job.what, sizeof(job.what), "importing %.64s", name);
    if (r < 0)
        r = cli_fail(&error);
    else
        r = cli_ask(cli, "POST", "/v1/images", import_body(name, place.file, labels), &job,
                    ret_json);
    place_remove(&place);
    return r;
}

/* A build takes minutes: is there somebody to take its result? */
static int check_daemon(const struct cli *cli)
{
    json_t *json;
    int r = cli_ask(cli, "GET", "/v1/images", NULL, NULL, &json);
    if (r == CLI_OK)
        json_decref(json);
    return r;
}

int image_create(const struct cli *cli, const struct args *args)
{
    const char *system = args->words[0], *name = args_value(args, "name") ?: system;
    json_t *json, *labels;
    if (!suite_of(system)) {
        fprintf(stderr, "nodisk: '%s' is no system that can be made: debian12 or debian13\n",
                system);
        return CLI_USAGE;
    }
    labels = json_object();
    int r = image_set_labels(args, "label", labels);
    json_t *ours = json_pack("{s:s, s:s}", "os", system, "prepared", NODISK_VERSION);
    json_object_update_missing(labels, ours);
    json_decref(ours);
    if (r == CLI_OK)
        r = check_daemon(cli);
    if (r == CLI_OK)
        r = make(cli, args, name, labels, &json);
    json_decref(labels);
    if (r != CLI_OK)
        return r;
    cleanup_free char *reference = strdup(print_text(json, "reference") ?: name);
    return cli_done(cli, json, "image %s is made\n", reference);
}
