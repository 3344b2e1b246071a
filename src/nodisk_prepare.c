/*
 * `nodisk prepare` alone, linked statically: what runs beside a disk that is looked at from inside
 * a small virtual machine (src/image_system), where none of this machine's libraries are. It takes
 * the command line of nodisk, without the noun.
 */
#include "cli/command.h"

int main(int argc, char **argv)
{
    const struct cli cli = {.socket = "/nowhere"};
    struct cli mine = cli;
    char problem[256], *words[ARGS_MAX_WORDS + 1] = {argv[0], (char *)"prepare"};
    struct args args;
    if (argc < 1 || argc >= ARGS_MAX_WORDS)
        return CLI_USAGE;
    memcpy(words + 2, argv + 1, (size_t)argc * sizeof(argv[0])); /* with its NULL */
    if (args_parse(argc + 1, words, &cli_prepare, 1, &args, problem) < 0 || !args.verb) {
        fprintf(stderr, "nodisk: %s\n", args.verb ? problem : "nothing to do");
        return CLI_USAGE;
    }
    mine.json = args.json;
    int status = args.verb->run(&mine, &args);
    return fflush(stdout) != 0 ? CLI_FAILED : status;
}
