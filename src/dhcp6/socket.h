/* The DHCPv6 server's socket on one interface, on the control thread's loop. */
#pragma once

#include "core/error.h"
#include "dhcp/link.h"
#include "dhcp6/server.h"

#include <systemd/sd-event.h>

struct dhcp6_socket;

/* A datagram that came in. One that was too large has size DHCP6_MAX_SIZE + 1. */
typedef void dhcp6_socket_handler(void *context, const struct dhcp6_arrival *arrival,
                                  const void *data, size_t size);

/* Opens port 547 on the interface and joins the groups that clients and relays send to. The error
 * says what is in the way: another server, no IPv6, a missing capability. */
int dhcp6_socket_open(sd_event *loop, const struct link_info *link, dhcp6_socket_handler *handler,
                      void *context, struct dhcp6_socket **ret_socket,
                      struct error *ret_error) MUST_CHECK;
/* NULL: no-op. */
void dhcp6_socket_close(struct dhcp6_socket *socket);

/* Negative errno if it could not be sent; never waits. */
int dhcp6_socket_send(const struct dhcp6_socket *socket, const struct dhcp6_answer *answer);
