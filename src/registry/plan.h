/*
 * What a machine boots: decided from the catalog and the moment alone, pure.
 *
 * Several rules may say something of a node (boot_rule.h). They are looked at in one order, and the
 * first that holds and can be done decides:
 *
 *   what a hook has said; the node's own for some boots or some time; the fallback, if the node has
 *   failed to boot too often (the node's own, its group's, the site's); the node's own; its group's
 *   for some time; the configuration's rules, in their order (policy.h); its group's; the site's
 * for some time, the site's; its disk.
 *
 * A rule for some boots holds for a boot that has it already (boot_rule.boot_id), so that who asks
 * again within one boot gets the same answer. To give it to another boot is for the registry
 * (registry_boot_claim()), durably, before anybody is told of it: plan.claim. So is that the boot
 * has its own disk as a snapshot: plan.disk.
 */
#pragma once

#include "registry/policy.h"

enum plan_kind {
    PLAN_UNKNOWN,   /* this MAC belongs to no node */
    PLAN_STRANGER,  /* it does, but who asks has not the address of this MAC: tell it nothing */
    PLAN_NEWCOMER,  /* no node's either, but it may become one: let it say what it is */
    PLAN_PENDING,   /* it has, and waits for that */
    PLAN_RENEW,     /* it waits, and its lease ends some time: let it ask DHCP again */
    PLAN_ADOPTED,   /* it has become one, and starts over as that */
    PLAN_NO_VOLUME, /* the node has nothing to boot */
    PLAN_PREPARING, /* its volume is being filled: wait */
    PLAN_FAILED,    /* filling its volume has failed */
    PLAN_VOLUME,    /* boots `volume` */
    PLAN_LOCAL,     /* the machine's own disk */
    PLAN_MENU,      /* shows what there is */
    PLAN_SHELL,
    PLAN_MEMTEST,
    PLAN_OFF,
    PLAN_ENTRY,   /* boots `entry` */
    PLAN_NO_NOTE, /* what it is to boot could not be written down: wait */
    PLAN_TELL,    /* that depends on what it is, which it is to say */
    PLAN_SCRIPTS, /* the operator's own, which may hook its disk */
};

/* Which rule it is; the order is that of deciding. */
enum plan_source {
    PLAN_BY_HOOK,
    PLAN_BY_NODE_TEMPORARY,
    PLAN_BY_NODE_FALLBACK,
    PLAN_BY_GROUP_FALLBACK,
    PLAN_BY_SITE_FALLBACK,
    PLAN_BY_NODE,
    PLAN_BY_GROUP_TEMPORARY,
    PLAN_BY_POLICY, /* a rule of the configuration */
    PLAN_BY_GROUP,
    PLAN_BY_SITE_TEMPORARY,
    PLAN_BY_SITE,
    PLAN_BY_DISK, /* no rule: the disk that it has */
    PLAN_SOURCES,
};

/* "node, temporary", "group", "disk"...: what is shown and sent. */
const char *plan_source_name(enum plan_source source);
/* Is it for nodes that fail? */
bool plan_is_fallback(enum plan_source source);

/* What is true now and not in the catalog. Zeroed: nothing is. */
struct plan_moment {
    uint64_t now;      /* usec since 1970 */
    uint64_t boot_id;  /* the boot that asks; 0: one that is to come */
    uint32_t failures; /* boots of the node in a row that came to nothing */
    uint32_t
        fallback_after; /* so many have it fall back, unless its fallback says else; 0: never */
    struct boot_target chosen;   /* in the menu; NONE: nothing. Nothing but a menu can offer it. */
    bool may_choose_snapshots;   /* that may be one */
    struct boot_target said;     /* by a hook; NONE: nothing */
    const struct policy *policy; /* NULL: the configuration has no rules */
    const struct facts *facts;   /* as struct policy_subject has it; likewise: */
    const struct endpoint *peer;
};

struct plan {
    enum plan_kind kind;
    const struct catalog_node *node; /* NULL: those before PLAN_ADOPTED */
    /* PLAN_PREPARING, _FAILED, _VOLUME; PLAN_ENTRY: that an installer installs onto, else NULL;
     * PLAN_SCRIPTS: its own, or NULL */
    const struct catalog_volume *volume;
    const struct catalog_entry *entry; /* PLAN_ENTRY */
    struct boot_target target;         /* what was decided; of nodes */
    enum plan_source source;           /* by which rule; of nodes */
    char rule[NAME_MAX_LEN + 1];       /* PLAN_BY_POLICY: its name; else "" */
    bool untold;                       /* one before it depends on what is not known of the node */
    bool claim;  /* a boot more is taken from the node's rule for some boots */
    bool chosen; /* it is what was chosen in the menu */
    bool disk;   /* what its own disk is at this boot has to be written down first */
    /* PLAN_MENU: what it would boot without one. */
    struct boot_target menu_default;
};

/* Is `volume` what the machine's firmware logs in to, or may? */
static inline bool plan_has_disk(const struct plan *plan)
{
    return plan->volume &&
           (plan->kind == PLAN_VOLUME || plan->kind == PLAN_ENTRY || plan->kind == PLAN_SCRIPTS);
}

/* The secrets that the machine needs for it, in its script; NULL: none. */
const struct chap_credentials *plan_chap(const struct plan *plan);

/* What it points to belongs to the catalog. */
struct plan plan_for_mac(const struct catalog *catalog, struct mac_address mac,
                         const struct plan_moment *moment);
struct plan plan_for_node(const struct catalog *catalog, const struct catalog_node *node,
                          const struct plan_moment *moment);

/* Its own disk, if it is one that this node may have as a snapshot of it for one boot: an overlay
 * that is nobody else's disk. NULL: it is not. */
const struct catalog_volume *plan_trial_volume(const struct catalog *catalog,
                                               const struct catalog_node *node);

/* Is it there, and may this node boot it? */
bool plan_can_boot(const struct catalog *catalog, const struct catalog_node *node,
                   const struct boot_target *target);

/* --- why --- */

enum plan_verdict {
    PLAN_DECIDES,
    PLAN_OVERRULED,  /* by one before */
    PLAN_USED_UP,    /* all boots have had it */
    PLAN_OVER,       /* its time has come */
    PLAN_IMPOSSIBLE, /* what it names is not there, or not for this node */
    PLAN_NOT_YET,    /* a fallback, and the node has not failed so often */
    PLAN_UNTOLD,     /* it depends on what is not known of the node */
    PLAN_ASKED,      /* a hook, which is asked when the node boots; plan_explain() has none */
};

/* "decides", "overruled", ... */
const char *plan_verdict_name(enum plan_verdict verdict);

struct plan_candidate {
    enum plan_source source;
    struct boot_target target;
    const struct boot_rule *rule; /* NULL: PLAN_BY_HOOK, PLAN_BY_DISK, PLAN_BY_POLICY */
    const char *name;             /* of the rule: PLAN_BY_POLICY; else NULL. The policy's. */
    enum plan_verdict verdict;
};

/* Rules of the configuration that are shown, if more apply. */
#define PLAN_MAX_POLICIES   8
#define PLAN_MAX_CANDIDATES (PLAN_SOURCES + PLAN_MAX_POLICIES)

/* All that say something of the node, in the order of deciding. Returns how many. */
size_t plan_explain(const struct catalog *catalog, const struct catalog_node *node,
                    const struct plan_moment *moment,
                    struct plan_candidate candidates[static PLAN_MAX_CANDIDATES]);
