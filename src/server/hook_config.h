/* [hooks] in the configuration. */
#pragma once

#include "hooks/hooks.h"

#define HOOK_CONFIG_DEFAULT                                                                        \
    {                                                                                              \
        .directory = "/etc/nodisk/hooks", .seconds = 10, .at_once = 16                             \
    }

/* A key of it. NULL, or what is wrong with its value ("must be ..."); *ret_known: there is such a
 * key. */
const char *hook_config_take(struct hook_settings *settings, const char *key, const char *value,
                             bool *ret_known);
