#include "prepare/kernel_args.h"

/* What is between two words. */
static bool is_between(char c)
{
    return !c || strchr(" \t\n\"'", c) != NULL;
}

static size_t word_length(const char *text)
{
    size_t length = 0;
    while (!is_between(text[length]))
        length++;
    return length;
}

/* Is the word one of those, alone or with a value? */
static bool is_unwanted(const char *word)
{
    static const char unwanted[] = KERNEL_ARGS_UNWANTED;
    for (const char *name = unwanted; *name;) {
        size_t length = strcspn(name, " ");
        if (strncmp(word, name, length) == 0 && (word[length] == '=' || is_between(word[length])))
            return true;
        name += length + (name[length] == ' ');
    }
    return false;
}

struct scan {
    const char *at, *line_begins;
    bool in_line; /* `at` is in a line that begins so */
    bool in_word; /* and not at the beginning of a word */
    bool in_text; /* and not at the beginning of a line */
};

static void look_at_line(struct scan *scan)
{
    scan->in_line = str_has_prefix(scan->at + strspn(scan->at, " \t"), scan->line_begins);
    scan->in_text = true;
    scan->in_word = false;
}

/* The next unwanted word, whose end the scan is at then; NULL: there is none. */
static const char *find(struct scan *scan)
{
    for (; *scan->at; scan->at++) {
        if (!scan->in_text)
            look_at_line(scan);
        if (scan->in_line && !scan->in_word && is_unwanted(scan->at)) {
            const char *word = scan->at;
            scan->at += word_length(word);
            return word;
        }
        scan->in_word = !is_between(*scan->at);
        scan->in_text = *scan->at != '\n';
    }
    return NULL;
}

bool kernel_args_find(const char *text, const char *line_begins, char *buffer, size_t size)
{
    struct scan scan = {.at = text, .line_begins = line_begins};
    const char *word = find(&scan);
    if (word)
        snprintf(buffer, size, "%.*s", (int)MIN((size_t)(scan.at - word), size), word);
    return word != NULL;
}

char *kernel_args_drop(const char *text, const char *line_begins)
{
    struct scan scan = {.at = text, .line_begins = line_begins};
    char *edited = malloc(strlen(text) + 1), *end = edited;
    const char *kept = text;
    for (const char *word; edited && (word = find(&scan));) {
        end = mempcpy(end, kept, (size_t)(word - kept));
        scan.at += strspn(scan.at, " \t");
        kept = scan.at;
    }
    if (edited)
        memcpy(end, kept, strlen(kept) + 1);
    return edited;
}
