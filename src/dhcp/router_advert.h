/*
 * The router advertisement that ends a booting node's wait for one.
 *
 * iPXE configures IPv6 beside IPv4 and waits 13 s for a router before it goes on, on every
 * interface and every time. One advertisement ends that. Ours promises nothing: router lifetime 0,
 * no prefix, no flags (RFC 4861 4.2), so that whoever hears it configures nothing; and only the
 * node that asked hears it.
 *
 * Where nodes boot over IPv6, it says what they need to know for that, and still makes nobody a
 * router: that addresses and all else are to be had by DHCPv6 (M and O: without one of them iPXE
 * does not ask), and which networks are on this wire (prefixes with L, without A: nobody makes an
 * address of his own), for an address by DHCPv6 says nothing of its neighbours (RFC 5942 4). The
 * prefixes have no end, since nothing repeats them: the system of a node may live on this one.
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

#define ROUTER_ADVERT_SIZE     56 /* bytes of IPv6 packet: header and advertisement, no options */
#define ROUTER_ADVERT_PREFIX   32 /* and for each prefix */
#define ROUTER_ADVERT_PREFIXES 4
#define ROUTER_ADVERT_MAX_SIZE (ROUTER_ADVERT_SIZE + ROUTER_ADVERT_PREFIXES * ROUTER_ADVERT_PREFIX)
#define ROUTER_SOLICIT_SIZE    48

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
    bool router_for_dhcp;       /* and tells machines to use DHCPv6, for addresses or the rest */
    struct network6 prefixes[ROUTER_ADVERT_PREFIXES]; /* that nodes boot in */
    size_t n_prefixes;
    uint64_t allowance_at; /* token bucket of answers */
    uint32_t allowance;
    struct router_advert_counters *counters; /* of all interfaces together */
};

/* address: our link-local address on the interface, or NULL to make the one that follows from the
 * MAC (RFC 4291 app. A): nobody will ever send anything there. */
void router_advert_init(struct router_advert *ra, struct router_advert_counters *counters,
                        const uint8_t address[16], struct mac_address mac, uint64_t now);

/* The networks on this wire in which nodes boot over IPv6; more than there is room for are left
 * out. */
void router_advert_set_prefixes(struct router_advert *ra, const struct network6 *prefixes,
                                size_t count);

/* Takes an IPv6 packet that came from this hardware address. If *ret_advert, an IPv6 packet, is to
 * be sent back there, its size; else 0. */
size_t router_advert_receive(struct router_advert *ra, const void *packet, size_t size,
                             struct mac_address sender, uint64_t now,
                             uint8_t ret_advert[static ROUTER_ADVERT_MAX_SIZE]);

/* The solicitation with which to look for routers, to ff02::2 (33:33:00:00:00:02); from "::", so
 * that they answer everybody. */
void router_advert_solicit(uint8_t ret_packet[static ROUTER_SOLICIT_SIZE]);
