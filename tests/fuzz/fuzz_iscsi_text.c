/* Text of a login or text request, each pair negotiated. The first byte says in which session. */
#include "iscsi/negotiate.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_pair(struct iscsi_parameters *parameters, const char *key, const char *value,
                      bool discovery, struct iscsi_text *answer)
{
    size_t before = answer->used;
    uint32_t number;
    if (iscsi_text_number(value, &number) == 0)
        assert(value[0] >= '0' && value[0] <= '9');
    enum iscsi_negotiation result = iscsi_negotiate(parameters, key, value, discovery, answer);
    if (result == NEGOTIATION_UNKNOWN)
        assert(answer->used == before);
    if (result == NEGOTIATION_INVALID && !answer->overflow)
        assert(str_eq(answer->data + answer->used - 7, "Reject"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const size_t length = size - 1;
    char *text = malloc(length + 1), room[64];
    struct iscsi_text answer = {.data = room, .size = sizeof(room)}; /* easily full */
    struct iscsi_parameters parameters;
    const char *key, *value;
    size_t cursor = 0, before = 0;
    memcpy(text, data + 1, length);
    text[length] = '\0';
    iscsi_parameters_init(&parameters);
    while (iscsi_text_next(text, length, &cursor, &key, &value) > 0) {
        assert(cursor > before && cursor <= length + 1);
        assert(key >= text && value > key && value + strlen(value) <= text + length);
        assert(strlen(key) >= 1 && strlen(key) <= ISCSI_KEY_MAX);
        take_pair(&parameters, key, value, data[0] & 1, &answer);
        assert(answer.used <= sizeof(room));
        before = cursor;
        if (data[0] & 2)
            answer.used = 0;
    }
    free(text);
    return 0;
}
