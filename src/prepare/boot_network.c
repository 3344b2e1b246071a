#include "prepare/boot_network.h"

#include "prepare/edit.h"

#include <net/if.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define IN_NAME LETTERS "0123456789_-"

bool boot_network_is_name(const char *text)
{
    size_t size = strlen(text);
    return size < IFNAMSIZ && strspn(text, LETTERS) > 0 && strspn(text, IN_NAME) == size &&
           !str_eq(text, BOOT_NETWORK_CARD);
}

bool boot_network_is_cards(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size < EDIT_MAX_FIELD && strspn(text, IN_NAME "*?[] ") == size;
}

static const char *value_of(struct plan *plan, const char *text, const char *name)
{
    char value[EDIT_MAX_FIELD];
    if (!text || !variable_get(text, name, value, sizeof(value)))
        return "";
    return arena_strdup(&plan->arena, value) ?: "";
}

/* "none" takes away what there is. */
static const char *chosen(const char *wish, const char *now)
{
    return !wish ? now : str_eq(wish, "none") ? "" : wish;
}

struct boot_network boot_network_of(struct plan *plan)
{
    const struct plan_settings *settings = &plan->settings;
    const char *text = plan_text(plan, BOOT_NETWORK_FILE);
    const char *cards = value_of(plan, text, "BOND_CARDS");
    return (struct boot_network){
        .bridge = chosen(settings->bridge, value_of(plan, text, "BRIDGE")),
        .bond = chosen(settings->bond, value_of(plan, text, "BOND")),
        .bond_cards = settings->bond ? settings->bond_cards ?: "" : cards,
    };
}
