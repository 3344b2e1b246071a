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
 * TLS 1.2 and 1.3. Every iPXE up to 2022 takes the server's RSA key itself for the key exchange,
 * and AES-CBC with SHA-1 (src/crypto/mishmash); NORMAL has both, behind what is better.
 */
#define HTTPS_CONFIG_DEFAULT                                                                       \
    {                                                                                              \
        .priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"                                 \
    }

/* As hook_config_take(). */
const char *https_config_take(struct https_config *config, const char *key, const char *value,
                              bool *ret_known);
/* When all keys are read: NULL, or "KEY: what is wrong". Where nothing is said, it listens at the
 * addresses of HTTP. */
const char *https_config_check(struct https_config *config, const struct listen_list *http);
