/*
 * Rules of nftables for what this server listens on: machines of its subnets reach it, and nobody
 * else does. What belongs to other programs passes. iSCSI is open to where volumes are bound to,
 * too, and to the subnets only while a volume is bound to nowhere.
 */
#pragma once

#include "dhcp/subnet.h"
#include "registry/catalog.h"
#include "server/listen.h"

/* *ret_text: free() it. -EINVAL: without subnets everybody would be kept out; -ENOMEM. */
int export_firewall(const struct subnet *subnets, size_t n_subnets,
                    const struct listeners *listeners, const struct catalog *catalog,
                    char **ret_text, struct error *ret_error) MUST_CHECK;
