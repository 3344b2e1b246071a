/* Settings of iPXE: which it has itself, and how they are put into a word (${name}, ${name:type}).
 */
#pragma once

#include "core/util.h"

#define SETTING_MAX_NAME 64

/* Does iPXE, the machine or DHCP give it (mac, net0/ip, smbios/1.5.0)? What only a script can give,
 * it does not. */
bool setting_is_built_in(const char *name);

/* Puts values into a word: what the script's scope gives, "" for what is built in. False: a value
 * is known to the machine only, or the word is no good. */
struct setting_scope {
    const char *(*look)(void *context, const char *name); /* as struct script_check's */
    void *context;
};
bool setting_expand(const struct setting_scope *scope, const char *word, char *buffer, size_t size);

/* Each name that stands in a word; one that is itself put together of settings does not count.
 * False: a ${ has no }. */
bool setting_names(const char *word, void (*take)(void *context, const char *name), void *context);
