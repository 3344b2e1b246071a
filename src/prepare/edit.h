/*
 * Files of a system that are read or changed in part: fstab(5), hosts(5), and files of shell
 * variables such as /etc/default/grub. Text in, text out.
 */
#pragma once

#include "core/util.h"

#define EDIT_MAX_FIELD 1024

/* A line of fstab. What is longer than a field has room for is no entry. */
struct fstab_line {
    const char *text; /* the line, without its newline */
    size_t size;
    bool is_entry; /* else a comment, or nothing */
    char device[EDIT_MAX_FIELD], place[EDIT_MAX_FIELD], type[EDIT_MAX_FIELD],
        options[EDIT_MAX_FIELD];
    char rest[EDIT_MAX_FIELD]; /* behind the options: "0 1" */
};

/* The next line; false at the end. *cursor begins at the text's beginning. */
bool fstab_next(const char **cursor, struct fstab_line *ret_line);
/* Is it one of the comma-separated options? A name that ends in '=' stands for all with a value. */
bool fstab_has_option(const char *options, const char *name);
/* A device name that may be another one at the next boot: /dev/sda1, /dev/vda, /dev/nvme0n1p2. */
bool fstab_is_unstable(const char *device);

struct fstab_wish {
    const char *root_uuid; /* NULL: not known */
    const char *root_type; /* of a line that has to be made; NULL: ext4 */
    bool keep_swap;
};
/* Root by its UUID, without options that make it wait for the network; swap as a comment. free()
 * it; NULL without memory. */
char *fstab_edit(const char *text, const struct fstab_wish *wish);

/* Without the lines of 127.0.1.1, Debian's place for a machine's own name. free() it. */
char *hosts_edit(const char *text);

/* The value of NAME=VALUE, the last of several, without quotes. False: there is none, or it is
 * longer than the buffer. */
bool variable_get(const char *text, const char *name, char *buffer, size_t size);
/* What the next kernel of grub.cfg, or of a loader's entry, is given as root=, the last of several;
 * other systems', which os-prober has found, are passed over. "": nothing, or longer than the
 * buffer. False: there is no further kernel. *cursor begins at the text's beginning. */
bool grub_next_root(const char **cursor, char *buffer, size_t size);

/* The text with each line that sets it made a comment. free() it. */
char *variable_drop(const char *text, const char *name);
