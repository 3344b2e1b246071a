/*
 * Configuration for somebody else's DHCP server that does what ours would: the addresses of all
 * nodes, the options of subnets, groups and nodes, a loader for firmware by its architecture, and
 * for iPXE its script, so that it is not given the loader again for ever.
 */
#pragma once

#include "dhcp/subnet.h"
#include "registry/catalog.h"

/* A subnet, and how its machines reach this server. */
struct export_network {
    const struct subnet *subnet;
    uint32_t server;    /* 0: its interface has no address there now */
    uint16_t http_port; /* of the boot scripts */
};

/* format: "dnsmasq", "kea", "isc", "networkd". *ret_text: free() it. -EINVAL: there is no such
 * format; -ENOMEM.
 */
int export_dhcp(const char *format, const struct export_network *networks, size_t n_networks,
                const struct catalog *catalog, char **ret_text, struct error *ret_error) MUST_CHECK;
