/* What a hook answers. Input: the text. What is taken is bounded and clean, and is taken again as
 * lines. */
#include "hooks/answer.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct hook_answer *answer)
{
    char text[HOOK_ANSWER_FIELDS * (HOOK_ANSWER_KEY + HOOK_ANSWER_VALUE + 3) + 1] = "";
    struct hook_answer again;
    struct error error;
    size_t at = 0;
    for (size_t i = 0; i < answer->count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s=%s\n", answer->fields[i].key,
                               answer->fields[i].value);
    int r = hook_answer_parse(text, &again, &error);
    assert(r == 0 && again.count == answer->count);
    for (size_t i = 0; i < answer->count; i++)
        assert(str_eq(again.fields[i].key, answer->fields[i].key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hook_answer answer;
    struct error error = {0};
    cleanup_free char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (hook_answer_parse(text, &answer, &error) < 0) {
        assert(error.text[0]);
        return 0;
    }
    assert(answer.count <= HOOK_ANSWER_FIELDS && !(answer.is_script && answer.count));
    for (size_t i = 0; i < answer.count; i++) {
        const struct hook_field *field = &answer.fields[i];
        assert(field->key[0] && !strpbrk(field->value, "\n\r\x1b\x7f"));
        assert(hook_answer_get(&answer, field->key) == field->value);
    }
    check_again(&answer);
    return 0;
}
