/* [https] in the configuration. */
#pragma once

#include "http/nodes.h"
#include "server/listen.h"

#include <limits.h>

struct https_config {
    struct listen_list listen;
    char certificate[PATH_MAX], key[PATH_MAX]; /* "": no HTTPS */
    char name[NODE_HTTPS_NAME_MAX + 1];        /* in URLs; "": the address */
    char priorities[256];                      /* GnuTLS' words */
    enum node_https_need require;
    bool installers; /* fetch over it, too */
};

/*
 * TLS 1.2 and 1.3. An iPXE before October 2022 has nothing but the key exchange by the server's RSA
 * key, and AES-CBC with SHA-1 or SHA-256 (its src/crypto/mishmash). Others have better, and choose
 * that.
 */
#define HTTPS_CONFIG_DEFAULT                                                                       \
    {                                                                                              \
        .priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:+RSA:"                           \
                      "+AES-128-CBC:+AES-256-CBC:+SHA1"                                            \
    }

/* As hook_config_take(). */
const char *https_config_take(struct https_config *config, const char *key, const char *value,
                              bool *ret_known);
/* When all keys are read: NULL, or "KEY: what is wrong". Where nothing is said, it listens at the
 * addresses of HTTP. */
const char *https_config_check(struct https_config *config, const struct listen_list *http);
