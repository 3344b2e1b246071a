#include "cli/args.h"

#include <errno.h>
#include <stdarg.h>

static const struct cli_option global_options[] = {
    {"socket", "PATH", NULL},
    {"json", NULL, NULL},
    {"help", NULL, NULL},
    {"version", NULL, NULL},
};

struct parser {
    int argc, at;
    char **argv;
    const struct cli_noun *nouns;
    size_t n_nouns;
    bool only_words; /* after "--" */
    struct args *args;
    char *problem;
};

static int problem(struct parser *p, const char *format, ...) PRINTF_LIKE(2, 3);

static int problem(struct parser *p, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(p->problem, 256, format, list);
    va_end(list);
    return -EINVAL;
}

/* Levenshtein's distance, cut off at 32 characters. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = strlen(b);
    if (n > 32 || strlen(a) > 32)
        return UINT32_MAX;
    for (unsigned k = 0; k <= n; k++)
        row[k] = k;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned k = 1; k <= n; k++) {
            unsigned above = row[k];
            unsigned change = diagonal + (a[i - 1] != b[k - 1]);
            row[k] = MIN(MIN(above, row[k - 1]) + 1, change);
            diagonal = above;
        }
    }
    return row[n];
}

const char *args_nearest(const char *word, const char *const *list, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = MIN(3, ((unsigned)strlen(word) + 3) / 2); /* it must be less */
    for (size_t i = 0; i < count; i++) {
        bool is_beginning = strlen(word) >= 2 && str_has_prefix(list[i], word);
        unsigned d = is_beginning ? 0 : distance(word, list[i]);
        if (d < best_distance) {
            best = list[i];
            best_distance = d;
        }
    }
    return best;
}

/* prefix: what stands before the word ("node "), for the message. */
static int unknown(struct parser *p, const char *prefix, const char *word, const char *const *list,
                   size_t count)
{
    const char *nearest = args_nearest(word, list, count);
    if (nearest)
        return problem(p, "there is no command '%s%.60s'; did you mean '%s%s'?", prefix, word,
                       prefix, nearest);
    return problem(p, "there is no command '%s%.60s'", prefix, word);
}

static int take_noun(struct parser *p, const char *word)
{
    const char *names[32];
    for (size_t i = 0; i < p->n_nouns; i++) {
        names[i] = p->nouns[i].name;
        if (!str_eq(word, names[i]))
            continue;
        p->args->noun = &p->nouns[i];
        if (p->nouns[i].verbs[0].name[0] == '\0')
            p->args->verb = &p->nouns[i].verbs[0];
        return 0;
    }
    return unknown(p, "", word, names, p->n_nouns);
}

static int take_verb(struct parser *p, const char *word)
{
    const struct cli_noun *noun = p->args->noun;
    const char *names[32];
    char prefix[32];
    for (size_t i = 0; i < cli_noun_count(noun); i++) {
        names[i] = cli_noun_verb(noun, i)->name;
        if (str_eq(word, names[i])) {
            p->args->verb = cli_noun_verb(noun, i);
            return 0;
        }
    }
    snprintf(prefix, sizeof(prefix), "%s ", noun->name);
    return unknown(p, prefix, word, names, cli_noun_count(noun));
}

static int take_word(struct parser *p, const char *word)
{
    struct args *args = p->args;
    if (!args->noun)
        return take_noun(p, word);
    if (!args->verb)
        return take_verb(p, word);
    if (args->n_words == args->verb->n_words + args->verb->n_optional)
        return problem(p, "'%.60s' is one word too many", word);
    args->words[args->n_words++] = word;
    return 0;
}

static const struct cli_option *find(const struct cli_option *options, size_t count,
                                     const char *name, size_t size)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == size && strncmp(options[i].name, name, size) == 0)
            return &options[i];
    return NULL;
}

static void set_global(struct args *args, const struct cli_option *option, const char *value)
{
    if (str_eq(option->name, "socket"))
        args->socket = value;
    else if (str_eq(option->name, "json"))
        args->json = true;
    else if (str_eq(option->name, "help"))
        args->help = true;
    else
        args->version = true;
}

static int add_value(struct parser *p, const struct cli_option *option, const char *value)
{
    struct args *args = p->args;
    if (!option->repeated && args_given(args, option->name))
        return problem(p, "--%s is given twice", option->name);
    if (args->n_values == ARGS_MAX_VALUES)
        return problem(p, "more than %d options are given", ARGS_MAX_VALUES);
    args->values[args->n_values++] = (struct args_value){option, value};
    return 0;
}

static int unknown_option(struct parser *p, const char *name, size_t size)
{
    const struct cli_verb *verb = p->args->verb;
    const char *names[32];
    char word[64];
    size_t count = 0;
    for (size_t i = 0; verb && i < verb->n_options; i++)
        names[count++] = verb->options[i].name;
    for (size_t i = 0; i < ARRAY_SIZE(global_options); i++)
        names[count++] = global_options[i].name;
    snprintf(word, sizeof(word), "%.*s", (int)MIN(size, sizeof(word) - 1), name);
    const char *nearest = args_nearest(word, names, count);
    if (nearest)
        return problem(p, "there is no option --%s; did you mean --%s?", word, nearest);
    return problem(p, "there is no option --%s", word);
}

/* "--mac A B": the words behind that can only be more of the same. */
static int take_further_values(struct parser *p, const struct cli_option *option)
{
    int r = 0;
    while (r >= 0 && option->takes_also && p->at < p->argc && option->takes_also(p->argv[p->at]))
        r = add_value(p, option, p->argv[p->at++]);
    return r;
}

static int take_option(struct parser *p, const char *text)
{
    const struct cli_verb *verb = p->args->verb;
    size_t size = strcspn(text, "=");
    const char *value = text[size] ? text + size + 1 : NULL;
    const struct cli_option *global = find(global_options, ARRAY_SIZE(global_options), text, size);
    const struct cli_option *option =
        global || !verb ? global : find(verb->options, verb->n_options, text, size);
    if (!option)
        return unknown_option(p, text, size);
    if (!option->value && value)
        return problem(p, "--%s takes no value", option->name);
    if (option->value && !value && p->at < p->argc)
        value = p->argv[p->at++];
    if (option->value && !value)
        return problem(p, "--%s needs a value: %s", option->name, option->value);
    if (global) {
        set_global(p->args, option, value);
        return 0;
    }
    int r = add_value(p, option, value);
    return r < 0 ? r : take_further_values(p, option);
}

static int take(struct parser *p, const char *word)
{
    if (p->only_words || word[0] != '-' || word[1] == '\0')
        return take_word(p, word);
    if (str_eq(word, "--")) {
        p->only_words = true;
        return 0;
    }
    if (str_eq(word, "-h"))
        return take_option(p, "help");
    if (word[1] != '-')
        return problem(p, "there is no option %.20s; options begin with two dashes", word);
    return take_option(p, word + 2);
}

/* Noun and verb come first, but for the global options. */
static int find_command(struct parser *p)
{
    int r = 0;
    for (p->at = 1; r >= 0 && p->at < p->argc && !p->args->verb;) {
        const char *word = p->argv[p->at++];
        if (word[0] != '-')
            r = take_word(p, word);
        else if (str_eq(word, "--socket"))
            p->at++;
        else if (str_eq(word, "--"))
            break;
    }
    return r;
}

/* Skips the words that find_command() took, then takes everything else. */
static int take_rest(struct parser *p)
{
    int r = 0;
    unsigned to_skip = !p->args->noun ? 0 : p->args->verb && p->args->verb->name[0] ? 2 : 1;
    for (p->at = 1; r >= 0 && p->at < p->argc;) {
        const char *word = p->argv[p->at++];
        if (to_skip > 0 && word[0] != '-')
            to_skip--;
        else
            r = take(p, word);
    }
    return r;
}

int args_parse(int argc, char **argv, const struct cli_noun *nouns, size_t n_nouns,
               struct args *ret_args, char ret_problem[static 256])
{
    *ret_args = (struct args){0};
    struct parser p = {.argc = argc,
                       .argv = argv,
                       .nouns = nouns,
                       .n_nouns = n_nouns,
                       .args = ret_args,
                       .problem = ret_problem};
    int r = find_command(&p);
    if (r >= 0)
        r = take_rest(&p);
    if (r < 0 || ret_args->help || ret_args->version)
        return r;
    if (!ret_args->noun)
        return problem(&p, "say what to do");
    if (!ret_args->verb)
        return problem(&p, "say what to do with '%s'", ret_args->noun->name);
    if (ret_args->n_words < ret_args->verb->n_words)
        return problem(&p, "%s is missing", ret_args->verb->words);
    return 0;
}

bool args_given(const struct args *args, const char *name)
{
    for (size_t i = 0; i < args->n_values; i++)
        if (str_eq(args->values[i].option->name, name))
            return true;
    return false;
}

const char *args_value(const struct args *args, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < args->n_values; i++)
        if (str_eq(args->values[i].option->name, name))
            value = args->values[i].value;
    return value;
}
