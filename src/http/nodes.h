/*
 * What machines fetch over HTTP: their boot script, and telling that they are up.
 *
 *   GET  /boot.ipxe?mac=52-54-00-00-00-01   the script for this machine
 *   GET  /entry/NAME/kernel, /memtest.bin, ...: what is to be booted, see nodes_entries.c
 *   GET  /install/...: what installers fetch for their node, see nodes_installs.c
 *   GET  /direct.ipxe, /direct/kernel, /direct/initrd: see nodes_direct.c
 *   GET  /loaders/snponly.efi, HEAD likewise: what firmware boots, see nodes_loaders.c
 *   GET  /scripts/boot.ipxe, HEAD likewise: the operator's own scripts, see nodes_scripts.c
 *   POST /up?mac=52-54-00-00-00-01          its system is up (a hint: it is shown, nothing more)
 *
 * Who asks is known by the address that DHCP gave to its MAC: a node's own script goes to nobody
 * else. Where another server gives out the addresses and we are its proxy, it is known by the MAC
 * that answers ARP for its address. Over IPv6 it is known likewise, and
 * behind a relay by its address, which follows from its MAC.
 *
 * A disk is looked for over IPv4 where that can be done, since iPXE can leave the system no IPv6
 * address of it: see struct node_http_ipv4.
 */
#pragma once

#include "boot/pending.h"
#include "boot/tracker.h"
#include "core/counter.h"
#include "core/net.h"
#include "registry/policy.h"

#include <jansson.h>

#define NODE_HTTP_MAX_LISTEN 8

/* Of a name in URLs. */
#define NODE_HTTPS_NAME_MAX 80

struct certificate_slot;
struct node_http;
struct plan;

enum node_http_oddity_kind {
    NODE_HTTP_NO_REQUEST,    /* a connection that brought no whole request */
    NODE_HTTP_NO_HTTPS,      /* the same over HTTPS */
    NODE_HTTP_WRONG,         /* a request for nothing that there is */
    NODE_HTTP_STRANGER,      /* asked for what is a node's from an address that is not the node's */
    NODE_HTTP_LATE,          /* asked for secrets of a node that does not boot */
    NODE_HTTP_BAD_SCRIPT,    /* asked for a script of the operator's that has a mistake */
    NODE_HTTP_BAD_ENTRY,     /* asked for a file of a boot entry that is not as it has to be */
    NODE_HTTP_WITHOUT_HTTPS, /* a machine that cannot fetch the script that is given by HTTPS only
                              */
};

struct node_http_oddity {
    enum node_http_oddity_kind kind;
    struct endpoint peer;
    const char *path;   /* WRONG, BAD_SCRIPT; while the call lasts. BAD_ENTRY: its name */
    const char *node;   /* STRANGER, LATE; likewise. WITHOUT_HTTPS: or NULL, if it is none */
    const char *reason; /* BAD_SCRIPT, BAD_ENTRY; likewise */
};

/* A read of a node's disk, as those see it who have it open. */
struct node_disk_read {
    uint64_t volume_id;
    uint64_t offset; /* bytes */
    size_t size;     /* bytes */
    uint8_t *data;
    /* On any thread, once: 0 or a negative errno. */
    void (*done)(struct node_disk_read *read, int result);
};

/* How a node boots; texts live as long as the call. */
struct node_http_direct {
    const char *node;
    const char *kernel; /* NULL: by its disk's own loader... */
    const char *reason; /* ...since this is so; else "" */
    uint64_t bytes;     /* of kernel and initramfs */
};

/* What somebody else says of what a node boots. */
struct node_http_say {
    const char *script;        /* that it gets this, as it is; NULL: he does not */
    struct boot_target target; /* that it boots this; NONE: he does not */
};

/* What he is asked. */
struct node_http_question {
    const struct catalog *catalog; /* these live until it is asked */
    const struct catalog_node *node;
    const struct plan *plan; /* what it would boot; likewise */
    uint32_t failures;       /* boots of it in a row that came to nothing */
    struct mac_address mac;  /* the card that boots */
    struct endpoint peer;
    /* Called once, on any thread, also while it is asked. */
    void (*done)(struct node_http_question *question, const struct node_http_say *say);
};

/* Who gives out an address? */
enum node_http_giver {
    NODE_HTTP_OURS,      /* our own DHCP: we know to whom */
    NODE_HTTP_PROXIED,   /* another server, whose proxy we are */
    NODE_HTTP_ELSEWHERE, /* another server */
};

/* Where a machine that is no node is to be registered. */
struct node_http_place {
    char subnet[NAME_MAX_LEN + 1];
    uint32_t lease_time; /* seconds, of an address that we gave it; 0: somebody else does that */
};

/* The IPv4 of a machine that asks over IPv6. */
struct node_http_ipv4 {
    struct endpoint portal;         /* where the target is, over IPv4 */
    uint32_t address, mask, router; /* that it is to have; router 0: none. Address 0: if it has got
                                       one, that is its own business */
    bool dhcp;                      /* our DHCP would give it one */
};

/* What goes out over HTTPS only? (Loaders, the operator's scripts, what installers fetch and the
 * word that a system is up are none of it.) */
enum node_https_need {
    NODE_HTTPS_OPTIONAL, /* nothing */
    NODE_HTTPS_SECRETS,  /* what a node with CHAP boots */
    NODE_HTTPS_ALWAYS,   /* what any machine boots */
};

/* HTTPS beside HTTP, if there are any certificates. */
struct node_https {
    const struct endpoint *listen;
    size_t n_listen; /* up to NODE_HTTP_MAX_LISTEN */
    struct certificate_slot *certificates;
    const char *priorities; /* see struct http_tls */
    const char *name;       /* in URLs; up to NODE_HTTPS_NAME_MAX. "": the address */
    enum node_https_need need;
    bool for_systems; /* installers fetch over it, too */
};

struct node_http_settings {
    const struct endpoint *listen;
    size_t n_listen; /* up to NODE_HTTP_MAX_LISTEN */
    struct node_https https;
    struct catalog_slot *catalog;
    struct boot_tracker *tracker;
    struct registry *registry; /* NULL: no rule is given to a boot */
    /* Where the target is for a machine that reached us at `local`. */
    void (*portal)(void *context, const struct endpoint *local, struct endpoint *ret_portal);
    /* The network that a node's own address is in: its mask, and the target's address there. False:
     * it is in none that is known here. NULL: nobody has further paths. */
    bool (*network)(void *context, uint32_t address, uint32_t *ret_mask,
                    struct endpoint *ret_portal);
    enum node_http_giver (*giver)(void *context, uint32_t address);
    /* The machine that has an address of a network that we are the proxy of, as the wire shows it;
     * false: it does not, since a router is between. */
    bool (*neighbour)(void *context, uint32_t address, struct mac_address *ret_mac);
    /* The machine that has an IPv6 address; zeros: none that may have it; false: nobody knows. */
    bool (*machine6)(void *context, const struct endpoint *peer, struct mac_address *ret_mac);
    /* What IPv4 is for a machine that asks over IPv6, and whose own address is this one (0: it has
     * none). False: we have no portal there. */
    bool (*ipv4)(void *context, const struct endpoint *peer, uint32_t own,
                 struct node_http_ipv4 *ret_ipv4);
    struct pending *pending; /* NULL: nobody is registered */
    /* False: a machine with this address that is no node is not to be registered. */
    bool (*registers)(void *context, const struct endpoint *peer,
                      struct node_http_place *ret_place);
    struct policy_slot *policy; /* rules of the configuration; NULL: none */
    struct boot_ways ways;      /* of nodes that have none of their own */
    uint32_t menu_timeout;      /* seconds; 0: menus wait for ever */
    bool menu_snapshots;        /* menus offer snapshots of the node's own disk */
    uint32_t fallback_after;    /* failed boots in a row; 0: nobody falls back */
    const char *memtest;        /* directory of memtest86+x64.bin and .efi */
    /* A boot has taken what a rule for some boots has said: this is left of it. Several threads at
     * once. NULL: nobody cares. */
    void (*claimed)(void *context, const char *node, const char *target, uint32_t left);
    /* What a node was to boot could not be written down. Likewise. */
    void (*refused)(void *context, const char *node, const char *target, const struct error *why);
    /* A boot has CHAP secrets of its own. Likewise. */
    void (*rotated)(void *context, const char *node);
    /* A node was installed by this entry, and no rule has it installed again. Likewise. */
    void (*installed)(void *context, const char *node, const char *entry);
    /* A node has failed to boot so often that it boots this instead. Likewise. */
    void (*fell_back)(void *context, const char *node, const char *target, uint32_t failures);
    void (*read_disk)(void *context, struct node_disk_read *read);
    /* How a node boots. Several threads at once. NULL: nobody cares. */
    void (*direct_told)(void *context, const struct node_http_direct *told);
    /* A file that firmware may boot: descriptor and size, or a negative errno. Several threads at
     * once. NULL: there are none. */
    int (*open_loader)(void *context, const char *name, int *ret_fd, uint64_t *ret_size);
    /* Is there anybody who has a say in what nodes boot? Then he is asked, and says it when he
     * likes: the node's request waits. False: he cannot be asked now, and will not say anything.
     * Several threads at once. NULL, both: there is nobody. */
    bool (*would_ask)(void *context);
    bool (*ask)(void *context, struct node_http_question *question);
    /* The same for a file of the operator's scripts. */
    int (*open_script)(void *context, const char *name, int *ret_fd, uint64_t *ret_size);
    bool boot_by_scripts; /* nodes boot by the boot.ipxe of these, if there is one */
    /* Something was dropped or refused. Several threads at once. NULL: nobody cares. */
    void (*oddity)(void *context, const struct node_http_oddity *oddity);
    void *context;
};

struct node_http_counters {
    struct counter requests;
    struct counter scripts; /* of nodes, handed out */
    struct counter unknown; /* the script for machines that are no nodes, handed out */
    struct counter up;      /* nodes that said so */
    struct counter loaders; /* fetched whole */
    struct counter refused; /* wrong requests, and what is not for the one who asks */
    struct counter dropped; /* connections that brought no whole request */
};

/* settings is copied; what it points to, but for both `listen` and `memtest`, must outlive it. */
int node_http_start(const struct node_http_settings *settings, struct node_http **ret_http,
                    struct error *ret_error) MUST_CHECK;
/* NULL: no-op. */
void node_http_stop(struct node_http *http);

/* What a node that reaches us at `local` would get now: stage: as struct admin_settings has it.
 * Without secrets, and without what only the machine knows. Any thread. -ENOENT. */
int node_http_show(struct node_http *http, const struct catalog *catalog,
                   const struct catalog_node *node, const struct endpoint *local, const char *stage,
                   json_t **ret_json, struct error *ret_error) MUST_CHECK;

/* Lives as long as it; any thread may read it. */
const struct node_http_counters *node_http_counters(const struct node_http *http);
/* Where it really listens (a port that was 0 was chosen by the system). */
const struct endpoint *node_http_endpoints(const struct node_http *http, size_t *ret_count);
const struct endpoint *node_http_secure_endpoints(const struct node_http *http, size_t *ret_count);
