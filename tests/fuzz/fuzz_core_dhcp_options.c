/*
 * DHCP options as text. Input: one text a line; each is put into one set. What is taken has one
 * text, which is taken in its turn and means the same; data of any kind are no harm to who formats
 * them.
 */
#include "core/dhcp_options.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
    uint8_t buffer[DHCP_OPTION_VALUE_MAX], second[DHCP_OPTION_VALUE_MAX];
    char first[DHCP_SETTING_TEXT_SIZE], again_text[DHCP_SETTING_TEXT_SIZE];
    struct dhcp_setting setting, again;
    const char *wrong = dhcp_setting_parse(text, buffer, &setting);
    if (wrong) {
        assert(wrong[0]);
        return;
    }
    dhcp_setting_format(&setting, first);
    if (strlen(first) > DHCP_OPTION_TEXT_MAX)
        return; /* in hexadecimal it is longer */
    wrong = dhcp_setting_parse(first, second, &again);
    assert(!wrong);
    assert(again.code == setting.code && again.always == setting.always);
    assert(again.size == setting.size && memcmp(again.data, setting.data, again.size) == 0);
    assert(str_eq(dhcp_setting_format(&again, again_text), first));
}

static void check_data(const uint8_t *data, size_t size)
{
    char text[DHCP_OPTION_TEXT_SIZE];
    for (int type = 0; type < DHCP_TYPES_COUNT; type++)
        (void)!dhcp_option_value_format((enum dhcp_option_type)type, data, size, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dhcp_options options = {0};
    struct dhcp_setting setting;
    char line[2048];
    check_data(data, MIN(size, (size_t)DHCP_OPTION_VALUE_MAX));
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) : size;
        size_t used = MIN(n, sizeof(line) - 1);
        memcpy(line, data, used);
        line[used] = '\0';
        check(line);
        if (!dhcp_options_parse(&options, line))
            assert(options.used <= DHCP_OPTIONS_SIZE);
        data += n + (end != NULL);
        size -= n + (end != NULL);
    }
    for (size_t at = 0; dhcp_options_next(&options, &at, &setting);)
        assert(at <= options.used && setting.code > 0);
    while (options.used > 0) {
        bool gone = dhcp_options_unset(&options, options.bytes[0]);
        assert(gone);
    }
    return 0;
}
