/*
 * What is wrong with a script, as far as it can be told without running it: commands that iPXE or a
 * certain loader does not have, labels that are not there, files that are missing, settings that
 * nothing sets. Pure; any bytes.
 */
#pragma once

#include "ipxe/commands.h"
#include "ipxe/parse.h"

enum script_level {
    SCRIPT_ERROR,   /* it will fail there */
    SCRIPT_WARNING, /* it may, or does so on purpose */
};

struct script_problem {
    enum script_level level;
    unsigned line; /* from 1; 0: the whole script */
    char text[400];
};

/* A loader that is to run it. */
struct script_loader {
    char name[64];
    enum ipxe_ability abilities[IPXE_MAX_COMMANDS];
    bool lacks_https;
};

struct script_check {
    const struct script_loader *loaders;
    size_t n_loaders;
    /* What a setting will be where the script runs: a text, "" for one whose value only the machine
     * knows, NULL for one that nothing sets. Those of iPXE itself are not asked for. */
    const char *(*setting)(void *context, const char *name);
    /* Is it there, what is fetched by this URL or path, as it stands in the script with its
     * settings put in? Asked for those without a scheme, and for those of `own_url`. */
    bool (*has_file)(void *context, const char *path);
    const char *own_url; /* "http://10.0.0.1/scripts/"; NULL: nothing is known of it */
    void (*report)(void *context, const struct script_problem *problem);
    void *context;
};

/* -ENOMEM; -EFBIG: larger than SCRIPT_MAX_SIZE. */
int script_check(const char *text, size_t size, const struct script_check *check) MUST_CHECK;

/* Each setting that the script gives a value, in its order. value: what stands there, words joined
 * by a blank; "" for one that is read, counted or chosen. */
int script_settings(const char *text, size_t size,
                    void (*take)(void *context, const char *name, const char *value),
                    void *context) MUST_CHECK;
