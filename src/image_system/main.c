/*
 * nodisk-image-system: runs `nodisk prepare` on the system that is on a disk image, inside a small
 * virtual machine. A program of its own, which `nodisk image check` and `nodisk image prepare` run,
 * so that the daemon knows nothing of libguestfs. What `nodisk prepare` prints goes to standard
 * output, what is going on to standard error, and its exit status is ours.
 */
#include "image_system/appliance.h"

#include "core/util.h"

#include <getopt.h>
#include <unistd.h>

#define NAME      "prepare"
#define MAX_WORDS 64

static const char usage[] =
    "usage: nodisk-image-system [--write] [--network] --program FILE --directory DIR DISK "
    "[WORD...]\n"
    "\n"
    "Runs FILE (nodisk-prepare), with the words, on the system that is on the raw disk image "
    "DISK.\n"
    "nodisk image check and nodisk image prepare run this; see nodisk(1).\n";

struct options {
    struct appliance_settings settings;
    const char *program;
    char **words; /* NULL-terminated */
};

static bool parse(int argc, char **argv, struct options *ret_options)
{
    static const struct option longs[] = {{"write", no_argument, NULL, 'w'},
                                          {"network", no_argument, NULL, 'n'},
                                          {"program", required_argument, NULL, 'p'},
                                          {"directory", required_argument, NULL, 'd'},
                                          {NULL}};
    struct options options = {0};
    int c;
    while ((c = getopt_long(argc, argv, "+", longs, NULL)) >= 0) {
        switch (c) {
        case 'w':
            options.settings.writable = true;
            break;
        case 'n':
            options.settings.network = true;
            break;
        case 'p':
            options.program = optarg;
            break;
        case 'd':
            options.settings.directory = optarg;
            break;
        default:
            return false;
        }
    }
    if (optind >= argc || !options.program || !options.settings.directory ||
        argc - optind > MAX_WORDS)
        return false;
    options.settings.disk = argv[optind];
    options.words = argv + optind + 1;
    *ret_options = options;
    return true;
}

/* What a stranger's image says of itself reaches the terminal as text only. */
static char *clean(char *text)
{
    for (char *c = text; *c; c++)
        if ((*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f)
            *c = '?';
    return text;
}

static int prepare(guestfs_h *guest, char **words, struct appliance_result *ret_result,
                   struct error *ret_error)
{
    const char *argv[MAX_WORDS + 4] = {NAME, "--root", APPLIANCE_ROOT};
    for (size_t i = 0; words[i]; i++)
        argv[3 + i] = words[i];
    return appliance_run(guest, argv, ret_result, ret_error);
}

static int work(guestfs_h *guest, const struct options *options,
                struct appliance_result *ret_result, struct error *ret_error)
{
    cleanup_free char *product = NULL;
    const bool writable = options->settings.writable;
    fputs("nodisk: looking for the system on it\n", stderr);
    int r = appliance_mount(guest, writable, &product, ret_error);
    if (r < 0)
        return r;
    fprintf(stderr, "nodisk: %s is found; %s\n", clean(product),
            writable ? "preparing it (minutes)" : "looking at it");
    r = appliance_put(guest, options->program, NAME, ret_error);
    if (r == 0)
        r = prepare(guest, options->words, ret_result, ret_error);
    if (r < 0)
        return r;
    if (writable)
        fputs("nodisk: writing it down\n", stderr);
    return appliance_finish(guest, writable, ret_error);
}

static int run(const struct options *options, struct appliance_result *ret_result,
               struct error *ret_error)
{
    guestfs_h *guest;
    fputs("nodisk: starting a virtual machine for the disk\n", stderr);
    int r = appliance_start(&options->settings, &guest, ret_error);
    if (r < 0)
        return r;
    r = work(guest, options, ret_result, ret_error);
    guestfs_close(guest);
    return r;
}

int main(int argc, char **argv)
{
    struct options options;
    struct appliance_result result = {0};
    struct error error;
    if (!parse(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    int r = run(&options, &result, &error);
    if (r < 0)
        fprintf(stderr, "nodisk: %s\n", clean(error.text));
    if (result.err)
        fputs(clean(result.err), stderr);
    if (r == 0 && result.out)
        fputs(clean(result.out), stdout);
    if (fflush(stdout) != 0)
        r = -1;
    int status = r < 0 ? 1 : result.status;
    free(result.out);
    free(result.err);
    return status;
}
