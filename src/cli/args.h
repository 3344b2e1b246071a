/*
 * The command line: nouns, their verbs, and the options of each, as tables. The parser, the help
 * texts and "did you mean" all read the same tables.
 */
#pragma once

#include "core/util.h"

#define ARGS_MAX_WORDS  64
#define ARGS_MAX_VALUES 64

struct cli;
struct args;

struct cli_option {
    const char *name;  /* without the dashes */
    const char *value; /* what stands for its value in the help; NULL: a flag */
    const char *help;
    bool repeated; /* may be given more than once */
    /* of a repeated one: does this word still belong to it ("--mac A B")? NULL: never */
    bool (*takes_also)(const char *word);
};

struct cli_verb {
    const char *name;  /* "" if the noun is the whole command */
    const char *words; /* "NAME", or "" */
    unsigned n_words;  /* that are required */
    const char *summary;
    const struct cli_option *options;
    size_t n_options;
    const char *more; /* further lines of its help, or NULL */
    int (*run)(const struct cli *cli, const struct args *args);
    unsigned n_optional; /* further words that may be given */
};

struct cli_noun {
    const char *name;
    const char *summary;
    const struct cli_verb *verbs;
    size_t n_verbs;
    /* of another file, or NULL; listed behind those */
    const struct cli_verb *more_verbs;
    size_t n_more_verbs;
};

static inline size_t cli_noun_count(const struct cli_noun *noun)
{
    return noun->n_verbs + noun->n_more_verbs;
}

static inline const struct cli_verb *cli_noun_verb(const struct cli_noun *noun, size_t index)
{
    return index < noun->n_verbs ? &noun->verbs[index] : &noun->more_verbs[index - noun->n_verbs];
}

struct args_value {
    const struct cli_option *option;
    const char *value; /* NULL: a flag */
};

struct args {
    /* global options */
    const char *socket;
    bool json, help, version;

    const struct cli_noun *noun;
    const struct cli_verb *verb;
    const char *words[ARGS_MAX_WORDS];
    unsigned n_words;
    struct args_value values[ARGS_MAX_VALUES];
    size_t n_values;
};

/* 0, or -EINVAL with what is wrong in ret_problem (a sentence without the program's name). Noun
 * and verb may be missing when help or version was asked for. Everything points into argv. */
int args_parse(int argc, char **argv, const struct cli_noun *nouns, size_t n_nouns,
               struct args *ret_args, char ret_problem[static 256]) MUST_CHECK;

bool args_given(const struct args *args, const char *name);
/* The value given last; NULL if it was not given. */
const char *args_value(const struct args *args, const char *name);

/* The word of the list that is most like this one, or NULL if none is like it. */
const char *args_nearest(const char *word, const char *const *list, size_t count);
