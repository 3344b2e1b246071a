/* What a machine boots: decided from the catalog alone, pure. */
#pragma once

#include "registry/catalog.h"

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
};

struct plan {
    enum plan_kind kind;
    const struct catalog_node *node;     /* NULL: those before PLAN_ADOPTED */
    const struct catalog_volume *volume; /* PLAN_PREPARING, _FAILED, _VOLUME */
};

/* The secrets that the machine needs for it, in its script; NULL: none. */
const struct chap_credentials *plan_chap(const struct plan *plan);

/* What it points to belongs to the catalog. */
struct plan plan_for_mac(const struct catalog *catalog, struct mac_address mac);
