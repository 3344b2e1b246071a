/* Shared by the parts of the server: server.c (messages), answer.c (what an answer holds). */
#pragma once

#include "dhcp6/server.h"

/* One message being handled. */
struct exchange6 {
    struct dhcp6_server *server;
    const struct dhcp6_arrival *arrival;
    const struct dhcp6_message *request;
    uint64_t now; /* monotonic usec */
    const struct dhcp_network *network;
    struct mac_address mac;
    bool known; /* a registered node's MAC */
    struct dhcp_node node;
    struct dhcp_client client;
    struct in6_addr address; /* the machine's */
};

/* Our DUID in a network: that of the interface's MAC (RFC 8415 11.4), the same after a restart. */
#define SERVER6_DUID_SIZE 10
void server6_duid(const struct dhcp_network *network, uint8_t ret_duid[static SERVER6_DUID_SIZE]);

/* False: it boots nothing from here. */
bool exchange6_boot_url(const struct exchange6 *x, char ret_url[static DHCP6_URL_SIZE]);

/* --- answer.c --- */

enum answer6_kind {
    ANSWER6_ADDRESS,     /* its address, and all else */
    ANSWER6_INFORMATION, /* all but an address */
    ANSWER6_BOOT,        /* what to boot, and nothing else: beside another server */
    ANSWER6_CONFIRMED,   /* its address is all right here */
    ANSWER6_NOT_ON_LINK, /* it is not */
    ANSWER6_STATUS,      /* taken note of */
};

/* False: it does not fit into a datagram. */
bool answer6_build(const struct exchange6 *x, enum dhcp6_type type, enum answer6_kind kind,
                   struct dhcp6_answer *answer);
