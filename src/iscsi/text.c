#include "iscsi/text.h"

#include <errno.h>
#include <stdarg.h>

/* RFC 7143 6.1: the characters of a standard-label. */
static bool is_label(const char *key, size_t length)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789.-+@_";
    return strspn(key, characters) == length;
}

int iscsi_text_next(char *data, size_t length, size_t *cursor, const char **ret_key,
                    const char **ret_value)
{
    while (*cursor < length && data[*cursor] == '\0') /* padding that somebody counted as text */
        ++*cursor;
    if (*cursor >= length)
        return 0;
    char *key = data + *cursor;
    char *value = strchr(key, '=');
    size_t pair = strlen(key);
    if (!value || value == key || value - key > ISCSI_KEY_MAX ||
        !is_label(key, (size_t)(value - key)))
        return -EINVAL;
    *cursor += pair + 1;
    *value = '\0';
    *ret_key = key;
    *ret_value = value + 1;
    return 1;
}

static bool make_room(struct iscsi_text *text, size_t need)
{
    if (need <= text->size - text->used)
        return true;
    size_t size = MIN(text->limit, MAX(2 * text->size, text->used + need));
    char *grown = text->used + need <= size ? realloc(text->data, size) : NULL;
    if (!grown)
        return false;
    text->data = grown;
    text->size = size;
    return true;
}

void iscsi_text_add(struct iscsi_text *text, const char *key, const char *value)
{
    size_t need = strlen(key) + 1 + strlen(value) + 1;
    if (!make_room(text, need)) {
        text->overflow = true;
        return;
    }
    text->used += (size_t)sprintf(text->data + text->used, "%s=%s", key, value) + 1;
}

void iscsi_text_addf(struct iscsi_text *text, const char *key, const char *format, ...)
{
    char value[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(value))
        text->overflow = true;
    else
        iscsi_text_add(text, key, value);
}

bool iscsi_text_is_answer(const char *value)
{
    return str_eq(value, "NotUnderstood") || str_eq(value, "Irrelevant") || str_eq(value, "Reject");
}

int iscsi_text_list_find(const char *list, const char *word)
{
    size_t n = strlen(word);
    const char *at = list;
    for (int place = 0;; place++) {
        size_t length = strcspn(at, ",");
        if (length == n && memcmp(at, word, n) == 0)
            return place;
        if (at[length] == '\0')
            return -1;
        at += length + 1;
    }
}

int iscsi_text_number(const char *value, uint32_t *ret_number)
{
    bool hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
    const char *digits = hex ? value + 2 : value;
    char *end;
    if (!strchr(hex ? "0123456789abcdefABCDEF" : "0123456789", *digits) || *digits == '\0' ||
        strlen(value) > ISCSI_VALUE_MAX)
        return -EINVAL;
    errno = 0;
    unsigned long long n = strtoull(digits, &end, hex ? 16 : 10);
    if (errno || *end || n > UINT32_MAX)
        return -EINVAL;
    *ret_number = (uint32_t)n;
    return 0;
}
