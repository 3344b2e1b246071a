/* What who wants to discover must prove, as nodisk.conf says: the secrets are in files. */
#pragma once

#include "core/credentials.h"
#include "server/config.h"

/* CHAP_NONE if the configuration says nothing of it. */
int discovery_chap_read(const struct config *config, struct chap_credentials *ret_credentials,
                        struct error *ret_error) MUST_CHECK;
