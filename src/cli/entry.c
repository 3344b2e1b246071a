/* nodisk entry add | list | show | fetch | remove */
#include "cli/command.h"
#include "core/answer.h"
#include "ipxe/variables.h"

static const struct cli_option add_options[] = {
    {"kernel", "FILE|URL", "of a live system: its kernel"},
    {"initrd", "FILE|URL", "and its initramfs; several in their order", true},
    {"args", "TEXT", "and what the kernel is told"},
    {"kernel-sha256", "HEX", "which checksum it must have"},
    {"initrd-sha256", "HEX", "likewise each initrd, in their order", true},
    {"preseed", "FILE", "makes it an installer of Debian's, with this template of answers"},
    {"autoinstall", "FILE", "likewise of Ubuntu's, with this one of user-data"},
    {"kickstart", "FILE", "likewise of Fedora, RHEL and the like"},
    {"set", "NAME=VALUE", "a variable of the template", true},
    {"script", "FILE", "an iPXE script"},
    {"title", "TEXT", "what menus call it"},
};

static int put_file(const struct args *args, const char *option, json_t *body)
{
    const char *value = args_value(args, option);
    if (!value)
        return CLI_OK;
    cleanup_free char *path = cli_file_or_url(value);
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
        cleanup_free char *path = cli_file_or_url(json_string_value(text));
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

/* The option that is given is the format. */
static int put_answer(const struct args *args, json_t *body)
{
    static const char *const formats[] = {"preseed", "autoinstall", "kickstart"};
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!args_given(args, formats[i]))
            continue;
        if (json_object_get(body, "format"))
            return cli_bad_value(formats[i], args_value(args, formats[i]),
                                 "an installer has answers in one format only");
        cleanup_free char *path = cli_absolute_path(args_value(args, formats[i]));
        if (!path)
            return CLI_FAILED;
        json_object_set_new(body, "format", json_string(formats[i]));
        json_object_set_new(body, "answer", json_string(path));
    }
    return CLI_OK;
}

static int put_variables(const struct args *args, json_t *body)
{
    json_t *texts = cli_texts(args, "set"), *text, *variables = json_object();
    size_t i;
    int r = CLI_OK;
    json_array_foreach(texts, i, text)
    {
        const char *word = json_string_value(text), *equals = strchr(word, '=');
        if (!equals)
            r = cli_bad_value("set", word, "it is NAME=VALUE");
        else
            json_object_setn_new(variables, word, (size_t)(equals - word), json_string(equals + 1));
    }
    json_decref(texts);
    if (json_object_size(variables) > 0)
        json_object_set(body, "variables", variables);
    json_decref(variables);
    return r;
}

static void put_digests(const struct args *args, json_t *body)
{
    json_t *list = cli_texts(args, "initrd-sha256");
    if (args_given(args, "kernel-sha256"))
        json_object_set_new(body, "kernel_sha256", json_string(args_value(args, "kernel-sha256")));
    if (json_array_size(list) > 0)
        json_object_set(body, "initrd_sha256", list);
    json_decref(list);
}

static int add(const struct cli *cli, const struct args *args)
{
    json_t *json, *body = json_pack("{s:s}", "name", args->words[0]);
    int r = put_file(args, "kernel", body);
    if (r == CLI_OK)
        r = put_file(args, "script", body);
    if (r == CLI_OK)
        r = put_initrds(args, body);
    if (r == CLI_OK)
        r = put_answer(args, body);
    if (r == CLI_OK)
        r = put_variables(args, body);
    put_digests(args, body);
    if (r != CLI_OK) {
        json_decref(body);
        return r;
    }
    if (args_given(args, "args"))
        json_object_set_new(body, "arguments", json_string(args_value(args, "args")));
    if (args_given(args, "title"))
        json_object_set_new(body, "title", json_string(args_value(args, "title")));
    struct cli_job job = {.interrupted = "nothing was added"};
    snprintf(job.what, sizeof(job.what), "adding %.64s", args->words[0]);
    r = cli_ask(cli, "POST", "/v1/boot-entries", body, &job, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "entry %s is there; have it booted: nodisk boot NODE %s%s\n",
                    args->words[0], args->words[0],
                    json_object_get(json, "answer") ? " --once" : "");
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

static void print_digests(const json_t *entry)
{
    json_t *digest;
    size_t i;
    if (json_is_string(json_object_get(entry, "kernel_sha256")))
        print_field("kernel's SHA-256", print_text(entry, "kernel_sha256"));
    json_array_foreach(json_object_get(entry, "initrd_sha256"), i, digest)
    {
        if (json_is_string(digest))
            print_field("initrd's SHA-256", json_string_value(digest));
    }
}

static void print_urls(const json_t *entry)
{
    json_t *url;
    size_t i;
    if (json_is_string(json_object_get(entry, "kernel_url")))
        print_field("kernel is from", print_text(entry, "kernel_url"));
    json_array_foreach(json_object_get(entry, "initrd_urls"), i, url)
    {
        if (json_is_string(url))
            print_field("initrd is from", json_string_value(url));
    }
}

static void print_answer(const json_t *entry)
{
    const char *name;
    json_t *value;
    print_field(print_text(entry, "format"), print_text(entry, "answer"));
    json_object_foreach(json_object_get(entry, "variables"), name, value)
    {
        char text[ANSWER_MAX_NAME + ANSWER_MAX_VALUE + 4];
        snprintf(text, sizeof(text), "%s=%s", name, json_string_value(value));
        print_field("variable", text);
    }
}

static void print_entry(const json_t *entry)
{
    char text[AGE_TEXT_SIZE];
    cleanup_free char *initrds = cli_join(json_object_get(entry, "initrds"));
    bool live = !str_eq(print_text(entry, "kind"), "script");
    print_field("entry", print_text(entry, "name"));
    print_field("kind", print_text(entry, "kind"));
    print_field("title", print_text(entry, "title"));
    print_field(live ? "kernel" : "script", print_text(entry, "file"));
    if (live) {
        print_field("initrds", initrds);
        print_field("arguments", print_text(entry, "arguments"));
        print_urls(entry);
        print_digests(entry);
    }
    if (json_object_get(entry, "answer"))
        print_answer(entry);
    print_field("added", print_time(print_number(entry, "created_at"), text));
}

static int show(const struct cli *cli, const struct args *args)
{
    cleanup_free char *path = cli_path("/v1/boot-entries", args->words[0]);
    return cli_show(cli, path, print_entry);
}

static int fetch(const struct cli *cli, const struct args *args)
{
    json_t *json;
    struct cli_job job = {.interrupted = "the entry has the files that it had"};
    snprintf(job.what, sizeof(job.what), "fetching %.64s", args->words[0]);
    int r = cli_ask(cli, "POST", "/v1/boot-entry-fetches",
                    json_pack("{s:s}", "entry", args->words[0]), &job, &json);
    if (r != CLI_OK)
        return r;
    return cli_done(cli, json, "entry %s has what its URLs have now\n", args->words[0]);
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

static void add_variables(struct table *table, const struct script_variable_name *names,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        table_add(table, names[i].name);
        table_add(table, names[i].what);
    }
}

static int list_variables(const struct cli *cli, const struct args *args)
{
    static const char *const headings[] = {"VARIABLE", "WHAT IT IS", NULL};
    struct table table = table_new(stdout, headings);
    size_t count;
    const struct script_variable_name *names = answer_variable_names(&count);
    add_variables(&table, names, count);
    names = script_variable_names(&count);
    add_variables(&table, names, count);
    table_print(&table, "");
    return CLI_OK;
}

static const struct cli_verb verbs[] = {
    {"add", "NAME", 1, "Makes something that nodes can boot beside volumes", add_options,
     ARRAY_SIZE(add_options),
     "A live system is a kernel and initramfs that nodes fetch over HTTP; an installer has a\n"
     "template of answers beside that, and installs onto the node's own volume; a script is run\n"
     "by their iPXE. The files stay where they are, and are read when a node boots; those that\n"
     "are a URL are fetched now, and kept.\n"
     "\n"
     "  nodisk entry add rescue --kernel /srv/rescue/vmlinuz --initrd /srv/rescue/initrd.img \\\n"
     "      --args \"console=ttyS0 toram\" --title \"Rescue system\"\n"
     "  nodisk entry add debian12 --kernel /srv/di/linux --initrd /srv/di/initrd.gz \\\n"
     "      --preseed /usr/share/nodisk/installers/debian.preseed --set "
     "mirror-host=deb.debian.org\n"
     "  nodisk boot web1 debian12 --once\n",
     add},
    {"list", "", 0, "All entries", NULL, 0, NULL, list},
    {"variables", "", 0, "What templates of answers can have put in", NULL, 0, NULL,
     list_variables},
    {"show", "NAME", 1, "One entry", NULL, 0, NULL, show},
    {"fetch", "NAME", 1, "Fetches its files anew that come from URLs", NULL, 0, NULL, fetch},
    {"remove", "NAME", 1, "Forgets an entry that no rule names", NULL, 0, NULL, remove_entry},
};

const struct cli_noun cli_entry = {
    "entry", "Live systems, installers and scripts that nodes can boot", verbs, ARRAY_SIZE(verbs)};
