#include "ipxe/parse.h"

#include <errno.h>

struct parser {
    const struct script_reader *reader;
    char *text; /* a copy; lines are put together and cut in it */
    size_t size, at;
    unsigned line;      /* that the next one begins at */
    const char **words; /* room for all that one line can have */
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next line, with those that it goes on in; *ret_lines: how many there are. */
static char *next_line(struct parser *p, unsigned *ret_lines)
{
    char *begin = p->text + p->at, *end = begin;
    bool goes_on = true;
    for (*ret_lines = 0; goes_on && p->at < p->size; ++*ret_lines) {
        char *piece = p->text + p->at;
        char *newline = memchr(piece, '\n', p->size - p->at);
        size_t n = newline ? (size_t)(newline - piece) : p->size - p->at;
        p->at = MIN(p->at + n + 1, p->size);
        memmove(end, piece, n);
        end += n;
        if (end > begin && end[-1] == '\r')
            end--;
        goes_on = end > begin && end[-1] == '\\';
        if (goes_on)
            end--;
    }
    *end = '\0'; /* the buffer has a byte more than the text */
    return begin;
}

static size_t split(char *text, const char **words)
{
    size_t count = 0;
    while (*text) {
        while (is_blank(*text))
            *text++ = '\0';
        if (*text)
            words[count++] = text;
        while (*text && !is_blank(*text))
            text++;
    }
    return count;
}

static bool ends_command(const char *word, enum script_next *ret_next)
{
    *ret_next = str_eq(word, "||")   ? SCRIPT_OR
                : str_eq(word, "&&") ? SCRIPT_AND
                : str_eq(word, ";")  ? SCRIPT_ALWAYS
                                     : SCRIPT_END;
    return *ret_next != SCRIPT_END || word[0] == '#';
}

static void take_commands(struct parser *p, size_t count)
{
    const struct script_reader *reader = p->reader;
    enum script_next next = SCRIPT_ALWAYS;
    for (size_t first = 0; first < count && next != SCRIPT_END;) {
        size_t end = first;
        next = SCRIPT_END;
        while (end < count && !ends_command(p->words[end], &next))
            end++;
        if (end > first)
            reader->command(reader->context, &(struct script_command){.line = p->line,
                                                                      .argc = end - first,
                                                                      .argv = p->words + first,
                                                                      .next = next});
        first = end + 1;
    }
}

static void take_line(struct parser *p, char *line)
{
    while (is_blank(*line))
        line++;
    if (*line == ':') {
        char *label = ++line;
        while (*line && !is_blank(*line))
            line++;
        if (*line)
            *line++ = '\0';
        p->reader->label(p->reader->context, p->line, label);
    }
    take_commands(p, split(line, p->words));
}

int script_parse(const char *text, size_t size, const struct script_reader *reader)
{
    if (size > SCRIPT_MAX_SIZE)
        return -EFBIG;
    struct parser p = {.reader = reader, .size = size, .line = 1};
    p.text = malloc(size + 1);
    p.words = calloc(size / 2 + 2, sizeof(*p.words));
    bool ok = p.text && p.words;
    if (ok)
        memcpy(p.text, text, size);
    while (ok && p.at < p.size) {
        unsigned lines;
        char *line = next_line(&p, &lines);
        take_line(&p, line);
        p.line += lines;
    }
    free(p.text);
    free(p.words);
    return ok ? 0 : -ENOMEM;
}
