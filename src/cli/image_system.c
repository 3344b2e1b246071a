/*
 * nodisk image check and nodisk image prepare: `nodisk prepare` on the system in an image, by a
 * program beside this one (src/image_system) that starts a small virtual machine for it. What is
 * prepared is a copy, which the daemon then imports as any other file: an image version never
 * changes, and until the very end there is no new one.
 */
#include "cli/image_labels.h"
#include "cli/image_make.h"
#include "cli/image_place.h"
#include "cli/program.h"

#include <errno.h>
#include <limits.h>

#define TOOL    "nodisk-image-system"
#define PREPARE "nodisk-prepare"

/* What runs the virtual machine, and what runs in it. */
struct tools {
    char *machine, *prepare;
};

/* Before anything is done: are they installed? Free both. */
static int find_tools(struct tools *ret_tools, struct error *ret_error)
{
    *ret_tools = (struct tools){program_libexec_path(TOOL), program_libexec_path(PREPARE)};
    const char *missing = access(ret_tools->machine, X_OK) < 0   ? ret_tools->machine
                          : access(ret_tools->prepare, X_OK) < 0 ? ret_tools->prepare
                                                                 : NULL;
    return missing ? error_set(ret_error, -ENOENT,
                               "%s is not there: nodisk was built without libguestfs (install the "
                               "packages of the section image in script/packages and build it "
                               "again)",
                               missing)
                   : 0;
}

static void free_tools(struct tools *tools)
{
    free(tools->machine);
    free(tools->prepare);
}

/* Options of `nodisk prepare` of the same names. */
static void add_options(struct program_words *words, const struct args *args)
{
    static const char *const passed[] = {"--keep-swap", "--bridge", "--bond", "--bond-cards"};
    program_pass(words, args, passed, ARRAY_SIZE(passed));
}

static struct program_words begin(const struct tools *tools, const struct image_place *place)
{
    struct program_words words = {0};
    program_add(&words, tools->machine);
    program_add(&words, "--program");
    program_add(&words, tools->prepare);
    program_add(&words, "--directory");
    program_add(&words, place->directory);
    return words;
}

/* The version that is named, or the latest one. An exit status; json_decref() it. */
static int find_version(const struct cli *cli, const char *name, json_t **ret_version)
{
    json_t *json, *version;
    size_t i;
    cleanup_free char *path = cli_path("/v1/images", name);
    int r = cli_ask(cli, "GET", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    json_t *latest = NULL;
    json_array_foreach(json_object_get(json, "versions"), i,
                       version) if (!latest || print_number(version, "version") >
                                                   print_number(latest, "version")) latest =
        version;
    if (!latest || !print_text(latest, "path")) {
        fprintf(stderr, "nodisk: image %s has no version that is a file\n", name);
        r = CLI_FAILED;
    } else {
        *ret_version = json_incref(latest);
    }
    json_decref(json);
    return r;
}

/* Only looks: with these words of `nodisk prepare`. An exit status. */
static int look(const struct cli *cli, const struct args *args, const struct tools *tools,
                const json_t *version, const char *how)
{
    struct image_place place = IMAGE_PLACE_NONE;
    struct error error;
    int status = CLI_FAILED;
    int r = image_place_make("look", &place, &error);
    cleanup_words struct program_words words = begin(tools, &place);
    program_add(&words, print_text(version, "path"));
    program_add(&words, how);
    program_add(&words, cli->json ? "--json" : NULL);
    if (!str_eq(how, "--check"))
        add_options(&words, args);
    if (r == 0)
        r = program_show(words.argv, &status, &error);
    if (r == -EINTR)
        error_set(&error, r, "interrupted: nothing was left behind");
    image_place_remove(&place);
    return r < 0 ? cli_fail(&error) : status;
}

static int copy(const char *from, const char *to, struct error *ret_error)
{
    const char *const argv[] = {"cp", "--sparse=always", "--reflink=auto", "--", from, to, NULL};
    fputs("nodisk: copying it\n", stderr);
    return program_run(argv, ret_error);
}

/* Of the copy at the place. */
static int prepare(const struct args *args, const struct tools *tools,
                   const struct image_place *place, struct error *ret_error)
{
    cleanup_words struct program_words words = begin(tools, place);
    program_add(&words, "--write");
    if (!args_given(args, "no-network"))
        program_add(&words, "--network");
    program_add(&words, place->file);
    program_add(&words, "--no-undo"); /* the version before is there for that */
    add_options(&words, args);
    return program_run(words.argv, ret_error);
}

/* Those of the version before, with what is said now. An exit status; json_decref() it. */
static int make_labels(const struct args *args, const json_t *version, json_t **ret_labels)
{
    json_t *labels = json_object();
    int r = image_set_labels(args, "label", labels);
    json_object_set_new_nocheck(labels, "prepared", json_string(NODISK_VERSION));
    json_object_update_missing(labels, json_object_get(version, "labels"));
    if (r == CLI_OK)
        *ret_labels = labels;
    else
        json_decref(labels);
    return r;
}

static int import(const struct cli *cli, const char *name, const char *file, json_t *labels,
                  json_t **ret_json)
{
    struct cli_job job = {.interrupted = "the daemon undoes what was not finished"};
    snprintf(job.what, sizeof(job.what), "importing %.64s", name);
    return cli_ask(cli, "POST", "/v1/images",
                   json_pack("{s:s, s:s, s:O}", "name", name, "path", file, "labels", labels), &job,
                   ret_json);
}

/* A new version, called `name`. An exit status. */
static int make_version(const struct cli *cli, const struct args *args, const struct tools *tools,
                        const json_t *version, const char *name, json_t **ret_json)
{
    struct image_place place = IMAGE_PLACE_NONE;
    struct error error;
    json_t *labels;
    int status = make_labels(args, version, &labels);
    if (status != CLI_OK)
        return status;
    int r = image_place_make("image", &place, &error);
    if (r == 0)
        r = copy(print_text(version, "path"), place.file, &error);
    if (r == 0)
        r = prepare(args, tools, &place, &error);
    if (r == -EINTR)
        error_set(&error, r, "interrupted: nothing was left behind, and no image was made");
    status = r < 0 ? cli_fail(&error) : import(cli, name, place.file, labels, ret_json);
    image_place_remove(&place);
    json_decref(labels);
    return status;
}

static int prepare_version(const struct cli *cli, const struct args *args,
                           const struct tools *tools, const json_t *version)
{
    json_t *json;
    const char *given = args_value(args, "name");
    char name[NAME_MAX + 1];
    if (!str_copy(name, sizeof(name), given ? given : args->words[0]))
        return cli_bad_value("name", name, "is too long");
    if (!given)
        name[strcspn(name, "@")] = '\0';
    int r = make_version(cli, args, tools, version, name, &json);
    if (r != CLI_OK)
        return r;
    cleanup_free char *reference = strdup(print_text(json, "reference") ?: name);
    return cli_done(cli, json, "image %s is made, of %s\n", reference,
                    print_text(version, "reference"));
}

static int with_version(const struct cli *cli, const struct args *args,
                        int (*work)(const struct cli *cli, const struct args *args,
                                    const struct tools *tools, const json_t *version))
{
    struct tools tools;
    struct error error;
    json_t *version = NULL;
    int r = find_tools(&tools, &error) < 0 ? cli_fail(&error)
                                           : find_version(cli, args->words[0], &version);
    if (r == CLI_OK) {
        r = work(cli, args, &tools, version);
        json_decref(version);
    }
    free_tools(&tools);
    return r;
}

static int look_for_faults(const struct cli *cli, const struct args *args,
                           const struct tools *tools, const json_t *version)
{
    return look(cli, args, tools, version, "--check");
}

static int prepare_or_show(const struct cli *cli, const struct args *args,
                           const struct tools *tools, const json_t *version)
{
    return args_given(args, "dry-run") ? look(cli, args, tools, version, "--dry-run")
                                       : prepare_version(cli, args, tools, version);
}

int image_check(const struct cli *cli, const struct args *args)
{
    return with_version(cli, args, look_for_faults);
}

int image_prepare(const struct cli *cli, const struct args *args)
{
    return with_version(cli, args, prepare_or_show);
}
