#include "server/https_config.h"

#define PORT 443

static const char *parse_listen(const char *value, struct https_config *config)
{
    return listen_list_parse(value, &config->listen);
}

static const char *copy_path(char *place, const char *value)
{
    return value[0] == '/' && str_copy(place, PATH_MAX, value) ? NULL : "must be an absolute path";
}

static const char *parse_certificate(const char *value, struct https_config *config)
{
    return copy_path(config->certificate, value);
}

static const char *parse_key(const char *value, struct https_config *config)
{
    return copy_path(config->key, value);
}

static const char *parse_name(const char *value, struct https_config *config)
{
    return name_is_domain(value) && str_copy(config->name, sizeof(config->name), value)
               ? NULL
               : "must be a domain name of up to 80 characters";
}

static const char *parse_priorities(const char *value, struct https_config *config)
{
    return value[0] && str_copy(config->priorities, sizeof(config->priorities), value)
               ? NULL
               : "must be GnuTLS' words, of up to 255 characters";
}

static const char *parse_require(const char *value, struct https_config *config)
{
    if (str_eq(value, "no"))
        config->require = NODE_HTTPS_OPTIONAL;
    else if (str_eq(value, "secrets"))
        config->require = NODE_HTTPS_SECRETS;
    else if (str_eq(value, "yes"))
        config->require = NODE_HTTPS_ALWAYS;
    else
        return "must be no, secrets or yes";
    return NULL;
}

static const char *parse_installers(const char *value, struct https_config *config)
{
    config->installers = str_eq(value, "yes");
    return config->installers || str_eq(value, "no") ? NULL : "must be yes or no";
}

static const struct {
    const char *name;
    const char *(*parse)(const char *value, struct https_config *config);
} keys[] = {
    {"listen", parse_listen},
    {"certificate", parse_certificate},
    {"key", parse_key},
    {"name", parse_name},
    {"priorities", parse_priorities},
    {"require", parse_require},
    {"installers", parse_installers},
};

const char *https_config_take(struct https_config *config, const char *key, const char *value,
                              bool *ret_known)
{
    *ret_known = false;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!str_eq(keys[i].name, key))
            continue;
        *ret_known = true;
        return keys[i].parse(value, config);
    }
    return NULL;
}

static void listen_beside(struct listen_list *list, const struct listen_list *http)
{
    for (size_t i = 0; i < http->count; i++) {
        const struct endpoint beside = endpoint_with_port(&http->endpoints[i], PORT);
        bool there = false;
        for (size_t k = 0; k < list->count; k++)
            there |= endpoint_same_host(&list->endpoints[k], &beside);
        if (!there)
            list->endpoints[list->count++] = beside;
    }
}

const char *https_config_check(struct https_config *config, const struct listen_list *http)
{
    if (!config->certificate[0] && config->key[0])
        return "key: needs a certificate, too";
    if (config->certificate[0] && !config->key[0])
        return "certificate: needs its key, too";
    if (!config->certificate[0] && config->require != NODE_HTTPS_OPTIONAL)
        return "require: needs a certificate and its key: without them nobody has HTTPS";
    if (config->certificate[0] && config->listen.count == 0)
        listen_beside(&config->listen, http);
    return NULL;
}
