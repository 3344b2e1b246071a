/*
 * A tree of scripts as many people have one, in the style of robinsmidsrod's ipxe-scripts:
 *
 *   boot.ipxe              chains boot.ipxe.cfg, then the first of these that is there:
 *   boot/hostname-NAME.ipxe, uuid-UUID.ipxe, mac-010203040506.ipxe, pci-80861000.ipxe,
 * chip-CHIP.ipxe menu.ipxe              else boot.ipxe.cfg          what all of them use: boot-url,
 * base-iqn, base-iscsi, ...
 *
 * It was made for another server, whose addresses stand in boot.ipxe.cfg: they are replaced by ours
 * as it is handed out, and nothing else is. Of a tree without a boot.ipxe or a boot.ipxe.cfg, these
 * are made. Pure; any bytes.
 */
#pragma once

#include "core/util.h"

#define SCRIPT_TREE_BOOT     "boot.ipxe"
#define SCRIPT_TREE_SETTINGS "boot.ipxe.cfg"
#define SCRIPT_TREE_MENU     "menu.ipxe"
#define SCRIPT_TREE_BOOT_DIR "boot/"

#define SCRIPT_TREE_SETTINGS_MAX_SIZE (256 * KIB)

/* Texts of words that iPXE takes as they are. */
struct script_tree_values {
    const char *boot_url;      /* of the tree, with its '/': "http://10.0.0.1/scripts/" */
    const char *iscsi_server;  /* "10.0.0.1" */
    const char *base_iqn;      /* "iqn.2026-11.lan.example" */
    const char *base_iscsi;    /* "iscsi:10.0.0.1::3260:0:iqn.2026-11.lan.example" */
    const char *initiator_iqn; /* of the node; NULL: it is none, and the tree's own stays */
};

/* boot.ipxe.cfg with our values in the place of those that it sets itself: in each `set` at the
 * beginning of a line. What begins with the boot-url that it had, begins with ours.
 * *ret_text: free() it. -ENOMEM; -EFBIG. */
int script_tree_fill(const char *text, size_t size, const struct script_tree_values *values,
                     char **ret_text, size_t *ret_size) MUST_CHECK;

/* A boot.ipxe.cfg for a tree that has none; free() it. NULL without memory. */
char *script_tree_make_settings(const struct script_tree_values *values);
/* A boot.ipxe for such a tree. */
extern const char script_tree_boot_script[];
