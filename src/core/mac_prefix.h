/* The beginning of a MAC, by which makers and series of network cards are told apart. */
#pragma once

#include "core/net.h"

struct mac_prefix {
    uint8_t bytes[6];
    size_t size; /* bytes that are given, 1..6 */
};

/* "52:54:00", "52-54-00" or "525400"; -EINVAL: it is none. */
int mac_prefix_parse(const char *text, struct mac_prefix *ret_prefix) MUST_CHECK;
bool mac_prefix_has(const struct mac_prefix *prefix, struct mac_address mac);
