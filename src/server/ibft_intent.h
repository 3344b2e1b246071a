/* What the iBFT of a node would say if it booted now: for those who have one and wonder. */
#pragma once

#include "dhcp/subnet.h"
#include "registry/policy.h"
#include "server/listen.h"

#include <jansson.h>

struct ibft_site {
    const struct catalog *catalog;
    const struct subnet *subnets; /* all that are configured */
    size_t n_subnets;
    struct policy_slot *policy;   /* rules of the configuration; NULL: none */
    const struct boot_ways *ways; /* the site's */
    const struct redirect_list *redirects;
    /* That DHCP gave to this MAC last; 0: none. */
    uint32_t (*leased)(void *context, struct mac_address mac);
    /* Where a machine with that address finds our targets; false: not by its network. */
    bool (*network)(void *context, uint32_t address, uint32_t *ret_mask,
                    struct endpoint *ret_portal);
    void *context;
};

/* what: a node's name, or a MAC. mac: the card in question, or NULL: the one that `what` is, else
 * the node's first. *ret_json: a new object, nodisk-api(7) has its keys. -ENOENT: there is no such
 * node; -ENOMEM. */
int ibft_intent(const struct ibft_site *site, const char *what, const struct mac_address *mac,
                json_t **ret_json, struct error *ret_error) MUST_CHECK;
