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

void check_each_text(struct check *check, const char *directory,
                     void (*look)(struct check *check, const char *path, const char *text,
                                  const void *context),
                     const void *context)
{
    size_t read = 0;
    struct tree_names names = plan_list(&check->plan, directory);
    for (size_t i = 0; i < names.count; i++) {
        struct arena arena = {0};
        struct stat st;
        if (i == MAX_FILES || read > MAX_TEXT) {
            check_found(check, CHECK_WARNING, "many-files", "system",
                        "remove those that nobody needs",
                        "/%s has more than the doctor reads: %zu files", directory, names.count);
            return;
        }
        const char *path = plan_format(&check->plan, "%s/%s", directory, names.names[i]);
        if (tree_stat(check->plan.tree, path, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        const char *text = tree_text(check->plan.tree, &arena, path);
        if (text)
            look(check, path, text, context);
        read += text ? (size_t)st.st_size : 0;
        arena_free(&arena);
    }
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
