#include "hooks/answer.h"

#include <errno.h>
#include <jansson.h>

#define MAX_DEPTH 2 /* a reader of JSON calls itself for each level */

static const char blanks[] = " \t\r\n";

static bool is_key(const char *text, size_t size)
{
    if (size == 0 || size > HOOK_ANSWER_KEY)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

/* JSON's reader says whether it is UTF-8. */
static bool is_value(const char *text, size_t size)
{
    if (size > HOOK_ANSWER_VALUE)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    json_t *json = json_stringn(text, size);
    json_decref(json);
    return json != NULL;
}

static int add(struct hook_answer *answer, const char *key, size_t key_size, const char *value,
               size_t size, struct error *ret_error)
{
    if (!is_key(key, key_size))
        return error_set(ret_error, -EINVAL,
                         "answered something that is neither KEY=VALUE, nor JSON, nor an iPXE "
                         "script");
    struct hook_field field = {.key = ""};
    memcpy(field.key, key, key_size);
    if (!is_value(value, size))
        return error_set(ret_error, -EINVAL,
                         "answered a value for '%s' that is too long, or no text", field.key);
    memcpy(field.value, value, size);
    if (hook_answer_get(answer, field.key))
        return error_set(ret_error, -EINVAL, "answered '%s' twice", field.key);
    if (answer->count == HOOK_ANSWER_FIELDS)
        return error_set(ret_error, -EINVAL, "answered more than %d values", HOOK_ANSWER_FIELDS);
    answer->fields[answer->count++] = field;
    return 0;
}

/* --- lines --- */

static int take_line(struct hook_answer *answer, const char *line, size_t size,
                     struct error *ret_error)
{
    while (size > 0 && strchr(blanks, line[size - 1]))
        size--;
    size_t begin = strspn(line, " \t");
    if (begin >= size || line[begin] == '#')
        return 0;
    line += begin;
    size -= begin;
    const char *sign = memchr(line, '=', size);
    size_t key_size = sign ? (size_t)(sign - line) : 0;
    const char *value = sign ? sign + 1 : line;
    return add(answer, line, key_size, value, size - (size_t)(value - line), ret_error);
}

static int parse_lines(struct hook_answer *answer, const char *text, struct error *ret_error)
{
    int r = 0;
    while (r >= 0 && *text) {
        size_t size = strcspn(text, "\n");
        r = take_line(answer, text, size, ret_error);
        text += size + (text[size] == '\n');
    }
    return r;
}

/* --- JSON --- */

static bool is_too_deep(const char *text)
{
    unsigned depth = 0;
    for (bool in_string = false; *text; text++) {
        if (in_string && *text == '\\' && text[1])
            text++;
        else if (*text == '"')
            in_string = !in_string;
        else if (!in_string && (*text == '{' || *text == '[') && ++depth > MAX_DEPTH)
            return true;
    }
    return false;
}

static int add_json(struct hook_answer *answer, const char *key, const json_t *value,
                    struct error *ret_error)
{
    char number[32];
    const char *text = json_string_value(value);
    if (json_is_null(value))
        return 0;
    if (json_is_boolean(value))
        text = json_is_true(value) ? "true" : "false";
    if (json_is_integer(value)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        text = number;
    }
    if (!text)
        return error_set(ret_error, -EINVAL,
                         "answered JSON whose '%.31s' is no text, number, true or false", key);
    return add(answer, key, strlen(key), text, strlen(text), ret_error);
}

static int parse_json(struct hook_answer *answer, const char *text, struct error *ret_error)
{
    json_error_t why;
    const char *key;
    json_t *value,
        *root = is_too_deep(text) ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, &why);
    int r = 0;
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(ret_error, -EINVAL, "answered something that is no JSON object");
    }
    json_object_foreach(root, key, value)
    {
        if (r >= 0)
            r = add_json(answer, key, value, ret_error);
    }
    json_decref(root);
    return r;
}

/* --- */

int hook_answer_parse(const char *text, struct hook_answer *ret_answer, struct error *ret_error)
{
    struct hook_answer answer = {.is_script = str_has_prefix(text, "#!ipxe")};
    int r = 0;
    if (!answer.is_script) {
        const char *begin = text + strspn(text, blanks);
        r = *begin == '{' ? parse_json(&answer, begin, ret_error)
                          : parse_lines(&answer, begin, ret_error);
    }
    if (r >= 0)
        *ret_answer = answer;
    return r;
}

const char *hook_answer_get(const struct hook_answer *answer, const char *key)
{
    for (size_t i = 0; i < answer->count; i++)
        if (str_eq(answer->fields[i].key, key))
            return answer->fields[i].value;
    return NULL;
}

bool hook_answer_is_empty(const struct hook_answer *answer)
{
    return !answer->is_script && answer->count == 0;
}

static bool is_one_of(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (str_eq(*keys, key))
            return true;
    return false;
}

int hook_answer_check_keys(const struct hook_answer *answer, const char *const *keys,
                           struct error *ret_error)
{
    for (size_t i = 0; i < answer->count; i++)
        if (!is_one_of(answer->fields[i].key, keys))
            return error_set(ret_error, -EINVAL, "answered '%s', which is nothing that was asked",
                             answer->fields[i].key);
    return 0;
}
