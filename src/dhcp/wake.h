/* Sends the magic packet (core/wake.h) to the machines of a subnet. */
#pragma once

#include "core/error.h"
#include "core/wake.h"
#include "dhcp/subnet.h"

/* Where it has gone. */
struct wake_sent {
    uint32_t broadcast; /* host byte order: by UDP, to port 9... */
    bool frame;         /* ...and as a frame of its own (EtherType 0x0842) */
};

/* For each MAC, both ways, out of the subnet's interface. A subnet that is only behind a relay is
 * reached by UDP alone, if the routers on the way pass its broadcast address. May wait. -ENODEV and
 * what else an interface can have against it. */
int wake_send(const struct subnet *subnet, const struct mac_address *macs, size_t n_macs,
              const struct wake_password *password, struct wake_sent *ret_sent,
              struct error *ret_error) MUST_CHECK;
