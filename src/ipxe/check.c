#include "ipxe/check.h"

#include "ipxe/settings.h"

#include <errno.h>
#include <stdarg.h>

#define MAX_NAMES 2048 /* of one kind, in a script */

struct names {
    char **list;
    size_t count;
};

struct checker {
    const struct script_check *check;
    struct names labels, own_settings, tested, told, chosen_from;
    struct names items; /* labels of menu items */
    bool out_of_memory;
    unsigned line;         /* of the command that is being looked at */
    enum script_next next; /* of it */
};

/* --- names --- */

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->list[i], name))
            return true;
    return false;
}

/* More than MAX_NAMES are not kept: then what is said of them may be wrong, so nothing is. */
static void add_name(struct checker *c, struct names *names, const char *name)
{
    if (names->count >= MAX_NAMES || has_name(names, name))
        return;
    char **list = reallocarray(names->list, names->count + 1, sizeof(*list));
    char *copy = strdup(name);
    if (list)
        names->list = list;
    if (list && copy)
        names->list[names->count++] = copy;
    else
        free(copy);
    c->out_of_memory |= !list || !copy;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
}

static void PRINTF_LIKE(3, 4)
    report(const struct checker *c, enum script_level level, const char *format, ...)
{
    struct script_problem problem = {.level = level, .line = c->line};
    va_list args;
    va_start(args, format);
    vsnprintf(problem.text, sizeof(problem.text), format, args);
    va_end(args);
    for (char *p = problem.text; *p; p++) /* it may come from anywhere */
        if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
            *p = '?';
    c->check->report(c->check->context, &problem);
}

/* --- commands, as far as several are taken alike --- */

/* The options that take a value of the commands below. */
static bool takes_value(const struct script_command *command, const char *option)
{
    static const char *const options[] = {"--name", "-n",     "--timeout", "-t",        "--key",
                                          "-k",     "--menu", "-m",        "--default", "-d"};
    size_t count = ARRAY_SIZE(options);
    if (str_eq(command->argv[0], "item"))
        count -= 2; /* of `choose` only: to `item` it is a flag */
    for (size_t i = 0; i < count; i++)
        if (str_eq(options[i], option))
            return true;
    return false;
}

/* The n-th word that is no option, from 0; NULL. */
static const char *operand(const struct script_command *command, size_t n)
{
    bool options = true;
    for (size_t i = 1; i < command->argc; i++) {
        const char *word = command->argv[i];
        if (options && str_eq(word, "--")) {
            options = false;
        } else if (options && word[0] == '-' && word[1]) {
            i += takes_value(command, word);
        } else if (n-- == 0) {
            return word;
        }
    }
    return NULL;
}

static bool has_option(const struct script_command *command, const char *name)
{
    for (size_t i = 1; i < command->argc; i++)
        if (str_eq(command->argv[i], name))
            return true;
    return false;
}

static bool is(const struct script_command *command, const char *name)
{
    return str_eq(command->argv[0], name);
}

/* "menu-timeout", "net0/ip:ipv4": without the type. */
static void setting_of_word(const char *word, char name[static SETTING_MAX_NAME + 1])
{
    str_copy(name, SETTING_MAX_NAME + 1, word);
    name[strcspn(name, ":")] = '\0';
}

/* The setting that a command gives a value; NULL: none. */
static const char *given_setting(const struct script_command *command)
{
    bool gives =
        is(command, "set") || is(command, "read") || is(command, "inc") || is(command, "choose");
    return gives ? operand(command, 0) : NULL;
}

/* --- the first look: what there is --- */

static void collect_label(void *context, unsigned line, const char *name)
{
    struct checker *c = context;
    c->line = line;
    if (has_name(&c->labels, name))
        report(c, SCRIPT_WARNING, "the label :%s is there twice; goto finds the first", name);
    add_name(c, &c->labels, name);
}

static void add_tested(void *context, const char *name)
{
    struct checker *c = context;
    add_name(c, &c->tested, name);
}

static void collect_command(void *context, const struct script_command *command)
{
    struct checker *c = context;
    char name[SETTING_MAX_NAME + 1];
    const char *setting = given_setting(command);
    if (setting) {
        setting_of_word(setting, name);
        add_name(c, &c->own_settings, name);
    }
    if (is(command, "choose") && setting) {
        setting_of_word(setting, name);
        add_name(c, &c->chosen_from, name);
    }
    if (is(command, "isset") || is(command, "iseq"))
        for (size_t i = 1; i < command->argc; i++)
            (void)setting_names(command->argv[i], add_tested, c);
}

/* --- the second: what is wrong with it --- */

static void check_loaders(const struct checker *c, int index)
{
    size_t count;
    const struct ipxe_command *command = &ipxe_commands(&count)[index];
    for (size_t i = 0; i < c->check->n_loaders; i++) {
        const struct script_loader *loader = &c->check->loaders[i];
        if (loader->abilities[index] != IPXE_LACKS)
            continue;
        report(c, c->next == SCRIPT_OR ? SCRIPT_WARNING : SCRIPT_ERROR,
               "the loader %s has no command %s%s%s", loader->name, command->name,
               command->instead ? ": " : "", command->instead ? command->instead : "");
    }
}

static void check_name(const struct checker *c, const struct script_command *command)
{
    const char *name = command->argv[0];
    if (strstr(name, "${"))
        return;
    int index = ipxe_command_find(name);
    if (index >= 0)
        check_loaders(c, index);
    else
        report(c, SCRIPT_ERROR, "iPXE has no command %s", name);
}

static void check_item_labels(const struct checker *c, const char *goto_word)
{
    for (size_t i = 0; i < c->chosen_from.count; i++) {
        char word[SETTING_MAX_NAME + 4];
        snprintf(word, sizeof(word), "${%s}", c->chosen_from.list[i]);
        if (!str_eq(word, goto_word))
            continue;
        for (size_t k = 0; k < c->items.count; k++)
            if (!has_name(&c->labels, c->items.list[k]))
                report(c, SCRIPT_ERROR, "the menu has an item %s, and there is no label :%s",
                       c->items.list[k], c->items.list[k]);
    }
}

static void check_goto(const struct checker *c, const struct script_command *command)
{
    const char *label = operand(command, 0);
    if (!label)
        report(c, SCRIPT_ERROR, "goto where? a label is missing");
    else if (strstr(label, "${"))
        check_item_labels(c, label);
    else if (!has_name(&c->labels, label) && c->labels.count < MAX_NAMES)
        report(c, SCRIPT_ERROR, "there is no label :%s", label);
}

static bool fetches(const struct script_command *command)
{
    static const char *const names[] = {"chain",  "kernel",   "initrd",
                                        "module", "imgfetch", "imgload"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (is(command, names[i]))
            return true;
    return false;
}

static void check_https(const struct checker *c, const char *url)
{
    for (size_t i = 0; i < c->check->n_loaders; i++)
        if (str_has_prefix(url, "https://") && c->check->loaders[i].lacks_https)
            report(c, c->next == SCRIPT_OR ? SCRIPT_WARNING : SCRIPT_ERROR,
                   "the loader %s has no HTTPS", c->check->loaders[i].name);
}

/* Neither query nor fragment are the file's. */
static void check_file(const struct checker *c, const struct script_command *command)
{
    const struct setting_scope scope = {c->check->setting, c->check->context};
    const char *own = c->check->own_url, *word = operand(command, 0);
    char url[2048];
    if (!word || !setting_expand(&scope, word, url, sizeof(url)))
        return;
    check_https(c, url);
    bool is_own = own && str_has_prefix(url, own);
    if (!c->check->has_file || (!is_own && (strstr(url, ":") || url[0] == '/')))
        return;
    url[strcspn(url, "?#")] = '\0';
    const char *path = is_own ? url + strlen(own) : url;
    if (path[0] && !c->check->has_file(c->check->context, is_own ? url : path))
        report(c, c->next == SCRIPT_OR ? SCRIPT_WARNING : SCRIPT_ERROR, "there is no file %s",
               path);
}

static void check_setting(void *context, const char *name)
{
    struct checker *c = context;
    bool known = setting_is_built_in(name) || has_name(&c->own_settings, name) ||
                 has_name(&c->tested, name) || c->check->setting(c->check->context, name);
    if (known || has_name(&c->told, name) || c->own_settings.count >= MAX_NAMES)
        return;
    add_name(c, &c->told, name);
    report(c, SCRIPT_WARNING, "nothing sets ${%s}", name);
}

/* Each menu has its own. */
static void collect_item(struct checker *c, const struct script_command *command)
{
    if (is(command, "menu")) {
        free_names(&c->items);
        c->items = (struct names){NULL, 0};
    }
    const char *label = operand(command, 0);
    if (is(command, "item") && label && !has_option(command, "--gap") &&
        !has_option(command, "-g") && !strstr(label, "${"))
        add_name(c, &c->items, label);
}

static void check_command(void *context, const struct script_command *command)
{
    struct checker *c = context;
    c->line = command->line;
    c->next = command->next;
    check_name(c, command);
    collect_item(c, command);
    if (is(command, "goto"))
        check_goto(c, command);
    if (fetches(command))
        check_file(c, command);
    for (size_t i = 0; i < command->argc; i++)
        if (!setting_names(command->argv[i], check_setting, c))
            report(c, SCRIPT_ERROR, "the ${ in %.100s has no }", command->argv[i]);
}

static void ignore_label(void *context, unsigned line, const char *name)
{
    (void)context;
    (void)line;
    (void)name;
}

static void check_magic(const struct checker *c, const char *text, size_t size)
{
    static const char magic[] = "#!ipxe", old[] = "#!gpxe";
    const size_t n = sizeof(magic) - 1;
    bool is_script = size > n && (memcmp(text, magic, n) == 0 || memcmp(text, old, n) == 0) &&
                     strchr(" \t\r\n", text[n]) && text[n];
    if (!is_script)
        report(c, SCRIPT_ERROR, "iPXE takes it for no script: its first line has to be #!ipxe");
}

static int look_twice(struct checker *c, const char *text, size_t size)
{
    const struct script_reader first = {collect_label, collect_command, c};
    const struct script_reader second = {ignore_label, check_command, c};
    c->line = 1;
    check_magic(c, text, size);
    int r = script_parse(text, size, &first);
    if (r >= 0)
        r = script_parse(text, size, &second);
    return r >= 0 && c->out_of_memory ? -ENOMEM : r;
}

int script_check(const char *text, size_t size, const struct script_check *check)
{
    struct checker c = {.check = check};
    int r = look_twice(&c, text, size);
    free_names(&c.labels);
    free_names(&c.own_settings);
    free_names(&c.tested);
    free_names(&c.told);
    free_names(&c.chosen_from);
    free_names(&c.items);
    return r;
}

/* --- what it sets --- */

struct taker {
    void (*take)(void *context, const char *name, const char *value);
    void *context;
};

static void join(const struct script_command *command, const char *first, char *buffer, size_t size)
{
    size_t used = 0, i = 1;
    while (i < command->argc && command->argv[i] != first)
        i++;
    buffer[0] = '\0';
    for (i++; i < command->argc && used < size; i++)
        used +=
            (size_t)snprintf(buffer + used, size - used, "%s%s", used ? " " : "", command->argv[i]);
}

static void take_setting(void *context, const struct script_command *command)
{
    const struct taker *taker = context;
    char name[SETTING_MAX_NAME + 1], value[1024] = "";
    const char *setting = given_setting(command);
    if (!setting)
        return;
    setting_of_word(setting, name);
    if (is(command, "set"))
        join(command, setting, value, sizeof(value));
    taker->take(taker->context, name, value);
}

int script_settings(const char *text, size_t size,
                    void (*take)(void *context, const char *name, const char *value), void *context)
{
    struct taker taker = {take, context};
    return script_parse(text, size, &(struct script_reader){ignore_label, take_setting, &taker});
}
