/*
 * Runs boot scripts as iPXE of 2019 (Debian 12) does: src/image/script.c and src/core/exec.c
 * there. Lines, labels, `||`, `&&`, `;` and comments are taken as iPXE takes them; commands and
 * settings are those that our scripts use. Whatever else it meets is a mistake of the script.
 */
#pragma once

#include "core/net.h"

#define IPXE_MAX_ITEMS 128

enum ipxe_outcome {
    IPXE_WORKS, /* the command does what it says; sanboot and chain do not come back */
    IPXE_FAILS,
    IPXE_RETURNS, /* sanboot: the loader came back without an error (UEFI); "direct": the script did
                   */
};

enum ipxe_end {
    IPXE_BOOTED,   /* the loader on the disk runs, or `kernel` does */
    IPXE_REPLACED, /* by the script that was fetched */
    IPXE_LOCAL,    /* the machine's own first disk boots */
    IPXE_REBOOTED,
    IPXE_EXITED,  /* firmware goes on with its next boot device */
    IPXE_GAVE_UP, /* a command failed that nothing caught, or the script said so, or was at its end
                   */
    IPXE_BROKEN,  /* iPXE cannot do this; `problem` says what */
};

struct ipxe {
    /* What comes of `sanboot`, `sanhook`, `chain`, `dhcp`, `kernel`, `initrd` or `boot`, of a
     * sanboot of the machine's own disk ("local"), or of a chain without --replace ("direct": it
     * works if it boots); asked each time. */
    enum ipxe_outcome (*outcome)(struct ipxe *ipxe, const char *command);
    /* What is chosen of the items of the menu in hand; NULL: it is left. A NULL function: its
     * timeout runs out, or it is left if it has none. */
    const char *(*choose)(struct ipxe *ipxe);
    bool efi;      /* ${platform} */
    bool poweroff; /* it has that command, as newer ones have */

    /* Of the interface that it boots from, which is net1 and was opened last. net0 and net2 are
     * there, too, closed. */
    struct mac_address mac;
    struct mac_address other; /* of net2; 0: 02:00:00:00:00:00, as net0 */

    /* What has happened */
    bool no_ipv4; /* DHCP has given that interface no IPv4 address yet */
    bool manual;  /* the address of that interface was set, and hides DHCP's */
    char ip[IPV4_TEXT_SIZE], netmask[IPV4_TEXT_SIZE], gateway[IPV4_TEXT_SIZE]; /* as set there */
    char screen[8192]; /* what was echoed, the last part of it */
    char hostname[256];
    char initiator[256];
    char username[256], password[256], reverse_username[256], reverse_password[256];
    unsigned san_retries;
    char second_ip[16], second_mask[16]; /* of net2, as they were set */
    bool second_open;
    char path1[256];                 /* the setting */
    unsigned paths;                  /* likewise */
    char card[256];                  /* likewise */
    char selected[256];              /* likewise */
    char menu[256];                  /* its title */
    char items[IPXE_MAX_ITEMS][256]; /* their labels; "": a gap */
    size_t n_items;
    unsigned menus, shells; /* shown */
    unsigned menu_timeout;  /* of the last, milliseconds */
    bool off;
    char expanded[2048];
    char second_path[256]; /* the further root path of the last sanboot or sanhook; "": none */
    unsigned sanboots, sanhooks, chains, dhcps;
    bool hooked;          /* the disk, as a drive */
    char kernel[4096];    /* with its arguments; "": none was fetched */
    char initrd[512];     /* its URL; likewise */
    bool closed;          /* its network interfaces */
    unsigned slept;       /* seconds */
    char root_path[600];  /* of the last sanboot or sanhook */
    char url[2048];       /* of the last chain */
    char direct_url[512]; /* of the last chain without --replace; what comes of that: "direct" */
    char problem[600];
};

/* A zeroed struct with `outcome` is ready. */
enum ipxe_end ipxe_run(struct ipxe *ipxe, const char *script);
