#include "core/dhcp_options.h"

#define ALWAYS      "always:"
#define HEADER_SIZE 4
#define NAME_SIZE   48

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Of an option in the table, or just a number. */
static const char *find_code(const char *name, const struct dhcp_option_kind **ret_kind,
                             uint8_t *ret_code)
{
    const struct dhcp_option_kind *kind;
    if (is_digit(name[0])) {
        char *end;
        unsigned long n = strtoul(name, &end, 10);
        if (*end || n > UINT8_MAX)
            return "is not the number of an option, which is from 1 to 254";
        kind = dhcp_option_kind_by_code((uint8_t)n);
        *ret_code = (uint8_t)n;
    } else {
        kind = dhcp_option_kind_by_name(name);
        if (!kind)
            return "is no option known here; nodisk.conf(5) lists them; any other goes by its "
                   "number, as in 224=hex:0a0b";
        *ret_code = kind->code;
    }
    *ret_kind = kind;
    return kind ? kind->refused : NULL;
}

const char *dhcp_setting_code(const char *name, uint8_t *ret_code)
{
    const struct dhcp_option_kind *kind;
    return find_code(name, &kind, ret_code);
}

/* "hex:0a0b" of an option that is not in the table. */
static const char *parse_typed(const char *text, struct wire_writer *w)
{
    enum dhcp_option_type type;
    size_t n = strcspn(text, ":");
    if (text[n] == '\0' || !dhcp_option_type_by_name(text, n, &type))
        return "is known by its number only: say what it is, as in 224=hex:0a0b, 224=text:hello, "
               "224=u32:1 or 224=addresses:10.0.0.1";
    return dhcp_option_value_parse(type, text + n + 1, w);
}

static uint64_t number_of(const uint8_t *data, size_t size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size && i < 8; i++)
        n = n << 8 | data[i];
    return n;
}

static const char *parse_known(const struct dhcp_option_kind *kind, const char *text,
                               struct wire_writer *w)
{
    const char *wrong = dhcp_option_value_parse(kind->type, text, w);
    if (!wrong && kind->min && number_of(w->start, wire_writer_used(w)) < kind->min)
        wrong = "is too small";
    return wrong && kind->wrong ? kind->wrong : wrong;
}

const char *dhcp_setting_parse(const char *text, uint8_t buffer[static DHCP_OPTION_VALUE_MAX],
                               struct dhcp_setting *ret_setting)
{
    char name[NAME_SIZE];
    struct dhcp_setting setting = {.always = str_has_prefix(text, ALWAYS), .data = buffer};
    const struct dhcp_option_kind *kind = NULL;
    const char *begin = setting.always ? text + strlen(ALWAYS) : text;
    size_t n = strcspn(begin, "=");
    if (begin[n] == '\0' || n == 0 || n >= sizeof(name))
        return "must be NAME=VALUE, such as ntp-servers=10.0.0.5";
    memcpy(name, begin, n);
    name[n] = '\0';
    const char *wrong = find_code(name, &kind, &setting.code);
    if (wrong)
        return wrong;
    struct wire_writer w = wire_writer_of(buffer, DHCP_OPTION_VALUE_MAX);
    wrong = kind ? parse_known(kind, begin + n + 1, &w) : parse_typed(begin + n + 1, &w);
    setting.size = (uint16_t)wire_writer_used(&w);
    if (!wrong)
        *ret_setting = setting;
    return wrong;
}

/* What nobody has a name for need not be UTF-8. */
static bool is_ascii(const struct dhcp_setting *setting)
{
    for (size_t i = 0; i < setting->size; i++)
        if (setting->data[i] < ' ' || setting->data[i] > '~')
            return false;
    return true;
}

const char *dhcp_setting_format(const struct dhcp_setting *setting,
                                char text[static DHCP_SETTING_TEXT_SIZE])
{
    char value[DHCP_OPTION_TEXT_SIZE], code[8];
    const struct dhcp_option_kind *kind = dhcp_option_kind_by_code(setting->code);
    enum dhcp_option_type type = kind ? kind->type : DHCP_TYPE_TEXT;
    bool ok = (kind || is_ascii(setting)) &&
              dhcp_option_value_format(type, setting->data, setting->size, value);
    if (!ok && !kind) {
        type = DHCP_TYPE_HEX;
        ok = dhcp_option_value_format(type, setting->data, setting->size, value);
    }
    snprintf(code, sizeof(code), "%u", setting->code);
    snprintf(text, DHCP_SETTING_TEXT_SIZE, "%s%s=%s%s%s", setting->always ? ALWAYS : "",
             kind ? kind->name : code, kind ? "" : dhcp_option_type_name(type), kind ? "" : ":",
             ok ? value : "?");
    return text;
}

bool dhcp_options_next(const struct dhcp_options *options, size_t *at,
                       struct dhcp_setting *ret_setting)
{
    if (!options || *at >= options->used)
        return false;
    struct wire_reader r = wire_reader_of(options->bytes + *at, options->used - *at);
    struct dhcp_setting setting = {.code = wire_get_u8(&r), .always = wire_get_u8(&r) != 0};
    setting.size = wire_get_be16(&r);
    setting.data = wire_get_bytes(&r, setting.size);
    if (!wire_reader_ok(&r))
        return false;
    *at += HEADER_SIZE + setting.size;
    *ret_setting = setting;
    return true;
}

bool dhcp_options_find(const struct dhcp_options *options, uint8_t code,
                       struct dhcp_setting *ret_setting)
{
    for (size_t at = 0; dhcp_options_next(options, &at, ret_setting);)
        if (ret_setting->code == code)
            return true;
    return false;
}

bool dhcp_options_unset(struct dhcp_options *options, uint8_t code)
{
    struct dhcp_setting setting;
    size_t at = 0, begin = 0;
    for (; dhcp_options_next(options, &at, &setting); begin = at) {
        if (setting.code != code)
            continue;
        memmove(options->bytes + begin, options->bytes + at, options->used - at);
        options->used = (uint16_t)(options->used - (at - begin));
        return true;
    }
    return false;
}

const char *dhcp_options_set(struct dhcp_options *options, const struct dhcp_setting *setting)
{
    struct dhcp_setting old = {0};
    size_t freed = dhcp_options_find(options, setting->code, &old) ? HEADER_SIZE + old.size : 0;
    if (options->used - freed + HEADER_SIZE + setting->size > sizeof(options->bytes))
        return "is too much: all options of one level together have 1024 bytes at most";
    dhcp_options_unset(options, setting->code);
    struct wire_writer w =
        wire_writer_of(options->bytes + options->used, sizeof(options->bytes) - options->used);
    wire_put_u8(&w, setting->code);
    wire_put_u8(&w, setting->always);
    wire_put_be16(&w, setting->size);
    wire_put_bytes(&w, setting->data, setting->size);
    options->used = (uint16_t)(options->used + wire_writer_used(&w));
    return NULL;
}

const char *dhcp_options_parse(struct dhcp_options *options, const char *text)
{
    uint8_t buffer[DHCP_OPTION_VALUE_MAX];
    struct dhcp_setting setting;
    const char *wrong = dhcp_setting_parse(text, buffer, &setting);
    return wrong ? wrong : dhcp_options_set(options, &setting);
}

size_t dhcp_options_size(const struct dhcp_options *options)
{
    return offsetof(struct dhcp_options, bytes) + options->used;
}
