/*
 * How a machine boots where that is a choice: the site's is in the configuration, a node may have
 * its own in the registry.
 */
#pragma once

#include "core/error.h"

/* Are kernel and initramfs fetched over HTTP, where it is certain that they are those that the
 * disk's own loader would boot (boot/direct_boot.h)? */
enum direct_way {
    DIRECT_DEFAULT, /* as the site's; not for the site */
    DIRECT_NO,
    DIRECT_YES,
};

/* What the iBFT says of where the node's address came from. */
enum ibft_origin {
    IBFT_ORIGIN_DEFAULT, /* as the site's; not for the site */
    IBFT_ORIGIN_MANUAL,  /* set for it, so that nobody asks DHCP again */
    IBFT_ORIGIN_DHCP,    /* the system renews the lease */
};

/* When are a node's CHAP secrets made anew? */
enum chap_rotation {
    CHAP_ROTATION_DEFAULT, /* as the site's; not for the site */
    CHAP_ROTATION_MANUAL,  /* when somebody says so */
    CHAP_ROTATION_BOOT,    /* at each boot, too */
};

struct boot_ways {
    enum direct_way direct;
    enum ibft_origin ibft_origin;
    enum chap_rotation chap_rotation;
};

/* The words of the command line, the API, the database and the configuration: "default"; "no",
 * "yes"; "manual", "dhcp"; "manual", "boot". */
const char *direct_way_name(enum direct_way way);
const char *ibft_origin_name(enum ibft_origin origin);
const char *chap_rotation_name(enum chap_rotation rotation);
/* -EINVAL with the words that there are. */
int direct_way_parse(const char *word, enum direct_way *ret_way,
                     struct error *ret_error) MUST_CHECK;
int ibft_origin_parse(const char *word, enum ibft_origin *ret_origin,
                      struct error *ret_error) MUST_CHECK;
int chap_rotation_parse(const char *word, enum chap_rotation *ret_rotation,
                        struct error *ret_error) MUST_CHECK;

/* The node's where it has one, else the site's. */
struct boot_ways boot_ways_of(const struct boot_ways *node, const struct boot_ways *site);
