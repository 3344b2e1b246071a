/* The packet socket of router_advert.h on one interface, on the control thread's loop. */
#pragma once

#include "core/error.h"
#include "dhcp/link.h"
#include "dhcp/router_advert.h"

#include <systemd/sd-event.h>

struct router_advert_socket;

/* counters: counted up, not owned. is_known_node: may this machine be answered? */
int router_advert_open(sd_event *loop, const struct link_info *link,
                       struct router_advert_counters *counters,
                       bool (*is_known_node)(void *context, struct mac_address mac), void *context,
                       struct router_advert_socket **ret_socket,
                       struct error *ret_error) MUST_CHECK;
/* The networks there in which nodes boot over IPv6. */
void router_advert_boot_in(struct router_advert_socket *socket, const struct network6 *networks,
                           size_t count);
/* NULL: no-op. */
void router_advert_close(struct router_advert_socket *socket);
