/* nodisk ibft: what firmware has left for the operating system, here or in a file. */
#include "ibft/print.h"

#include "cli/command.h"
#include "cli/ibft_compare.h"

#include <errno.h>

/* Why it is not whole, for those who do not see the table itself. */
static void tell_faults(const struct ibft_faults *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        fprintf(stderr, "nodisk: %s: %s\n",
                faults->list[i].severity == IBFT_ERROR ? "error" : "warning", faults->list[i].text);
    if (faults->more)
        fprintf(stderr, "nodisk: and %zu more\n", faults->more);
}

static int save_files(const struct ibft_output *output, const char *directory)
{
    struct error error;
    int r = ibft_output_save(output, directory, &error);
    return r < 0 ? cli_fail(&error) : CLI_OK;
}

static int print_as(const struct ibft *ibft, const char *format, const char *directory,
                    bool secrets)
{
    cleanup_ibft_output struct ibft_output output = {0};
    struct error error;
    int r = ibft_write(ibft, format, secrets, &output, &error);
    if (r == -EINVAL)
        return cli_bad_value("format", format,
                             "is none; there are iscsistart, dracut, networkd, networkmanager");
    if (r < 0)
        return cli_fail(&error);
    if (directory)
        return save_files(&output, directory);
    for (size_t i = 0; i < output.n_files; i++) {
        if (output.n_files > 1)
            printf("%s### %s\n", i ? "\n" : "", output.files[i].name);
        fputs(output.files[i].text, stdout);
    }
    if (output.has_hidden)
        fputs("nodisk: CHAP secrets are left out; --secrets prints them\n", stderr);
    return CLI_OK;
}

static int print_whole(const struct cli *cli, const struct ibft *ibft,
                       const struct ibft_source *source, const struct ibft_faults *faults,
                       bool secrets)
{
    if (!cli->json) {
        ibft_print(stdout, ibft, source, faults, secrets);
        return CLI_OK;
    }
    json_t *json = ibft_to_json(ibft, source, faults, secrets);
    if (json)
        print_json(json);
    else
        fputs("nodisk: out of memory\n", stderr);
    int status = json ? CLI_OK : CLI_FAILED;
    json_decref(json);
    return status;
}

/* What the words are. */
struct subject {
    const char *node; /* NULL: to be found out */
    const char *file; /* NULL: this machine */
};

/* With --compare, NODE FILE, or one of them: a file is there or has a slash in it. */
static int take_words(const struct args *args, bool compares, struct subject *ret_subject)
{
    struct subject subject = {0};
    const char *word = args->n_words ? args->words[0] : NULL;
    if (args->n_words > 1 && !compares) {
        fprintf(stderr, "nodisk: '%s' is one word too many; a node is named with --compare only\n",
                args->words[1]);
        return CLI_USAGE;
    }
    if (args->n_words > 1)
        subject = (struct subject){.node = word, .file = args->words[1]};
    else if (word && compares && !strchr(word, '/') && !str_eq(word, "-") && access(word, F_OK) < 0)
        subject.node = word;
    else
        subject.file = word;
    *ret_subject = subject;
    return CLI_OK;
}

static int show_or_compare(const struct cli *cli, const struct args *args,
                           const struct subject *subject, bool compares)
{
    struct ibft ibft;
    struct ibft_source source;
    struct ibft_faults faults = {0};
    struct error error;
    const char *format = args_value(args, "format");
    bool secrets = args_given(args, "secrets");
    int r = subject->file ? ibft_read_path(subject->file, &ibft, &source, &faults, &error)
                          : ibft_read_machine("", &ibft, &source, &faults, &error);
    if (r < 0)
        return cli_fail(&error);
    if (!format && !compares) {
        int status = print_whole(cli, &ibft, &source, &faults, secrets);
        return status == CLI_OK && faults.error ? CLI_FAILED : status;
    }
    int status = compares ? cli_ibft_compare(cli, &ibft, subject->node, !subject->file)
                          : print_as(&ibft, format, args_value(args, "output"), secrets);
    tell_faults(&faults);
    return status == CLI_OK && faults.error ? CLI_FAILED : status;
}

static int show(const struct cli *cli, const struct args *args)
{
    struct subject subject;
    bool compares = args_given(args, "compare");
    if (args_given(args, "output") && !args_given(args, "format")) {
        fprintf(stderr, "nodisk: --output needs --format networkd or networkmanager\n");
        return CLI_USAGE;
    }
    if (compares && args_given(args, "format")) {
        fprintf(stderr, "nodisk: --compare and --format do not go together\n");
        return CLI_USAGE;
    }
    int status = take_words(args, compares, &subject);
    return status == CLI_OK ? show_or_compare(cli, args, &subject, compares) : status;
}

static const struct cli_option options[] = {
    {"format", "FORMAT", "iscsistart, dracut, networkd or networkmanager: print it for them"},
    {"output", "DIRECTORY", "of networkd and networkmanager: write the files there"},
    {"secrets", NULL, "print the CHAP secrets, too"},
    {"compare", NULL, "tell how it differs from what the server intends for the node"},
};

static const char more[] =
    "Of this machine; or FILE: the table alone, memory that it is in (/dev/mem, a dump), a copy "
    "of\n"
    "/sys/firmware/ibft, or - for standard input. It needs no daemon. The exit status is 1 if\n"
    "something is wrong with the table.\n"
    "\n"
    "  ssh root@web1 cat /sys/firmware/acpi/tables/iBFT | nodisk ibft --compare web1 -\n"
    "\n"
    "--compare: NODE is the one that has the table's card unless it is named. On a node, where no\n"
    "daemon is, its own table is compared with what the machine has come to.\n";

static const struct cli_verb verbs[] = {
    {"", "[[NODE] FILE]", 0, "What firmware has left for the operating system to boot by iSCSI",
     options, ARRAY_SIZE(options), more, show, 2},
};

const struct cli_noun cli_ibft = {"ibft", "The boot firmware table of a machine", verbs,
                                  ARRAY_SIZE(verbs)};
