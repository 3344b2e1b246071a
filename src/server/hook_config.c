#include "server/hook_config.h"

static bool parse_number(const char *value, unsigned max, unsigned *ret_number)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || (*end && !str_eq(end, "s")) || n < 1 || n > max)
        return false;
    *ret_number = (unsigned)n;
    return true;
}

static const char *parse_directory(const char *value, struct hook_settings *settings)
{
    bool fits = str_copy(settings->directory, sizeof(settings->directory), value);
    return value[0] == '/' && fits ? NULL : "must be an absolute path";
}

static const char *parse_timeout(const char *value, struct hook_settings *settings)
{
    return parse_number(value, 300, &settings->seconds) ? NULL : "must be 1s to 300s";
}

static const char *parse_at_once(const char *value, struct hook_settings *settings)
{
    return parse_number(value, 256, &settings->at_once) ? NULL : "must be 1 to 256";
}

static const char *parse_user(const char *value, struct hook_settings *settings)
{
    bool fits = str_copy(settings->user, sizeof(settings->user), value);
    return value[0] && fits ? NULL : "must be the name of a user, such as nobody";
}

static const struct {
    const char *name;
    const char *(*parse)(const char *value, struct hook_settings *settings);
} keys[] = {
    {"directory", parse_directory},
    {"timeout", parse_timeout},
    {"at-once", parse_at_once},
    {"user", parse_user},
};

const char *hook_config_take(struct hook_settings *settings, const char *key, const char *value,
                             bool *ret_known)
{
    *ret_known = false;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!str_eq(keys[i].name, key))
            continue;
        *ret_known = true;
        return keys[i].parse(value, settings);
    }
    return NULL;
}
