#include "cli/image_labels.h"

#include "core/names.h"

int image_set_labels(const struct args *args, const char *option, json_t *labels)
{
    for (size_t i = 0; i < args->n_values; i++) {
        const char *text = args->values[i].value;
        if (!str_eq(args->values[i].option->name, option))
            continue;
        bool take_away = str_eq(option, "unlabel");
        const char *equals = strchrnul(text, '=');
        char key[NAME_MAX_LEN + 1];
        size_t n = (size_t)(equals - text);
        if (n == 0 || n > NAME_MAX_LEN || !*equals != take_away)
            return cli_bad_value(option, text,
                                 take_away ? "must be the name of a label"
                                           : "is not a label such as os=debian12");
        memcpy(key, text, n);
        key[n] = '\0';
        if (json_object_get(labels, key))
            return cli_bad_value(option, text, "is about a label that is given twice");
        json_t *value = take_away ? json_null() : json_string(equals + 1);
        if (!value || json_object_set_new(labels, key, value) < 0)
            return cli_bad_value(option, text, "is not text in UTF-8");
    }
    return CLI_OK;
}
