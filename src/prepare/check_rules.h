/* Between the doctor and its rules. */
#pragma once

#include "prepare/check.h"
#include "prepare/plan.h"

struct check {
    struct plan plan; /* to look at the tree through; nothing is put into it */
    struct check_report *report;
};

/* One more finding. fix: NULL: `nodisk prepare` mends it. What a terminal does not show as it is,
 * and what is no UTF-8, is replaced: texts may be of a stranger's files. */
void check_found(struct check *check, enum check_severity severity, const char *name,
                 const char *stage, const char *fix, const char *format, ...) PRINTF_LIKE(6, 7);

typedef void check_look(struct check *check, const char *path, const char *text,
                        const void *context);

/* Calls look() with the text of each file in a directory that can be read, by their names; none of
 * them is kept. Of very many not all are read, which is a finding. */
void check_each_text(struct check *check, const char *directory, check_look *look,
                     const void *context);
/* The same of several directories (the last is NULL), of which each may have files that stand for
 * those of the same name in the ones behind it. */
void check_each_text_of(struct check *check, const char *const *directories, check_look *look,
                        const void *context);

/* A rule is a function that looks at one thing. */
void check_kernels(struct check *check);  /* check_initramfs.c */
void check_dracut(struct check *check);   /* check_dracut.c */
void check_identity(struct check *check); /* check_identity.c */
void check_network(struct check *check);  /* check_network.c */
void check_services(struct check *check); /* check_network.c */
void check_sysvinit(struct check *check); /* check_sysvinit.c */
void check_bridges(struct check *check);  /* check_bridge.c */
void check_disk(struct check *check);     /* check_disk.c */
void check_loader(struct check *check);   /* check_disk.c */
