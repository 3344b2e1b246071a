/* The table of nouns, the help texts, and the way from argv to a command. */
#include "cli/cli.h"

#include "cli/command.h"

#include <locale.h>

#define DEFAULT_SOCKET "/run/nodisk/nodisk.sock"

static const struct cli_noun *const noun_list[] = {
    &cli_node,    &cli_boot,   &cli_entry,   &cli_image,  &cli_volume,
    &cli_group,   &cli_lease,  &cli_session, &cli_status, &cli_watch,
    &cli_loaders, &cli_script, &cli_export,  &cli_ibft,   &cli_prepare};

static const char head[] = "usage: nodisk [--socket PATH] [--json] NOUN VERB ...\n"
                           "       nodisk serve --config FILE [--check]\n";

static const char tail[] =
    "\n"
    "      --socket PATH  of the daemon's socket (or NODISK_SOCKET; default " DEFAULT_SOCKET ")\n"
    "      --json         print for programs\n"
    "      --version      print the version\n"
    "  -h, --help         this text; also after a NOUN or a VERB\n";

static void help_program(FILE *file, const struct cli_noun *nouns, size_t count)
{
    fprintf(file, "%s\nDiskless machines from one server.\n\n", head);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "  %-8s %s\n", nouns[i].name, nouns[i].summary);
    fprintf(file, "  %-8s %s\n", "serve", "the daemon itself");
    fputs(tail, file);
}

static void help_noun(FILE *file, const struct cli_noun *noun)
{
    fprintf(file, "usage: nodisk %s VERB ...\n\n%s.\n\n", noun->name, noun->summary);
    for (size_t i = 0; i < cli_noun_count(noun); i++) {
        char usage[64];
        const struct cli_verb *verb = cli_noun_verb(noun, i);
        snprintf(usage, sizeof(usage), "%s %s", verb->name, verb->words);
        fprintf(file, "  %-16s %s\n", usage, verb->summary);
    }
    fprintf(file, "\nMore about each: nodisk %s VERB --help\n", noun->name);
}

static void help_verb(FILE *file, const struct cli_noun *noun, const struct cli_verb *verb)
{
    fprintf(file, "usage: nodisk %s", noun->name);
    if (verb->name[0])
        fprintf(file, " %s", verb->name);
    if (verb->words[0])
        fprintf(file, " %s", verb->words);
    fprintf(file, "%s\n\n%s.\n", verb->n_options ? " [OPTIONS]" : "", verb->summary);
    if (verb->n_options)
        fputc('\n', file);
    for (size_t i = 0; i < verb->n_options; i++) {
        const struct cli_option *o = &verb->options[i];
        char usage[64];
        snprintf(usage, sizeof(usage), "--%s%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "", o->repeated ? "..." : "");
        fprintf(file, "  %-28s %s\n", usage, o->help);
    }
    if (verb->more)
        fprintf(file, "\n%s", verb->more);
}

static int help(const struct args *args, const struct cli_noun *nouns, size_t count)
{
    if (args->verb)
        help_verb(stdout, args->noun, args->verb);
    else if (args->noun)
        help_noun(stdout, args->noun);
    else
        help_program(stdout, nouns, count);
    return CLI_OK;
}

static int usage_error(const struct args *args, const char *problem)
{
    fprintf(stderr, "nodisk: %s\n", problem);
    if (args->verb && args->verb->name[0])
        fprintf(stderr, "see: nodisk %s %s --help\n", args->noun->name, args->verb->name);
    else if (args->noun)
        fprintf(stderr, "see: nodisk %s --help\n", args->noun->name);
    else
        fprintf(stderr, "see: nodisk --help\n");
    return CLI_USAGE;
}

static int run(const struct args *args)
{
    const char *environment = getenv("NODISK_SOCKET");
    const struct cli cli = {
        .json = args->json,
        .socket = args->socket                    ? args->socket
                  : environment && environment[0] ? environment
                                                  : DEFAULT_SOCKET,
    };
    client_catch_signals();
    int status = args->verb->run(&cli, args);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (status == CLI_OK)
            fprintf(stderr, "nodisk: the output could not be written\n");
        return CLI_FAILED;
    }
    return status;
}

int cli_main(int argc, char **argv)
{
    struct cli_noun nouns[ARRAY_SIZE(noun_list)];
    struct args args;
    char problem[256];
    for (size_t i = 0; i < ARRAY_SIZE(noun_list); i++)
        nouns[i] = *noun_list[i];
    if (argc < 2) {
        help_program(stderr, nouns, ARRAY_SIZE(nouns));
        return CLI_USAGE;
    }
    int r = args_parse(argc, argv, nouns, ARRAY_SIZE(nouns), &args, problem);
    if (r < 0)
        return usage_error(&args, problem);
    if (args.help)
        return help(&args, nouns, ARRAY_SIZE(nouns));
    if (args.version) {
        puts("nodisk " NODISK_VERSION);
        return CLI_OK;
    }
    return run(&args);
}
