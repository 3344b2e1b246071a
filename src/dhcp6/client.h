/*
 * Who asks, and for what.
 *
 * DHCPv6 has no field for a hardware address, and a DUID need not have one in it: that of EDK2 and
 * of iPXE is the machine's UUID. What both have is a link-local address made from the MAC
 * (RFC 4291 app. A), as most systems have. An address of another kind tells nothing: such a machine
 * is not known to us. A DUID alone is believed only where there is no link-local address: it is on
 * the disk, and a copied disk has it, too.
 */
#pragma once

#include "dhcp/boot_options.h"
#include "dhcp6/packet.h"

#define DHCP6_URL_SIZE 256

/* source: of the datagram; what a relay saw counts instead. False: it cannot be told. */
bool dhcp6_client_mac(const struct dhcp6_message *message, const struct in6_addr *source,
                      struct mac_address *ret_mac);

/* The program that asks. */
enum dhcp_client_kind dhcp6_client_kind(const struct dhcp6_message *message);
/* The same, and its architecture (see boot_options.h). */
struct dhcp_client dhcp6_client_of(const struct dhcp6_message *message,
                                   const struct subnet *subnet);

struct dhcp6_boot_place {
    struct in6_addr server;
    uint16_t http_port;
    struct mac_address mac; /* whose script it is */
};

/* Option 59 for it; false: it boots nothing from here. */
bool dhcp6_boot_url(const struct dhcp_client *client, const struct subnet *subnet,
                    const struct dhcp6_boot_place *place, char ret_url[static DHCP6_URL_SIZE]);
