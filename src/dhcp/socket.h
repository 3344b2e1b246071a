/*
 * The DHCP server's sockets on one interface: UDP sockets bound to it, and a packet socket for
 * answers to machines that have no address yet. On the control thread's loop.
 */
#pragma once

#include "core/error.h"
#include "dhcp/link.h"
#include "dhcp/server.h"

#include <systemd/sd-event.h>

/* Datagrams handled in one go before everything else on the loop has its turn. */
#define DHCP_SOCKET_BATCH 16

struct dhcp_socket;

/* A datagram that came in. One that was too large has size DHCP_MAX_SIZE + 1. */
typedef void dhcp_socket_handler(void *context, const struct dhcp_arrival *arrival,
                                 const void *data, size_t size);

/* Opens port 67 on the interface. The error says what is in the way: another DHCP server, a
 * missing capability. */
int dhcp_socket_open(sd_event *loop, const struct link_info *link, dhcp_socket_handler *handler,
                     void *context, struct dhcp_socket **ret_socket,
                     struct error *ret_error) MUST_CHECK;
/* Whether port 4011 is heard, too, which only a proxy needs. */
int dhcp_socket_set_boot_server(struct dhcp_socket *socket, const struct link_info *link, bool on,
                                struct error *ret_error) MUST_CHECK;
/* NULL: no-op. */
void dhcp_socket_close(struct dhcp_socket *socket);

/* Negative errno if it could not be sent; never waits. */
int dhcp_socket_send(struct dhcp_socket *socket, const struct dhcp_answer *answer);
