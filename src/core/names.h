/*
 * Which names are taken for nodes, groups, images, volumes and iSCSI.
 *
 * Names end up in host names, file names, iPXE scripts, SQL and iSCSI names, so that only letters,
 * digits and a few marks are ever let in: nothing needs quoting anywhere.
 */
#pragma once

#include "core/util.h"

#define NAME_MAX_LEN 63  /* a DNS label */
#define IQN_MAX_LEN  223 /* RFC 7143 4.2.7.1 */

/* A node: a DNS label, lower case ("web1", "rack2-07"). */
bool name_is_host(const char *name);
/* An image, volume or group: lower case letters, digits, '.', '-'; begins with one of the first
 * two; may contain '_' nowhere (newer dracut strips it from iSCSI names). */
bool name_is_object(const char *name);
/* "iqn.2026-11.lan.example[:anything]", lower case [a-z0-9.:-], at most IQN_MAX_LEN. */
bool name_is_iqn(const char *name);
/* A DNS domain: labels joined by dots. */
bool name_is_domain(const char *name);
