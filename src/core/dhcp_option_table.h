/*
 * The DHCP options that an operator may set, by name: RFC 2132, and what came later. Names are
 * those of IANA's registry, with what dnsmasq and ISC's server call them as further ones.
 */
#pragma once

#include "core/util.h"

/* What an option's data is, and how it is written: dhcp_option_value.h. */
enum dhcp_option_type {
    DHCP_TYPE_HEX, /* any bytes */
    DHCP_TYPE_TEXT,
    DHCP_TYPE_BOOL,
    DHCP_TYPE_U8,
    DHCP_TYPE_U16,
    DHCP_TYPE_U32,
    DHCP_TYPE_I32,
    DHCP_TYPE_ADDRESS,
    DHCP_TYPE_ADDRESSES,
    DHCP_TYPE_DOMAIN,  /* one name, as text */
    DHCP_TYPE_DOMAINS, /* RFC 3397: as in DNS, compressed */
    DHCP_TYPE_ROUTES,  /* RFC 3442 */
    DHCP_TYPES_COUNT,
};

#define DHCP_OPTION_MAX_ALIASES 2

struct dhcp_option_kind {
    uint8_t code;
    const char *name;
    enum dhcp_option_type type;
    const char *aliases[DHCP_OPTION_MAX_ALIASES]; /* or NULL */
    uint32_t min;                                 /* of a number */
    const char *wrong;   /* what to say of a bad value; NULL: what is said of its type */
    const char *refused; /* why nobody may set it; NULL: anybody may */
};

/* NULL: no such name, no such option. */
const struct dhcp_option_kind *dhcp_option_kind_by_name(const char *name);
const struct dhcp_option_kind *dhcp_option_kind_by_code(uint8_t code);
/* All of them, ordered by code. */
const struct dhcp_option_kind *dhcp_option_kinds(size_t *ret_count);
