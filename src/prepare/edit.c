#include "prepare/edit.h"

/* A line, without its newline; moves behind it. False at the end. */
static bool next_line(const char **cursor, const char **ret_text, size_t *ret_size)
{
    const char *text = *cursor;
    if (!*text)
        return false;
    size_t size = strcspn(text, "\n");
    *cursor = text + size + (text[size] == '\n');
    *ret_text = text;
    *ret_size = size;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *pos, const char *end)
{
    while (pos < end && is_blank(*pos))
        pos++;
    return pos;
}

/* The next word of [*pos, end) into field. False: none, or too long. */
static bool next_field(const char **pos, const char *end, char field[static EDIT_MAX_FIELD])
{
    const char *p = skip_blanks(*pos, end);
    const char *begin = p;
    while (p < end && !is_blank(*p))
        p++;
    *pos = p;
    if (p == begin || p - begin >= EDIT_MAX_FIELD)
        return false;
    memcpy(field, begin, (size_t)(p - begin));
    field[p - begin] = '\0';
    return true;
}

bool fstab_next(const char **cursor, struct fstab_line *ret_line)
{
    struct fstab_line line = {0};
    if (!next_line(cursor, &line.text, &line.size))
        return false;
    const char *pos = line.text, *end = line.text + line.size;
    line.is_entry = next_field(&pos, end, line.device) && line.device[0] != '#' &&
                    next_field(&pos, end, line.place) && next_field(&pos, end, line.type);
    pos = skip_blanks(pos, end);
    if (line.is_entry && pos < end)
        line.is_entry = next_field(&pos, end, line.options);
    else if (line.is_entry)
        str_copy(line.options, sizeof(line.options), "defaults");
    pos = skip_blanks(pos, end);
    if (end - pos >= EDIT_MAX_FIELD)
        line.is_entry = false;
    else if (pos < end)
        memcpy(line.rest, pos, (size_t)(end - pos));
    *ret_line = line;
    return true;
}

/* Is the option of this size the one that is meant? */
static bool is_option(const char *option, size_t size, const char *name)
{
    size_t length = strlen(name);
    bool prefix = length && name[length - 1] == '=';
    return prefix ? size >= length && memcmp(option, name, length) == 0
                  : size == length && memcmp(option, name, length) == 0;
}

bool fstab_has_option(const char *options, const char *name)
{
    for (const char *p = options; *p;) {
        size_t size = strcspn(p, ",");
        if (is_option(p, size, name))
            return true;
        p += size + (p[size] == ',');
    }
    return false;
}

bool fstab_is_unstable(const char *device)
{
    static const char *const prefixes[] = {"/dev/sd",  "/dev/vd",   "/dev/hd",
                                           "/dev/xvd", "/dev/nvme", "/dev/mmcblk"};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (str_has_prefix(device, prefixes[i]))
            return true;
    return false;
}

/* The options of root: none that has it wait for the network, and a read is no write. */
static void put_root_options(FILE *file, const char *options)
{
    const char *separator = "";
    for (const char *p = options; *p;) {
        size_t size = strcspn(p, ",");
        bool waits = is_option(p, size, "_netdev") ||
                     is_option(p, size, "x-systemd.requires=network-online.target") ||
                     is_option(p, size, "x-systemd.after=network-online.target");
        if (size && !waits) {
            fprintf(file, "%s%.*s", separator, (int)size, p);
            separator = ",";
        }
        p += size + (p[size] == ',');
    }
    bool room = strlen(options) + strlen(",noatime") < EDIT_MAX_FIELD;
    if (room && !fstab_has_option(options, "noatime") && !fstab_has_option(options, "relatime") &&
        !fstab_has_option(options, "strictatime"))
        fprintf(file, "%snoatime", separator);
}

/* Is root named by something else than the UUID that it has? */
static bool is_misnamed(const struct fstab_line *line, const struct fstab_wish *wish)
{
    if (!wish->root_uuid)
        return false;
    if (str_has_prefix(line->device, "UUID="))
        return strcasecmp(line->device + strlen("UUID="), wish->root_uuid) != 0;
    return fstab_is_unstable(line->device);
}

static void put_root(FILE *file, const struct fstab_line *line, const struct fstab_wish *wish)
{
    bool replace = is_misnamed(line, wish);
    fprintf(file, "%s%s  /  %s  ", replace ? "UUID=" : "", replace ? wish->root_uuid : line->device,
            line->type);
    put_root_options(file, line->options);
    fprintf(file, "%s%s\n", line->rest[0] ? "  " : "", line->rest);
}

/* Root is as it should be: its line stays as it is, blanks and all. */
static bool root_is_good(const struct fstab_line *line, const struct fstab_wish *wish)
{
    cleanup_free char *options = NULL;
    size_t size;
    if (is_misnamed(line, wish))
        return false;
    FILE *file = open_memstream(&options, &size);
    if (!file)
        return true;
    put_root_options(file, line->options);
    fclose(file);
    return options && str_eq(options, line->options);
}

static void put_line(FILE *file, const struct fstab_line *line, const struct fstab_wish *wish)
{
    bool root = line->is_entry && str_eq(line->place, "/");
    bool swap = line->is_entry && !root && str_eq(line->type, "swap") && !wish->keep_swap;
    if (root && !root_is_good(line, wish))
        put_root(file, line, wish);
    else
        fprintf(file, "%s%.*s\n", swap ? "# not across the network: " : "", (int)line->size,
                line->text);
}

char *fstab_edit(const char *text, const struct fstab_wish *wish)
{
    char *edited = NULL;
    size_t size;
    bool has_root = false;
    struct fstab_line line;
    FILE *file = open_memstream(&edited, &size);
    if (!file)
        return NULL;
    while (fstab_next(&text, &line)) {
        has_root = has_root || (line.is_entry && str_eq(line.place, "/"));
        put_line(file, &line, wish);
    }
    if (!has_root && wish->root_uuid)
        fprintf(file, "UUID=%s  /  %s  errors=remount-ro,noatime  0  1\n", wish->root_uuid,
                wish->root_type ? wish->root_type : "ext4");
    fclose(file);
    return edited;
}

/* Each line for which change() is true: with prefix before it, or not at all if that is NULL. */
static char *edit_lines(const char *text, bool (*change)(const char *, size_t, const char *),
                        const char *argument, const char *prefix)
{
    char *edited = NULL;
    size_t all, size;
    const char *line, *cursor = text;
    FILE *file = open_memstream(&edited, &all);
    if (!file)
        return NULL;
    while (next_line(&cursor, &line, &size)) {
        bool changed = change(line, size, argument);
        if (!changed || prefix)
            fprintf(file, "%s%.*s%s", changed ? prefix : "", (int)size, line,
                    line[size] == '\n' ? "\n" : "");
    }
    fclose(file);
    return edited;
}

static bool is_own_name(const char *line, size_t size, const char *unused)
{
    char field[EDIT_MAX_FIELD];
    (void)unused;
    return next_field(&line, line + size, field) && str_eq(field, "127.0.1.1");
}

char *hosts_edit(const char *text)
{
    return edit_lines(text, is_own_name, NULL, NULL);
}

/* NAME=..., perhaps behind blanks and "export". */
static bool sets(const char *line, size_t size, const char *name)
{
    const char *end = line + size;
    size_t length = strlen(name);
    line = skip_blanks(line, end);
    if ((size_t)(end - line) > 7 && memcmp(line, "export ", 7) == 0)
        line += 7;
    return (size_t)(end - line) > length && memcmp(line, name, length) == 0 && line[length] == '=';
}

char *variable_drop(const char *text, const char *name)
{
    return edit_lines(text, sets, name, "# ");
}

/* The value behind the '=', without what surrounds it. */
static bool copy_value(const char *value, const char *end, char *buffer, size_t size)
{
    while (end > value && (is_blank(end[-1]) || end[-1] == '\r'))
        end--;
    if (end - value >= 2 && (*value == '"' || *value == '\'') && end[-1] == *value) {
        value++;
        end--;
    }
    if ((size_t)(end - value) >= size)
        return false;
    memcpy(buffer, value, (size_t)(end - value));
    buffer[end - value] = '\0';
    return true;
}

bool variable_get(const char *text, const char *name, char *buffer, size_t size)
{
    const char *line;
    size_t length;
    bool found = false;
    while (next_line(&text, &line, &length))
        if (sets(line, length, name))
            found = copy_value(strchr(line, '=') + 1, line + length, buffer, size);
    return found;
}

static bool loads_kernel(const char *line)
{
    static const char *const words[] = {"linux",  "linux16", "linuxefi",
                                        "module", "module2", "options"};
    size_t length = strcspn(line, " \t\n");
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strlen(words[i]) == length && strncmp(line, words[i], length) == 0)
            return true;
    return false;
}

static void get_root(const char *line, const char *end, char *buffer, size_t size)
{
    buffer[0] = '\0';
    while (line < end) {
        size_t length = MIN(strcspn(line, " \t\n"), (size_t)(end - line));
        size_t value = length - MIN(length, strlen("root="));
        if (str_has_prefix(line, "root="))
            snprintf(buffer, size, "%.*s", value < size ? (int)value : 0, line + strlen("root="));
        line += length;
        line += strspn(line, " \t\n");
    }
}

bool grub_next_root(const char **cursor, char *buffer, size_t size)
{
    static const char others[] = "### BEGIN /etc/grub.d/30_os-prober ###",
                      end_of_others[] = "### END /etc/grub.d/30_os-prober ###";
    for (const char *line = *cursor; line && *line;) {
        const char *end = line + strcspn(line, "\n"), *behind = *end ? end + 1 : end;
        const char *word = line + strspn(line, " \t");
        if (str_has_prefix(line, others)) {
            line = strstr(line, end_of_others);
            continue;
        }
        if (loads_kernel(word)) {
            get_root(word, end, buffer, size);
            *cursor = behind;
            return true;
        }
        line = behind;
    }
    return false;
}
