/*
 * The iSCSI Boot Firmware Table (iBFT, IBM's version 1.03): what firmware that has booted from an
 * iSCSI disk tells the operating system, so that it can go on from there: card, address, initiator,
 * target, CHAP. This module reads, checks, writes and prints one. It is used on nodes, too, without
 * a daemon.
 *
 * The table comes from whatever firmware there is: nothing in it is believed. What is read of it is
 * bounded, and its texts are printable ASCII.
 */
#pragma once

#include "core/error.h"
#include "core/net.h"

#define IBFT_TEXT_SIZE 256
#define IBFT_PAIRS     2 /* cards and targets: the control structure has place for two of each */
#define IBFT_MAX_SIZE  65535
#define IBFT_LUN_SIZE  8
#define IBFT_ADDRESSES 4

/* In the table, and here: IPv4 is ::ffff:a.b.c.d. All zero: none. */
struct ibft_ip {
    uint8_t bytes[16];
};

enum ibft_flag {
    IBFT_VALID = 1,
    IBFT_BOOT = 2, /* firmware has booted by this one */
};

/* Where an address came from. */
enum ibft_from {
    IBFT_FROM_OTHER = 0,
    IBFT_FROM_MANUAL = 1,
    IBFT_FROM_WELL_KNOWN = 2,
    IBFT_FROM_DHCP = 3,
    IBFT_FROM_ROUTER = 4, /* a router advertisement */
    IBFT_FROM_UNCHANGED = 15,
};

enum ibft_chap {
    IBFT_CHAP_NONE,
    IBFT_CHAP_ONE_WAY,
    IBFT_CHAP_MUTUAL,
};

struct ibft_initiator {
    bool present;
    uint8_t index, flags;
    struct ibft_ip servers[IBFT_ADDRESSES]; /* iSNS, SLP, two of Radius */
    char name[IBFT_TEXT_SIZE];
};

struct ibft_nic {
    bool present;
    uint8_t index, flags;
    struct ibft_ip address;
    uint8_t prefix;
    uint8_t from; /* enum ibft_from, or anything else */
    struct ibft_ip gateway, dns[2], dhcp;
    uint16_t vlan; /* 0: none */
    struct mac_address mac;
    uint16_t pci; /* bus, device (5 bits), function (3); 0: not known */
    char host_name[IBFT_TEXT_SIZE];
};

struct ibft_target {
    bool present;
    uint8_t index, flags;
    struct ibft_ip address;
    uint16_t port;
    uint8_t lun[IBFT_LUN_SIZE]; /* as on the wire: SAM-5 4.7 */
    uint8_t chap;               /* enum ibft_chap, or anything else */
    uint8_t nic;                /* the index of its card */
    char name[IBFT_TEXT_SIZE];
    char user[IBFT_TEXT_SIZE], secret[IBFT_TEXT_SIZE];                 /* the initiator's */
    char reverse_user[IBFT_TEXT_SIZE], reverse_secret[IBFT_TEXT_SIZE]; /* the target's */
};

struct ibft {
    char signature[5];
    char oem_id[7], oem_table_id[9];
    uint8_t revision;
    uint8_t control_flags;
    uint32_t length; /* bytes, as it says itself; 0: read from what the kernel shows */
    struct ibft_initiator initiator;
    struct ibft_nic nics[IBFT_PAIRS];
    struct ibft_target targets[IBFT_PAIRS];
};

/* --- what is wrong with one --- */

enum ibft_severity {
    IBFT_WARNING, /* somebody may stumble over it */
    IBFT_ERROR,   /* the table or that part of it is lost for Linux or for open-iscsi */
};

struct ibft_fault {
    enum ibft_severity severity;
    char text[240]; /* a sentence without a full stop */
};

#define IBFT_MAX_FAULTS 48

struct ibft_faults {
    size_t count;
    size_t more; /* that there was no place for */
    bool error;  /* one of them all is */
    struct ibft_fault list[IBFT_MAX_FAULTS];
};

void ibft_fault(struct ibft_faults *faults, enum ibft_severity severity, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* --- bytes --- */

/* Is this the beginning of a table: "iBFT", or as ACPI and Broadcom write it, "IBFT", "BIFT"? */
bool ibft_has_signature(const void *data, size_t size);

/* Finds a table in a piece of memory, on a 16-byte boundary of it (so the piece must begin on one):
 * the first one whose checksum is right; if there is none, the first that could be one. Memory of
 * more than 512 KiB begins at address 0 and its video memory is left out. Of memory that is full of
 * what might be tables not all is looked at. False: none. */
bool ibft_find(const uint8_t *data, size_t size, size_t *ret_offset, size_t *ret_size);

/* Reads what can be read, and adds what is wrong with it to *faults. -EBADMSG: nothing could. */
int ibft_decode(const void *data, size_t size, struct ibft *ret_ibft, struct ibft_faults *faults,
                struct error *ret_error) MUST_CHECK;

/* What is wrong with what it says; ibft_decode() has done so. */
void ibft_check(const struct ibft *ibft, struct ibft_faults *faults);

/* The table with a right checksum; its length is that of what is written. -ENOSPC: the buffer is
 * too small; IBFT_MAX_SIZE always does. */
int ibft_encode(const struct ibft *ibft, uint8_t *buffer, size_t size, size_t *ret_size) MUST_CHECK;

/* --- where it is --- */

struct ibft_source {
    char name[512]; /* "/sys/firmware/acpi/tables/iBFT", "/dev/mem at 0x9e620", ... */
    bool kernel;    /* not the table itself, but what the kernel shows of it */
};

/* What this machine has: the ACPI table, low memory, what the kernel shows. root: "" or another
 * directory where /sys and /dev are. -ENOENT: nothing; -EBADMSG: something that is no table. */
int ibft_read_machine(const char *root, struct ibft *ret_ibft, struct ibft_source *ret_source,
                      struct ibft_faults *faults, struct error *ret_error) MUST_CHECK;
/* Of a file: the table alone, or memory that it is in; "-": standard input. Of a directory: a copy
 * of /sys/firmware/ibft. */
int ibft_read_path(const char *path, struct ibft *ret_ibft, struct ibft_source *ret_source,
                   struct ibft_faults *faults, struct error *ret_error) MUST_CHECK;
/* A directory as /sys/firmware/ibft. -ENOENT: it is none. */
int ibft_read_kernel(const char *directory, struct ibft *ret_ibft, struct ibft_faults *faults,
                     struct error *ret_error) MUST_CHECK;

/* --- what it says --- */

/* The card and the target that firmware has booted by; the first ones if none is marked; NULL:
 * there are none. As open-iscsi chooses: by the flag alone. Of several targets that are marked (two
 * paths to a disk), the first that this card leads to. */
const struct ibft_nic *ibft_boot_nic(const struct ibft *ibft);
const struct ibft_target *ibft_boot_target(const struct ibft *ibft);

#define IBFT_IP_TEXT_SIZE 46

bool ibft_ip_is_set(const struct ibft_ip *ip);
bool ibft_ip_is_v4(const struct ibft_ip *ip);
/* In host byte order; only of one that is IPv4. */
uint32_t ibft_ip_v4(const struct ibft_ip *ip);
struct ibft_ip ibft_ip_of_v4(uint32_t address);
/* "" if it is not set. */
const char *ibft_ip_format(const struct ibft_ip *ip, char text[static IBFT_IP_TEXT_SIZE]);
int ibft_ip_parse(const char *text, struct ibft_ip *ret_ip) MUST_CHECK;
/* The netmask of an IPv4 address; prefix: 0..32. */
uint32_t ibft_mask_v4(unsigned prefix);

/* As it is counted: of the peripheral and the flat space addressing method. -1: of another one. */
int ibft_lun_number(const uint8_t lun[static IBFT_LUN_SIZE]);

/* "manual", "DHCP", ... */
const char *ibft_from_text(uint8_t from);
const char *ibft_chap_text(uint8_t chap);
