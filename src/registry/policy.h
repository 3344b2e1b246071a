/*
 * Rules of the configuration, [rule NAME]: what nodes boot to which all of a rule's conditions
 * apply. Matching is pure; where they stand among the other rules is for plan.h.
 *
 * A policy never changes once it is in a slot: readers take a reference, look, and let go.
 */
#pragma once

#include "core/arena.h"
#include "core/facts.h"
#include "core/mac_prefix.h"
#include "registry/catalog.h"

#include <stdatomic.h>

#define POLICY_MAX_RULES 4096

/* What patterns are for. */
enum policy_text {
    POLICY_NODE,
    POLICY_GROUP,
    POLICY_FACTS, /* from here on, what only the machine can say */
    POLICY_ARCHITECTURE = POLICY_FACTS,
    POLICY_FIRMWARE,
    POLICY_MANUFACTURER,
    POLICY_PRODUCT,
    POLICY_SERIAL,
    POLICY_CARD,
    POLICY_TEXTS,
};

/* Lists, of which one has to fit; an empty one is any. */
struct policy_pattern {
    const struct policy_pattern *next;
    const char *text; /* whatever the case of letters */
    bool plain;       /* without *, ? and [ */
};

struct policy_prefix {
    const struct policy_prefix *next;
    struct mac_prefix prefix;
};

struct policy_source {
    const struct policy_source *next;
    struct source source;
};

struct policy_rule {
    const char *name;
    struct boot_target target;
    uint8_t days;          /* bit 0: Sunday; 0: any */
    uint16_t begins, ends; /* minutes of the day, local time; the same: always */
    uint64_t memory_min;   /* bytes; 0: any */
    uint64_t memory_max;   /* likewise */
    const struct policy_pattern *patterns[POLICY_TEXTS];
    const struct policy_prefix *prefixes; /* of any of its cards */
    const struct policy_source *sources;  /* of the address that it asks from */
    unsigned line;                        /* where it begins in the file */
    uint32_t seen;                        /* keys that were set; who parses counts them */
};

struct policy {
    atomic_uint references;
    struct arena arena;        /* all texts and lists */
    struct policy_rule *rules; /* in the order of the file */
    size_t count;
};

/* Without rules, with one reference. NULL without memory. */
struct policy *policy_new(void);
struct policy *policy_ref(struct policy *policy);
/* NULL: no-op. */
void policy_unref(struct policy *policy);
static inline void policy_unref_ptr(struct policy **policy)
{
    policy_unref(*policy);
}
#define cleanup_policy __attribute__((cleanup(policy_unref_ptr)))

/* The rule of this name, made if there is none; valid until the next is made. NULL: no memory, or
 * too many. */
struct policy_rule *policy_find_or_add(struct policy *policy, const char *name, unsigned line);
/* Each false: no memory. */
bool policy_add_pattern(struct policy *policy, struct policy_rule *rule, enum policy_text which,
                        const char *text) MUST_CHECK;
bool policy_add_prefix(struct policy *policy, struct policy_rule *rule,
                       const struct mac_prefix *prefix) MUST_CHECK;
bool policy_add_source(struct policy *policy, struct policy_rule *rule,
                       const struct source *source) MUST_CHECK;

/* The local time of day, as rules want it. */
struct policy_time {
    unsigned weekday; /* 0: Sunday */
    unsigned minute;  /* of the day */
};
struct policy_time policy_time_of(uint64_t usec);

/* Who is asked about. */
struct policy_subject {
    const struct catalog_node *node;
    const struct facts *facts;   /* NULL: it has not said what it is */
    const struct endpoint *peer; /* where it asks from; NULL: nobody knows */
    struct policy_time time;
};

enum policy_fit {
    POLICY_NO,
    POLICY_YES,
    POLICY_UNTOLD, /* that depends on what is not known of it */
};
enum policy_fit policy_fits(const struct policy_rule *rule, const struct policy_subject *subject);

/* --- the current policy, shared by all threads --- */

struct policy_slot;

struct policy_slot *policy_slot_new(void);
/* NULL: no-op. */
void policy_slot_free(struct policy_slot *slot);
/* Takes a reference of its own. */
void policy_slot_set(struct policy_slot *slot, struct policy *policy);
/* A new reference to the current one; NULL: there is none, or no slot. */
struct policy *policy_slot_get(struct policy_slot *slot);
