/* nodisk prepare: makes an installed system one that boots diskless, or says why it would not. */
#include "cli/command.h"

#include "prepare/apply.h"
#include "prepare/boot_network.h"
#include "prepare/check.h"
#include "prepare/command.h"
#include "prepare/diff.h"
#include "prepare/recipe.h"
#include "prepare/shown.h"
#include "prepare/sysvinit.h"
#include "prepare/undo.h"

#include <errno.h>

static int show_json(json_t *json)
{
    print_json(json);
    json_decref(json);
    return CLI_OK;
}

static void print_words(FILE *file, const char *const *argv)
{
    for (size_t i = 0; argv[i]; i++)
        fprintf(file, "%s%s", i ? " " : "", argv[i]);
}

static void tell_command(const struct plan_command *command)
{
    fprintf(stderr, "nodisk: running ");
    print_words(stderr, command->argv);
    fputs(" (it may take a minute)\n", stderr);
}

static size_t count_changes(const struct plan *plan, const char *step)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_changes; i++)
        count += str_eq(plan->changes[i].step, step);
    return count;
}

static json_t *words_json(const char *const *argv)
{
    json_t *words = json_array();
    for (size_t i = 0; argv[i]; i++)
        json_array_append_new(words, json_string(argv[i]));
    return words;
}

static const char *what_of(const struct plan_change *change)
{
    return change->after.kind == TREE_ABSENT      ? "removed"
           : change->after.kind == TREE_LINK      ? "linked"
           : change->after.kind == TREE_DIRECTORY ? "made"
                                                  : "written";
}

static json_t *plan_json(const struct plan *plan, bool done, bool ran)
{
    json_t *changes = json_array(), *commands = json_array(), *notes = json_array();
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *change = &plan->changes[i];
        json_array_append_new(changes, json_pack("{s:s, s:o, s:s}", "step", change->step, "path",
                                                 json_sprintf("/%s", change->path), "what",
                                                 what_of(change)));
    }
    for (size_t i = 0; i < plan->n_commands; i++)
        json_array_append_new(commands, json_pack("{s:s, s:o, s:s}", "step", plan->commands[i].step,
                                                  "command", words_json(plan->commands[i].argv),
                                                  "why", plan->commands[i].why));
    for (size_t i = 0; i < plan->n_notes; i++)
        json_array_append_new(notes, json_pack("{s:s, s:s}", "step", plan->notes[i].step, "text",
                                               plan->notes[i].text));
    return json_pack("{s:b, s:b, s:o, s:o, s:o}", "done", done, "ran", ran, "changes", changes,
                     "commands", commands, "left", notes);
}

/* What is left to a person: of a run without commands, these, too. */
static void print_left(const struct plan *plan, bool no_commands)
{
    for (size_t i = 0; no_commands && i < plan->n_commands; i++) {
        printf("left to you: ");
        print_words(stdout, plan->commands[i].argv);
        printf(" (%s)\n", plan->commands[i].why);
    }
    for (size_t i = 0; i < plan->n_notes; i++)
        printf("left to you: %s\n", plan->notes[i].text);
}

static void print_steps(const struct plan *plan)
{
    size_t count;
    const struct recipe_step *steps = recipe_steps(&count);
    for (size_t i = 0; i < count; i++) {
        if (!recipe_is_for(&steps[i], plan->system))
            continue;
        size_t changes = count_changes(plan, steps[i].name), commands = 0;
        for (size_t j = 0; j < plan->n_commands; j++)
            commands += str_eq(plan->commands[j].step, steps[i].name);
        if (changes || commands)
            printf("%-16s %s\n", steps[i].name, steps[i].what);
    }
}

static void print_dry_run(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_changes; i++)
        diff_print(stdout, &plan->changes[i]);
    for (size_t i = 0; i < plan->n_commands; i++) {
        printf("command: ");
        print_words(stdout, plan->commands[i].argv);
        printf(" (%s)\n", plan->commands[i].why);
    }
    print_left(plan, false);
    if (!plan->n_changes && !plan->n_commands && !plan->n_notes)
        puts("nothing to do: it is prepared");
}

static void print_done(const struct plan *plan, bool no_commands)
{
    print_steps(plan);
    print_left(plan, no_commands);
    if (plan->n_changes || plan->n_commands)
        printf("%zu files changed; nodisk prepare --undo takes it back\n", plan->n_changes);
    else
        printf("nothing to do: it is prepared\n");
}

static int prepare(const struct cli *cli, const struct args *args, const struct tree *tree)
{
    struct error error;
    const bool dry = args_given(args, "dry-run"), no_commands = args_given(args, "no-commands");
    const struct plan_settings settings = {.root_uuid = args_value(args, "root-uuid"),
                                           .keep_swap = args_given(args, "keep-swap"),
                                           .bridge = args_value(args, "bridge"),
                                           .bond = args_value(args, "bond"),
                                           .bond_cards = args_value(args, "bond-cards")};
    const struct apply_options options = {.no_commands = no_commands,
                                          .no_undo = args_given(args, "no-undo")};
    struct plan plan;
    plan_begin(&plan, tree, &settings);
    int r = recipe_plan(&plan, &error);
    if (r == 0 && !dry)
        r = apply_plan(&plan, &options, tell_command, &error);
    if (r < 0)
        r = cli_fail(&error);
    else if (cli->json)
        r = show_json(plan_json(&plan, !dry, !dry && !no_commands));
    else if (dry)
        print_dry_run(&plan);
    else
        print_done(&plan, no_commands);
    plan_end(&plan);
    return r;
}

static json_t *report_json(const struct check_report *report)
{
    json_t *findings = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *f = &report->findings[i];
        json_array_append_new(findings,
                              json_pack("{s:s, s:s, s:s, s:s, s:s}", "severity",
                                        check_severity_name(f->severity), "name", f->name, "stage",
                                        f->stage, "what", f->what, "fix", f->fix));
    }
    return json_pack("{s:o, s:i}", "findings", findings, "errors", (int)report->n_errors);
}

static void print_report(const struct check_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *f = &report->findings[i];
        printf("%s: %s (stage %s)\n  %s\n  mend it: %s\n", check_severity_name(f->severity),
               f->name, f->stage, f->what, f->fix);
    }
    if (!report->count)
        printf("nothing found\n");
}

static int check(const struct cli *cli, const struct tree *tree)
{
    struct check_report report;
    struct error error;
    int r = check_run(tree, &report, &error);
    if (r < 0) {
        r = cli_fail(&error);
    } else {
        if (cli->json)
            show_json(report_json(&report));
        else
            print_report(&report);
        r = report.n_errors ? CLI_FAILED : CLI_OK;
    }
    check_free(&report);
    return r;
}

static void tell_undone(void *context, const char *path, int result)
{
    const struct cli *cli = context;
    if (cli->json || result == UNDO_WAS_SO)
        return;
    putchar('/');
    shown_print(stdout, path, strlen(path));
    if (result < 0)
        printf(": stays as it is: %s\n", strerror(-result));
    else
        printf(": %s\n", result == UNDO_RESTORED
                             ? "as it was"
                             : "was changed since and stays (--force: as it was, too)");
}

/* What has to follow the files: the initramfs, and under sysvinit the links to scripts that are
 * gone.
 */
static int run_after_undo(const struct tree *tree, struct error *ret_error)
{
    static const char *const initramfs[] = {"update-initramfs", "-u", "-k", "all", NULL},
                             *const script[] = {"update-rc.d", "nodisk", "remove", NULL},
                             *const up[] = {"update-rc.d", "nodisk-up", "remove", NULL};
    const char *const *const commands[] = {initramfs, script, up};
    size_t count = sysvinit_is_init(tree) && !tree_exists(tree, "etc/init.d/nodisk") ? 3 : 1;
    for (size_t i = tree_exists(tree, "usr/sbin/update-initramfs") ? 0 : 1; i < count; i++) {
        const struct plan_command command = {.argv = commands[i]};
        tell_command(&command);
        int r = command_run(tree, commands[i], ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int undo(const struct cli *cli, const struct args *args, const struct tree *tree)
{
    struct error error;
    size_t kept;
    const bool dry = args_given(args, "dry-run");
    int r = undo_all(tree, args_given(args, "force"), dry, tell_undone, (void *)cli, &kept, &error);
    if (r < 0)
        return cli_fail(&error);
    if (!dry && !args_given(args, "no-commands"))
        r = run_after_undo(tree, &error);
    else if (!cli->json)
        printf("left to you: update-initramfs -u -k all\n");
    if (r < 0)
        return cli_fail(&error);
    if (cli->json)
        r = show_json(json_pack("{s:i, s:b}", "kept", (int)kept, "done", !dry));
    return kept ? CLI_FAILED : r;
}

static int list(const struct cli *cli)
{
    size_t count;
    const struct recipe_step *steps = recipe_steps(&count);
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) {
        if (!cli->json)
            printf("%-16s %s\n", steps[i].name, steps[i].what);
        json_array_append_new(
            all, json_pack("{s:s, s:s}", "name", steps[i].name, "what", steps[i].what));
    }
    if (cli->json)
        return show_json(json_pack("{s:o}", "steps", all));
    json_decref(all);
    return CLI_OK;
}

static int forget(const struct tree *tree)
{
    struct error error;
    return undo_forget(tree, &error) < 0 ? cli_fail(&error) : CLI_OK;
}

static bool is_uuid(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size <= 64 && strspn(text, "0123456789abcdefABCDEF-") == size;
}

/* CLI_OK, or what is wrong was told. */
static int check_networks(const struct args *args)
{
    const char *cards = args_value(args, "bond-cards"), *bond = args_value(args, "bond");
    const char *bridge = args_value(args, "bridge");
    if (bridge && !boot_network_is_name(bridge))
        return cli_bad_value("bridge", bridge, "no interface can be called so (vmbr0, br0)");
    if (bond && !boot_network_is_name(bond))
        return cli_bad_value("bond", bond, "no interface can be called so (bond0)");
    if (bond && bridge && str_eq(bond, bridge) && !str_eq(bond, "none"))
        return cli_bad_value("bond", bond, "the bridge is called so");
    if (cards && !boot_network_is_cards(cards))
        return cli_bad_value("bond-cards", cards, "these are no names of cards (\"ens4 eno*\")");
    if (!cards != (!bond || str_eq(bond, "none"))) {
        fprintf(stderr, "nodisk: --bond and --bond-cards need one another\n");
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int count_modes(const struct args *args)
{
    return args_given(args, "check") + args_given(args, "undo") + args_given(args, "forget-undo");
}

/* A server is not to lose its own names because somebody forgot --root. */
static bool is_server(const struct cli *cli, const struct tree *tree)
{
    return tree->live && access(cli->socket, F_OK) == 0;
}

static int run(const struct cli *cli, const struct args *args)
{
    struct error error;
    struct tree tree;
    const char *uuid = args_value(args, "root-uuid");
    if (args_given(args, "list"))
        return list(cli);
    if (count_modes(args) > 1) {
        fprintf(stderr, "nodisk: only one of --check, --undo and --forget-undo makes sense\n");
        return CLI_USAGE;
    }
    if (uuid && !is_uuid(uuid))
        return cli_bad_value("--root-uuid", uuid, "it is no UUID of a file system");
    if (check_networks(args) != CLI_OK)
        return CLI_USAGE;
    if (tree_open(args_value(args, "root") ?: "/", &tree, &error) < 0)
        return cli_fail(&error);
    const bool only_looks = args_given(args, "check") || args_given(args, "dry-run");
    int r;
    if (is_server(cli, &tree) && !only_looks && !args_given(args, "force")) {
        error_set(&error, -EBUSY,
                  "this machine is a nodisk server itself: say with --root which system is to be "
                  "prepared, or that you mean this one with --force");
        r = cli_fail(&error);
    } else if (args_given(args, "check")) {
        r = check(cli, &tree);
    } else if (args_given(args, "undo")) {
        r = undo(cli, args, &tree);
    } else if (args_given(args, "forget-undo")) {
        r = forget(&tree);
    } else {
        r = prepare(cli, args, &tree);
    }
    tree_close(&tree);
    return r;
}

static const struct cli_option options[] = {
    {"root", "DIR", "the system below this directory; otherwise the one that runs here"},
    {"check", NULL, "only tells what would go wrong; exit status 1 if there are errors"},
    {"dry-run", NULL, "only shows what would change in each file"},
    {"list", NULL, "lists the steps and what each is for"},
    {"no-commands", NULL, "runs none of its programs, and tells what is left to do"},
    {"root-uuid", "UUID", "of its root file system, if that is not mounted here"},
    {"keep-swap", NULL, "leaves swap in /etc/fstab"},
    {"bridge", "NAME", "the boot card becomes a port of this bridge, for guests; none: of none"},
    {"bond", "NAME", "the boot card and others are one, of which one works; none: they are not"},
    {"bond-cards", "NAMES", "the others: \"ens4 eno*\""},
    {"undo", NULL, "gives all files back as they were before"},
    {"force", NULL, "with --undo: also files that were changed since; on a server: its own system"},
    {"no-undo", NULL, "keeps nothing to undo it with"},
    {"forget-undo", NULL, "removes what is kept to undo it with"},
};

static const struct cli_verb verbs[] = {
    {"", "", 0, "Prepares an installed Debian system to boot without a disk, on any node", options,
     ARRAY_SIZE(options),
     "It needs no daemon. Run again, it changes nothing. Programs of the system run as root, "
     "after\n"
     "chroot: of a system that you do not trust, use --no-commands.\n"
     "\n"
     "  nodisk prepare --check --root /mnt\n"
     "  nodisk prepare --root /mnt --dry-run | less\n"
     "  nodisk prepare --root /mnt\n",
     run},
};

const struct cli_noun cli_prepare = {
    "prepare", "Prepares an installed system to boot without a disk", verbs, ARRAY_SIZE(verbs)};
