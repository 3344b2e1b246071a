/*
 * What machines are to boot, as the operator says it: targets, and the rules of the site, of a
 * group or of a node that name one. Pure; which rule decides is for plan.h.
 */
#pragma once

#include "core/error.h"
#include "core/names.h"

enum boot_target_kind {
    BOOT_TARGET_NONE,   /* no rule; not a word */
    BOOT_TARGET_VOLUME, /* the volume of this name; "": the node's own disk */
    BOOT_TARGET_LOCAL,  /* the machine's own disk, without us */
    BOOT_TARGET_MENU,   /* whoever stands before it decides */
    BOOT_TARGET_SHELL,  /* iPXE's */
    BOOT_TARGET_MEMTEST,
    BOOT_TARGET_OFF,
    BOOT_TARGET_SCRIPTS,  /* the operator's own, of [scripts] */
    BOOT_TARGET_ENTRY,    /* a boot entry of this name */
    BOOT_TARGET_SNAPSHOT, /* the node's own disk as that snapshot of it, for one boot */
};

struct boot_target {
    enum boot_target_kind kind;
    char name[NAME_MAX_LEN + 1]; /* VOLUME, ENTRY, SNAPSHOT; else "" */
};

#define BOOT_TARGET_SIZE (NAME_MAX_LEN + sizeof("snapshot:"))

/* "volume", "volume:web1-old", "local", "menu", "shell", "memtest", "off", "scripts",
 * "entry:rescue", "snapshot:before-upgrade": as the database, the API and the URLs of menus have
 * it. Lives as long as buffer. */
const char *boot_target_format(const struct boot_target *target,
                               char buffer[static BOOT_TARGET_SIZE]);
/* -EINVAL: it is none of these. */
int boot_target_parse(const char *text, struct boot_target *ret_target) MUST_CHECK;
/* Is it a word that stands for a target by itself, so that nothing else may be named so? */
bool boot_target_is_word(const char *text);
bool boot_target_eq(const struct boot_target *a, const struct boot_target *b);

/* One of each for the site, each group and each node; the first that holds decides. */
enum boot_slot {
    BOOT_SLOT_TEMPORARY, /* for some boots of a node, or until some time */
    BOOT_SLOT_STANDING,
    BOOT_SLOT_FALLBACK, /* when a node has failed to boot too often */
    BOOT_SLOTS,
};

/* "temporary", "standing", "fallback" */
const char *boot_slot_name(enum boot_slot slot);
int boot_slot_parse(const char *name, enum boot_slot *ret_slot) MUST_CHECK;

struct boot_rule {
    struct boot_target target; /* NONE: there is no such rule */
    uint64_t set_at;           /* usec since 1970 */
    uint64_t until;            /* likewise; 0: for ever */
    bool counted;              /* for so many boots only; of nodes: */
    uint32_t times;            /* boots that have not had it yet */
    uint64_t boot_id;          /* the boot that had it last; 0: none */
    uint32_t after;            /* FALLBACK: failed boots in a row; 0: as the site says */
};

struct boot_rules {
    struct boot_rule slots[BOOT_SLOTS];
};
