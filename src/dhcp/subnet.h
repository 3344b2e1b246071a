/*
 * What the operator sets for one subnet ([subnet NAME] in the configuration file).
 *
 * IPv4 addresses are in host byte order; 0 means "not set".
 */
#pragma once

#include "core/dhcp_options.h"
#include "core/names.h"
#include "core/net.h"
#include "dhcp/architecture.h"

#include <net/if.h>

#define SUBNET_MAX_RANGES  8
#define SUBNET_MAX_SERVERS 4
#define LOADER_MAX_LEN     127 /* what fits the `file` field of a DHCP message */

enum subnet_mode {
    SUBNET_SERVER, /* the only DHCP server of this network */
    SUBNET_PROXY,  /* another one gives out addresses, we tell boot clients what to boot */
    SUBNET_OFF,    /* answer nothing; something else hands out addresses */
};

/* What becomes of a machine that boots and is no node. */
enum subnet_unknown {
    SUBNET_LOCAL,    /* it is told so, and boots its own disk */
    SUBNET_IGNORE,   /* DHCP does not answer it */
    SUBNET_REGISTER, /* it waits until somebody makes it a node */
};

struct address_range {
    uint32_t first, last; /* both included */
};

struct subnet {
    char name[NAME_MAX_LEN + 1];
    enum subnet_mode mode;
    enum subnet_unknown unknown;
    char interface[IF_NAMESIZE];
    uint32_t network, mask;
    struct address_range ranges[SUBNET_MAX_RANGES]; /* the pool; may be empty */
    size_t n_ranges;
    uint32_t routers[SUBNET_MAX_SERVERS];
    size_t n_routers;
    uint32_t dns[SUBNET_MAX_SERVERS];
    size_t n_dns;
    struct network6 network6; /* its machines may boot over IPv6, too; bits 0: not so */
    struct in6_addr dns6[SUBNET_MAX_SERVERS];
    size_t n_dns6;
    char domain[254];
    struct dhcp_options options; /* what has no key of its own here */
    uint32_t lease_time;         /* seconds */
    bool conflict_detection;     /* look by ARP for machines in addresses of others */
    bool router_advertisement;   /* answer a booting node's router solicitation */
    char loaders[DHCP_LOADERS][LOADER_MAX_LEN + 1]; /* files in the loaders directory; "": none */
};
