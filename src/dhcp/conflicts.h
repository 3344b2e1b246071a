/*
 * Addresses that somebody uses who did not get them here. Nothing of this delays an answer: what
 * the pool has to give next is asked for by ARP before it is needed, a few addresses a second,
 * round and round; and once more when it is offered, so that whoever has it is mostly found before
 * it is asked for. What is found in use is set aside, as what a client declines. An address of a
 * node, or one that is leased, stays its own: another machine in it is only told.
 *
 * In networks on our own wire whose addresses we give out, unless it is switched off.
 */
#pragma once

#include "dhcp/server.h"

#define DHCP_PROBES_PER_SECOND 10
#define DHCP_PROBE_EVERY       (300 * USEC_PER_SEC) /* a round takes that long at least... */
#define DHCP_PROBE_SOON        (5 * USEC_PER_SEC)   /* ...but for the first ones: probes get lost */
#define DHCP_PROBE_FIRST       3
/* Offers in a second whose addresses are probed, too. */
#define DHCP_OFFER_PROBES      50
/* One MAC that has claimed more of the pool than this answers for everybody (proxy ARP). */
#define DHCP_CLAIMS_MAX        4
/* So many are set aside in a minute, whoever claims them: a flood of forged MACs takes that much
 * of the pool for LEASE_DECLINED_TIME. What is found again while it is, is set aside anew after
 * DHCP_SET_ASIDE_AGAIN, as one of these. */
#define DHCP_SET_ASIDE_MAX     16
#define DHCP_SET_ASIDE_AGAIN   (60 * USEC_PER_SEC)

/*
 * A question by ARP. What nobody has to have is asked for by a probe of RFC 5227, with no sender:
 * it is answered by those, too, who have no way to our address. A node may be about to take its
 * own address just then, and look itself whether somebody has it. A probe would tell it so (2.1.1),
 * and systemd's client, for one, then declines what it was given; so it is asked for with our own
 * address.
 */
struct dhcp_probe {
    unsigned link;
    uint32_t sender; /* our address; 0: none */
    uint32_t address;
};

/* When to call dhcp_server_next_probe() (monotonic usec); UINT64_MAX: never. */
uint64_t dhcp_server_probe_time(const struct dhcp_server *server);
/* True: ask for this address now, and call again. */
bool dhcp_server_next_probe(struct dhcp_server *server, const struct dhcp_clock *now,
                            struct dhcp_probe *ret_probe);
/* A machine on that link says that it has this address. */
void dhcp_server_claimed(struct dhcp_server *server, unsigned link, uint32_t address,
                         struct mac_address mac, const struct dhcp_clock *now);
