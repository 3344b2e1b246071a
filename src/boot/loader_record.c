#include "boot/loader_record.h"

#include <errno.h>

#define MAX_PATH      255
#define MAX_ARGUMENTS 1500

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const char path_characters[] = LETTERS "/._+~-";
/* Without those that iPXE takes apart ($ " ' \ & | ; #), and without all that do not print. */
static const char argument_characters[] = LETTERS " /._+~-=,:@%^";

static bool is_path(const char *text)
{
    return text[0] == '/' && strlen(text) <= MAX_PATH &&
           text[strspn(text, path_characters)] == '\0';
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Exactly that many bytes; dashes between them are skipped if `dashes`. */
static bool parse_hex(const char *text, bool dashes, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        text += dashes && i > 0 && *text == '-';
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return *text == '\0';
}

static bool set_filesystem(struct loader_record *record, char *value)
{
    return parse_hex(value, true, record->filesystem, sizeof(record->filesystem));
}

static bool set_loader(struct loader_record *record, char *value)
{
    return parse_hex(value, false, record->loader, sizeof(record->loader));
}

static bool set_file(struct loader_record *record, char *value)
{
    if (record->n_files == LOADER_RECORD_MAX_FILES)
        return false;
    struct loader_record_file *file = &record->files[record->n_files++];
    char *space = strchr(value, ' ');
    if (!space)
        return false;
    *space = '\0';
    file->path = value;
    return is_path(value) && parse_hex(space + 1, false, file->sha256, sizeof(file->sha256));
}

static bool set_kernel(struct loader_record *record, char *value)
{
    record->kernel = value;
    return is_path(value);
}

static bool set_initrd(struct loader_record *record, char *value)
{
    record->initrd = value;
    return is_path(value);
}

static bool set_arguments(struct loader_record *record, char *value)
{
    record->arguments = value;
    return strlen(value) <= MAX_ARGUMENTS && value[strspn(value, argument_characters)] == '\0';
}

static const struct {
    const char *name;
    bool (*set)(struct loader_record *record, char *value);
    bool again; /* may come more than once */
} keys[] = {
    {"filesystem", set_filesystem, false},
    {"loader", set_loader, false},
    {"file", set_file, true},
    {"kernel", set_kernel, false},
    {"initrd", set_initrd, false},
    {"arguments", set_arguments, false},
};

static int wrong(struct error *ret_error, const char *what)
{
    return error_set(ret_error, -EBADMSG, "%s %s", LOADER_RECORD_PATH, what);
}

/* Takes the next line off, without its end; NULL: there is none. */
static char *take_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = '\0';
    *text = end + 1;
    return line;
}

static int parse_line(struct loader_record *record, char *line, unsigned *seen,
                      struct error *ret_error)
{
    char *value = strchr(line, ' ');
    if (!value)
        return wrong(ret_error, "has a line that is not known here");
    *value++ = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!str_eq(line, keys[i].name))
            continue;
        if (*seen >> i & 1 && !keys[i].again)
            return wrong(ret_error, "says something twice");
        *seen |= 1u << i;
        return keys[i].set(record, value) ? 0 : wrong(ret_error, "has a value that cannot be used");
    }
    return wrong(ret_error, "has a line that is not known here");
}

int loader_record_parse(char *text, struct loader_record *ret_record, struct error *ret_error)
{
    struct loader_record record = {0};
    unsigned seen = 0;
    char *line = take_line(&text);
    if (!line || !str_eq(line, "nodisk-boot 1"))
        return wrong(ret_error, "is of a kind that is not known here");
    while ((line = take_line(&text)) && !str_eq(line, "end")) {
        int r = parse_line(&record, line, &seen, ret_error);
        if (r < 0)
            return r;
    }
    if (!line || *text || seen != (1u << ARRAY_SIZE(keys)) - 1)
        return wrong(ret_error, "is not whole");
    *ret_record = record;
    return 0;
}
