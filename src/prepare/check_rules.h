/* Between the doctor and its rules. */
#pragma once

#include "prepare/check.h"
#include "prepare/plan.h"

struct check {
    struct plan plan; /* to look at the tree through; nothing is put into it */
    struct check_report *report;
};

/* One more finding. fix: NULL: `nodisk prepare` mends it. */
void check_found(struct check *check, enum check_severity severity, const char *name,
                 const char *stage, const char *fix, const char *format, ...) PRINTF_LIKE(6, 7);

/* A rule is a function that looks at one thing. */
void check_kernels(struct check *check);  /* check_initramfs.c */
void check_identity(struct check *check); /* check_identity.c */
void check_network(struct check *check);  /* check_network.c */
void check_services(struct check *check); /* check_network.c */
void check_disk(struct check *check);     /* check_disk.c */
void check_loader(struct check *check);   /* check_disk.c */
