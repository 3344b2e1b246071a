/* nodisk script check: all scripts of a directory, held against iPXE and the loaders that run them.
 * Needs no daemon. */
#include "cli/script_check.h"

#include "cli/script_files.h"
#include "ipxe/settings.h"
#include "ipxe/tree.h"

#include <errno.h>
#include <limits.h>

#define DEFAULT_DIRECTORY "/etc/nodisk/scripts"
#define DEFAULT_LOADER    "/usr/lib/ipxe/snponly.efi"
#define MAX_LOADERS       8
#define MAX_LOADER_SIZE   (16 * MIB)

/* Stands for the URL that the directory will be served under. */
#define OWN_URL "tree:/"

struct checking {
    struct script_files files;
    struct script_variables variables; /* with a value each */
    struct script_variables settings;  /* that some script of the directory gives a value */
    struct script_loader loaders[MAX_LOADERS];
    size_t n_loaders;
    bool json;
    json_t *problems;
    const char *name; /* of the script that is being looked at */
    size_t n_errors, n_warnings;
    int failed; /* -errno: the memory has run out while a callback ran */
};

/* --- what is found --- */

static void tell(struct checking *c, enum script_level level, unsigned line, const char *text)
{
    const char *word = level == SCRIPT_ERROR ? "error" : "warning";
    c->n_errors += level == SCRIPT_ERROR;
    c->n_warnings += level == SCRIPT_WARNING;
    if (c->json)
        json_array_append_new(c->problems,
                              json_pack("{s:s, s:I, s:s, s:s}", "file", c->name, "line",
                                        (json_int_t)line, "level", word, "text", text));
    else if (line)
        printf("%s:%u: %s: %s\n", c->name, line, word, text);
    else
        printf("%s: %s: %s\n", c->name, word, text);
}

static void on_problem(void *context, const struct script_problem *problem)
{
    tell(context, problem->level, problem->line, problem->text);
}

/* --- what its scripts may use --- */

static const char *setting(void *context, const char *name)
{
    const struct checking *c = context;
    const char *value;
    if (str_eq(name, "boot-url"))
        return OWN_URL;
    if (script_variables_look((void *)&c->settings, name, &value) && value)
        return value;
    size_t count;
    const struct script_variable_name *ours = script_variable_names(&count);
    for (size_t i = 0; i < count; i++)
        if (str_eq(ours[i].name, name))
            return "";
    return NULL;
}

/* A path that is not ours is relative to its script, as iPXE takes it. */
static bool has_file(void *context, const char *path)
{
    const struct checking *c = context;
    char whole[PATH_MAX];
    if (str_has_prefix(path, OWN_URL))
        return script_files_has(&c->files, path + strlen(OWN_URL));
    const char *slash = strrchr(c->name, '/');
    int n = snprintf(whole, sizeof(whole), "%.*s%s", slash ? (int)(slash + 1 - c->name) : 0,
                     c->name, path);
    bool made = str_eq(whole, SCRIPT_TREE_SETTINGS) || str_eq(whole, SCRIPT_TREE_BOOT);
    return made || (n < (int)sizeof(whole) && script_files_has(&c->files, whole));
}

/* --- reading --- */

static bool is_template(const char *name)
{
    size_t n = strlen(name);
    return n > 3 && str_eq(name + n - 3, ".in");
}

/* Both ways of each condition, and a word for each value. */
static int show_template(struct checking *c, char **text, size_t *size, struct error *ret_error)
{
    const struct template_scope scope = {script_variables_look, &c->variables, true, NULL};
    char *shown;
    int r = template_render(*text, *size, &scope, &shown, size, ret_error);
    if (r < 0)
        return r;
    free(*text);
    *text = shown;
    return 0;
}

static int read_script(struct checking *c, const char *name, char **ret_text, size_t *ret_size,
                       struct error *ret_error)
{
    char *text;
    size_t size;
    int r = script_files_read(&c->files, name, &text, &size, ret_error);
    if (r >= 0 && is_template(name) && (r = show_template(c, &text, &size, ret_error)) < 0)
        free(text);
    if (r < 0)
        return r;
    *ret_text = text;
    *ret_size = size;
    return 0;
}

/* The first value counts, and those of boot.ipxe.cfg before all others. */
static void take_setting(void *context, const char *name, const char *value)
{
    struct checking *c = context;
    const char *known;
    if (!script_variables_look(&c->settings, name, &known) || !known)
        c->failed = MIN(c->failed, script_variables_set(&c->settings, name, value));
}

static void collect(struct checking *c, const char *name)
{
    cleanup_free char *text = NULL;
    size_t size;
    struct error ignored; /* told when it is checked */
    if (read_script(c, name, &text, &size, &ignored) < 0)
        return;
    if (script_settings(text, size, take_setting, c) == -ENOMEM)
        c->failed = -ENOMEM;
}

static bool is_settings_file(const char *name)
{
    return str_eq(name, SCRIPT_TREE_SETTINGS) || str_eq(name, SCRIPT_TREE_SETTINGS ".in");
}

static void collect_all(struct checking *c)
{
    for (int settings = 1; settings >= 0; settings--)
        for (size_t i = 0; i < c->files.count; i++)
            if (is_settings_file(c->files.names[i]) == settings)
                collect(c, c->files.names[i]);
}

/* Words that stand for what nodisk knows only when a machine asks. */
static int make_variables(struct checking *c, struct error *ret_error)
{
    size_t count, size;
    const struct script_variable_name *names = script_variable_names(&count);
    cleanup_free char *text = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *word = str_eq(names[i].name, "boot-url") ? OWN_URL : names[i].name;
        if (script_variables_set(&c->variables, names[i].name, word) < 0)
            return error_set(ret_error, -ENOMEM, "out of memory");
    }
    if (!script_files_has(&c->files, SCRIPT_VARIABLES_FILE))
        return 0;
    int r = script_files_read(&c->files, SCRIPT_VARIABLES_FILE, &text, &size, ret_error);
    if (r >= 0)
        r = script_variables_read(&c->variables, text, size, ret_error);
    return r < 0 ? error_prefix(ret_error, "%s", SCRIPT_VARIABLES_FILE) : 0;
}

/* --- loaders --- */

static bool lacks_https(const uint8_t *data, size_t size)
{
    struct loader_file file;
    size_t count;
    const struct loader_feature *features = loader_file_features(&count);
    loader_file_look(data, size, true, &file);
    for (size_t i = 0; i < count; i++)
        if (str_eq(features[i].name, "HTTPS"))
            return file.missing & 1U << i;
    return false;
}

static int look_at_loader(struct checking *c, const char *path, const uint8_t *data, size_t size,
                          struct error *ret_error)
{
    struct loader_file file;
    loader_file_look(data, size, true, &file);
    if (!file.is_ipxe)
        return error_set(ret_error, -EINVAL, "%s does not show that it is iPXE", path);
    if (!file.missing)
        return error_set(ret_error, -EINVAL,
                         "%s does not show its commands, since it is compressed or not whole; name "
                         "the .efi of the same build",
                         path);
    struct script_loader *loader = &c->loaders[c->n_loaders++];
    const char *slash = strrchr(path, '/');
    str_copy(loader->name, sizeof(loader->name), slash ? slash + 1 : path);
    loader->lacks_https = lacks_https(data, size);
    ipxe_commands_look(data, size, true, loader->abilities);
    return 0;
}

static int add_loader(struct checking *c, const char *path, struct error *ret_error)
{
    if (c->n_loaders == MAX_LOADERS)
        return error_set(ret_error, -E2BIG, "up to %u loaders can be named", MAX_LOADERS);
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f)
        return error_set(ret_error, -errno, "cannot open %s: %s", path, strerror(errno));
    cleanup_free uint8_t *data = malloc(MAX_LOADER_SIZE);
    if (!data)
        return error_set(ret_error, -ENOMEM, "out of memory");
    size_t size = fread(data, 1, MAX_LOADER_SIZE, f);
    return look_at_loader(c, path, data, size, ret_error);
}

/* Debian's, if none is named and that is there. */
static int add_loaders(struct checking *c, const struct args *args, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < args->n_values; i++)
        if (str_eq(args->values[i].option->name, "loader"))
            r = add_loader(c, args->values[i].value, ret_error);
    if (r >= 0 && c->n_loaders == 0 && access(DEFAULT_LOADER, R_OK) == 0)
        r = add_loader(c, DEFAULT_LOADER, ret_error);
    return r;
}

/* --- the command --- */

static void check_one(struct checking *c, const char *name)
{
    const struct script_check check = {.loaders = c->loaders,
                                       .n_loaders = c->n_loaders,
                                       .setting = setting,
                                       .has_file = has_file,
                                       .own_url = OWN_URL,
                                       .report = on_problem,
                                       .context = c};
    cleanup_free char *text = NULL;
    size_t size;
    struct error error;
    c->name = name;
    if (read_script(c, name, &text, &size, &error) < 0)
        tell(c, SCRIPT_ERROR, 0, error.text);
    else if (script_check(text, size, &check) < 0)
        c->failed = -ENOMEM;
}

static void print_end(const struct checking *c)
{
    char loaders[MAX_LOADERS * 66] = "";
    for (size_t i = 0; i < c->n_loaders; i++)
        snprintf(loaders + strlen(loaders), sizeof(loaders) - strlen(loaders), "%s%s",
                 i ? ", " : "", c->loaders[i].name);
    printf("%s%zu script%s of %s, for %s: %zu error%s, %zu warning%s\n",
           c->n_errors + c->n_warnings ? "\n" : "", c->files.count, c->files.count == 1 ? "" : "s",
           c->files.path, loaders[0] ? loaders : "any iPXE", c->n_errors,
           c->n_errors == 1 ? "" : "s", c->n_warnings, c->n_warnings == 1 ? "" : "s");
}

static json_t *to_json(const struct checking *c)
{
    json_t *loaders = json_array();
    for (size_t i = 0; i < c->n_loaders; i++)
        json_array_append_new(loaders, json_string(c->loaders[i].name));
    return json_pack("{s:s, s:I, s:o, s:I, s:I, s:O}", "directory", c->files.path, "scripts",
                     (json_int_t)c->files.count, "loaders", loaders, "errors",
                     (json_int_t)c->n_errors, "warnings", (json_int_t)c->n_warnings, "problems",
                     c->problems);
}

static int run(struct checking *c, const struct args *args, struct error *ret_error)
{
    const char *path = args->n_words ? args->words[0] : DEFAULT_DIRECTORY;
    int r = add_loaders(c, args, ret_error);
    if (r >= 0)
        r = script_files_open(path, &c->files, ret_error);
    if (r >= 0)
        r = make_variables(c, ret_error);
    if (r < 0)
        return r;
    collect_all(c);
    for (size_t i = 0; i < c->files.count; i++)
        check_one(c, c->files.names[i]);
    return c->failed < 0 ? error_set(ret_error, c->failed, "out of memory") : 0;
}

int script_check_command(const struct cli *cli, const struct args *args)
{
    struct checking *c = calloc(1, sizeof(*c)); /* too much for a stack */
    struct error error = {0};
    if (!c)
        return cli_fail(&(struct error){-ENOMEM, "out of memory"});
    c->files.directory = -1;
    c->json = cli->json;
    c->problems = json_array();
    int r = run(c, args, &error);
    int status = r < 0 ? cli_fail(&error) : c->n_errors ? CLI_FAILED : CLI_OK;
    if (r >= 0 && c->json) {
        json_t *json = to_json(c);
        print_json(json);
        json_decref(json);
    } else if (r >= 0) {
        print_end(c);
    }
    json_decref(c->problems);
    script_variables_free(&c->variables);
    script_variables_free(&c->settings);
    script_files_close(&c->files);
    free(c);
    return status;
}
