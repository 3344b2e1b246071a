#include "server/config_ways.h"

#include "core/boot_ways.h"

const char *config_parse_direct(const char *value, void *place)
{
    struct error error;
    if (str_eq(value, "default") || direct_way_parse(value, place, &error) < 0)
        return "must be yes or no";
    return NULL;
}

const char *config_parse_ibft_origin(const char *value, void *place)
{
    struct error error;
    if (str_eq(value, "default") || ibft_origin_parse(value, place, &error) < 0)
        return "must be manual or dhcp";
    return NULL;
}

const char *config_parse_chap_rotation(const char *value, void *place)
{
    struct error error;
    if (str_eq(value, "default") || chap_rotation_parse(value, place, &error) < 0)
        return "must be manual or boot";
    return NULL;
}
