/*
 * nodisk image create: Debian's packages become a disk image by the recipe that is installed beside
 * the program (image/debian12/build), which prepares it with this very program; the daemon then
 * imports it like any other file (image_place.h).
 */
#include "cli/image_labels.h"
#include "cli/image_make.h"
#include "cli/image_place.h"
#include "cli/program.h"

#include <errno.h>
#include <limits.h>

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

/* Options that the builder has by the same names. */
static void add_options(struct program_words *words, const struct args *args)
{
    static const char *const passed[] = {"--package", "--ssh-key", "--size", "--kernel",
                                         "--mirror"};
    program_pass(words, args, passed, ARRAY_SIZE(passed));
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
    cleanup_words struct program_words words = {0};
    const char *password = args_value(args, "root-password");
    program_add(&words, program);
    program_add(&words, "--no-cache");
    program_add(&words, "--suite");
    program_add(&words, suite);
    add_options(&words, args);
    program_add(&words, file);
    if (password) {
        setenv("NODISK_ROOT_PASSWORD", password, 1); /* seen by no other user, unlike a word... */
        explicit_bzero((char *)password, strlen(password)); /* ...such as ours */
    }
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
    struct image_place place = IMAGE_PLACE_NONE;
    struct error error;
    int r = image_place_make(args->words[0], &place, &error);
    if (r == 0)
        r = build(args, suite_of(args->words[0]), place.file, &error);
    snprintf(job.what, sizeof(job.what), "importing %.64s", name);
    if (r < 0)
        r = cli_fail(&error);
    else
        r = cli_ask(cli, "POST", "/v1/images", import_body(name, place.file, labels), &job,
                    ret_json);
    image_place_remove(&place);
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
