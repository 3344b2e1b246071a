/* ARP on one interface, on the control thread's loop: questions out, claims in. */
#pragma once

#include "dhcp/arp.h"
#include "dhcp/link.h"

#include <systemd/sd-event.h>

struct arp_socket;

/* A machine of the interface says that it has this address. */
typedef void arp_socket_handler(void *context, unsigned link, uint32_t address,
                                struct mac_address mac);

int arp_socket_open(sd_event *loop, const struct link_info *link, arp_socket_handler *handler,
                    void *context, struct arp_socket **ret_socket,
                    struct error *ret_error) MUST_CHECK;
/* NULL: no-op. */
void arp_socket_close(struct arp_socket *socket);

/* Asks who has this address, see arp_request_build(). What cannot be sent is not; never waits. */
void arp_socket_ask(struct arp_socket *socket, uint32_t sender, uint32_t address);
