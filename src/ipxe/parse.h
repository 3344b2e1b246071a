/*
 * A script as iPXE reads it (its src/image/script.c and src/core/exec.c): lines, which a backslash
 * joins; a label at the beginning of one; words between blanks, and nothing quotes them; commands
 * that `||`, `&&` and `;` separate, each a word of its own; and a comment from a word on that
 * begins with '#'. Settings are put in only after that, word by word, so that no value is ever a
 * command's end. Pure; any bytes.
 */
#pragma once

#include "core/util.h"

#define SCRIPT_MAX_SIZE (256 * KIB)

/* When is what follows it run? */
enum script_next { SCRIPT_END, SCRIPT_OR, SCRIPT_AND, SCRIPT_ALWAYS };

struct script_command {
    unsigned line; /* from 1 */
    size_t argc;   /* at least 1 */
    const char *const *argv;
    enum script_next next;
};

struct script_reader {
    void (*label)(void *context, unsigned line, const char *name);
    void (*command)(void *context, const struct script_command *command);
    void *context;
};

/* All of it in its order; what is handed over lives as long as the call. -ENOMEM; -EFBIG: it is
 * larger than SCRIPT_MAX_SIZE. */
int script_parse(const char *text, size_t size, const struct script_reader *reader) MUST_CHECK;
