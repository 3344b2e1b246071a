/* interfaces(5) of ifupdown and ifupdown2, as far as bridges are concerned. Text in, text out. */
#pragma once

#include "core/util.h"

#define INTERFACES_MAX_WORD 128

/* A stanza "iface NAME". What is not there is "". */
struct interfaces_stanza {
    char name[INTERFACES_MAX_WORD];
    char ports[INTERFACES_MAX_WORD]; /* bridge-ports, in the text's own words */
    char stp[INTERFACES_MAX_WORD], delay[INTERFACES_MAX_WORD], purge[INTERFACES_MAX_WORD];
    bool is_bridge, is_bond;
};

/* The next stanza; false at the end. *cursor begins at the text's beginning. What is longer than a
 * word has room for is cut. */
bool interfaces_next(const char **cursor, struct interfaces_stanza *ret_stanza);

/* The text in which this bridge is one that the initramfs has made, with this port: ifupdown gives
 * it no address, takes none away, and moves nothing. What else its stanza says, stays. free() it;
 * NULL without memory. */
char *interfaces_edit(const char *text, const char *bridge, const char *port);
