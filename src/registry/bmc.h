/*
 * Where a node's power is switched: the address of its management controller (BMC), or of whatever
 * else can, and what is to be proven there. Not part of the catalog: nobody needs it but who
 * switches.
 */
#pragma once

#include "registry/registry.h"

#define BMC_ADDRESS_MAX  255
#define BMC_USER_MAX     63
#define BMC_PASSWORD_MAX 255
#define BMC_SCHEME_MAX   15

struct registry_bmc {
    char address[BMC_ADDRESS_MAX + 1]; /* "ipmi://10.9.0.5"; its scheme is the name of a hook */
    char user[BMC_USER_MAX + 1];       /* "": none */
    char password[BMC_PASSWORD_MAX + 1];
};

/* The part before "://". -EINVAL: this is no such address. */
int bmc_scheme(const char *address, char ret_scheme[static BMC_SCHEME_MAX + 1],
               struct error *ret_error) MUST_CHECK;

/* bmc: NULL takes it away. Of what is NULL in it, what there was stays. -ENOENT: no such node. */
struct registry_bmc_change {
    const char *address, *user, *password;
};
int registry_bmc_set(struct registry *registry, const char *node,
                     const struct registry_bmc_change *bmc, struct error *ret_error) MUST_CHECK;
/* 1: *ret_bmc, with its password; 0: the node has none. */
int registry_bmc_get(struct registry *registry, const char *node, struct registry_bmc *ret_bmc,
                     struct error *ret_error) MUST_CHECK;
