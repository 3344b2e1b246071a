#include "core/answer.h"

#include <errno.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const struct {
    const char *name, *file;
} formats[ANSWER_FORMATS] = {
    [ANSWER_PRESEED] = {"preseed", "preseed.cfg"},
    [ANSWER_AUTOINSTALL] = {"autoinstall", "user-data"},
    [ANSWER_KICKSTART] = {"kickstart", "ks.cfg"},
};

const char *answer_format_name(enum answer_format format)
{
    return formats[format].name;
}

int answer_format_parse(const char *name, enum answer_format *ret_format)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        if (str_eq(formats[i].name, name)) {
            *ret_format = (enum answer_format)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *answer_format_file(enum answer_format format)
{
    return formats[format].file;
}

bool answer_name_is_valid(const char *name)
{
    return name[0] && strlen(name) <= ANSWER_MAX_NAME &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

bool answer_value_is_valid(const char *value)
{
    size_t n = strlen(value);
    return n <= ANSWER_MAX_VALUE && strspn(value, LETTERS " -_.,:/@%+=~[]$") == n &&
           (n == 0 || (value[0] != ' ' && value[n - 1] != ' '));
}

/* YAML 1.2.2, 7.3.3: a plain scalar begins with no indicator, and has neither ": " nor, in lists
 * and maps on one line, ",[]" in it. */
static bool is_plain_yaml(const char *value)
{
    size_t n = strlen(value);
    return n > 0 && strchr(LETTERS "/$._+", value[0]) && !strpbrk(value, ",[]") &&
           !strstr(value, ": ") && value[n - 1] != ':';
}

bool answer_value_fits(enum answer_format format, const char *value, bool quoted)
{
    if (!answer_value_is_valid(value))
        return false;
    if (quoted)
        return true;
    switch (format) {
    case ANSWER_AUTOINSTALL:
        return is_plain_yaml(value);
    case ANSWER_KICKSTART: /* words, as of a shell; what begins with a dash is an option */
        return !strchr(value, ' ') && value[0] != '-' && value[0] != '%' && value[0] != '@';
    default: /* all that is left of the line */
        return true;
    }
}
