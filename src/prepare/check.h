/*
 * The doctor: every known reason in a tree for a diskless boot to fail, or for two nodes to be one,
 * with what will happen at which stage of the boot, and the fix. It only looks.
 */
#pragma once

#include "prepare/tree.h"

enum check_severity { CHECK_ERROR, CHECK_WARNING };

struct check_finding {
    enum check_severity severity;
    const char *name;  /* "fstab-root-device" */
    const char *stage; /* loader, initramfs, system, up, shutdown */
    const char *what;  /* what is so, and what will happen */
    const char *fix;
};

struct check_report {
    struct arena arena;
    struct check_finding *findings;
    size_t count, n_errors;
};

/* Looks at all of it. -EOPNOTSUPP: it is no system that we know, which ret_error tells.
 * check_free() the report, also of one that failed. */
int check_run(const struct tree *tree, struct check_report *ret_report,
              struct error *ret_error) MUST_CHECK;
void check_free(struct check_report *report);

const char *check_severity_name(enum check_severity severity);
