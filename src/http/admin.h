/*
 * The administrative API (nodisk-api(7)): HTTP and JSON on the daemon's Unix socket. The command
 * line is its first user.
 *
 * Each connection has a thread of its own, which may wait for the registry and for disks; nothing
 * here ever holds up the control thread or an I/O thread.
 */
#pragma once

#include "boot/pending.h"
#include "boot/watch.h"
#include "http/sessions.h"
#include "registry/bmc.h"
#include "registry/registry.h"
#include "storage/storage.h"

struct admin;

/* A machine that is to be woken; all lives as long as the call. */
struct admin_wake {
    const char *node;
    const struct mac_address *macs;
    size_t n_macs;
    const struct wake_password *password;
    uint32_t address; /* that it has, or was given last; 0: none that we know of */
};

#define ADMIN_POWER_STATE_SIZE 8

/* An address that DHCP has offered to a machine, which has not asked for it yet. */
struct admin_offer {
    uint32_t address;
    struct mac_address mac;
    uint64_t expires_at; /* usec since 1970 */
    char subnet[NAME_MAX_LEN + 1];
};

struct admin_settings {
    const char *socket; /* path of the Unix socket */
    const char *state_directory;
    struct registry *registry;
    struct storage *storage;
    struct catalog_slot *catalog;
    struct policy_slot *policy;          /* rules of the configuration; NULL: none */
    bool (*would_ask)(void *context);    /* as node_http_settings has it */
    uint32_t fallback_after;             /* as in struct plan_moment */
    struct boot_ways ways;               /* of nodes that have none of their own */
    struct pending *pending;             /* NULL: nobody waits to become a node */
    const struct stage_provider *stages; /* NULL: nobody follows the boots yet */
    const struct session_provider *sessions;
    /* What the services counted, as a new object. Several threads at once. NULL: they do not. */
    json_t *(*counters)(void *context);
    /* What is known of how full file systems are: more members of the status's "space", as a new
     * object. Several threads at once. NULL: nothing is. */
    json_t *(*space)(void *context);
    /* What is there twice and should be there once, as a new array. Several threads at once. NULL:
     * nobody looks. */
    json_t *(*duplicates)(void *context);
    struct certificate_slot *certificates; /* of HTTPS to nodes; NULL: there is none */
    /* Configuration for another DHCP server; *ret_text: free() it. Several threads at once.
     * -EINVAL: there is no such format. NULL: there is none. */
    int (*export_dhcp)(void *context, const char *format, char **ret_text, struct error *ret_error);
    /* Rules of nftables; *ret_text: free() it. Several threads at once. NULL: there are none. */
    int (*export_firewall)(void *context, char **ret_text, struct error *ret_error);
    /* What the iBFT of a node should say, as a new object; what: its name, or a MAC; mac: the card,
     * or NULL. Several threads at once. -ENOENT: there is no such node. NULL: nobody knows. */
    int (*ibft)(void *context, const char *what, const struct mac_address *mac, json_t **ret_json,
                struct error *ret_error);
    /* What a node gets of its boot script ("boot"), a tree of scripts ("scripts") or a file of the
     * operator's scripts, as a new object; address: that it has, or 0. May wait; several threads at
     * once. -ENOENT: it gets none. NULL: there are none. */
    int (*show_script)(void *context, const struct catalog *catalog,
                       const struct catalog_node *node, uint32_t address, const char *stage,
                       json_t **ret_json, struct error *ret_error);
    /* How the subnets' boot loaders are, as a new object. May wait; several threads at once. NULL:
     * there are none. */
    json_t *(*loaders)(void *context);
    /* Frees an address, or what a node has. May wait; several threads at once. -ENOENT, -EBUSY with
     * the sentence. NULL: there are no leases. */
    int (*release_lease)(void *context, const char *address_or_node, struct error *ret_error);
    /* Up to max of them, by no order. May wait; several threads at once. NULL: there are none. */
    int (*offers)(void *context, struct admin_offer *offers, size_t max, size_t *ret_count,
                  struct error *ret_error);
    /* The IPv6 addresses that a node has where we give them out, as a new array of texts. Several
     * threads at once. NULL: it has none. */
    json_t *(*addresses6)(void *context, const struct catalog_node *node);
    /* Sends the magic packet out of the interfaces that the machine may be behind; they are told as
     * a new array. May wait; several threads at once. NULL: nothing can. */
    int (*wake)(void *context, const struct admin_wake *wake, json_t **ret_sent,
                struct error *ret_error);
    /* Asks for a machine's power or switches it. state: "on", "off", or "" (nobody has said).
     * Waits. NULL: nothing can. */
    int (*power)(void *context, const char *node, const struct registry_bmc *bmc,
                 const char *action, char state[static ADMIN_POWER_STATE_SIZE],
                 struct error *ret_error);
    void *context;
};

/* Everything in settings must outlive it; the strings are copied. */
int admin_start(const struct admin_settings *settings, struct admin **ret_admin,
                struct error *ret_error) MUST_CHECK;
/* Ends every connection (an import or copy under way is undone). NULL: no-op. */
void admin_stop(struct admin *admin);
