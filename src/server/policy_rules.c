#include "server/policy_rules.h"

#include <ctype.h>
#include <errno.h>

#include "core/size.h"

#define TEXT_MAX    127
#define DAY_MINUTES 1440

static const char no_memory[] = "cannot be kept: out of memory";

struct place {
    struct policy *policy;
    struct policy_rule *rule;
    enum policy_text which; /* of patterns */
};

/* Calls each(word) for every word of a list separated by spaces or commas. */
static const char *for_each_word(const char *value, const struct place *place,
                                 const char *(*each)(const char *word, const struct place *place))
{
    char copy[1024], *rest;
    unsigned n = 0;
    if (!str_copy(copy, sizeof(copy), value))
        return "is too long";
    for (char *word = strtok_r(copy, " ,\t", &rest); word; word = strtok_r(NULL, " ,\t", &rest)) {
        const char *wrong = each(word, place);
        if (wrong)
            return wrong;
        n++;
    }
    return n ? NULL : "is empty";
}

/* --- what is booted --- */

/* What is called so is seen when somebody boots; what stands for nothing else is an entry's name.
 */
static const char *parse_boot(const char *value, const struct place *place)
{
    struct boot_target *target = &place->rule->target;
    if (boot_target_parse(value, target) == 0)
        return NULL;
    if (!name_is_object(value))
        return "must be volume, local, menu, shell, memtest, off, scripts, snapshot:NAME, the name "
               "of a "
               "boot entry, or "
               "volume:NAME";
    *target = (struct boot_target){.kind = BOOT_TARGET_ENTRY};
    str_copy(target->name, sizeof(target->name), value);
    return NULL;
}

/* --- when --- */

/* "mon", "Monday"; 7: it is none. */
static unsigned find_day(const char *word, size_t size)
{
    static const char *const days[] = {"sunday",   "monday", "tuesday", "wednesday",
                                       "thursday", "friday", "saturday"};
    unsigned i = 0;
    while (i < ARRAY_SIZE(days) &&
           (size < 3 || size > strlen(days[i]) || strncasecmp(word, days[i], size) != 0 ||
            (size > 3 && size != strlen(days[i]))))
        i++;
    return i;
}

static const char *add_days(const char *word, const struct place *place)
{
    const char *dash = strchr(word, '-');
    unsigned first = find_day(word, dash ? (size_t)(dash - word) : strlen(word));
    unsigned last = dash ? find_day(dash + 1, strlen(dash + 1)) : first;
    if (first > 6 || last > 6)
        return "must be days of the week, such as mon-fri or sat sun";
    for (unsigned day = first;; day = (day + 1) % 7) {
        place->rule->days |= (uint8_t)(1U << day);
        if (day == last)
            return NULL;
    }
}

static const char *parse_days(const char *value, const struct place *place)
{
    return for_each_word(value, place, add_days);
}

/* "6:30", "24:00"; the rest behind it, NULL: it is none. */
static const char *read_minute(const char *text, uint16_t *ret_minute)
{
    unsigned hour = 0, minute = 0, digits = 0;
    for (; isdigit((unsigned char)*text) && digits < 2; digits++)
        hour = hour * 10 + (unsigned)(*text++ - '0');
    if (!digits || text[0] != ':' || !isdigit((unsigned char)text[1]) ||
        !isdigit((unsigned char)text[2]))
        return NULL;
    minute = (unsigned)(text[1] - '0') * 10 + (unsigned)(text[2] - '0');
    if (minute > 59 || hour * 60 + minute > DAY_MINUTES)
        return NULL;
    *ret_minute = (uint16_t)(hour * 60 + minute);
    return text + 3;
}

static const char *parse_hours(const char *value, const struct place *place)
{
    struct policy_rule *rule = place->rule;
    uint16_t begins = 0, ends = 0;
    const char *rest = read_minute(value, &begins);
    rest = rest && *rest == '-' ? read_minute(rest + 1, &ends) : NULL;
    if (!rest || *rest || begins == ends || begins == DAY_MINUTES)
        return "must be a time of the day, such as 22:00-06:00";
    rule->begins = begins;
    rule->ends = ends;
    return NULL;
}

/* --- which nodes --- */

static const char *add_pattern(const char *text, const struct place *place)
{
    if (!text[0])
        return "is empty";
    if (strlen(text) > TEXT_MAX)
        return "is too long";
    return policy_add_pattern(place->policy, place->rule, place->which, text) ? NULL : no_memory;
}

static const char *parse_names(const char *value, const struct place *place)
{
    return for_each_word(value, place, add_pattern);
}

static const char *add_firmware(const char *word, const struct place *place)
{
    if (str_eq(word, "bios"))
        return add_pattern("pcbios", place);
    return str_eq(word, "uefi") ? add_pattern("efi", place) : "must be bios or uefi";
}

static const char *parse_firmware(const char *value, const struct place *place)
{
    return for_each_word(value, place, add_firmware);
}

static const char *add_prefix(const char *word, const struct place *place)
{
    struct mac_prefix prefix;
    if (mac_prefix_parse(word, &prefix) < 0)
        return "must be the beginning of a MAC, such as 52:54:00";
    return policy_add_prefix(place->policy, place->rule, &prefix) ? NULL : no_memory;
}

static const char *parse_prefixes(const char *value, const struct place *place)
{
    return for_each_word(value, place, add_prefix);
}

static const char *add_source(const char *word, const struct place *place)
{
    struct source source;
    if (source_parse(word, &source) < 0 || source.node)
        return "must be networks or addresses, such as 10.0.0.0/24";
    return policy_add_source(place->policy, place->rule, &source) ? NULL : no_memory;
}

static const char *parse_network(const char *value, const struct place *place)
{
    return for_each_word(value, place, add_source);
}

static const char *parse_size(const char *value, uint64_t *place)
{
    return size_parse(value, place) < 0 || *place == 0 ? "must be a size, such as 8G" : NULL;
}

static const char *parse_memory_min(const char *value, const struct place *place)
{
    return parse_size(value, &place->rule->memory_min);
}

static const char *parse_memory_max(const char *value, const struct place *place)
{
    return parse_size(value, &place->rule->memory_max);
}

/* --- keys --- */

static const struct {
    struct rule_key key;
    const char *(*parse)(const char *value, const struct place *place);
    enum policy_text which;
} keys[] = {
    {{"boot", false}, parse_boot, 0},
    {{"days", true}, parse_days, 0},
    {{"hours", false}, parse_hours, 0},
    {{"node", true}, parse_names, POLICY_NODE},
    {{"group", true}, parse_names, POLICY_GROUP},
    {{"mac-prefix", true}, parse_prefixes, 0},
    {{"network", true}, parse_network, 0},
    {{"architecture", true}, parse_names, POLICY_ARCHITECTURE},
    {{"firmware", true}, parse_firmware, POLICY_FIRMWARE},
    {{"manufacturer", true}, add_pattern, POLICY_MANUFACTURER},
    {{"product", true}, add_pattern, POLICY_PRODUCT},
    {{"serial", true}, add_pattern, POLICY_SERIAL},
    {{"card", true}, add_pattern, POLICY_CARD},
    {{"memory-min", false}, parse_memory_min, 0},
    {{"memory-max", false}, parse_memory_max, 0},
};

const char *policy_rules_take(struct policy *policy, const char *section, unsigned line,
                              const char *key, const char *value, enum rule_part *ret_part)
{
    *ret_part = RULE_SECTION;
    if (!name_is_object(section))
        return "a rule's name has lower case letters, digits, . and -";
    struct policy_rule *rule = policy_find_or_add(policy, section, line);
    if (!rule)
        return policy->count == POLICY_MAX_RULES ? "more than 4096 rules" : no_memory;
    *ret_part = RULE_KEY;
    size_t found;
    const char *wrong =
        rule_key_find(keys, sizeof(keys[0]), ARRAY_SIZE(keys), key, &rule->seen, &found);
    if (wrong)
        return wrong;
    *ret_part = RULE_VALUE;
    return keys[found].parse(value, &(struct place){policy, rule, keys[found].which});
}

const char *policy_rules_check(const struct policy_rule *rule)
{
    if (!(rule->seen & 1U)) /* the first of the keys */
        return "boot: is not set; say what its nodes boot, such as boot = menu";
    if (rule->memory_min && rule->memory_max && rule->memory_min > rule->memory_max)
        return "memory-max: is less than memory-min, so that it is for no node";
    return NULL;
}
