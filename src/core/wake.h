/*
 * Wake-on-LAN: what a sleeping network card looks for in what it hears (AMD, "Magic Packet
 * Technology", 1995): six bytes of ones, its own MAC sixteen times, and a password (SecureOn) if
 * it was set up with one.
 */
#pragma once

#include "core/net.h"

#define WAKE_PASSWORD_SIZE 6
#define WAKE_PACKET_MAX    (6 + 16 * 6 + WAKE_PASSWORD_SIZE)

struct wake_password {
    bool given;
    uint8_t bytes[WAKE_PASSWORD_SIZE];
};

/* aa:bb:cc:dd:ee:ff or with dashes, any bytes. -EINVAL. */
int wake_password_parse(const char *text, struct wake_password *ret_password) MUST_CHECK;
/* Of one that is given. */
const char *wake_password_format(const struct wake_password *password,
                                 char buffer[static MAC_TEXT_SIZE]);

/* Returns the size. */
size_t wake_packet_build(uint8_t packet[static WAKE_PACKET_MAX], struct mac_address mac,
                         const struct wake_password *password);
