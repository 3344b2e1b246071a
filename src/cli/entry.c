/* nodisk entry add | list | show | remove */
#include "cli/command.h"

static const struct cli_option add_options[] = {
    {"kernel", "FILE", "of a live system: its kernel"},
    {"initrd", "FILE", "and its initramfs; several in their order", true},
    {"args", "TEXT", "and what the kernel is told"},
    {"script", "FILE", "an iPXE script"},
    {"title", "TEXT", "what menus call it"},
};

static int put_file(const struct args *args, const char *option, json_t *body)
{
    const char *value = args_value(args, option);
    if (!value)
        return CLI_OK;
    cleanup_free char *path = cli_absolute_path(value);
    if (!path)
        return CLI_FAILED;
    json_object_set_new(body, option, json_string(path));
    return CLI_OK;
}

static int put_initrds(const struct args *args, json_t *body)
{
    json_t *texts = cli_texts(args, "initrd"), *text, *paths = json_array();
    size_t i;
    int r = CLI_OK;
    json_array_foreach(texts, i, text)
    {
        cleanup_free char *path = cli_absolute_path(json_string_value(text));
        if (!path)
            r = CLI_FAILED;
        else
            json_array_append_new(paths, json_string(path));
    }
    json_decref(texts);
    if (json_array_size(paths) > 0)
        json_object_set(body, "initrds", paths);
    json_decref(paths);
    return r;
}

static int add(const struct cli *cli, const struct args *args)
{
    json_t *json, *body = json_pack("{s:s}", "name", args->words[0]);
    int r = put_file(args, "kernel", body);
    if (r == CLI_OK)
        r = put_file(args, "script", body);
    if (r == CLI_OK)
        r = put_initrds(args, body);
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    if (args_given(args, "args"))
        json_object_set_new(body, "arguments", json_string(args_value(args, "args")));
    if (args_given(args, "title"))
        json_object_set_new(body, "title", json_string(args_value(args, "title")));
    r = cli_ask(cli, "POST", "/v1/boot-entries", body, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "entry %s is there; have it booted: nodisk boot NODE %s\n",
                    args->words[0], args->words[0]);
}

static void add_row(struct table *table, const json_t *entry)
{
    table_add(table, print_text(entry, "name"));
    table_add(table, print_text(entry, "kind"));
    table_add(table, print_text(entry, "file"));
    table_add(table, print_text(entry, "title"));
}

static void print_entries(const json_t *answer)
{
    static const char *const headings[] = {"ENTRY", "KIND", "FILE", "TITLE", NULL};
    table_print_all(headings, json_object_get(answer, "entries"), add_row,
                    "no boot entries yet; add one: nodisk entry add NAME --kernel FILE --initrd "
                    "FILE");
}

static int list(const struct cli *cli, const struct args *args)
{
    return cli_show(cli, "/v1/boot-entries", print_entries);
}

static void print_entry(const json_t *entry)
{
    char text[AGE_TEXT_SIZE];
    cleanup_free char *initrds = cli_join(json_object_get(entry, "initrds"));
    bool live = str_eq(print_text(entry, "kind"), "live");
    print_field("entry", print_text(entry, "name"));
    print_field("title", print_text(entry, "title"));
    print_field(live ? "kernel" : "script", print_text(entry, "file"));
    if (live) {
        print_field("initrds", initrds);
        print_field("arguments", print_text(entry, "arguments"));
    }
    print_field("added", print_time(print_number(entry, "created_at"), text));
}

static int show(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/boot-entries", args->words[0]);
    return cli_show(cli, path, print_entry);
}

static int remove_entry(const struct cli *cli, const struct args *args)
{
    json_t *json;
    cleanup_free char *path = cli_path("/v1/boot-entries", args->words[0]);
    int r = cli_ask(cli, "DELETE", path, NULL, NULL, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "entry %s is removed\n", args->words[0]);
}

static const struct cli_verb verbs[] = {
    {"add", "NAME", 1, "Makes something that nodes can boot beside volumes", add_options,
     ARRAY_SIZE(add_options),
     "A live system is a kernel and initramfs that nodes fetch over HTTP; a script is run by\n"
     "their iPXE. The files stay where they are, and are read when a node boots.\n"
     "\n"
     "  nodisk entry add rescue --kernel /srv/rescue/vmlinuz --initrd /srv/rescue/initrd.img \\\n"
     "      --args \"console=ttyS0 toram\" --title \"Rescue system\"\n",
     add},
    {"list", "", 0, "All entries", NULL, 0, NULL, list},
    {"show", "NAME", 1, "One entry", NULL, 0, NULL, show},
    {"remove", "NAME", 1, "Forgets an entry that no rule names", NULL, 0, NULL, remove_entry},
};

const struct cli_noun cli_entry = {"entry", "Live systems and scripts that nodes can boot", verbs,
                                   ARRAY_SIZE(verbs)};
