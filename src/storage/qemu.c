#include "storage/qemu.h"

#include "core/size.h"

#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>

#define PACKAGE      "qemu-utils"
#define LOOK_SECONDS 60
#define ANSWER_SIZE  (64 * KIB)

#define MAX_NAME 160

/* Exit statuses of qemu-img check that are no reason to refuse an image. */
#define STATUS_LEAKS         3  /* space in the file that nothing refers to */
#define STATUS_NOT_SUPPORTED 63 /* it knows no check for this format */

/* The file as qemu knows it: the driver of the format over the one of a plain file, and nothing
 * below. */
static const char *file_name(int fd, const struct format *format, char name[static MAX_NAME])
{
    struct stat st;
    bool device = fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
    snprintf(name, MAX_NAME,
             "json:{\"driver\":\"%s\",%s\"file\":{\"driver\":\"%s\","
             "\"filename\":\"" CHILD_FILE_0 "\"}}",
             format->driver, format->layered ? "\"backing\":null," : "",
             device ? "host_device" : "file");
    return name;
}

static int not_understood(const char *name, struct error *ret_error)
{
    return error_set(ret_error, -EINVAL, "what qemu-img says of %s makes no sense", name);
}

/* A text of info, or of its format-specific part, that names another file; NULL: there is none. */
static const char *foreign_file(const json_t *info, const json_t *data)
{
    static const char *const keys[] = {"backing-filename", "full-backing-filename", "data-file"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const json_t *value = json_object_get(info, keys[i]) ?: json_object_get(data, keys[i]);
        if (value)
            return json_string_value(value) ?: "";
    }
    const json_t *extent;
    size_t i;
    json_array_foreach(json_object_get(data, "extents"), i, extent)
    {
        const char *file = json_string_value(json_object_get(extent, "filename"));
        if (!file || !str_eq(file, CHILD_FILE_0))
            return file ? file : "";
    }
    return NULL;
}

/* A name that a stranger gave, cleaned for a terminal. */
static void clean(const char *text, char *copy, size_t size)
{
    size_t i = 0;
    for (; text[i] && i + 1 < size; i++)
        copy[i] = (char)(text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
    copy[i] = '\0';
}

static int check_info(const json_t *info, const char *name, const struct format *format,
                      uint64_t *ret_size, struct error *ret_error)
{
    const json_t *size = json_object_get(info, "virtual-size");
    const char *driver = json_string_value(json_object_get(info, "format"));
    const json_t *specific = json_object_get(info, "format-specific");
    const char *file = foreign_file(info, json_object_get(specific, "data"));
    char shown[100];
    if (!json_is_integer(size) || !driver || !str_eq(driver, format->driver))
        return not_understood(name, ret_error);
    if (file) {
        clean(file, shown, sizeof(shown));
        return error_set(ret_error, -EINVAL,
                         "%s is not whole: it refers to the file '%s', which is not read; import "
                         "one that is whole: qemu-img convert -O qcow2 FROM TO",
                         name, shown);
    }
    if (json_is_true(json_object_get(info, "encrypted")))
        return error_set(ret_error, -EINVAL,
                         "%s is encrypted; decrypt it first, with qemu-img convert", name);
    if (json_integer_value(size) <= 0 || json_integer_value(size) % 512)
        return error_set(ret_error, -EINVAL,
                         "%s has a disk of %lld bytes, which is not a multiple of 512", name,
                         (long long)json_integer_value(size));
    *ret_size = (uint64_t)json_integer_value(size);
    return 0;
}

int qemu_parse_info(const char *json, size_t length, const char *name, const struct format *format,
                    uint64_t *ret_size, struct error *ret_error)
{
    json_t *info = json_loadb(json, length, JSON_REJECT_DUPLICATES, NULL);
    int r = json_is_object(info) ? check_info(info, name, format, ret_size, ret_error)
                                 : not_understood(name, ret_error);
    json_decref(info);
    return r;
}

int qemu_parse_measure(const char *json, size_t length, uint64_t *ret_data, struct error *ret_error)
{
    json_t *measure = json_loadb(json, length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *required = json_object_get(measure, "required");
    int r = 0;
    if (!json_is_integer(required) || json_integer_value(required) < 0)
        r = not_understood("the image", ret_error);
    else
        *ret_data = (uint64_t)json_integer_value(required);
    json_decref(measure);
    return r;
}

unsigned qemu_parse_progress(const char *text, size_t length, unsigned before)
{
    unsigned whole = 0, part = 0;
    char copy[16];
    for (size_t i = length; i-- > 0;) {
        if (text[i] != '(')
            continue;
        size_t n = MIN(length - i, sizeof(copy) - 1);
        memcpy(copy, text + i, n);
        copy[n] = '\0';
        int end = 0;
        if (sscanf(copy, "(%3u.%2u/100%%)%n", &whole, &part, &end) == 2 && end > 0 && whole <= 100)
            return MIN(whole * 100 + part, 10000);
    }
    return before;
}

/* Its own words are about /dev/fd/3, which says nothing to anybody. */
static int tell_name(const char *name, struct error *error)
{
    char text[sizeof(error->text)];
    const char *from = error->text, *found;
    size_t used = 0;
    while ((found = strstr(from, CHILD_FILE_0)) && used < sizeof(text)) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*sthe file",
                                 (int)(found - from), from);
        from = found + strlen(CHILD_FILE_0);
    }
    if (used < sizeof(text))
        snprintf(text + used, sizeof(text) - used, "%s", from);
    str_copy(error->text, sizeof(error->text), text);
    return error_prefix(error, "%.200s cannot be read", name);
}

static int ask(const char *const *argv, int fd, const char *name, char text[static ANSWER_SIZE],
               struct error *ret_error)
{
    const struct child_spec spec = {
        .argv = argv, .package = PACKAGE, .input = -1, .files = {fd, -1}, .seconds = LOOK_SECONDS};
    int r = child_run(&spec, text, ANSWER_SIZE, ret_error);
    return r == -EIO ? tell_name(name, ret_error) : r;
}

static int check_size(const char *name, uint64_t size, uint64_t max_size, struct error *ret_error)
{
    char size_text[SIZE_TEXT_SIZE], max_text[SIZE_TEXT_SIZE];
    if (size <= max_size)
        return 0;
    return error_set(ret_error, -EFBIG,
                     "%s has a disk of %s, but the whole file system that it would be on has only "
                     "%s",
                     name, size_format(size, size_text), size_format(max_size, max_text));
}

int qemu_look(int fd, const char *name, const struct format *format, uint64_t max_size,
              struct qemu_info *ret_info, struct error *ret_error)
{
    char file[MAX_NAME];
    struct qemu_info info = {0};
    file_name(fd, format, file);
    /* -U: whether somebody has it open is for the conversion to say */
    const char *const look[] = {"qemu-img", "info", "--output=json", "-U", file, NULL};
    const char *const measure[] = {"qemu-img", "measure", "--output=json", "-U", "-O", "qcow2",
                                   file,       NULL};
    cleanup_free char *text = malloc(ANSWER_SIZE);
    if (!text)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int r = ask(look, fd, name, text, ret_error);
    if (r >= 0)
        r = qemu_parse_info(text, strlen(text), name, format, &info.size, ret_error);
    if (r >= 0)
        r = check_size(name, info.size, max_size, ret_error);
    if (r >= 0)
        r = ask(measure, fd, name, text, ret_error);
    if (r >= 0)
        r = qemu_parse_measure(text, strlen(text), &info.data, ret_error);
    if (r >= 0)
        *ret_info = info;
    return r;
}

int qemu_check(struct child *child, int fd, const struct format *format, uint64_t size,
               struct error *ret_error)
{
    char file[MAX_NAME];
    const char *const argv[] = {"qemu-img", "check", "-q", "-U", file_name(fd, format, file), NULL};
    const struct child_spec spec = {.argv = argv,
                                    .package = PACKAGE,
                                    .input = -1,
                                    .files = {fd, -1},
                                    .seconds = 600 + size / (2 * MIB)};
    return child_start(child, &spec, ret_error);
}

int qemu_check_finish(struct child *child, const char *name, struct error *ret_error)
{
    int r = child_finish(child, ret_error);
    if (r >= 0 || child->status == STATUS_LEAKS || child->status == STATUS_NOT_SUPPORTED)
        return 0;
    return error_set(
        ret_error, -EINVAL,
        "%.200s is damaged, or a part of it is missing; fetch or make it again (qemu-img "
        "check says what it is)",
        name);
}

int qemu_convert(struct child *child, int fd, const struct format *format, uint64_t size, int to,
                 struct error *ret_error)
{
    char file[MAX_NAME];
    const char *const argv[] = {"qemu-img",         "convert", "-p",  "-n",
                                "--target-is-zero", "-O",      "raw", file_name(fd, format, file),
                                CHILD_FILE_1,       NULL};
    const struct child_spec spec = {.argv = argv,
                                    .package = PACKAGE,
                                    .input = -1,
                                    .files = {fd, to},
                                    .seconds = 600 + size / (2 * MIB),
                                    .file_size = size};
    return child_start(child, &spec, ret_error);
}

int qemu_make(struct child *child, int fd, uint64_t size, bool compress, int to,
              struct error *ret_error)
{
    static const struct format raw = {.driver = "raw"};
    char file[MAX_NAME];
    /* the last but one: "-c", or what comes behind it already */
    const char *const argv[] = {"qemu-img",
                                "convert",
                                "-p",
                                "-U",
                                "-O",
                                "qcow2",
                                compress ? "-c" : "-q",
                                file_name(fd, &raw, file),
                                CHILD_FILE_1,
                                NULL};
    const struct child_spec spec = {.argv = argv,
                                    .package = PACKAGE,
                                    .input = -1,
                                    .files = {fd, to},
                                    .seconds = 600 + size / (2 * MIB),
                                    .file_size = size + size / 512 + 64 * MIB};
    return child_start(child, &spec, ret_error);
}
