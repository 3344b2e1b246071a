/* The files of `nodisk script check`: a directory of scripts as it would be served, or one script.
 */
#pragma once

#include "core/error.h"
#include "ipxe/check.h"
#include "ipxe/variables.h"

struct script_files {
    int directory;  /* of all of them */
    char path[512]; /* of it, without a slash at its end */
    char **names;   /* of scripts, in it: "boot/mac-525400000001.ipxe" */
    size_t count;
};

/* A directory with all that is in it (what begins with #!ipxe, and what ends with .ipxe or .in), or
 * one script alone; script_files_close() it. */
int script_files_open(const char *path, struct script_files *ret_files,
                      struct error *ret_error) MUST_CHECK;
void script_files_close(struct script_files *files);

/* What stands in a file; *ret_text: free() it. */
int script_files_read(const struct script_files *files, const char *name, char **ret_text,
                      size_t *ret_size, struct error *ret_error) MUST_CHECK;
/* Is there a file of that name, or a template that makes it? */
bool script_files_has(const struct script_files *files, const char *name);
