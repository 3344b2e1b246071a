#include "server/rule_key.h"

const char *rule_key_find(const void *table, size_t entry_size, size_t n_keys, const char *name,
                          uint32_t *seen, size_t *ret_key)
{
    for (size_t i = 0; i < n_keys; i++) {
        const struct rule_key *key = (const void *)((const char *)table + i * entry_size);
        if (!str_eq(key->name, name))
            continue;
        if (*seen & UINT32_C(1) << i && !key->is_list)
            return "is set twice";
        *seen |= UINT32_C(1) << i;
        *ret_key = i;
        return NULL;
    }
    return "no such key";
}
