#include "cli/overlay.h"

#include "cli/selection.h"

#define WHEN_OPTIONS                                                                               \
    {"at-next-boot", NULL, "not now, but when its node boots the next time"},                      \
    {                                                                                              \
        "force", NULL, "also while it is in use: ends the session of whoever uses it"              \
    }

static int ask_change(const struct cli *cli, const struct args *args, const char *volume,
                      json_t *body, json_t **ret_json)
{
    json_object_set_new(body, "volume", json_string(volume));
    if (args_given(args, "at-next-boot"))
        json_object_set_new(body, "at_next_boot", json_true());
    if (args_given(args, "force"))
        json_object_set_new(body, "force", json_true());
    return cli_ask(cli, "POST", "/v1/changes", body, NULL, ret_json);
}

static int check_when(const struct args *args)
{
    if (!args_given(args, "at-next-boot") || !args_given(args, "force"))
        return CLI_OK;
    fprintf(stderr, "nodisk: give either --at-next-boot or --force\n");
    return CLI_USAGE;
}

static const char *word(const struct args *args, unsigned index)
{
    return index < args->n_words ? args->words[index] : NULL;
}

/* What is staged for it already: so, and with this argument (or NULL)? */
static bool is_staged(const json_t *volume, const char *change, const char *argument)
{
    const json_t *overlay = json_object_get(volume, "overlay");
    const char *staged = print_text(overlay, "staged");
    const char *its = print_text(overlay, "staged_argument");
    return staged && str_eq(staged, change) && (!argument || (its && str_eq(its, argument)));
}

/* --- reset --- */

static bool reset_is_due(const struct args *args, const json_t *volume)
{
    return !args_given(args, "at-next-boot") || !is_staged(volume, "reset", NULL);
}

static int do_reset(const struct cli *cli, const struct args *args, const char *volume,
                    json_t **ret_json)
{
    return ask_change(cli, args, volume, json_pack("{s:s}", "change", "reset"), ret_json);
}

static void tell_reset(const struct args *args, const json_t *answer, char *text, size_t size)
{
    const char *image = print_text(answer, "image");
    if (args_given(args, "at-next-boot"))
        str_copy(text, size, "is reset when its node boots the next time");
    else if (image)
        snprintf(text, size, "is as %.80s is", image);
    else
        str_copy(text, size, "is empty");
}

static int reset(const struct cli *cli, const struct args *args)
{
    static const struct selection_action action = {reset_is_due, do_reset, tell_reset};
    int r = check_when(args);
    return r == CLI_OK ? selection_run(cli, args, word(args, 0), &action) : r;
}

static const struct cli_option reset_options[] = {WHEN_OPTIONS, SELECTION_OPTIONS,
                                                  SELECTION_BATCH_OPTIONS};

/* --- rebase --- */

/* "debian12" stands for its latest version, which only the daemon knows. */
static bool rebase_is_due(const struct args *args, const json_t *volume)
{
    const char *wanted = args_value(args, "image"), *has = print_text(volume, "image");
    if (has && str_eq(has, wanted))
        return false;
    return !args_given(args, "at-next-boot") || !is_staged(volume, "rebase", wanted);
}

static int do_rebase(const struct cli *cli, const struct args *args, const char *volume,
                     json_t **ret_json)
{
    return ask_change(
        cli, args, volume,
        json_pack("{s:s, s:s}", "change", "rebase", "image", args_value(args, "image")), ret_json);
}

static void tell_rebase(const struct args *args, const json_t *answer, char *text, size_t size)
{
    const char *kept = print_text(answer, "kept");
    if (kept)
        snprintf(text, size, "is as %.80s is; what it was is its snapshot %.64s",
                 print_text(answer, "image"), kept);
    else
        snprintf(text, size, "goes to %.80s when its node boots the next time",
                 args_value(args, "image"));
}

static int rebase(const struct cli *cli, const struct args *args)
{
    static const struct selection_action action = {rebase_is_due, do_rebase, tell_rebase};
    int r = check_when(args);
    if (r == CLI_OK && !args_given(args, "image")) {
        fprintf(stderr, "nodisk: say to which image, with --image IMAGE[@N]\n");
        r = CLI_USAGE;
    }
    return r == CLI_OK ? selection_run(cli, args, word(args, 0), &action) : r;
}

static const struct cli_option rebase_options[] = {
    {"image", "IMAGE[@N]", "the latest version of this image, or version N"},
    WHEN_OPTIONS,
    SELECTION_OPTIONS,
    SELECTION_BATCH_OPTIONS,
};

/* --- rollback: the snapshot is the last word --- */

static const char *volume_word(const struct args *args)
{
    return args->n_words > 1 ? args->words[0] : NULL;
}

static const char *snapshot_word(const struct args *args)
{
    return args->words[args->n_words - 1];
}

static bool rollback_is_due(const struct args *args, const json_t *volume)
{
    return !args_given(args, "at-next-boot") || !is_staged(volume, "rollback", snapshot_word(args));
}

static int do_rollback(const struct cli *cli, const struct args *args, const char *volume,
                       json_t **ret_json)
{
    return ask_change(
        cli, args, volume,
        json_pack("{s:s, s:s}", "change", "rollback", "snapshot", snapshot_word(args)), ret_json);
}

static void tell_rollback(const struct args *args, const json_t *answer, char *text, size_t size)
{
    snprintf(text, size,
             args_given(args, "at-next-boot")
                 ? "goes back to snapshot %.64s when its node boots the next time"
                 : "is as it was at snapshot %.64s",
             snapshot_word(args));
}

static int rollback(const struct cli *cli, const struct args *args)
{
    static const struct selection_action action = {rollback_is_due, do_rollback, tell_rollback};
    int r = check_when(args);
    return r == CLI_OK ? selection_run(cli, args, volume_word(args), &action) : r;
}

/* --- snapshots --- */

static int do_snapshot(const struct cli *cli, const struct args *args, const char *volume,
                       json_t **ret_json)
{
    return cli_ask(cli, "POST", "/v1/snapshots",
                   json_pack("{s:s, s:s}", "volume", volume, "name", snapshot_word(args)), NULL,
                   ret_json);
}

static void tell_snapshot(const struct args *args, const json_t *answer, char *text, size_t size)
{
    snprintf(text, size, "has a snapshot %.64s of what it is now", snapshot_word(args));
}

static int snapshot(const struct cli *cli, const struct args *args)
{
    static const struct selection_action action = {NULL, do_snapshot, tell_snapshot};
    return selection_run(cli, args, volume_word(args), &action);
}

static const struct cli_option selection_options[] = {SELECTION_OPTIONS};

static void add_row(struct table *table, const json_t *snapshot)
{
    char text[AGE_TEXT_SIZE];
    table_add(table, print_text(snapshot, "name"));
    table_add(table, print_text(snapshot, "image"));
    table_add_size(table, print_number(snapshot, "size"));
    table_add(table, print_time(print_number(snapshot, "created_at"), text));
}

static void print_snapshots(const json_t *answer)
{
    static const char *const headings[] = {"SNAPSHOT", "IMAGE", ">SIZE", "TAKEN", NULL};
    table_print_all(headings, json_object_get(answer, "snapshots"), add_row,
                    "no snapshots yet; take one: nodisk volume snapshot VOLUME NAME");
}

static int snapshots(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/snapshots", args->words[0]);
    return cli_show(cli, path, print_snapshots);
}

static int remove_snapshot(const struct cli *cli, const struct args *args)
{
    struct cli_job job = {.interrupted = "the snapshot is gone, and what it held is folded in with "
                                         "the next one that is removed"};
    json_t *json;
    cleanup_free char *path = cli_path("/v1/snapshots", args->words[0]);
    cleanup_free char *name = cli_path("", args->words[1]); /* "/NAME", encoded */
    cleanup_free char *full = NULL;
    if (asprintf(&full, "%s?name=%s", path, name + 1) < 0)
        abort();
    snprintf(job.what, sizeof(job.what), "removing snapshot %.64s", args->words[1]);
    int r = cli_ask(cli, "DELETE", full, NULL, &job, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "snapshot %s of volume %s is removed\n", args->words[1],
                    args->words[0]);
}

/* --- commit and export --- */

/* With the snapshot that was named, if one was. Takes over body. */
static int ask_fold(const struct cli *cli, const struct args *args, const char *path, json_t *body,
                    const char *what, json_t **ret_json)
{
    struct cli_job job = {.interrupted = "the daemon undoes what was not finished"};
    const char *snapshot = args_value(args, "snapshot");
    if (snapshot)
        json_object_set_new(body, "snapshot", json_string(snapshot));
    str_copy(job.what, sizeof(job.what), what);
    return cli_ask(cli, "POST", path, body, &job, ret_json);
}

#define SNAPSHOT_OPTION                                                                            \
    {                                                                                              \
        "snapshot", "SNAPSHOT", "as it was then, instead of as it is now"                          \
    }

static const struct cli_option commit_options[] = {SNAPSHOT_OPTION};
static const struct cli_option export_options[] = {
    SNAPSHOT_OPTION,
    {"format", "FORMAT", "raw or qcow2; without it what FILE ends with says, or it is raw"},
    {"compress", NULL, "of a qcow2: smaller, and slower to make"},
};

static int commit(const struct cli *cli, const struct args *args)
{
    char what[128], reference[128];
    json_t *json;
    snprintf(what, sizeof(what), "making image %.64s", args->words[1]);
    int r = ask_fold(cli, args, "/v1/commits",
                     json_pack("{s:s, s:s}", "volume", args->words[0], "image", args->words[1]),
                     what, &json);
    if (r != CLI_OK)
        return r;
    str_copy(reference, sizeof(reference), print_text(json, "reference") ?: args->words[1]);
    return cli_done(cli, json, "volume %s is image %s\n", args->words[0], reference);
}

static const char *export_format(const struct args *args)
{
    const char *file = args->words[1], *dot = strrchr(file, '.');
    return args_value(args, "format") ?: dot && str_eq(dot, ".qcow2") ? "qcow2" : "raw";
}

static int export(const struct cli *cli, const struct args *args)
{
    char what[128];
    json_t *json;
    cleanup_free char *path = cli_absolute_path(args->words[1]);
    if (!path)
        return CLI_FAILED;
    snprintf(what, sizeof(what), "exporting volume %.64s", args->words[0]);
    int r =
        ask_fold(cli, args, "/v1/exports",
                 json_pack("{s:s, s:s, s:s, s:b}", "volume", args->words[0], "path", path, "format",
                           export_format(args), "compress", (int)args_given(args, "compress")),
                 what, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "volume %s is in %s\n", args->words[0], path);
}

/* --- what is staged --- */

static bool unstage_is_due(const struct args *args, const json_t *volume)
{
    return print_text(json_object_get(volume, "overlay"), "staged") != NULL;
}

static int do_unstage(const struct cli *cli, const struct args *args, const char *volume,
                      json_t **ret_json)
{
    cleanup_free char *path = cli_path("/v1/changes", volume);
    return cli_ask(cli, "DELETE", path, NULL, NULL, ret_json);
}

static void tell_unstage(const struct args *args, const json_t *answer, char *text, size_t size)
{
    str_copy(text, size, "stays as it is when its node boots");
}

static int unstage(const struct cli *cli, const struct args *args)
{
    static const struct selection_action action = {unstage_is_due, do_unstage, tell_unstage};
    return selection_run(cli, args, word(args, 0), &action);
}

const struct cli_verb cli_overlay_verbs[CLI_N_OVERLAY_VERBS] = {
    {"reset", "[VOLUME]", 0, "Takes overlays back to their image", reset_options,
     ARRAY_SIZE(reset_options),
     "What was written since is gone, unless a snapshot has it. An overlay that follows its image\n"
     "takes the latest version.\n",
     reset, 1},
    {"rebase", "[VOLUME]", 0, "Puts overlays over another version of an image", rebase_options,
     ARRAY_SIZE(rebase_options),
     "What they were stays as a snapshot, so that nodisk volume rollback takes them back.\n",
     rebase, 1},
    {"snapshot", "[VOLUME] NAME", 1, "Keeps what overlays are now under a name", selection_options,
     ARRAY_SIZE(selection_options),
     "Also while they are in use: then it is as after a power cut, which journals bear.\n",
     snapshot, 1},
    {"snapshots", "VOLUME", 1, "All snapshots of a volume", NULL, 0, NULL, snapshots},
    {"rollback", "[VOLUME] SNAPSHOT", 1, "Takes overlays back to a snapshot", reset_options,
     ARRAY_SIZE(reset_options),
     "What was written since is gone, unless another snapshot has it. The snapshot stays.\n",
     rollback, 1},
    {"remove-snapshot", "VOLUME SNAPSHOT", 2, "Removes a snapshot; the volume stays as it is", NULL,
     0, NULL, remove_snapshot},
    {"commit", "VOLUME IMAGE", 2, "Makes a volume the next version of an image", commit_options,
     ARRAY_SIZE(commit_options),
     "An overlay also while it is in use: then it is as after a power cut. What it has of its own\n"
     "(keys of a server, logs) is in the image, too.\n",
     commit},
    {"export", "VOLUME FILE", 2, "Writes what is on a volume into a new file", export_options,
     ARRAY_SIZE(export_options), "What is on an overlay also while it is in use.\n", export},
    {"unstage", "[VOLUME]", 0, "Calls off what was to be done at the next boot", selection_options,
     ARRAY_SIZE(selection_options), NULL, unstage, 1},
};
