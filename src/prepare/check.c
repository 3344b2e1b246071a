#include "prepare/check_rules.h"
#include "prepare/shown.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>

const char *check_severity_name(enum check_severity severity)
{
    return severity == CHECK_ERROR ? "error" : "warning";
}

/* With \x1b for what is not shown. */
static void make_shown(const char *text, char *buffer, size_t room)
{
    size_t used = 0;
    while (*text && used + 5 < room) {
        size_t size = shown_size(text, strnlen(text, 4));
        if (size)
            memcpy(buffer + used, text, size);
        else
            snprintf(buffer + used, 5, "\\x%02x", (unsigned char)*text);
        used += size ? size : 4;
        text += size ? size : 1;
    }
    buffer[used] = '\0';
}

void check_found(struct check *check, enum check_severity severity, const char *name,
                 const char *stage, const char *fix, const char *format, ...)
{
    struct check_report *report = check->report;
    char what[PATH_MAX], shown[PATH_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    struct check_finding *more =
        reallocarray(report->findings, report->count + 1, sizeof(*report->findings));
    make_shown(n < 0 ? "" : what, shown, sizeof(shown));
    const char *text = arena_strdup(&report->arena, shown);
    if (more)
        report->findings = more;
    if (!more || !text) {
        error_set(&check->plan.error, -ENOMEM, "no memory for what was found");
        return;
    }
    more[report->count++] = (struct check_finding){.severity = severity,
                                                   .name = name,
                                                   .stage = stage,
                                                   .what = text,
                                                   .fix = fix ? fix : "nodisk prepare"};
    report->n_errors += severity == CHECK_ERROR;
}

/* Some NetworkManager has hundreds of connections; nobody has so many, or such large ones. */
#define MAX_FILES 1000
#define MAX_TEXT  ((size_t)32 * MIB)

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of all the directories, sorted, some of them several times. */
static struct tree_names list_all(struct plan *plan, const char *const *directories)
{
    struct tree_names all = {NULL, 0};
    for (; *directories; directories++) {
        struct tree_names more = plan_list(plan, *directories);
        const char **names =
            arena_alloc(&plan->arena, (all.count + more.count + 1) * sizeof(*names));
        if (!names)
            break;
        if (all.count > 0)
            memcpy(names, all.names, all.count * sizeof(*names));
        if (more.count > 0)
            memcpy(names + all.count, more.names, more.count * sizeof(*names));
        all = (struct tree_names){names, all.count + more.count};
    }
    if (all.count > 0)
        qsort(all.names, all.count, sizeof(*all.names), compare_names);
    return all;
}

/* Of the first directory that has it. NULL: it is no file. */
static const char *find_file(struct plan *plan, const char *const *directories, const char *name,
                             struct stat *ret_stat)
{
    for (; *directories; directories++) {
        const char *path = plan_format(plan, "%s/%s", *directories, name);
        if (tree_stat(plan->tree, path, ret_stat) >= 0)
            return S_ISREG(ret_stat->st_mode) ? path : NULL;
    }
    return NULL;
}

void check_each_text_of(struct check *check, const char *const *directories, check_look *look,
                        const void *context)
{
    size_t read = 0;
    struct tree_names names = list_all(&check->plan, directories);
    for (size_t i = 0; i < names.count; i++) {
        struct arena arena = {0};
        struct stat st;
        if (i == MAX_FILES || read > MAX_TEXT) {
            check_found(check, CHECK_WARNING, "many-files", "system",
                        "remove those that nobody needs",
                        "/%s has more than the doctor reads: %zu files", *directories, names.count);
            return;
        }
        if (i > 0 && str_eq(names.names[i], names.names[i - 1]))
            continue;
        const char *path = find_file(&check->plan, directories, names.names[i], &st);
        const char *text = path ? tree_text(check->plan.tree, &arena, path) : NULL;
        if (text)
            look(check, path, text, context);
        read += text ? (size_t)st.st_size : 0;
        arena_free(&arena);
    }
}

void check_each_text(struct check *check, const char *directory, check_look *look,
                     const void *context)
{
    const char *const directories[] = {directory, NULL};
    check_each_text_of(check, directories, look, context);
}

int check_run(const struct tree *tree, struct check_report *ret_report, struct error *ret_error)
{
    static void (*const rules[])(struct check *) = {check_loader,   check_kernels,  check_dracut,
                                                    check_disk,     check_identity, check_network,
                                                    check_services, check_sysvinit};
    static const struct plan_settings settings = {0};
    struct check check = {.report = ret_report};
    *ret_report = (struct check_report){0};
    if (!(system_look(tree) & (SYSTEM_DPKG | SYSTEM_RPM)))
        return error_set(ret_error, -EOPNOTSUPP,
                         "%s has neither Debian's packages nor RPM's (no /var/lib/dpkg/status, "
                         "/var/lib/rpm or /usr/lib/sysimage/rpm): it cannot be checked so far",
                         tree->path);
    plan_begin(&check.plan, tree, &settings);
    check.plan.step = "check";
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        rules[i](&check);
    int r = check.plan.error.code;
    if (r < 0)
        *ret_error = check.plan.error;
    plan_end(&check.plan);
    return r;
}

void check_free(struct check_report *report)
{
    free(report->findings);
    arena_free(&report->arena);
}
