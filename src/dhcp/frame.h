/*
 * An IPv4 and UDP header in front of an answer, for clients that have no address yet and therefore
 * do not answer ARP (RFC 2131 4.1). The kernel puts the Ethernet header before it.
 */
#pragma once

#include "core/wire.h"

#define FRAME_HEADERS_SIZE 28

/* Writes headers and payload to `frame`, of FRAME_HEADERS_SIZE + size bytes. Addresses in host
 * byte order; size at most 65507. */
void frame_build(uint8_t *frame, uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port,
                 const void *payload, size_t size);

/* The Internet checksum (RFC 1071) of the bytes, on top of a sum of what is not among them. */
uint16_t frame_checksum(const void *data, size_t size, uint32_t sum);
