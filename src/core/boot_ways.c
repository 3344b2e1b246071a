#include "core/boot_ways.h"

#include <errno.h>

static const char *const directs[] = {
    [DIRECT_DEFAULT] = "default", [DIRECT_NO] = "no", [DIRECT_YES] = "yes"};
static const char *const origins[] = {[IBFT_ORIGIN_DEFAULT] = "default",
                                      [IBFT_ORIGIN_MANUAL] = "manual",
                                      [IBFT_ORIGIN_DHCP] = "dhcp"};
static const char *const rotations[] = {[CHAP_ROTATION_DEFAULT] = "default",
                                        [CHAP_ROTATION_MANUAL] = "manual",
                                        [CHAP_ROTATION_BOOT] = "boot"};

/* The index of word; -1: it is none of them. */
static int find(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(words[i], word))
            return (int)i;
    return -1;
}

const char *direct_way_name(enum direct_way way)
{
    return directs[way];
}

const char *ibft_origin_name(enum ibft_origin origin)
{
    return origins[origin];
}

const char *chap_rotation_name(enum chap_rotation rotation)
{
    return rotations[rotation];
}

int direct_way_parse(const char *word, enum direct_way *ret_way, struct error *ret_error)
{
    int i = find(directs, ARRAY_SIZE(directs), word);
    if (i < 0)
        return error_set(ret_error, -EINVAL, "direct must be yes, no or default");
    *ret_way = (enum direct_way)i;
    return 0;
}

int ibft_origin_parse(const char *word, enum ibft_origin *ret_origin, struct error *ret_error)
{
    int i = find(origins, ARRAY_SIZE(origins), word);
    if (i < 0)
        return error_set(ret_error, -EINVAL, "the iBFT's origin must be manual, dhcp or default");
    *ret_origin = (enum ibft_origin)i;
    return 0;
}

int chap_rotation_parse(const char *word, enum chap_rotation *ret_rotation, struct error *ret_error)
{
    int i = find(rotations, ARRAY_SIZE(rotations), word);
    if (i < 0)
        return error_set(ret_error, -EINVAL, "chap rotation must be boot, manual or default");
    *ret_rotation = (enum chap_rotation)i;
    return 0;
}

struct boot_ways boot_ways_of(const struct boot_ways *node, const struct boot_ways *site)
{
    return (struct boot_ways){
        .direct = node->direct == DIRECT_DEFAULT ? site->direct : node->direct,
        .ibft_origin =
            node->ibft_origin == IBFT_ORIGIN_DEFAULT ? site->ibft_origin : node->ibft_origin,
        .chap_rotation = node->chap_rotation == CHAP_ROTATION_DEFAULT ? site->chap_rotation
                                                                      : node->chap_rotation,
    };
}
