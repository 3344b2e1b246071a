#include "server/adopt_rules.h"

static const char *take_text(char *place, const char *value)
{
    if (!value[0])
        return "is empty";
    return str_copy(place, ADOPT_TEXT_MAX + 1, value) ? NULL : "is too long";
}

static const char *parse_prefixes(const char *value, struct adopt_rule *rule)
{
    char copy[512], *rest = NULL;
    if (!str_copy(copy, sizeof(copy), value))
        return "is too long";
    for (char *word = strtok_r(copy, " ,\t", &rest); word; word = strtok_r(NULL, " ,\t", &rest)) {
        const char *wrong = adopt_add_prefix(&rule->match, word);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *parse_subnet(const char *value, struct adopt_rule *rule)
{
    return take_text(rule->match.subnet, value);
}

static const char *parse_circuit(const char *value, struct adopt_rule *rule)
{
    return take_text(rule->match.circuit_id, value);
}

static const char *parse_remote(const char *value, struct adopt_rule *rule)
{
    return take_text(rule->match.remote_id, value);
}

static const char *parse_manufacturer(const char *value, struct adopt_rule *rule)
{
    return take_text(rule->match.manufacturer, value);
}

static const char *parse_product(const char *value, struct adopt_rule *rule)
{
    return take_text(rule->match.product, value);
}

static const char *parse_serial(const char *value, struct adopt_rule *rule)
{
    return take_text(rule->match.serial, value);
}

static const char *parse_name(const char *value, struct adopt_rule *rule)
{
    struct error error;
    if (!adopt_is_pattern(value))
        return "names all machines alike; it needs a part such as %{number:02}, %{mac} or "
               "%{serial}";
    if (adopt_check_pattern(value, &error) < 0)
        return "makes no host names: lower case letters, digits and dashes, and parts such as "
               "%{number}, %{number:02}, %{mac} or %{serial}";
    return take_text(rule->node_name, value);
}

static const char *parse_group(const char *value, struct adopt_rule *rule)
{
    if (!name_is_object(value))
        return "is not the name of a group";
    str_copy(rule->group, sizeof(rule->group), value);
    return NULL;
}

static bool is_version(const char *text)
{
    return text[0] >= '1' && text[0] <= '9' && strlen(text) < sizeof("4294967295") - 1 &&
           !text[strspn(text, "0123456789")];
}

/* Whether there is one, and what it is called, is seen when somebody is adopted. */
static const char *parse_image(const char *value, struct adopt_rule *rule)
{
    char name[ADOPT_TEXT_MAX + 1];
    const char *at = strchrnul(value, '@');
    if ((size_t)(at - value) >= sizeof(name))
        return "is too long";
    memcpy(name, value, (size_t)(at - value));
    name[at - value] = '\0';
    if (!name_is_object(name) || (*at && !is_version(at + 1)))
        return "must be an image such as debian12 or debian12@3";
    return take_text(rule->image, value);
}

static const struct {
    struct rule_key key;
    const char *(*parse)(const char *value, struct adopt_rule *rule);
} keys[] = {
    {{"mac-prefix", true}, parse_prefixes},
    {{"subnet", false}, parse_subnet},
    {{"circuit-id", false}, parse_circuit},
    {{"remote-id", false}, parse_remote},
    {{"manufacturer", false}, parse_manufacturer},
    {{"product", false}, parse_product},
    {{"serial", false}, parse_serial},
    {{"name", false}, parse_name},
    {{"group", false}, parse_group},
    {{"image", false}, parse_image},
};

static struct adopt_rule *find_or_add(struct adopt_rules *rules, const char *section, unsigned line)
{
    for (size_t i = 0; i < rules->count; i++)
        if (str_eq(rules->rules[i].name, section))
            return &rules->rules[i];
    if (rules->count == ADOPT_MAX_RULES)
        return NULL;
    struct adopt_rule *rule = &rules->rules[rules->count++];
    *rule = (struct adopt_rule){.line = line};
    str_copy(rule->name, sizeof(rule->name), section);
    return rule;
}

const char *adopt_rules_take(struct adopt_rules *rules, const char *section, unsigned line,
                             const char *key, const char *value, enum rule_part *ret_part)
{
    *ret_part = RULE_SECTION;
    if (!name_is_object(section))
        return "a rule's name has lower case letters, digits, . and -";
    struct adopt_rule *rule = find_or_add(rules, section, line);
    if (!rule)
        return "more than 64 rules";
    *ret_part = RULE_KEY;
    size_t found;
    const char *wrong =
        rule_key_find(keys, sizeof(keys[0]), ARRAY_SIZE(keys), key, &rule->seen, &found);
    if (wrong)
        return wrong;
    *ret_part = RULE_VALUE;
    return keys[found].parse(value, rule);
}

const char *adopt_rules_check(const struct adopt_rule *rule)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (str_eq(keys[i].key.name, "name") && !(rule->seen & 1U << i))
            return "name: is not set; say what its machines are called, such as web-%{number:02}";
    return NULL;
}
