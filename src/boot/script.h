/*
 * iPXE scripts: how a machine that runs iPXE is told what to do. Pure.
 *
 * Written for iPXE of 2019 (Debian 12) and newer. Every step that needs the server is in a loop
 * that asks for a fresh script and tries again, so that a node that comes up before its server, or
 * loses it on the way, waits and goes on by itself, and a change on the server reaches it.
 */
#pragma once

#include "boot/direct_boot.h"
#include "registry/plan.h"

/* Another card of the node, with an address in another network than the one that it asks from. */
struct boot_path {
    struct mac_address mac;
    uint32_t address, mask;
    uint16_t portal_port;
    char portal[ENDPOINT_TEXT_SIZE]; /* the target's address in that network */
};

/* How a machine comes to its disk over IPv4, which iPXE can tell its system of. */
enum boot_ipv4_way {
    BOOT_IPV4_USE,  /* it has an address already */
    BOOT_IPV4_SET,  /* it asks over IPv6: it sets the address that it is to have */
    BOOT_IPV4_ASK,  /* likewise, and it has to say whether it has got one: see BOOT_IPV4_QUERY */
    BOOT_IPV4_NONE, /* it has none: its disk is reached over IPv6 */
};

/* How it says that in the query of the script's URL: "&ip=10.0.0.20", or "&ip=". */
#define BOOT_IPV4_QUERY "ip"

/* A menu's choice, as boot_target_format() has it: "&entry=volume:web1-old"; and which one has come
 * to nothing, for the menu to say. */
#define BOOT_CHOICE_QUERY "entry"
#define BOOT_FAILED_QUERY "failed"
/* The node was asked what it is, so that this is no machine that waits to become a node. */
#define BOOT_TOLD_QUERY   "told"

/* It could not fetch its script over HTTPS: "&https=failed". */
#define BOOT_HTTPS_QUERY "https"

struct boot_ipv4 {
    uint32_t address, mask, router; /* router 0: none */
    bool dhcp;                      /* DHCP would give it one */
};

struct boot_site {
    const char *portal; /* "10.0.0.1", "[2001:db8::1]": the target's address for this machine */
    uint16_t portal_port;
    const char *base_url;   /* "http://10.0.0.1", "http://[2001:db8::1]:8080", "https://10.0.0.1" */
    const char *system_url; /* the same for what fetches no more by iPXE */
    const char *base_iqn;
    const struct boot_path *paths; /* further ways to the disk */
    size_t n_paths;
    const char *scripts_url; /* of the operator's script that may boot nodes; NULL: there is none */
    bool boot_by_scripts;    /* it boots all that would boot their disks */
    enum boot_ipv4_way ipv4_way;
    struct boot_ipv4 ipv4; /* to be set */
    struct boot_ways ways; /* this machine's; none of them is the default */
    const char *chosen;    /* the plan is what was chosen in a menu, and this is it; or NULL */
    /* For menus: */
    const struct catalog *catalog;
    const char *failed;    /* what was chosen before, and came to nothing; or NULL */
    uint32_t menu_timeout; /* seconds; 0: it waits for ever */
    bool menu_snapshots;   /* they offer snapshots of the node's own disk */
};

/* The script for the machine with this MAC. From malloc(); NULL without memory. */
char *boot_script_render(const struct plan *plan, struct mac_address mac,
                         const struct boot_site *site);

/* What a machine whose firmware has its disk boots from there, without the disk's loader; if it
 * cannot fetch it, the script ends with an error. chosen: as in boot_site. As above. */
char *boot_script_render_direct(const struct direct_boot *boot, struct mac_address mac,
                                const char *base_url, const char *chosen);
/* Has a machine that asked over HTTP fetch the same script over HTTPS, and if it cannot, show why
 * and what to do, and ask again. As above. */
char *boot_script_render_https(struct mac_address mac, const char *base_url, const char *https_url);
/* Ends with an error, having shown why the disk's loader has to boot. As above. */
char *boot_script_render_loader(const char *reason);
