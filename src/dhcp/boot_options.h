/*
 * What a booting machine is told beyond its address: which program is asking (RFC 4578, RFC 3004,
 * iPXE's own options), and the boot file for it.
 *
 *   firmware (PXEClient, architecture) -> that architecture's loader, over TFTP
 *   iPXE, in a ROM or loaded           -> its script, over HTTP
 *   anything else                      -> nothing
 */
#pragma once

#include "dhcp/packet.h"
#include "dhcp/subnet.h"

enum dhcp_client_kind {
    DHCP_CLIENT_OTHER, /* an operating system */
    DHCP_CLIENT_PXE,   /* firmware; `architecture` */
    DHCP_CLIENT_IPXE,
    DHCP_CLIENT_HTTP, /* UEFI HTTP boot: gets an address only */
};

/* IANA "Processor Architecture Types" */
#define DHCP_ARCH_BIOS     0
#define DHCP_ARCH_UEFI_X64 7
#define DHCP_ARCH_UEFI_EBC 9 /* old x64 firmware says this */
#define DHCP_ARCH_UNKNOWN  UINT16_MAX

struct dhcp_client {
    enum dhcp_client_kind kind;
    uint16_t architecture; /* the one that we have a loader for, else the first; or _UNKNOWN */
};

struct dhcp_client dhcp_client_of(const struct dhcp_message *message);

/* Is it firmware that boots from what it is told here, and do we have something for it? */
bool dhcp_client_wants_loader(const struct dhcp_client *client);
bool dhcp_client_has_loader(const struct dhcp_client *client);

/* "BIOS PXE", "UEFI PXE", "iPXE", "system"; for messages. */
const char *dhcp_client_word(const struct dhcp_client *client);

#define DHCP_MAX_BOOT_FILE 255

struct dhcp_boot {
    char file[DHCP_MAX_BOOT_FILE + 1]; /* "": none */
    bool pxe;                          /* answer as a PXE boot server does */
    bool ipxe;                         /* add the options of iPXE */
};

/* server, http_port: where iPXE fetches its script. */
void dhcp_boot_choose(const struct dhcp_client *client, const struct subnet *subnet,
                      uint32_t server, uint16_t http_port, struct mac_address mac,
                      struct dhcp_boot *ret_boot);
