/*
 * What preparing a tree comes to: which files become what, which commands are to run, and what only
 * a person can do. A step of the recipe looks at the tree through the plan, as it will be after the
 * steps before it, and says how it wants it; what is so already is no change. So a step that has
 * nothing in the plan is done, and nothing is written before all of them have been asked.
 *
 * The first failure stays (`error`), and what is asked afterwards does nothing: steps need not
 * look.
 */
#pragma once

#include "prepare/system.h"

struct plan_settings {
    const char *root_uuid; /* of the root file system; NULL: find it */
    bool keep_swap;
    /* what is to be above the boot card, "none": nothing; NULL: as it is */
    const char *bridge, *bond, *bond_cards;
};

struct plan_change {
    const char *step, *path;
    struct tree_entry before, after;
};

enum plan_moment { PLAN_BEFORE_FILES, PLAN_AFTER_FILES };

struct plan_command {
    const char *step, *why;
    enum plan_moment moment;
    const char *const *argv; /* NULL at its end */
};

/* What is left to a person. */
struct plan_note {
    const char *step, *text;
};

struct plan {
    const struct tree *tree;
    unsigned system; /* what the tree is: system_look() */
    struct plan_settings settings;
    const char *step; /* that is asked */
    struct arena arena;
    struct error error;
    struct plan_change *changes;
    size_t n_changes;
    struct plan_command *commands;
    size_t n_commands;
    struct plan_note *notes;
    size_t n_notes;
};

/* Keeps tree. */
void plan_begin(struct plan *plan, const struct tree *tree, const struct plan_settings *settings);
void plan_end(struct plan *plan);
/* Forgets all but the commands that come before files: the tree is another one after them. */
void plan_again(struct plan *plan);

/* A path as it will be; never NULL. */
const struct tree_entry *plan_get(struct plan *plan, const char *path);
/* The text of a file as it will be, links followed; NULL: there is none. */
const char *plan_text(struct plan *plan, const char *path);
bool plan_exists(struct plan *plan, const char *path);
/* The names in a directory of the tree as it is. */
struct tree_names plan_list(struct plan *plan, const char *path);

/* How a path is to be. Directories that it needs are made. text is copied. A file that is there
 * keeps its owner and, with mode 0, its mode. */
void plan_file(struct plan *plan, const char *path, uint32_t mode, const char *text, size_t size);
void plan_link(struct plan *plan, const char *path, const char *target);
void plan_remove(struct plan *plan, const char *path);

/* argv is copied; the same command twice is one. why: "the initramfs is to have what was changed".
 */
void plan_command(struct plan *plan, enum plan_moment moment, const char *why,
                  const char *const *argv);
void plan_note(struct plan *plan, const char *format, ...) PRINTF_LIKE(2, 3);

/* Formats into the plan's memory; "" without memory. */
const char *plan_format(struct plan *plan, const char *format, ...) PRINTF_LIKE(2, 3);

/* Are two the same, but for their times? */
bool tree_entry_same(const struct tree_entry *a, const struct tree_entry *b);
