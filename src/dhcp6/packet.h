/*
 * DHCPv6 messages as bytes: RFC 8415 (messages, options, relays), RFC 5970 (boot options), RFC 3646
 * (name servers), RFC 6939 (a relay tells its client's hardware address).
 *
 * Nothing here keeps state or allocates.
 */
#pragma once

#include "core/net.h"
#include "core/wire.h"

#define DHCP6_SERVER_PORT 547
#define DHCP6_CLIENT_PORT 546

#define DHCP6_MAX_SIZE          1452 /* what an Ethernet frame holds after IPv6 and UDP headers */
#define DHCP6_MAX_RELAYS        8    /* RFC 8415 7.6: HOP_COUNT_LIMIT */
#define DHCP6_MAX_IAS           8    /* that are looked at; a machine that boots asks for one */
#define DHCP6_MAX_DUID          130  /* RFC 8415 11.1 */
#define DHCP6_HARDWARE_ETHERNET 1

enum dhcp6_type {
    DHCP6_SOLICIT = 1,
    DHCP6_ADVERTISE = 2,
    DHCP6_REQUEST = 3,
    DHCP6_CONFIRM = 4,
    DHCP6_RENEW = 5,
    DHCP6_REBIND = 6,
    DHCP6_REPLY = 7,
    DHCP6_RELEASE = 8,
    DHCP6_DECLINE = 9,
    DHCP6_RECONFIGURE = 10,
    DHCP6_INFORMATION_REQUEST = 11,
    DHCP6_RELAY_FORWARD = 12,
    DHCP6_RELAY_REPLY = 13,
    DHCP6_TYPES, /* one more than the last */
};

enum dhcp6_option_code {
    DHCP6_OPTION_CLIENT_ID = 1,
    DHCP6_OPTION_SERVER_ID = 2,
    DHCP6_OPTION_IA_NA = 3,
    DHCP6_OPTION_IA_TA = 4,
    DHCP6_OPTION_IA_ADDRESS = 5,
    DHCP6_OPTION_REQUEST = 6, /* which options the client wants */
    DHCP6_OPTION_PREFERENCE = 7,
    DHCP6_OPTION_RELAY_MESSAGE = 9,
    DHCP6_OPTION_STATUS = 13,
    DHCP6_OPTION_RAPID_COMMIT = 14,
    DHCP6_OPTION_USER_CLASS = 15,
    DHCP6_OPTION_VENDOR_CLASS = 16,
    DHCP6_OPTION_INTERFACE_ID = 18,
    DHCP6_OPTION_DNS = 23,
    DHCP6_OPTION_DOMAINS = 24,
    DHCP6_OPTION_IA_PD = 25,
    DHCP6_OPTION_BOOT_URL = 59,
    DHCP6_OPTION_ARCHITECTURE = 61,
    DHCP6_OPTION_CLIENT_HARDWARE = 79,
};

/* RFC 8415 21.13. */
enum dhcp6_status {
    DHCP6_STATUS_SUCCESS = 0,
    DHCP6_STATUS_NO_ADDRESSES = 2,
    DHCP6_STATUS_NOT_ON_LINK = 4,
    DHCP6_STATUS_NO_PREFIX = 6,
};

/* An option's data; absent: data is NULL. A present one may be empty. */
struct dhcp6_option {
    const uint8_t *data;
    size_t size;
};

/* An identity association: of addresses (IA_NA, IA_TA) or of prefixes (IA_PD). */
struct dhcp6_ia {
    uint16_t code;
    uint32_t id;
    struct dhcp6_option options; /* what is in it */
};

/* What a relay wrapped around the message. */
struct dhcp6_relay {
    uint8_t hops;
    struct in6_addr link, peer;
    struct dhcp6_option interface_id; /* to be echoed */
};

/* A received message. It points into the datagram. */
struct dhcp6_message {
    enum dhcp6_type type;
    uint32_t transaction;                        /* 24 bits */
    struct dhcp6_relay relays[DHCP6_MAX_RELAYS]; /* the one that sent it to us first */
    size_t n_relays;
    struct dhcp6_option client_hardware; /* of the relay next to the client */
    struct dhcp6_option client_id, server_id, wanted, user_class, vendor_class, architectures;
    bool rapid_commit;
    struct dhcp6_ia ias[DHCP6_MAX_IAS];
    size_t n_ias;
};

/* Takes a datagram apart; `message` means nothing after a failure. -EBADMSG: truncated, or
 * contradictory, or relayed more often than anybody does. */
int dhcp6_message_parse(const void *data, size_t size, struct dhcp6_message *message) MUST_CHECK;

/* The next address of an IA and true; false at its end. iterator: begins as the IA's options. */
bool dhcp6_ia_next(struct wire_reader *iterator, struct in6_addr *ret_address);
struct wire_reader dhcp6_option_reader(const struct dhcp6_option *option);

/* Does the client ask for this option? One that lists none asks for all. */
bool dhcp6_message_wants(const struct dhcp6_message *message, uint16_t code);

/* Writes an answer, wrapped for the relays that the request came through. What does not fit is left
 * out as a whole; a caller that must have all looks at dhcp6_builder_finish(). */
struct dhcp6_builder {
    struct wire_writer writer;
    size_t lengths[DHCP6_MAX_RELAYS]; /* where the length of each relay's message stands */
    size_t n_lengths;
};

/* buffer: DHCP6_MAX_SIZE bytes. */
void dhcp6_builder_begin(struct dhcp6_builder *builder, uint8_t *buffer,
                         const struct dhcp6_message *request, enum dhcp6_type type);
void dhcp6_builder_add(struct dhcp6_builder *builder, uint16_t code, const void *data, size_t size);
/* text: for people. */
void dhcp6_builder_add_status(struct dhcp6_builder *builder, enum dhcp6_status status,
                              const char *text);
/* An option that has others in it; close with what open gave. */
size_t dhcp6_builder_open(struct dhcp6_builder *builder, uint16_t code);
void dhcp6_builder_close(struct dhcp6_builder *builder, size_t opened);
/* The size; 0 if it did not all fit. */
size_t dhcp6_builder_finish(struct dhcp6_builder *builder);
