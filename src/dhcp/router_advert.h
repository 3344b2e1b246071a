/*
 * The router advertisement that ends a booting node's wait for one.
 *
 * iPXE configures IPv6 beside IPv4 and waits 13 s for a router before it goes on, on every
 * interface and every time. One advertisement ends that. Ours promises nothing: router lifetime 0,
 * no prefix, no flags (RFC 4861 4.2), so that whoever hears it configures nothing; and only the
 * node that asked hears it.
 *
 * It must never stand beside a real router's: from a router's own address, lifetime 0 would
 * withdraw its default route, and with a real router about, nobody waits. So: only for known
 * nodes, only unicast, never while another router advertises on this interface, and not in the
 * first seconds, while one that is there answers the solicitation that we send ourselves.
 */
#pragma once

#include "core/counter.h"
#include "core/net.h"
#include "core/wire.h"

/* How long a router is believed in after its last advertisement: three of the longest intervals
 * that RFC 4861 6.2.1 allows. */
#define ROUTER_HOLD_TIME   (3 * 1800 * USEC_PER_SEC)
/* Routers answer a solicitation within 0.5 s, and send at most one multicast advertisement in 3 s
 * (RFC 4861 10). */
#define ROUTER_LISTEN_TIME (4 * USEC_PER_SEC)

#define ROUTER_ADVERT_SIZE  56 /* bytes of IPv6 packet: header and advertisement, no options */
#define ROUTER_SOLICIT_SIZE 48

struct router_advert_counters {
    struct counter solicitations; /* received from anybody */
    struct counter answered;
    struct counter unknown;   /* not from a known node */
    struct counter limited;   /* too many */
    struct counter malformed; /* neither solicitation nor advertisement as RFC 4861 6.1 has them */
    struct counter from_routers; /* advertisements of others */
};

/* One interface. */
struct router_advert {
    uint8_t address[16]; /* ours, link-local */
    bool (*is_known_node)(void *context, struct mac_address mac);
    void *context;

    uint64_t quiet_until;       /* monotonic usec: another router advertises, or may do so */
    bool router_heard;          /* ... does; told once by whoever owns this */
    uint8_t router_address[16]; /* who */
    uint64_t allowance_at;      /* token bucket of answers */
    uint32_t allowance;
    struct router_advert_counters *counters; /* of all interfaces together */
};

/* address: our link-local address on the interface, or NULL to make the one that follows from the
 * MAC (RFC 4291 app. A): nobody will ever send anything there. */
void router_advert_init(struct router_advert *ra, struct router_advert_counters *counters,
                        const uint8_t address[16], struct mac_address mac, uint64_t now);

/* Takes an IPv6 packet that came from this hardware address. True if *ret_advert,
 * ROUTER_ADVERT_SIZE bytes of IPv6 packet, is to be sent back there. */
bool router_advert_receive(struct router_advert *ra, const void *packet, size_t size,
                           struct mac_address sender, uint64_t now,
                           uint8_t ret_advert[static ROUTER_ADVERT_SIZE]);

/* The solicitation with which to look for routers, to ff02::2 (33:33:00:00:00:02); from "::", so
 * that they answer everybody. */
void router_advert_solicit(uint8_t ret_packet[static ROUTER_SOLICIT_SIZE]);
