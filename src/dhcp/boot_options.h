/*
 * What a booting machine is told beyond its address: which program is asking (RFC 4578, RFC 3004,
 * iPXE's own options), and the boot file for it.
 *
 *   firmware (PXEClient, architecture)  -> that architecture's loader, over TFTP
 *   firmware (HTTPClient, architecture) -> the same, over HTTP (UEFI 2.10, 24.7)
 *   iPXE, in a ROM or loaded            -> its script, over HTTP
 *   anything else                       -> nothing
 */
#pragma once

#include "dhcp/packet.h"
#include "dhcp/subnet.h"

enum dhcp_client_kind {
    DHCP_CLIENT_OTHER, /* an operating system */
    DHCP_CLIENT_PXE,   /* firmware; `architecture` */
    DHCP_CLIENT_IPXE,
    DHCP_CLIENT_HTTP, /* firmware that boots by HTTP; `architecture` */
};

struct dhcp_client {
    enum dhcp_client_kind kind;
    /* Of those that it names, the first that the subnet has a loader for, else the first; or
     * _UNKNOWN. */
    uint16_t architecture;
    bool https; /* it says that it has HTTPS, as iPXE does over DHCPv4 */
};

struct dhcp_client dhcp_client_of(const struct dhcp_message *message, const struct subnet *subnet);

/* Of a list of codes, two bytes each, the first that the subnet has a loader for, else the first;
 * or _UNKNOWN. */
uint16_t dhcp_client_architecture(const uint8_t *data, size_t size, const struct subnet *subnet);

/* Is it firmware that boots from what it is told here? */
bool dhcp_client_wants_loader(const struct dhcp_client *client);
/* Its loader in this subnet; "": there is none. */
const char *dhcp_client_loader(const struct dhcp_client *client, const struct subnet *subnet);

/* "PXE", "HTTP", "iPXE", "system"; for messages. */
const char *dhcp_client_word(const struct dhcp_client *client);

/* URLs for an address of ours, as it stands in one: "10.0.0.1", "[2001:db8::1]". */
void dhcp_boot_script_url(char *buffer, size_t size, const char *host, uint16_t port,
                          struct mac_address mac);
/* The same over HTTPS; host may be a name, too. */
void dhcp_boot_script_https_url(char *buffer, size_t size, const char *host, uint16_t port,
                                struct mac_address mac);
/* False and "" if it does not fit. */
bool dhcp_boot_loader_url(char *buffer, size_t size, const char *host, uint16_t port,
                          const char *file);
/* Adds a file's name, encoded, behind `used` bytes of a URL; likewise. */
bool dhcp_boot_put_path(char *buffer, size_t used, size_t size, const char *file);

#define DHCP_MAX_BOOT_FILE  255
#define DHCP_MAX_HTTPS_NAME 80

#define DHCP_MAX_IPXE_OPTIONS 255

struct dhcp_boot {
    char file[DHCP_MAX_BOOT_FILE + 1];   /* "": none */
    bool pxe;                            /* answer as a PXE boot server does */
    bool http;                           /* ... as a server of UEFI HTTP boot does */
    uint8_t ipxe[DHCP_MAX_IPXE_OPTIONS]; /* what is in option 175 */
    size_t ipxe_size;                    /* 0: without it */
};

struct dhcp_boot_place {
    uint32_t server; /* where scripts and loaders are fetched over HTTP */
    uint16_t http_port;
    uint16_t https_port;    /* 0: none */
    const char *https_name; /* instead of the address, up to DHCP_MAX_HTTPS_NAME; "": none */
    struct mac_address mac; /* whose script it is */
    bool is_node;           /* then it never gives up */
};

void dhcp_boot_choose(const struct dhcp_client *client, const struct subnet *subnet,
                      const struct dhcp_boot_place *place, struct dhcp_boot *ret_boot);
