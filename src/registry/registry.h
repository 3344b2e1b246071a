/*
 * The registry: nodes, groups, images, volumes with their reservations, leases and boots, kept for
 * good.
 *
 * A thread of its own is the only writer of the database. What is asked of it while it works is
 * carried out together: one transaction, with a savepoint for each request so that one that is
 * refused harms no other, made durable once (group commit), and only then is each told. After a
 * change that concerns the catalog, the new catalog is in its slot before anybody is told.
 *
 * Two styles of call. Those that take a `struct error *` block until it is durable: for admin
 * threads, never for the control thread or an I/O thread. Those that take a `struct
 * registry_reply *` return at once and post the answer to a mailbox.
 *
 * All return 0 or a negative errno with the sentence: -EEXIST (a name, MAC or address is taken),
 * -ENOENT (no such thing), -EBUSY (in use, or the database is locked), -EINVAL, and what happened
 * to the file (-ENOSPC, -EROFS, -EUCLEAN, -EIO).
 */
#pragma once

#include "core/facts.h"
#include "core/mailbox.h"
#include "core/names.h"
#include "registry/catalog.h"

#include <limits.h>

struct registry;

struct registry_settings {
    const char *path;             /* of the database; made if it is not there */
    const char *base_iqn;         /* for the catalog */
    struct catalog_slot *catalog; /* where each new catalog goes; must outlive the registry */
    const char *kernel; /* what tells this run of the server's kernel from others; or NULL */
    /* May a node have this address (inside a subnet, not the server's own)? A negative errno and
     * the sentence if not. Called on the registry thread. NULL: any address. */
    int (*check_address)(void *context, uint32_t address, struct error *ret_error);
    /* An asynchronous request without a reply failed. Called on the registry thread. */
    void (*lost)(void *context, const struct error *error);
    void *context;
};

/* Opens the database, puts the first catalog into its slot and starts the thread. The strings of
 * settings are copied. */
int registry_start(const struct registry_settings *settings, struct registry **ret_registry,
                   struct error *ret_error) MUST_CHECK;
/* Finishes what was asked, then stops. Nobody may be asking any more. NULL: no-op. */
void registry_stop(struct registry *registry);

/* The answer to an asynchronous request. Lives until message.run has run, which happens on the
 * owner of `mailbox` (NULL: on the registry's thread, which it must not hold up); error.code is 0
 * if it is durable. */
struct registry_reply {
    struct message message;
    struct mailbox *mailbox;
    struct error error;
};

/* DHCP options of a node or a group: which to set, as in "mtu=9000" (core/dhcp_options.h), and
 * before that which to take away, by name or number; -ENOENT: it was not there. */
struct registry_options_change {
    const char *const *set;
    size_t n_set;
    const char *const *unset;
    size_t n_unset;
};

/* --- groups --- */

int registry_group_add(struct registry *registry, const char *name,
                       struct error *ret_error) MUST_CHECK;
int registry_group_set(struct registry *registry, const char *name,
                       const struct registry_options_change *options,
                       struct error *ret_error) MUST_CHECK;
/* -EBUSY while a node is in it. */
int registry_group_remove(struct registry *registry, const char *name,
                          struct error *ret_error) MUST_CHECK;

/* --- what machines boot (boot_rule.h) --- */

/* One of them, or neither: the whole site. */
struct registry_boot_scope {
    const char *node, *group;
};

struct registry_boot_rule {
    enum boot_slot slot;
    struct boot_target target;
    uint64_t until; /* usec since 1970; 0: for ever */
    uint32_t times; /* boots; 0: it is not counted. Of a group or the site: of each of its nodes
                       that there are now, which then have a rule of their own */
    uint32_t after; /* FALLBACK: failed boots in a row, 1..20; 0: as the site says */
};

/* In place of what the slot had. -ENOENT: there is no such node, group, volume or entry. */
int registry_boot_rule_set(struct registry *registry, const struct registry_boot_scope *scope,
                           const struct registry_boot_rule *rule,
                           struct error *ret_error) MUST_CHECK;
/* All of its slots. */
int registry_boot_rules_clear(struct registry *registry, const struct registry_boot_scope *scope,
                              struct error *ret_error) MUST_CHECK;
/* What is written down of a boot before its machine is told what to boot. */
struct registry_claim {
    uint64_t node_id, boot_id;
    bool rule;    /* takes a boot from the node's rule for some boots and gives it to this one */
    bool secrets; /* the node has CHAP secrets of its own for it; those before stay good */
    bool disk;    /* says what its own disk is at this boot: */
    char snapshot[NAME_MAX_LEN + 1]; /* this snapshot of it; "": what it is */
};
/* All of it, or nothing. Asynchronous, as registry_lease_store(): when the reply comes, it is
 * durable and in the catalog. A boot that has it already, a rule that is used up or gone, and a
 * node without CHAP are no error and change nothing; -ENOENT, -EMLINK, ...: its disk cannot be that
 * snapshot. */
int registry_boot_claim(struct registry *registry, const struct registry_claim *claim,
                        struct registry_reply *reply) MUST_CHECK;

/* Sets of secrets of a node that are accepted beside the present one. */
#define REGISTRY_MAX_OLDER_CHAP 3

/* A system (and not only firmware) has logged in with the secrets that have this tag. runs: it has
 * come so far that the machine goes on with them: what is older is not accepted any more. Nobody
 * waits for it; -ENOMEM. */
int registry_chap_seen(struct registry *registry, uint64_t node_id, uint64_t tag,
                       bool runs) MUST_CHECK;
/* The node's system is up: the same for the newest secrets that a system has logged in with. */
int registry_chap_up(struct registry *registry, uint64_t node_id) MUST_CHECK;

#define REGISTRY_MAX_INITRDS         8
#define REGISTRY_MAX_ENTRY_ARGUMENTS 1500
#define REGISTRY_MAX_URL             1000 /* characters */
#define REGISTRY_MAX_ENTRY_TITLE     60
#define REGISTRY_MAX_ENTRY_VARIABLES 64

struct registry_boot_entry {
    const char *name;
    const char *title; /* "": none */
    enum boot_entry_kind kind;
    const char *file;      /* as in struct catalog_entry; it must be readable */
    const char *arguments; /* "": none */
    const char *const *initrds;
    size_t n_initrds;
    const char *const *sha256; /* as in struct catalog_entry */
    const char *const *urls;   /* likewise */
    /* of an installer: */
    enum answer_format format;
    const char *answer; /* it must be readable */
    const struct catalog_label *variables;
    size_t n_variables;
};

/* May it be called so, and its kernel told that? Its files are not looked at. Pure. */
int registry_boot_entry_check(const struct registry_boot_entry *entry,
                              struct error *ret_error) MUST_CHECK;
int registry_boot_entry_add(struct registry *registry, const struct registry_boot_entry *entry,
                            struct error *ret_error) MUST_CHECK;
/* A node was installed by this entry: no rule has it installed again, but what is said of nodes
 * that fail. Its own ones for some boots or some time that name the entry are over, and where
 * another one would, it is to boot its volume. by_policy: a rule of the configuration would.
 * Asynchronous, as registry_lease_store(). */
int registry_boot_installed(struct registry *registry, uint64_t node_id, const char *entry,
                            bool by_policy, struct registry_reply *reply) MUST_CHECK;
/* -EBUSY: a rule names it. */
/* Gives an entry that is there the files that were fetched anew. -ENOENT; -EBUSY: it is another one
 * by now, whose files have other URLs. */
int registry_boot_entry_renew(struct registry *registry, const struct registry_boot_entry *entry,
                              struct error *ret_error) MUST_CHECK;
int registry_boot_entry_remove(struct registry *registry, const char *name,
                               struct error *ret_error) MUST_CHECK;

/* --- volumes --- */

struct registry_volume {
    const char *name;
    enum volume_kind kind;
    enum volume_state state; /* VOLUME_CREATING or VOLUME_READY */
    const char *path;        /* absolute */
    bool owned;
    uint64_t size;
    uint32_t block_size;
    bool read_only;
    bool thick;
    bool removable;
    bool allow_any;
    const char *image;       /* "debian12@3" or NULL; what is at the bottom of an overlay */
    bool follows, ephemeral; /* of an overlay, as in struct catalog_overlay */
    const char *const *allow;
    size_t n_allow;
    const char *const *sources; /* for source_parse(); where logins must come from */
    size_t n_sources;
    const struct chap_credentials *chap; /* of initiators other than its nodes', or NULL */
};

/* A volume of this name that failed is replaced (and keeps its nodes); any other is -EEXIST. */
int registry_volume_add(struct registry *registry, const struct registry_volume *volume,
                        struct error *ret_error) MUST_CHECK;
/* What became of a volume that was being created. Ready, or (failure is a sentence): failed if a
 * node uses it, gone altogether if none does. */
int registry_volume_finish(struct registry *registry, const char *name, const char *failure,
                           struct error *ret_error) MUST_CHECK;
/* CHAP_NONE takes them away. From the next login on. */
int registry_volume_set_chap(struct registry *registry, const char *name,
                             const struct chap_credentials *credentials,
                             struct error *ret_error) MUST_CHECK;
#define REGISTRY_MAX_SOURCES 64
/* In place of those that it has; none: logins come from anywhere. From the next login on. */
int registry_volume_set_sources(struct registry *registry, const char *name,
                                const char *const *sources, size_t n_sources,
                                struct error *ret_error) MUST_CHECK;
/* Removal in two steps, with the file removed between them. The first refuses (-EBUSY) while a
 * node other than `except_node` (or NULL) uses it and takes it out of reach of new logins;
 * *ret_path (free() it) is the file to remove, NULL if it is not ours. */
int registry_volume_remove_begin(struct registry *registry, const char *name,
                                 const char *except_node, char **ret_path,
                                 struct error *ret_error) MUST_CHECK;
/* keep: the removal is called off and the volume is as before. */
int registry_volume_remove_end(struct registry *registry, const char *name, bool keep,
                               struct error *ret_error) MUST_CHECK;

/* --- layers and snapshots of overlays (layers.c) ---
 *
 * -EOPNOTSUPP: the volume is no overlay. Whoever changes what an overlay is made of sees to it that
 * nobody has it open; layers that nobody needs any more are then listed as being removed. */

#define REGISTRY_MAX_LAYERS 64 /* one on the other */

/* Carries a change out now. argument: the snapshot, or the image, "debian12@3" or "debian12" for
 * its latest version. kept: the snapshot that a rebase has left of what was before it; else "".
 * -ENOENT: there is no such snapshot or image; -EMLINK: too many layers. */
int registry_overlay_change(struct registry *registry, const char *volume,
                            enum overlay_change change, const char *argument,
                            char kept[static NAME_MAX_LEN + 1], struct error *ret_error) MUST_CHECK;
/* Has it carried out at the next boot of its node, instead of what was to be.
 * OVERLAY_NO_CHANGE: nothing is. */
int registry_overlay_stage(struct registry *registry, const char *volume,
                           enum overlay_change change, const char *argument,
                           struct error *ret_error) MUST_CHECK;
/* What was done to it at the beginning of a boot. */
struct registry_overlay_begun {
    enum overlay_change change;
    bool trial_ended; /* it is again what it was before it was booted from a snapshot */
    bool trial_begun; /* it is `snapshot` for this boot; what it was is the snapshot `kept` */
    char snapshot[NAME_MAX_LEN + 1], kept[NAME_MAX_LEN + 1];
};
/* Its node begins to boot, and its disk is not open: makes it the snapshot that this boot is to
 * have (registry_boot_claim()), or, if it is one since a boot before, what it was before that;
 * unless it is a snapshot now, carries out what was staged, or the reset of an ephemeral one, the
 * latter once for each boot. What its node has in mind of the disk is right from then on. On
 * failure nothing was changed. */
int registry_overlay_begin_boot(struct registry *registry, uint64_t volume_id,
                                struct registry_overlay_begun *ret_begun,
                                struct error *ret_error) MUST_CHECK;

struct registry_overlay_change {
    bool set_follows, set_ephemeral;
    bool follows, ephemeral; /* as in struct catalog_overlay */
};

int registry_overlay_set(struct registry *registry, const char *volume,
                         const struct registry_overlay_change *change,
                         struct error *ret_error) MUST_CHECK;
/* Names its top and puts an empty layer above it. -EEXIST. */
int registry_snapshot_add(struct registry *registry, const char *volume, const char *snapshot,
                          struct error *ret_error) MUST_CHECK;
/* As if it had not been added: the files of the layer above it were not made. -EBUSY: they were. */
int registry_snapshot_take_back(struct registry *registry, const char *volume, const char *snapshot,
                                struct error *ret_error) MUST_CHECK;
/* Takes the name away; what is written to its layer goes if nothing stands on it. */
int registry_snapshot_remove(struct registry *registry, const char *volume, const char *snapshot,
                             struct error *ret_error) MUST_CHECK;
/* -EOPNOTSUPP: this volume has no layers, and what to do instead. */
int registry_no_overlay(const char *volume, struct error *ret_error);
/* Takes its layers from a volume that is being removed; from here on it cannot be called off. */
int registry_overlay_drop(struct registry *registry, const char *volume,
                          struct error *ret_error) MUST_CHECK;
/* Of any volume: bytes; it never gets smaller. */
int registry_volume_grow(struct registry *registry, const char *volume, uint64_t size,
                         struct error *ret_error) MUST_CHECK;

/* The files of a new layer are there. */
int registry_layer_made(struct registry *registry, uint64_t layer_id,
                        struct error *ret_error) MUST_CHECK;
/* 1: the lower layer has no name, and only the upper one stands on it: they are to become one, and
 * no others of the volume until they have. 0: there are none. below_top: the upper one is not to be
 * the top, which may be written to. */
int registry_layer_begin_merge(struct registry *registry, const char *volume, bool below_top,
                               uint64_t *ret_upper_id, uint64_t *ret_lower_id,
                               struct error *ret_error) MUST_CHECK;
/* 1: the top was new, with nothing in it, and what is below it had no name: that is the top now. 0:
 * nothing has changed. */
int registry_overlay_drop_top(struct registry *registry, const char *volume,
                              struct error *ret_error) MUST_CHECK;
/* All that was in the lower one is in the upper one now. */
int registry_layer_merged(struct registry *registry, uint64_t upper_id, uint64_t lower_id,
                          struct error *ret_error) MUST_CHECK;

struct registry_layer {
    uint64_t id;
    char path[PATH_MAX]; /* of its files, but for their suffixes */
};

/* Layers whose files are to be removed. *ret_layers: an array, free() it. */
int registry_layer_list_removing(struct registry *registry, struct registry_layer **ret_layers,
                                 size_t *ret_count, struct error *ret_error) MUST_CHECK;
/* Its files are gone. */
int registry_layer_forget(struct registry *registry, uint64_t layer_id,
                          struct error *ret_error) MUST_CHECK;

/* --- data volumes of nodes --- */

#define REGISTRY_MAX_LUN 255

/* Makes a ready volume LUN `lun` (1..REGISTRY_MAX_LUN; 0: the lowest that is free) of a node's
 * target, from the node's next login on. -EBUSY: it belongs to another node, and is neither shared
 * nor read-only. */
int registry_volume_attach(struct registry *registry, const char *volume, const char *node,
                           uint32_t lun, uint32_t *ret_lun, struct error *ret_error) MUST_CHECK;
int registry_volume_detach(struct registry *registry, const char *volume, const char *node,
                           struct error *ret_error) MUST_CHECK;

/* --- nodes --- */

#define REGISTRY_MAX_PATHS 4 /* of a node */

struct registry_node {
    const char *name;
    const char *group;  /* or NULL; must exist */
    uint32_t address;   /* or 0 */
    const char *volume; /* or NULL; must exist */
    const struct mac_address *macs;
    size_t n_macs;
    const struct catalog_path *paths;
    size_t n_paths;
    enum chap_mode chap; /* the secrets are made here */
    struct wake_password wake_password;
    struct registry_options_change options;
    struct boot_ways ways;
};

/* new_volume: made with the node, both or none, and then its volume; or NULL. */
int registry_node_add(struct registry *registry, const struct registry_node *node,
                      const struct registry_volume *new_volume, struct error *ret_error) MUST_CHECK;

struct registry_node_change {
    bool set_group, set_address, set_volume, set_macs, set_chap, set_wake_password;
    bool rotate_chap;   /* new secrets; -EINVAL if there are none */
    const char *group;  /* NULL: none */
    uint32_t address;   /* 0: from the pool */
    const char *volume; /* NULL: none */
    const struct mac_address *macs;
    size_t n_macs;
    const struct catalog_path *paths;
    size_t n_paths; /* 0: none */
    enum chap_mode chap;
    struct wake_password wake_password; /* not given: none */
    struct registry_options_change options;
    bool set_direct, set_ibft_origin, set_chap_rotation, set_paths;
    struct boot_ways ways; /* of which what is set */
};

/* new_volume: as above, instead of change->volume. */
int registry_node_set(struct registry *registry, const char *name,
                      const struct registry_node_change *change,
                      const struct registry_volume *new_volume, struct error *ret_error) MUST_CHECK;
/* Its leases stay until they end; its boots are forgotten. */
int registry_node_remove(struct registry *registry, const char *name,
                         struct error *ret_error) MUST_CHECK;

/* --- images --- */

#define REGISTRY_MAX_LABELS      64 /* of one version */
#define REGISTRY_MAX_LABEL_VALUE 255

struct registry_image {
    const char *name;
    const char *directory;
    const char *source; /* the name of the file that it is imported from */
    size_t n_labels;
    const struct catalog_label *labels;
};

/* What is known of a version when it is complete. */
struct registry_image_result {
    uint64_t size;
    const char *sha256; /* or NULL */
    const char *format; /* of its source */
};

/* Reserves the next version of an image and the file for it, before its bytes are copied:
 * `<directory>/<name>/<version>.raw`, returned in *ret_path (free() it). It is not in the catalog
 * until registry_image_finish(). */
int registry_image_begin(struct registry *registry, const struct registry_image *image,
                         uint32_t *ret_version, char **ret_path,
                         struct error *ret_error) MUST_CHECK;
int registry_image_finish(struct registry *registry, const char *name, uint32_t version,
                          const struct registry_image_result *result,
                          struct error *ret_error) MUST_CHECK;
/* The checksum of a version of which none was known. */
int registry_image_record(struct registry *registry, const char *name, uint32_t version,
                          const char *sha256, struct error *ret_error) MUST_CHECK;
/* All versions keep their numbers and files. -EEXIST: there is one of that name; -EBUSY: a version
 * is being imported or removed. */
int registry_image_rename(struct registry *registry, const char *name, const char *new_name,
                          struct error *ret_error) MUST_CHECK;
/* Adds or changes labels of a version (0: the latest); a value of NULL takes one away. */
int registry_image_set_labels(struct registry *registry, const char *name, uint32_t version,
                              const struct catalog_label *labels, size_t n_labels,
                              struct error *ret_error) MUST_CHECK;
/* Forgets a version that never became ready; its number is free again. */
int registry_image_abandon(struct registry *registry, const char *name, uint32_t version,
                           struct error *ret_error) MUST_CHECK;
/* Removal in two steps, as of volumes. -EBUSY while a volume needs it (image_users.h). */
int registry_image_remove_begin(struct registry *registry, const char *name, uint32_t version,
                                char **ret_path, struct error *ret_error) MUST_CHECK;
int registry_image_remove_end(struct registry *registry, const char *name, uint32_t version,
                              struct error *ret_error) MUST_CHECK;

/* --- what a killed daemon left half-done --- */

struct registry_leftover {
    enum {
        LEFTOVER_VOLUME_CREATING,
        LEFTOVER_VOLUME_REMOVING,
        LEFTOVER_IMAGE,
        LEFTOVER_OVERLAY_REMOVING, /* its layers are dropped already */
    } what;
    char name[NAME_MAX_LEN + 1];
    uint32_t version;    /* of an image */
    bool removing;       /* an image: was being removed, not imported */
    char path[PATH_MAX]; /* to be removed with `.tmp` beside it; "": not ours */
};

/* *ret_leftovers: an array, free() it. */
int registry_list_leftovers(struct registry *registry, struct registry_leftover **ret_leftovers,
                            size_t *ret_count, struct error *ret_error) MUST_CHECK;

/* --- persistent reservations of volumes --- */

#define REGISTRY_ISID_SIZE 6

/* A registration of an I_T nexus. */
struct registry_registration {
    char initiator[IQN_MAX_LEN + 1];
    uint8_t isid[REGISTRY_ISID_SIZE];
    char target[IQN_MAX_LEN + 1];
    uint64_t key;
    bool all_target_ports;
    uint8_t
        reservation; /* the type of the reservation that it holds, as SPC-4 numbers them; or 0 */
};

/* Asynchronous, as registry_lease_store(). All that a volume has from now on, in this order,
 * instead of what it had; copied. A volume that is gone is an error, unless n is 0. */
int registry_registrations_store(struct registry *registry, uint64_t volume_id,
                                 const struct registry_registration *rows, size_t n,
                                 struct registry_reply *reply) MUST_CHECK;
/* Blocks. What a volume has, in order; each() is called as that of registry_lease_list(). */
int registry_registration_list(struct registry *registry, uint64_t volume_id,
                               void (*each)(void *context, const struct registry_registration *row),
                               void *context, struct error *ret_error) MUST_CHECK;

/* --- leases --- */

#define REGISTRY_CLIENT_ID_MAX 255

enum registry_lease_state {
    REGISTRY_LEASE_BOUND,
    REGISTRY_LEASE_RELEASED, /* given back; kept so that the same machine gets the same address */
    REGISTRY_LEASE_DECLINED, /* somebody else uses the address */
};

struct registry_lease {
    uint32_t address;       /* the key: storing it again replaces it */
    struct mac_address mac; /* all zero: of nobody known (declined) */
    uint8_t client_id_size;
    uint8_t client_id[REGISTRY_CLIENT_ID_MAX];
    char host_name[NAME_MAX_LEN + 1]; /* or "" */
    char subnet[NAME_MAX_LEN + 1];
    uint64_t node_id; /* or 0 */
    enum registry_lease_state state;
    uint64_t expires_at; /* usec since 1970 */
};

/* Asynchronous. The lease is copied; reply may be NULL. -ENOMEM: nothing was asked and no reply
 * comes. */
int registry_lease_store(struct registry *registry, const struct registry_lease *lease,
                         struct registry_reply *reply) MUST_CHECK;
/* The same: nothing is known of the address any more. */
int registry_lease_remove(struct registry *registry, uint32_t address,
                          struct registry_reply *reply) MUST_CHECK;
/* Blocks. Calls each() for every lease, ordered by address as text, on the registry thread while
 * the caller waits; it must not call the registry. */
int registry_lease_list(struct registry *registry,
                        void (*each)(void *context, const struct registry_lease *lease),
                        void *context, struct error *ret_error) MUST_CHECK;
const char *registry_lease_state_name(enum registry_lease_state state);

/* --- machines that wait to become nodes --- */

#define REGISTRY_MAX_PENDING  1000
#define REGISTRY_RELAY_ID_MAX 128

struct registry_pending {
    struct mac_address mac; /* the key: storing it again replaces it */
    uint32_t address;       /* that it had last; 0: not known */
    char subnet[NAME_MAX_LEN + 1];
    char circuit_id[REGISTRY_RELAY_ID_MAX + 1]; /* of the relay that it is behind, or "" */
    char remote_id[REGISTRY_RELAY_ID_MAX + 1];
    struct facts facts;
    uint64_t first_seen, last_seen; /* usec since 1970 */
};

/* Asynchronous, as registry_lease_store(); copied. MACs of nodes are left out, and of more than
 * REGISTRY_MAX_PENDING those that were not seen for longest. */
int registry_pending_store(struct registry *registry, const struct registry_pending *rows,
                           size_t count, struct registry_reply *reply) MUST_CHECK;
/* Blocks; it need not be there. */
int registry_pending_remove(struct registry *registry, struct mac_address mac,
                            struct error *ret_error) MUST_CHECK;
/* Blocks. The one seen last comes first; called as that of registry_lease_list(). */
int registry_pending_list(struct registry *registry,
                          void (*each)(void *context, const struct registry_pending *pending),
                          void *context, struct error *ret_error) MUST_CHECK;

/* --- boots --- */

#define REGISTRY_BOOTS_PER_NODE 50
#define BOOT_STAGE_MAX_LEN      31
#define BOOT_DETAIL_MAX_LEN     127

struct registry_boot {
    uint64_t id; /* from registry_boot_new_id() */
    uint64_t node_id;
    struct mac_address mac; /* that it was seen with */
    uint64_t started_at;    /* usec since 1970 */
    uint32_t failures;      /* boots in a row before it that came to nothing */
    bool tries;             /* it is to boot a volume, so it may be another one */
};

struct registry_boot_stage {
    uint64_t boot_id;
    char stage[BOOT_STAGE_MAX_LEN + 1];
    char detail[BOOT_DETAIL_MAX_LEN + 1];
    uint64_t reached_at; /* usec since 1970 */
};

/* They count from 1, and never come near this. */
#define REGISTRY_MAX_BOOT_ID (INT64_C(1) << 62)
/* Any thread, never blocks; greater than every id before. */
uint64_t registry_boot_new_id(struct registry *registry);
/* Asynchronous, as registry_lease_store(). A boot of a node that is gone and a stage of a boot
 * that is gone are dropped without an error. Of each node the last REGISTRY_BOOTS_PER_NODE boots
 * are kept. */
int registry_boot_store(struct registry *registry, const struct registry_boot *boot,
                        struct registry_reply *reply) MUST_CHECK;
/* The same, of what failures and tries are now. */
int registry_boot_tries_store(struct registry *registry, const struct registry_boot *boot,
                              struct registry_reply *reply) MUST_CHECK;
int registry_boot_stage_store(struct registry *registry, const struct registry_boot_stage *stage,
                              struct registry_reply *reply) MUST_CHECK;
/* When the node that has a volume has begun its last boot. Both true if it is no node's. */
struct registry_boot_age {
    bool after_loss;   /* while the server's kernel has been running */
    bool after_change; /* since the volume was reset, rolled back or rebased */
};

/* Blocks. */
int registry_boot_find_age(struct registry *registry, uint64_t volume_id,
                           struct registry_boot_age *ret_age, struct error *ret_error) MUST_CHECK;
/* Blocks. The last `boots_per_node` boots of one node (0: of every node), oldest first, each
 * followed by its stages in order. Called as those of registry_lease_list(). */
int registry_boot_list(struct registry *registry, uint64_t node_id, unsigned boots_per_node,
                       void (*each_boot)(void *context, const struct registry_boot *boot),
                       void (*each_stage)(void *context, const struct registry_boot_stage *stage),
                       void *context, struct error *ret_error) MUST_CHECK;
