#include "prepare/check_rules.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>

const char *check_severity_name(enum check_severity severity)
{
    return severity == CHECK_ERROR ? "error" : "warning";
}

void check_found(struct check *check, enum check_severity severity, const char *name,
                 const char *stage, const char *fix, const char *format, ...)
{
    struct check_report *report = check->report;
    char what[PATH_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    struct check_finding *more =
        reallocarray(report->findings, report->count + 1, sizeof(*report->findings));
    const char *text = n < 0 ? NULL : arena_strdup(&report->arena, what);
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

int check_run(const struct tree *tree, struct check_report *ret_report, struct error *ret_error)
{
    static void (*const rules[])(struct check *) = {check_loader,   check_kernels, check_disk,
                                                    check_identity, check_network, check_services};
    static const struct plan_settings settings = {0};
    struct check check = {.report = ret_report};
    *ret_report = (struct check_report){0};
    if (!tree_exists(tree, "var/lib/dpkg/status"))
        return error_set(
            ret_error, -EOPNOTSUPP,
            "%s is no Debian system (it has no /var/lib/dpkg/status): others cannot be "
            "checked so far",
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
