/*
 * ARP for IPv4 over Ethernet (RFC 826), as far as finding out who uses an address needs it:
 * requests and probes (RFC 5227 2.1.1), and what answers or announcements say.
 */
#pragma once

#include "core/net.h"

#define ARP_SIZE 28

/* Asks who has this address. sender: ours, and it is an ordinary question; 0: a probe, by which
 * nobody's table of neighbours learns anything, and which a machine that is about to take the
 * address takes for a rival's. */
void arp_request_build(uint8_t packet[static ARP_SIZE], struct mac_address mac, uint32_t sender,
                       uint32_t address);

/* Who says that he has an address, in a packet without its Ethernet header. False: nobody does, or
 * no machine can be it. */
bool arp_read_claim(const void *packet, size_t size, struct mac_address *ret_mac,
                    uint32_t *ret_address);
