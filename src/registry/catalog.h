/*
 * The catalog: everything that the serving threads need to know about nodes, volumes and images,
 * as one immutable snapshot.
 *
 * The registry thread makes a new catalog after every change and swaps it in whole. Readers take
 * a reference, look, and let go; nothing that they hold changes under them. Strings and arrays
 * belong to the catalog.
 */
#pragma once

#include "core/answer.h"
#include "core/boot_ways.h"
#include "core/credentials.h"
#include "core/dhcp_options.h"
#include "core/iscsi_uri.h"
#include "core/net.h"
#include "core/source.h"
#include "core/wake.h"
#include "registry/boot_rule.h"
#include "registry/catalog_overlay.h"

struct catalog;

enum volume_kind {
    VOLUME_FILE,    /* a raw file; `path` */
    VOLUME_DEVICE,  /* a block device; `path` */
    VOLUME_OVERLAY, /* layers of its own over an image version, or over nothing */
    VOLUME_NBD,     /* an export of an NBD server; `path` is its URI */
    VOLUME_ISCSI,   /* a LUN of a target elsewhere, which only its node uses; `path` is its URI */
};

const char *volume_kind_name(enum volume_kind kind);
/* -EINVAL: there is no such kind. */
int volume_kind_parse(const char *name, enum volume_kind *ret_kind) MUST_CHECK;

enum volume_state {
    VOLUME_CREATING, /* being filled; nobody may log in yet */
    VOLUME_READY,
    VOLUME_FAILED,   /* filling it failed; `volume remove` is all that is left */
    VOLUME_REMOVING, /* on its way out; nobody may log in any more */
};

/* A data volume of a node. */
struct catalog_attachment {
    uint32_t lun; /* 1..255 */
    uint64_t volume_id;
};

/* A further card of a node, in a network of its own: another way to the node's disk. */
struct catalog_path {
    struct mac_address mac; /* one of the node's */
    uint32_t address;       /* the card's own */
};

struct catalog_node {
    uint64_t id;
    const char *name;   /* host name, name_is_host() */
    const char *group;  /* or NULL */
    uint32_t address;   /* of its cards but those of its paths; 0: from the pool */
    uint64_t volume_id; /* what it boots; 0: nothing */
    size_t n_macs;
    const struct mac_address *macs; /* in the order given; at least one */
    size_t n_paths;
    const struct catalog_path *paths; /* ordered by MAC */
    size_t n_attachments;
    const struct catalog_attachment *attachments; /* ordered by LUN */
    uint64_t created_at;                          /* usec since 1970 */
    /* For all its logins, and then those from before that are still accepted; their tags are the
     * boots that they were made for (0: none, or not known). NULL: none */
    const struct chap_credentials *chap;
    uint64_t chap_since; /* usec since 1970: when the present ones were made; 0: not known */
    bool chap_seen;      /* a system (and not only firmware) has logged in with the present ones */
    struct wake_password wake_password; /* that its cards ask for */
    const struct dhcp_options *options; /* its own, only up to their end; NULL: none */
    struct boot_ways ways;
    const struct boot_rules *rules; /* NULL: none */
};

struct catalog_volume {
    uint64_t id;
    const char *name; /* name_is_object(); its target is <base-iqn>:<name> */
    enum volume_kind kind;
    enum volume_state state;
    const char *path;
    uint64_t size;       /* bytes; 0: not known (VOLUME_ISCSI) */
    uint32_t block_size; /* logical block: 512 or 4096 bytes */
    bool read_only;
    bool thick;         /* all of its space is taken, and none is given back */
    bool removable;     /* its initiators may eject it */
    bool shared;        /* several nodes may write at once (allow: any, or several initiators) */
    bool allow_any;     /* any initiator may log in */
    uint8_t serial[16]; /* unique, random; VPD pages 80 and 83 are made from it */
    const char *image;  /* "debian12@1" that it was made from, or NULL */
    size_t n_allow;
    const char *const *allow; /* further initiators that may log in, beside its nodes' */
    size_t n_sources;
    const struct source *sources; /* where all initiators must come from; none: anywhere */
    bool owned;                   /* its file is in the state directory and goes when it goes */
    const char *failure;          /* VOLUME_FAILED: why, in a sentence; else NULL */
    uint64_t created_at;          /* usec since 1970 */
    const struct catalog_overlay *overlay; /* of VOLUME_OVERLAY; else NULL */
    const struct iscsi_uri *elsewhere;     /* of VOLUME_ISCSI; else NULL */
    /* for logins of others than its nodes; of VOLUME_ISCSI: of its node, there; NULL: none */
    const struct chap_credentials *chap;
};

struct catalog_label {
    const char *key; /* name_is_object() */
    const char *value;
};

struct catalog_image {
    uint64_t id;
    const char *name;
    uint32_t version; /* 1.. */
    const char *path;
    uint64_t size;        /* bytes */
    uint64_t created_at;  /* usec since 1970 */
    uint8_t identity[16]; /* random, of this version for ever, whatever its name becomes */
    const char *sha256;   /* of its content, hexadecimal; NULL: not known */
    const char *source;   /* the file that it was imported from; NULL: not known */
    const char *format;   /* that file's: "raw", "qcow2", ...; NULL: not known */
    size_t n_labels;
    const struct catalog_label *labels; /* ordered by key */
};

struct catalog_group {
    uint64_t id;
    const char *name; /* name_is_object() */
    uint64_t created_at;
    const struct dhcp_options *options; /* as of a node */
    const struct boot_rules *rules;     /* likewise */
};

enum boot_entry_kind {
    BOOT_ENTRY_LIVE,      /* a kernel and initramfs over HTTP */
    BOOT_ENTRY_SCRIPT,    /* an iPXE script of the operator's */
    BOOT_ENTRY_INSTALLER, /* as a live system, and it installs onto the node's volume */
};

/* "live", "script", "installer" */
const char *boot_entry_kind_name(enum boot_entry_kind kind);
/* -EINVAL: there is no such kind. */
int boot_entry_kind_parse(const char *name, enum boot_entry_kind *ret_kind) MUST_CHECK;

/* Something to boot that is no volume; files are absolute paths. */
struct catalog_entry {
    uint64_t id;
    const char *name;  /* name_is_object(), no boot_target_is_word() */
    const char *title; /* for menus: printable, no expansion */
    enum boot_entry_kind kind;
    const char *file;      /* the kernel, or the script */
    const char *arguments; /* of the kernel; "": none */
    size_t n_initrds;
    const char *const *initrds; /* in their order */
    uint64_t created_at;        /* usec since 1970 */
    /* Which SHA-256 they must have, hexadecimal: the kernel, then the initrds; "": any. NULL: all
     * may have any; else n_initrds + 1. */
    const char *const *sha256;
    /* Where those come from that were fetched, likewise; "": they are read where they are. NULL:
     * all are. */
    const char *const *urls;
    /* of an installer: */
    enum answer_format format;
    const char *answer; /* the template of its answer file; else NULL */
    size_t n_variables;
    const struct catalog_label *variables; /* for that; ordered by key */
};

/* --- building (registry only) --- */

/* An empty catalog with one reference, to be filled and then sealed. NULL without memory. */
struct catalog *catalog_new(const char *base_iqn, uint64_t generation);
/* Each copies what it is given, strings and arrays included. -ENOMEM. */
int catalog_add_node(struct catalog *catalog, const struct catalog_node *node) MUST_CHECK;
int catalog_add_volume(struct catalog *catalog, const struct catalog_volume *volume) MUST_CHECK;
int catalog_add_image(struct catalog *catalog, const struct catalog_image *image) MUST_CHECK;
int catalog_add_group(struct catalog *catalog, const struct catalog_group *group) MUST_CHECK;
int catalog_add_entry(struct catalog *catalog, const struct catalog_entry *entry) MUST_CHECK;
void catalog_set_site_rules(struct catalog *catalog, const struct boot_rules *rules);
/* Builds the indexes; after this the catalog must not change. -ENOMEM. */
int catalog_seal(struct catalog *catalog) MUST_CHECK;

/* --- reading (any thread) --- */

struct catalog *catalog_ref(struct catalog *catalog);
void catalog_unref(struct catalog *catalog);
static inline void catalog_unref_ptr(struct catalog **catalog)
{
    catalog_unref(*catalog);
}
#define cleanup_catalog __attribute__((cleanup(catalog_unref_ptr)))

uint64_t catalog_generation(const struct catalog *catalog);
const char *catalog_base_iqn(const struct catalog *catalog);

/* Arrays ordered by name (images by name, then version). */
const struct catalog_node *catalog_nodes(const struct catalog *catalog, size_t *ret_count);
const struct catalog_volume *catalog_volumes(const struct catalog *catalog, size_t *ret_count);
const struct catalog_image *catalog_images(const struct catalog *catalog, size_t *ret_count);
const struct catalog_group *catalog_groups(const struct catalog *catalog, size_t *ret_count);
const struct catalog_entry *catalog_entries(const struct catalog *catalog, size_t *ret_count);

/* What holds for all nodes. */
const struct boot_rules *catalog_site_rules(const struct catalog *catalog);

/* All finders return NULL if there is no such thing. O(log n). */
const struct catalog_node *catalog_node_by_mac(const struct catalog *catalog,
                                               struct mac_address mac);
const struct catalog_node *catalog_node_by_name(const struct catalog *catalog, const char *name);
const struct catalog_node *catalog_node_by_address(const struct catalog *catalog, uint32_t address);
/* Its own address for one of its cards; 0: it has none. */
uint32_t catalog_node_address_of(const struct catalog_node *node, struct mac_address mac);
/* Is the address its own, of whatever card? */
bool catalog_node_has_address(const struct catalog_node *node, uint32_t address);
/* The node whose initiator this is: <base-iqn>:<name> or <base-iqn>:<mac> with dashes or colons. */
const struct catalog_node *catalog_node_by_initiator(const struct catalog *catalog,
                                                     const char *initiator);
/* NULL as a name is no group's. */
const struct catalog_group *catalog_group_by_name(const struct catalog *catalog, const char *name);
const struct catalog_entry *catalog_entry_by_name(const struct catalog *catalog, const char *name);
const struct catalog_volume *catalog_volume_by_name(const struct catalog *catalog,
                                                    const char *name);
const struct catalog_volume *catalog_volume_by_id(const struct catalog *catalog, uint64_t id);
/* Whose target this is: <base-iqn>:<volume>, or <base-iqn>:<node>.<system>, as catalog.c says. */
const struct catalog_volume *catalog_volume_by_target(const struct catalog *catalog,
                                                      const char *target);
/* version 0: the latest. */
const struct catalog_image *catalog_image_find(const struct catalog *catalog, const char *name,
                                               uint32_t version);

/* May this initiator use this volume here? A node's own volume, an `allow` entry, or allow_any. */
bool catalog_may_access(const struct catalog *catalog, const char *initiator,
                        const struct catalog_volume *volume);

/* May it boot from this volume? Its own disk, wherever that is, or one here that its initiator may
 * use. */
bool catalog_may_boot(const struct catalog *catalog, const struct catalog_node *node,
                      const struct catalog_volume *volume);

/* May this initiator use this volume from there, if it may use it at all? `node` among the sources
 * is the own address of the node whose initiator it is. */
bool catalog_may_come_from(const struct catalog *catalog, const char *initiator,
                           const struct catalog_volume *volume, const struct endpoint *peer);

/* What this initiator must prove at a login to this volume; NULL: nothing. A node has its own
 * secrets wherever it logs in, and those of its disk are not for it. Lives as long as the catalog.
 */
const struct chap_credentials *catalog_chap(const struct catalog *catalog, const char *initiator,
                                            const struct catalog_volume *volume);

/* --- the current catalog, shared by all threads --- */

struct catalog_slot;

struct catalog_slot *catalog_slot_new(void);
void catalog_slot_free(struct catalog_slot *slot);
/* Takes over the caller's reference. */
void catalog_slot_set(struct catalog_slot *slot, struct catalog *catalog);
/* A new reference to the current one; NULL before the first set. */
struct catalog *catalog_slot_get(struct catalog_slot *slot);
