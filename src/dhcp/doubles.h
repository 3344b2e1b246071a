/*
 * What is there twice and should be there once, told by DHCP messages alone: one MAC at two places
 * at the same time, one SMBIOS UUID or host name at two MACs.
 *
 * Two places are two machines only if they speak in turn: DHCP_DOUBLE_RETURNS times within
 * DHCP_DOUBLE_WINDOW, a MAC must be back at where it was before. A machine that is moved stops
 * talking where it was. Copies of one message (same xid, DHCP_DOUBLE_COPY apart) that come by
 * several relays, or past one, are one machine: those ways are one place from then on.
 *
 * Pure; bounded memory, in which the least recently seen makes room; constant time for a message.
 */
#pragma once

#include "core/net.h"

#define DHCP_DOUBLE_WINDOW  (300 * USEC_PER_SEC)
#define DHCP_DOUBLE_COPY    USEC_PER_SEC
#define DHCP_DOUBLE_RETURNS 2
#define DHCP_DOUBLE_UUID    (24 * 3600 * USEC_PER_SEC) /* an older UUID says nothing any more */
#define DHCP_UUID_SIZE      16
#define DHCP_PLACE_TEXT_MAX 63

/* Where a message came from. */
struct dhcp_place {
    uint32_t relay; /* the relay's address, or the one of the link that it says; 0: none, */
    unsigned link;  /* and it came in on this interface; else 0 */
    uint64_t port;  /* all that relays and switches say of it, hashed; 0: nothing */
    char port_text[DHCP_PLACE_TEXT_MAX + 1]; /* the same in words, may be cut; "": nothing */
};

/* For dhcp_place.port: never 0. */
uint64_t dhcp_place_hash(const char *circuit_id, const char *remote_id);

struct dhcp_doubles;

/* NULL without memory. */
struct dhcp_doubles *dhcp_doubles_new(uint64_t seed);
void dhcp_doubles_free(struct dhcp_doubles *doubles);

/* A message of this MAC came from here; now: monotonic usec. True: it is at *ret_other, too. */
bool dhcp_doubles_see(struct dhcp_doubles *doubles, struct mac_address mac, uint32_t xid,
                      const struct dhcp_place *place, uint64_t now, struct dhcp_place *ret_other);
/* This MAC says that it is of the machine with this UUID. True: *ret_other said so last. */
bool dhcp_doubles_see_uuid(struct dhcp_doubles *doubles, struct mac_address mac,
                           const uint8_t uuid[static DHCP_UUID_SIZE], uint64_t now,
                           struct mac_address *ret_other);
/* The same of a host name. */
bool dhcp_doubles_see_name(struct dhcp_doubles *doubles, struct mac_address mac, const char *name,
                           uint64_t now, struct mac_address *ret_other);
