/*
 * The URI of a LUN of an iSCSI target, as libiscsi writes it: iscsi://HOST[:PORT]/TARGET/LUN. Pure.
 *
 * What is taken has only characters that mean nothing to iPXE, a terminal or SQL, and no secret.
 */
#pragma once

#include "core/error.h"
#include "core/names.h"

#define ISCSI_URI_HOST_MAX 253
#define ISCSI_URI_LUN_MAX  16383 /* of the flat space addressing method: SAM-5 4.7.7.3 */
#define ISCSI_URI_SIZE     (sizeof("iscsi://:65535//16383") + ISCSI_URI_HOST_MAX + IQN_MAX_LEN)

struct iscsi_uri {
    char host[ISCSI_URI_HOST_MAX + 1]; /* a name, an IPv4 address, or an IPv6 address in brackets */
    uint16_t port;
    char target[IQN_MAX_LEN + 1]; /* "iqn.", "eui." or "naa.": RFC 7143 4.2.7 */
    uint16_t lun;                 /* 0..ISCSI_URI_LUN_MAX */
};

/* The port is 3260 if there is none; the LUN is decimal, or hexadecimal behind 0x. -EINVAL and what
 * is wrong, which never repeats any of it: who gave it may have put a secret there. */
int iscsi_uri_parse(const char *text, struct iscsi_uri *ret_uri,
                    struct error *ret_error) MUST_CHECK;
/* The one text of this LUN, which iscsi_uri_parse() takes. */
const char *iscsi_uri_format(const struct iscsi_uri *uri, char text[static ISCSI_URI_SIZE]);
/* "HOST:PORT" */
const char *iscsi_uri_format_portal(const struct iscsi_uri *uri, char text[static ISCSI_URI_SIZE]);
/* The first two bytes of the LUN on the wire, the others being 0: SAM-5 4.7.7. */
uint16_t iscsi_uri_wire_lun(const struct iscsi_uri *uri);
