/*
 * What was found to be there twice and should be there once: a MAC, a node's name, a node's
 * identity, a machine's UUID, a DHCP server, an address. Kept for the status, each once, until it
 * was not seen for DUPLICATES_KEPT; of more than DUPLICATES_MAX the one not seen for longest goes.
 */
#pragma once

#include "dhcp/server.h"
#include "server/targets.h"

#include <jansson.h>

#define DUPLICATES_MAX  64
#define DUPLICATES_KEPT (3600 * USEC_PER_SEC)

/* All texts: "" or NULL if it has none. */
struct duplicate {
    const char *kind; /* a word for programs; static */
    bool hint;        /* it may be nothing */
    const char *node, *other_node;
    const char *mac, *other_mac;
    const char *address, *other_address;
    const char *message; /* the sentence */
};

struct duplicates;

/* NULL without memory. */
struct duplicates *duplicates_new(void);
void duplicates_free(struct duplicates *duplicates); /* NULL: no-op */

/* Takes a copy; now: usec since 1970. True: it is news. Any thread, as the next one. */
bool duplicates_note(struct duplicates *duplicates, const struct duplicate *found, uint64_t now);
/* The latest first, as a new array; NULL without memory. */
json_t *duplicates_to_json(struct duplicates *duplicates, uint64_t now);

/* Is it about something that is there twice? Then it may be noted, with its sentence. */
bool duplicates_is_one(enum dhcp_oddity_kind kind);
bool duplicates_note_dhcp(struct duplicates *duplicates, const struct dhcp_oddity *oddity,
                          const char *message, uint64_t now);
/* A login is refused because the disk is in use from another address. node: NULL: none. */
bool duplicates_note_login(struct duplicates *duplicates, const struct session_event *event,
                           const char *node);
