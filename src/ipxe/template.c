#include "ipxe/template.h"

#include <errno.h>
#include <stdarg.h>

#define MAX_NAME   64
#define MAX_OUTPUT (off_t)(4 * MIB)

struct section {
    char name[MAX_NAME + 1];
    unsigned line;
    bool shown; /* what is outside of it, too */
};

struct renderer {
    const struct template_scope *scope;
    const char *text, *end, *at;
    unsigned line;
    FILE *out;
    struct section sections[TEMPLATE_MAX_DEPTH];
    size_t depth;
    struct error *error;
};

/* {{...}}: what is inside of it. */
struct tag {
    char kind;       /* '#', '^', '/', '!'; 0: a value */
    const char *end; /* behind the braces */
    bool alone;      /* on its line; then end is behind that */
    char name[MAX_NAME + 1];
    char value[256];
    bool has_value;
};

bool template_value_is_safe(const char *value)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               " -_.,:/@%+=?~[]()*";
    size_t n = strlen(value);
    return strspn(value, safe) == n && (n == 0 || (!strchr(" :", value[0]) && value[n - 1] != ' '));
}

static int __attribute__((format(printf, 2, 3))) fail(struct renderer *r, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(r->error, -EINVAL, "line %u: %s", r->line, text);
}

static bool is_shown(const struct renderer *r)
{
    return r->depth == 0 || r->sections[r->depth - 1].shown;
}

/* --- tags --- */

static const char *find(const char *at, const char *end, const char *what)
{
    return memmem(at, (size_t)(end - at), what, 2);
}

static bool is_name(const char *text, size_t size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    for (size_t i = 0; i < size; i++)
        if (!text[i] || !strchr(letters, text[i]))
            return false;
    return size > 0 && size <= MAX_NAME;
}

/* Blanks around it do not count. */
static void trim(const char **begin, const char **end)
{
    while (*begin < *end && (**begin == ' ' || **begin == '\t'))
        ++*begin;
    while (*end > *begin && ((*end)[-1] == ' ' || (*end)[-1] == '\t'))
        --*end;
}

static void look_whether_alone(const struct renderer *r, const char *begin, struct tag *tag)
{
    const char *end = tag->end;
    while (begin > r->text && (begin[-1] == ' ' || begin[-1] == '\t'))
        begin--;
    while (end < r->end && (*end == ' ' || *end == '\t' || *end == '\r'))
        end++;
    bool to_end = end == r->end || *end == '\n';
    tag->alone = tag->kind && to_end && (begin == r->text || begin[-1] == '\n');
    if (tag->alone)
        tag->end = end == r->end ? end : end + 1;
}

static int read_condition(struct renderer *r, const char **end, const char *begin, struct tag *tag)
{
    const char *equals = memchr(begin, '=', (size_t)(*end - begin));
    if (!equals)
        return 0;
    const char *value = equals + 1, *value_end = *end;
    trim(&value, &value_end);
    size_t n = (size_t)(value_end - value);
    if (n >= sizeof(tag->value))
        return fail(r, "this value is too long");
    memcpy(tag->value, value, n);
    tag->value[n] = '\0';
    tag->has_value = true;
    *end = equals;
    return 0;
}

/* begin: at its first brace. */
static int read_tag(struct renderer *r, const char *begin, struct tag *ret_tag)
{
    const char *name = begin + 2, *close = find(name, r->end, "}}");
    if (!close)
        return fail(r, "{{ has no }}");
    *ret_tag = (struct tag){.end = close + 2};
    const char *end = close;
    trim(&name, &end);
    if (name < end && strchr("#^/!", *name))
        ret_tag->kind = *name++;
    if (ret_tag->kind != '!') {
        int result = 0;
        if (ret_tag->kind == '#' || ret_tag->kind == '^')
            result = read_condition(r, &end, name, ret_tag);
        if (result < 0)
            return result;
        trim(&name, &end);
        if (!is_name(name, (size_t)(end - name)))
            return fail(r, "what is in {{ }} is a name of letters, digits and dashes, after #, ^, "
                           "/ or nothing");
        memcpy(ret_tag->name, name, (size_t)(end - name));
    }
    look_whether_alone(r, begin, ret_tag);
    return 0;
}

/* --- what they do --- */

static int look(struct renderer *r, const char *name, const char **ret_value)
{
    *ret_value = NULL;
    if (!r->scope->look(r->scope->context, name, ret_value))
        return fail(r, "there is no variable %s", name);
    return 0;
}

static int open_section(struct renderer *r, const struct tag *tag)
{
    const char *value;
    int result = look(r, tag->name, &value);
    if (result < 0)
        return result;
    if (r->depth == TEMPLATE_MAX_DEPTH)
        return fail(r, "more than %u conditions within one another", TEMPLATE_MAX_DEPTH);
    bool holds = tag->has_value ? str_eq(value ? value : "", tag->value) : value && value[0];
    bool shown = is_shown(r) && (r->scope->all || holds == (tag->kind == '#'));
    struct section *section = &r->sections[r->depth++];
    *section = (struct section){.line = r->line, .shown = shown};
    str_copy(section->name, sizeof(section->name), tag->name);
    return 0;
}

static int close_section(struct renderer *r, const struct tag *tag)
{
    if (r->depth == 0)
        return fail(r, "{{/%s}} ends nothing", tag->name);
    const struct section *section = &r->sections[r->depth - 1];
    if (!str_eq(section->name, tag->name))
        return fail(r, "{{/%s}} stands where {{/%s}} has to end what line %u begins", tag->name,
                    section->name, section->line);
    r->depth--;
    return 0;
}

/* begin: at its first brace. */
static bool is_quoted(const struct renderer *r, const char *begin, const struct tag *tag)
{
    return begin > r->text && tag->end < r->end && begin[-1] == *tag->end &&
           (*tag->end == '"' || *tag->end == '\'');
}

static int check_value(struct renderer *r, const struct tag *tag, const char *value, bool quoted)
{
    const struct template_scope *scope = r->scope;
    if (scope->fits && !scope->fits(scope->context, value, quoted))
        return fail(r, "the value of %s cannot stand there as it is%s", tag->name,
                    quoted ? "" : "; perhaps between quotes");
    if (!scope->fits && !template_value_is_safe(value))
        return fail(r, "the value of %s has characters that iPXE would take as its own", tag->name);
    return 0;
}

static int put_value(struct renderer *r, const struct tag *tag, bool quoted)
{
    const char *value;
    int result = look(r, tag->name, &value);
    if (result < 0 || !value || !is_shown(r))
        return result;
    result = check_value(r, tag, value, quoted);
    if (result < 0)
        return result;
    fputs(value, r->out);
    return ftello(r->out) > MAX_OUTPUT ? fail(r, "too much comes out of this template") : 0;
}

static int do_tag(struct renderer *r, const struct tag *tag, const char *begin)
{
    switch (tag->kind) {
    case '#':
    case '^':
        return open_section(r, tag);
    case '/':
        return close_section(r, tag);
    case '!':
        return 0;
    default:
        return put_value(r, tag, is_quoted(r, begin, tag));
    }
}

static unsigned count_lines(const char *begin, const char *end)
{
    unsigned count = 0;
    while (begin < end && (begin = memchr(begin, '\n', (size_t)(end - begin)))) {
        begin++;
        count++;
    }
    return count;
}

/* Up to `end`; blanks before a tag that is alone belong to its line, which is none. */
static void put_text(struct renderer *r, const char *end, bool before_alone)
{
    const char *shown_end = end;
    while (before_alone && shown_end > r->at && shown_end[-1] != '\n')
        shown_end--;
    if (is_shown(r))
        fwrite(r->at, 1, (size_t)(shown_end - r->at), r->out);
    r->line += count_lines(r->at, end);
}

/* So that a line of what comes out is a line of what came in. */
static void keep_lines(const struct renderer *r, unsigned lines)
{
    for (unsigned i = 0; r->scope->all && i < lines; i++)
        fputc('\n', r->out);
}

static int render_tag(struct renderer *r, const char *begin)
{
    struct tag tag = {.end = begin};
    unsigned before = count_lines(r->at, begin);
    r->line += before; /* for what is wrong with it */
    int result = read_tag(r, begin, &tag);
    r->line -= before;
    if (result < 0)
        return result;
    put_text(r, begin, tag.alone);
    result = do_tag(r, &tag, begin);
    unsigned lines = count_lines(begin, tag.end);
    keep_lines(r, lines);
    r->line += lines;
    r->at = tag.end;
    return result;
}

static int render(struct renderer *r)
{
    const char *begin;
    while ((begin = find(r->at, r->end, "{{"))) {
        int result = render_tag(r, begin);
        if (result < 0)
            return result;
    }
    put_text(r, r->end, false);
    if (r->depth == 0)
        return 0;
    r->line = r->sections[r->depth - 1].line;
    return fail(r, "{{/%s}} is missing, which ends this", r->sections[r->depth - 1].name);
}

int template_render(const char *text, size_t size, const struct template_scope *scope,
                    char **ret_text, size_t *ret_size, struct error *ret_error)
{
    char *out = NULL;
    size_t out_size = 0;
    if (size > TEMPLATE_MAX_SIZE)
        return error_set(ret_error, -EFBIG, "it is larger than %u KiB",
                         (unsigned)(TEMPLATE_MAX_SIZE / KIB));
    FILE *f = open_memstream(&out, &out_size);
    if (!f)
        return error_set(ret_error, -ENOMEM, "out of memory");
    struct renderer r = {.scope = scope,
                         .text = text,
                         .end = text + size,
                         .at = text,
                         .line = 1,
                         .out = f,
                         .error = ret_error};
    int result = render(&r);
    if (fclose(f) != 0 && result >= 0)
        result = error_set(ret_error, -ENOMEM, "out of memory");
    if (result < 0) {
        free(out);
        return result;
    }
    *ret_text = out;
    *ret_size = out_size;
    return 0;
}
