/*
 * DHCP messages as bytes: RFC 2131 2, RFC 2132, long options of RFC 3396, relay agent information
 * of RFC 3046.
 *
 * Addresses are in host byte order. Nothing here keeps state or allocates.
 */
#pragma once

#include "core/net.h"
#include "core/wire.h"

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCP_BOOT_PORT   4011 /* PXE 2.1: of boot servers, and of the proxy */

#define DHCP_HEADER_SIZE  240  /* fixed fields and the magic cookie */
#define DHCP_MIN_SIZE     300  /* BOOTP's size: some clients drop anything shorter */
#define DHCP_MAX_SIZE     1472 /* what an Ethernet frame holds after IP and UDP headers */
#define DHCP_BROADCAST    0x8000
#define DHCP_CHADDR_SIZE  16
#define DHCP_HW_ETHERNET  1
#define DHCP_OPTION_CODES 256

enum dhcp_op {
    DHCP_BOOTREQUEST = 1,
    DHCP_BOOTREPLY = 2,
};

enum dhcp_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER = 2,
    DHCP_REQUEST = 3,
    DHCP_DECLINE = 4,
    DHCP_ACK = 5,
    DHCP_NAK = 6,
    DHCP_RELEASE = 7,
    DHCP_INFORM = 8,
    DHCP_TYPES, /* one more than the last */
};

enum dhcp_option_code {
    DHCP_OPTION_PAD = 0,
    DHCP_OPTION_SUBNET_MASK = 1,
    DHCP_OPTION_ROUTER = 3,
    DHCP_OPTION_DNS = 6,
    DHCP_OPTION_HOST_NAME = 12,
    DHCP_OPTION_DOMAIN = 15,
    DHCP_OPTION_BROADCAST = 28,
    DHCP_OPTION_VENDOR = 43,
    DHCP_OPTION_REQUESTED_ADDRESS = 50,
    DHCP_OPTION_LEASE_TIME = 51,
    DHCP_OPTION_OVERLOAD = 52,
    DHCP_OPTION_TYPE = 53,
    DHCP_OPTION_SERVER_ID = 54,
    DHCP_OPTION_PARAMETER_LIST = 55,
    DHCP_OPTION_MESSAGE = 56,
    DHCP_OPTION_MAX_SIZE = 57,
    DHCP_OPTION_T1 = 58,
    DHCP_OPTION_T2 = 59,
    DHCP_OPTION_VENDOR_CLASS = 60,
    DHCP_OPTION_CLIENT_ID = 61,
    DHCP_OPTION_TFTP_SERVER = 66,
    DHCP_OPTION_BOOT_FILE = 67,
    DHCP_OPTION_USER_CLASS = 77,
    DHCP_OPTION_RELAY_AGENT = 82,
    DHCP_OPTION_ARCHITECTURE = 93,
    DHCP_OPTION_UUID = 97,
    DHCP_OPTION_ROUTES = 121,
    DHCP_OPTION_IPXE = 175,
    DHCP_OPTION_END = 255,
};

/* An option's data; absent: data is NULL. A present one may be empty. */
struct dhcp_option {
    const uint8_t *data;
    uint16_t size;
};

/* A received message. Options point into the datagram, or into `joined` where the client sent one
 * in several pieces: neither may go away or move while this is used. */
struct dhcp_message {
    uint8_t op;
    uint32_t xid;
    uint16_t secs, flags;
    uint32_t ciaddr, yiaddr, siaddr, giaddr;
    uint8_t chaddr[DHCP_CHADDR_SIZE];
    struct mac_address mac; /* the client: the first six bytes of chaddr */
    enum dhcp_type type;
    uint32_t requested; /* option 50, or 0 */
    uint32_t server_id; /* option 54, or 0 */
    struct dhcp_option options[DHCP_OPTION_CODES];
    uint8_t joined[DHCP_MAX_SIZE];
};

/*
 * Takes a datagram apart; `message` means nothing after a failure.
 *
 * -EBADMSG: truncated, oversized or contradictory. -EPROTONOSUPPORT: well-formed as far as one can
 * tell, but not for us: plain BOOTP, or hardware other than Ethernet.
 */
int dhcp_message_parse(const void *data, size_t size, struct dhcp_message *message) MUST_CHECK;

static inline const struct dhcp_option *dhcp_message_option(const struct dhcp_message *message,
                                                            enum dhcp_option_code code)
{
    const struct dhcp_option *option = &message->options[code];
    return option->data ? option : NULL;
}

/* Does the option begin with this text? */
bool dhcp_option_has_prefix(const struct dhcp_option *option, const char *prefix);

/* A sub-option of relay agent information (RFC 3046 2.0); NULL if it is not there. Its address, if
 * it is four bytes long. */
#define DHCP_RELAY_CIRCUIT_ID     1
#define DHCP_RELAY_REMOTE_ID      2
#define DHCP_RELAY_LINK_SELECTION 5  /* RFC 3527 */
#define DHCP_RELAY_SERVER_ID      11 /* RFC 5107 */
bool dhcp_relay_address(const struct dhcp_message *message, uint8_t suboption,
                        uint32_t *ret_address);

/* A sub-option as text: as it is if that can be printed, else 0x and its bytes in hexadecimal; ""
 * if it is not there; cut if it is too long. */
#define DHCP_RELAY_TEXT_MAX 128
void dhcp_relay_text(const struct dhcp_message *message, uint8_t suboption,
                     char text[static DHCP_RELAY_TEXT_MAX + 1]);

/* The fixed fields of an answer that are not copied from the request. */
struct dhcp_reply {
    enum dhcp_type type;
    uint16_t flags;
    uint32_t ciaddr, yiaddr, siaddr;
    const char *file; /* or NULL; left out if it does not fit the field */
};

/* Writes an answer. The client's size limit (option 57) is respected by leaving out what no longer
 * fits, in the order of adding; what must come last always has its place. */
struct dhcp_builder {
    struct wire_writer writer;
    const struct dhcp_option *client_id, *relay_agent; /* to be echoed, or NULL */
    size_t tail;                                       /* kept free for these and END */
};

/* buffer: DHCP_MAX_SIZE bytes. Writes the fixed fields and option 53. */
void dhcp_builder_begin(struct dhcp_builder *builder, uint8_t *buffer,
                        const struct dhcp_message *request, const struct dhcp_reply *reply);
/* How many bytes of options still fit, and how many an option of so much data takes. */
size_t dhcp_builder_room(const struct dhcp_builder *builder);
size_t dhcp_option_encoded_size(size_t size);
/* More than 255 bytes become several options of that code. False if it did not fit and was left
 * out. */
bool dhcp_builder_add(struct dhcp_builder *builder, uint8_t code, const void *data, size_t size);
bool dhcp_builder_add_u32(struct dhcp_builder *builder, uint8_t code, uint32_t value);
/* Echoes options 61 (RFC 6842) and 82 (RFC 3046 2.2, the last of all), ends and pads; returns the
 * size. */
size_t dhcp_builder_finish(struct dhcp_builder *builder);
