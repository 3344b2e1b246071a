/* nodisk image import | list | show | remove */
#include "cli/command.h"

static const struct cli_option import_options[] = {
    {"name", "NAME", "of the image; a name that exists gets its next version"},
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
    snprintf(job.what, sizeof(job.what), "importing %.64s", name);
    int r = cli_ask(cli, "POST", "/v1/images", json_pack("{s:s, s:s}", "name", name, "path", path),
                    &job, &json);
    if (r != CLI_OK)
        return r;
    cleanup_free char *reference = strdup(print_text(json, "reference") ?: name);
    return cli_done(cli, json, "image %s is imported\n", reference);
}

static void add_row(struct table *table, const json_t *image)
{
    char text[AGE_TEXT_SIZE];
    table_add(table, print_text(image, "reference"));
    table_add_size(table, print_number(image, "size"));
    table_add_size(table, print_number(image, "used"));
    table_add(table, print_time(print_number(image, "created_at"), text));
}

static void print_versions(const json_t *images)
{
    static const char *const headings[] = {"IMAGE", ">SIZE", ">USED", "IMPORTED", NULL};
    table_print_all(headings, images, add_row,
                    "no images yet; import one: nodisk image import FILE --name NAME");
}

static void print_images(const json_t *answer)
{
    print_versions(json_object_get(answer, "images"));
}

static void print_image(const json_t *answer)
{
    cleanup_free char *volumes = cli_join(json_object_get(answer, "volumes"));
    print_versions(json_object_get(answer, "versions"));
    printf("\nvolumes made from it: %s\n", *volumes ? volumes : "none");
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
    {"import", "FILE", 1, "Takes a raw disk image or a block device in as a golden image",
     import_options, ARRAY_SIZE(import_options),
     "Holes stay holes. Other formats are converted first: qemu-img convert -O raw FROM TO\n",
     import},
    {"list", "", 0, "All images and their versions", NULL, 0, NULL, list},
    {"show", "IMAGE[@N]", 1, "One image and the volumes made from it", NULL, 0, NULL, show},
    {"remove", "IMAGE[@N]", 1, "Removes one version, or all of them", NULL, 0,
     "Volumes made from it are copies of their own and stay.\n", remove_image},
};

const struct cli_noun cli_image = {"image", "Golden images that disks are copied from", verbs,
                                   ARRAY_SIZE(verbs)};
