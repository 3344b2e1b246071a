/* nodisk image import | list | show | verify | warm | rename | set | remove; image_create.c makes
 * them out of nothing */
#include "cli/command.h"
#include "cli/image_labels.h"
#include "cli/image_make.h"

static const struct cli_option import_options[] = {
    {"name", "NAME", "of the image; a name that exists gets its next version"},
    {"label", "KEY=VALUE", "something to remember of this version", true},
};

static const struct cli_option set_options[] = {
    {"label", "KEY=VALUE", "adds or changes a label", true},
    {"unlabel", "KEY", "takes a label away", true},
};

static int import(const struct cli *cli, const struct args *args)
{
    const char *name = args_value(args, "name");
    struct cli_job job = {.interrupted = "the daemon undoes what was not finished"};
    json_t *json;
    if (!name) {
        fprintf(stderr, "nodisk: name the image with --name NAME\n");
        return CLI_USAGE;
    }
    cleanup_free char *path = cli_absolute_path(args->words[0]);
    if (!path)
        return CLI_FAILED;
    json_t *labels = json_object();
    json_t *body = json_pack("{s:s, s:s, s:o}", "name", name, "path", path, "labels", labels);
    int r = image_set_labels(args, "label", labels);
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    snprintf(job.what, sizeof(job.what), "importing %.64s", name);
    r = cli_ask(cli, "POST", "/v1/images", body, &job, &json);
    if (r != CLI_OK)
        return r;
    cleanup_free char *reference = strdup(print_text(json, "reference") ?: name);
    return cli_done(cli, json, "image %s is imported\n", reference);
}

/* "os=debian12 role=web"; free() it. */
static char *labels_text(const json_t *image)
{
    const char *key;
    json_t *value, *list = json_array();
    json_object_foreach(json_object_get(image, "labels"), key, value)
        json_array_append_new(list, json_sprintf("%s=%s", key, json_string_value(value)));
    char *text = cli_join(list);
    json_decref(list);
    return text;
}

static void add_row(struct table *table, const json_t *image)
{
    char text[AGE_TEXT_SIZE];
    cleanup_free char *labels = labels_text(image);
    table_add(table, print_text(image, "reference"));
    table_add_size(table, print_number(image, "size"));
    table_add_size(table, print_number(image, "used"));
    table_add_number(table, json_array_size(json_object_get(image, "users")));
    table_add(table, print_time(print_number(image, "created_at"), text));
    table_add(table, labels);
}

static void print_images(const json_t *answer)
{
    static const char *const headings[] = {"IMAGE",    ">SIZE",  ">USED", ">USERS",
                                           "IMPORTED", "LABELS", NULL};
    table_print_all(headings, json_object_get(answer, "images"), add_row,
                    "no images yet; import one: nodisk image import FILE --name NAME");
}

/* What nodes read of it at boot, and how much of that is in memory. */
static void print_boot_set(const json_t *set)
{
    char size[SIZE_TEXT_SIZE], resident[SIZE_TEXT_SIZE], text[128];
    uint64_t boots = print_number(set, "boots");
    if (!json_is_object(set)) {
        print_field("boot set", "no boot was recorded yet");
        return;
    }
    snprintf(text, sizeof(text), "%s, from %llu %s; in memory: %s",
             size_format(print_number(set, "size"), size), (unsigned long long)boots,
             boots == 1 ? "boot" : "boots", size_format(print_number(set, "resident"), resident));
    print_field("boot set", text);
}

static void print_version(const json_t *image)
{
    char text[AGE_TEXT_SIZE], size[64];
    cleanup_free char *users = cli_join(json_object_get(image, "users"));
    cleanup_free char *labels = labels_text(image);
    print_field("image", print_text(image, "reference"));
    snprintf(size, sizeof(size), "%s (%llu bytes)", size_format(print_number(image, "size"), text),
             (unsigned long long)print_number(image, "size"));
    print_field("size", size);
    print_field("used", size_format(print_number(image, "used"), text));
    print_field("users", *users ? users : "none");
    print_field("labels", *labels ? labels : "none");
    print_boot_set(json_object_get(image, "boot_set"));
    print_field("imported", print_time(print_number(image, "created_at"), text));
    print_field("from", print_text(image, "source"));
    print_field("format", print_text(image, "format"));
    print_field("sha256",
                print_text(image, "sha256") ?: "not known; nodisk image verify records it");
    print_field("identity", print_text(image, "identity"));
    print_field("file", print_text(image, "path"));
}

static void print_image(const json_t *answer)
{
    cleanup_free char *volumes = cli_join(json_object_get(answer, "volumes"));
    const json_t *version;
    size_t i;
    json_array_foreach(json_object_get(answer, "versions"), i, version)
    {
        print_version(version);
        printf("\n");
    }
    printf("volumes made from it: %s\n", *volumes ? volumes : "none");
}

static int list(const struct cli *cli, const struct args *args)
{
    return cli_show(cli, "/v1/images", print_images);
}

static int show(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/images", args->words[0]);
    return cli_show(cli, path, print_image);
}

/* One version. On success its JSON is added to `results`. An exit status. */
static int verify_version(const struct cli *cli, const json_t *image, json_t *results)
{
    struct cli_job job = {.interrupted = "nothing is changed by that"};
    const char *reference = print_text(image, "reference");
    json_t *json;
    str_copy(job.what, sizeof(job.what), reference);
    int r = cli_ask(cli, "POST", "/v1/verifications", json_pack("{s:s}", "image", reference), &job,
                    &json);
    if (r != CLI_OK)
        return r;
    if (!cli->json && print_text(image, "sha256"))
        printf("image %s is whole\n", reference);
    else if (!cli->json)
        printf("image %s had no checksum; from now on it has: %s\n", reference,
               print_text(json, "sha256"));
    fflush(stdout);
    json_array_append_new(results, json);
    return CLI_OK;
}

/* All of them, even if one is damaged. */
static int verify_each(const struct cli *cli, const json_t *versions, json_t *results)
{
    const json_t *image;
    size_t i;
    int status = CLI_OK;
    json_array_foreach(versions, i, image)
    {
        int r = verify_version(cli, image, results);
        status = r == CLI_OK ? status : r;
    }
    return status;
}

/* All images, or those that are named. */
static int ask_versions(const struct cli *cli, const struct args *args, json_t **ret_json)
{
    if (args->n_words == 0)
        return cli_ask(cli, "GET", "/v1/images", NULL, NULL, ret_json);
    cleanup_free char *path = cli_path("/v1/images", args->words[0]);
    return cli_ask(cli, "GET", path, NULL, NULL, ret_json);
}

static int verify(const struct cli *cli, const struct args *args)
{
    json_t *json;
    int r = ask_versions(cli, args, &json);
    if (r != CLI_OK)
        return r;
    const json_t *versions = json_object_get(json, args->n_words ? "versions" : "images");
    json_t *results = json_array();
    r = verify_each(cli, versions, results);
    if (cli->json) {
        json_t *answer = json_pack("{s:O}", "whole", results);
        print_json(answer);
        json_decref(answer);
    } else if (json_array_size(versions) == 0) {
        printf("no images yet\n");
    }
    json_decref(results);
    json_decref(json);
    return r;
}

static int warm(const struct cli *cli, const struct args *args)
{
    struct cli_job job = {.interrupted = "what was read may stay in memory"};
    char resident[SIZE_TEXT_SIZE], size[SIZE_TEXT_SIZE];
    json_t *json;
    snprintf(job.what, sizeof(job.what), "warming %.64s", args->words[0]);
    int r = cli_ask(cli, "POST", "/v1/warmups", json_pack("{s:s}", "image", args->words[0]), &job,
                    &json);
    if (r != CLI_OK)
        return r;
    const json_t *set = json_object_get(json, "boot_set");
    size_format(print_number(set, "resident"), resident);
    size_format(print_number(set, "size"), size);
    cleanup_free char *reference = strdup(print_text(json, "reference") ?: args->words[0]);
    return cli_done(cli, json, "image %s: %s of the %s that nodes read at boot are in memory\n",
                    reference, resident, size);
}

static int rename_image(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/images", args->words[0]);
    int r = cli_ask(cli, "PATCH", path, json_pack("{s:s}", "name", args->words[1]), NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "image %s is now called %s\n", args->words[0], args->words[1]);
}

static int set(const struct cli *cli, const struct args *args)
{
    json_t *json, *labels = json_object(), *body = json_pack("{s:o}", "labels", labels);
    int r = image_set_labels(args, "label", labels);
    if (r == CLI_OK)
        r = image_set_labels(args, "unlabel", labels);
    if (r == CLI_OK && json_object_size(labels) == 0) {
        fprintf(stderr, "nodisk: say what to change; see: nodisk image set --help\n");
        r = CLI_USAGE;
    }
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    cleanup_free char *path = cli_path("/v1/images", args->words[0]);
    r = cli_ask(cli, "PATCH", path, body, NULL, &json);
    if (r != CLI_OK)
        return r;
    cleanup_free char *reference = strdup(print_text(json, "reference") ?: args->words[0]);
    return cli_done(cli, json, "image %s is changed\n", reference);
}

static int remove_image(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/images", args->words[0]);
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "image %s is removed\n", args->words[0]);
}

static const struct cli_verb verbs[] = {
    {"import", "FILE", 1, "Takes a disk image or a block device in as a golden image",
     import_options, ARRAY_SIZE(import_options),
     "FILE: raw, qcow2, VMDK, VHDX, VHD, VDI or QED, also packed by gzip, xz, zstd or bzip2, or a\n"
     "block device. It must be whole: one that is based on another file is refused.\n",
     import},
    {"list", "", 0, "All images and their versions", NULL, 0, NULL, list},
    {"show", "IMAGE[@N]", 1, "One image and the volumes made from it", NULL, 0, NULL, show},
    {"verify", "[IMAGE[@N]]", 0, "Reads images again and compares their checksums", NULL, 0,
     "Without IMAGE: all of them. Exit status 1 if one is not what was imported any more.\n",
     verify, 1},
    {"warm", "IMAGE[@N]", 1, "Reads what nodes read of it at boot, so that it is in memory", NULL,
     0, "Without @N: of the latest version. What nodes read is recorded while they boot.\n", warm},
    {"rename", "OLD NEW", 2, "Gives an image, with all of its versions, another name", NULL, 0,
     NULL, rename_image},
    {"set", "IMAGE[@N]", 1, "Changes the labels of a version", set_options, ARRAY_SIZE(set_options),
     "Without @N: of the latest one.\n", set},
    {"remove", "IMAGE[@N]", 1, "Removes one version, or all of them", NULL, 0,
     "One that a volume needs stays. Volumes that were copied from it do not need it any more.\n",
     remove_image},
};

const struct cli_noun cli_image = {.name = "image",
                                   .summary = "Golden images that disks are made from",
                                   .verbs = verbs,
                                   .n_verbs = ARRAY_SIZE(verbs),
                                   .more_verbs = image_make_verbs,
                                   .n_more_verbs = IMAGE_MAKE_VERBS};
