/*
 * Where somebody may come from: an address, a network, or (`node`) the address of the node that he
 * says he is.
 */
#pragma once

#include "core/net.h"

struct source {
    bool node;               /* nothing else is said */
    uint8_t bits;            /* 0..128 of the address count */
    struct in6_addr network; /* IPv4 mapped into IPv6, so that 10.0.0.0/8 has 104 bits */
};

#define SOURCE_TEXT_SIZE 52 /* the longest IPv6 address, /128 and NUL */

/* "10.0.0.7", "10.0.0.0/24", "2001:db8::/32" or "node"; -EINVAL for anything else, and if bits
 * outside the mask are set. */
int source_parse(const char *text, struct source *ret_source) MUST_CHECK;
/* As it would be given; a single address without bits. */
const char *source_format(const struct source *source, char buffer[static SOURCE_TEXT_SIZE]);
/* IPv4? A `node` is none. */
bool source_is_ipv4(const struct source *source);
/* Is the peer there? Never for `node`, of which the caller knows more. */
bool source_has(const struct source *source, const struct endpoint *peer);
