/* May an initiator come from where it comes from? */
#pragma once

#include "iscsi/login.h"
#include "registry/catalog.h"

/* NULL: it may; else why not, and what to do. Static. */
const char *access_refusal(const struct catalog *catalog,
                           const struct iscsi_login_identity *identity,
                           const struct catalog_volume *volume);
