/* What the formats of export_dhcp.h are written from. */
#pragma once

#include "server/export_dhcp.h"

#include <stdio.h>

struct export_job {
    FILE *out;
    const struct catalog *catalog;
    const struct export_network *networks;
    size_t n_networks;
};

/* One for each format. 0, or -ENOMEM. */
int export_dnsmasq(const struct export_job *job) MUST_CHECK;
int export_kea(const struct export_job *job) MUST_CHECK;
int export_isc(const struct export_job *job) MUST_CHECK;
int export_networkd(const struct export_job *job) MUST_CHECK;

#define EXPORT_URL_SIZE (LOADER_MAX_LEN + 48)

/* What iPXE asks for: it puts in its own MAC. */
#define EXPORT_SCRIPT "boot.ipxe?mac=${netX/mac:hexhyp}"

/* Of what this server has under that path, at most EXPORT_URL_SIZE - 32 bytes. */
const char *export_url(const struct export_network *network, const char *path,
                       char url[static EXPORT_URL_SIZE]);

/* A node's options: its own, and its group's that it has none of instead. */
void export_node_options(const struct catalog *catalog, const struct catalog_node *node,
                         struct dhcp_options *ret_options);
