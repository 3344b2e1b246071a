#include "prepare/diff.h"

#include "prepare/shown.h"

#include <unistd.h>

#define CONTEXT   3
/* Cells of the table of common lines; beyond, all lines are shown as changed. */
#define MAX_CELLS ((size_t)4 * 1024 * 1024)

struct line {
    const char *text;
    size_t size; /* with its newline, if it has one */
};

struct lines {
    struct line *lines;
    size_t count;
};

struct edit {
    char what; /* ' ', '-', '+' */
    const struct line *line;
};

static struct lines split(const struct tree_entry *entry)
{
    struct lines lines = {0};
    if (entry->kind != TREE_FILE || !entry->size)
        return lines;
    const char *end = entry->data + entry->size;
    size_t room = 1;
    for (const char *p = entry->data; p < end; p++)
        room += *p == '\n';
    lines.lines = calloc(room, sizeof(*lines.lines));
    for (const char *p = entry->data; lines.lines && p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *next = newline ? newline + 1 : end;
        lines.lines[lines.count++] = (struct line){p, (size_t)(next - p)};
        p = next;
    }
    return lines;
}

static bool same(const struct line *a, const struct line *b)
{
    return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
}

/* The length of the longest common part of what begins at line i and j; NULL: too many lines. */
static uint32_t *common_table(const struct lines *a, const struct lines *b)
{
    size_t width = b->count + 1;
    if ((a->count + 1) > MAX_CELLS / width)
        return NULL;
    uint32_t *table = calloc((a->count + 1) * width, sizeof(*table));
    for (size_t i = a->count; table && i-- > 0;)
        for (size_t j = b->count; j-- > 0;)
            table[i * width + j] = same(&a->lines[i], &b->lines[j])
                                       ? table[(i + 1) * width + j + 1] + 1
                                       : MAX(table[(i + 1) * width + j], table[i * width + j + 1]);
    return table;
}

/* Returns how many edits there are. */
static size_t make_edits(const struct lines *a, const struct lines *b, struct edit *edits)
{
    size_t i = 0, j = 0, count = 0, width = b->count + 1;
    uint32_t *table = common_table(a, b);
    while (i < a->count || j < b->count) {
        bool both = i < a->count && j < b->count;
        if (table && both && same(&a->lines[i], &b->lines[j])) {
            edits[count++] = (struct edit){' ', &a->lines[i++]};
            j++;
        } else if (i < a->count && (j == b->count || !table ||
                                    table[(i + 1) * width + j] >= table[i * width + j + 1])) {
            edits[count++] = (struct edit){'-', &a->lines[i++]};
        } else {
            edits[count++] = (struct edit){'+', &b->lines[j++]};
        }
    }
    free(table);
    return count;
}

static void print_edit(FILE *file, const struct edit *edit)
{
    fputc(edit->what, file);
    fwrite(edit->line->text, 1, edit->line->size, file);
    if (edit->line->text[edit->line->size - 1] != '\n')
        fputs("\n\\ No newline at end of file\n", file);
}

/* Where the hunk that has a change at `first` ends: with CONTEXT lines behind its last change. */
static size_t hunk_end(const struct edit *edits, size_t count, size_t first)
{
    size_t last = first;
    for (size_t i = first; i < count && i <= last + 2 * CONTEXT + 1; i++)
        if (edits[i].what != ' ')
            last = i;
    return MIN(last + CONTEXT + 1, count);
}

static void print_range(FILE *file, char sign, size_t before, size_t count)
{
    fprintf(file, " %c%zu", sign, count ? before + 1 : before);
    if (count != 1)
        fprintf(file, ",%zu", count);
}

static void print_hunk(FILE *file, const struct edit *edits, size_t begin, size_t end)
{
    size_t before[2] = {0, 0}, count[2] = {0, 0};
    for (size_t i = 0; i < end; i++) {
        size_t *counts = i < begin ? before : count;
        counts[0] += edits[i].what != '+';
        counts[1] += edits[i].what != '-';
    }
    fputs("@@", file);
    print_range(file, '-', before[0], count[0]);
    print_range(file, '+', before[1], count[1]);
    fputs(" @@\n", file);
    for (size_t i = begin; i < end; i++)
        print_edit(file, &edits[i]);
}

static void print_hunks(FILE *file, const struct edit *edits, size_t count)
{
    for (size_t i = 0; i < count;) {
        if (edits[i].what == ' ') {
            i++;
            continue;
        }
        size_t end = hunk_end(edits, count, i);
        print_hunk(file, edits, i > CONTEXT ? i - CONTEXT : 0, end);
        i = end;
    }
}

static void print_lines(FILE *file, const struct plan_change *change)
{
    struct lines a = split(&change->before), b = split(&change->after);
    struct edit *edits = calloc(a.count + b.count + 1, sizeof(*edits));
    if (edits)
        print_hunks(file, edits, make_edits(&a, &b, edits));
    free(edits);
    free(a.lines);
    free(b.lines);
}

static bool is_hidden(const struct tree_entry *entry)
{
    return entry->kind == TREE_FILE &&
           (!(entry->mode & 0077) || memchr(entry->data, '\0', entry->size));
}

static void print_header(FILE *file, const struct plan_change *change)
{
    if (change->before.kind == TREE_ABSENT)
        fputs("--- /dev/null\n", file);
    else
        fprintf(file, "--- a/%s\n", change->path);
    if (change->after.kind == TREE_ABSENT)
        fputs("+++ /dev/null\n", file);
    else
        fprintf(file, "+++ b/%s\n", change->path);
}

static void print_change(FILE *file, const struct plan_change *change)
{
    const struct tree_entry *before = &change->before, *after = &change->after;
    if (after->kind == TREE_DIRECTORY) {
        fprintf(file, "directory /%s: made\n", change->path);
        return;
    }
    if (before->kind == TREE_LINK)
        fprintf(file, "link /%s -> %s: removed\n", change->path, before->data);
    if (is_hidden(before) || is_hidden(after))
        fprintf(file, "file /%s: %s (%zu bytes, not shown)\n", change->path,
                after->kind == TREE_ABSENT ? "removed" : "written", MAX(before->size, after->size));
    else if (before->kind == TREE_FILE || after->kind == TREE_FILE) {
        print_header(file, change);
        print_lines(file, change);
    }
    if (before->kind == TREE_FILE && after->kind == TREE_FILE && before->mode != after->mode)
        fprintf(file, "file /%s: mode %04o becomes %04o\n", change->path, before->mode,
                after->mode);
    if (after->kind == TREE_LINK)
        fprintf(file, "link /%s -> %s: made\n", change->path, after->data);
}

void diff_print(FILE *file, const struct plan_change *change)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = isatty(fileno(file)) ? open_memstream(&text, &size) : NULL;
    print_change(memory ? memory : file, change);
    if (memory && fclose(memory) == 0)
        shown_print(file, text, size);
    free(text);
}
