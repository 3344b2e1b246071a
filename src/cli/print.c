#include "cli/print.h"

#include <inttypes.h>

#define BOLD   "\033[1m"
#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

bool print_is_terminal(FILE *file)
{
    const char *term = getenv("TERM");
    return isatty(fileno(file)) && term && !str_eq(term, "dumb");
}

struct table table_new(FILE *file, const char *const *headings)
{
    const char *no_color = getenv("NO_COLOR");
    struct table t = {.file = file, .colour = print_is_terminal(file) && !(no_color && *no_color)};
    for (; headings[t.n_columns]; t.n_columns++) {
        const char *h = headings[t.n_columns];
        t.right[t.n_columns] = h[0] == '>';
        t.headings[t.n_columns] = h[0] == '>' ? h + 1 : h;
    }
    return t;
}

void table_add(struct table *t, const char *text)
{
    if (t->n_cells == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        char **grown = reallocarray(t->cells, room, sizeof(*grown));
        if (!grown)
            abort(); /* a command of a few lines: nothing to save */
        t->cells = grown;
        t->room = room;
    }
    char *copy = strdup(text && *text ? text : "-");
    if (!copy)
        abort();
    t->cells[t->n_cells++] = copy;
}

void table_add_size(struct table *t, uint64_t bytes)
{
    char text[SIZE_TEXT_SIZE];
    table_add(t, size_format(bytes, text));
}

void table_add_number(struct table *t, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    table_add(t, text);
}

static const char *colour_of(const char *text)
{
    static const struct {
        const char *word, *colour;
    } words[] = {{"ready", GREEN},     {"up", GREEN},        {"bound", GREEN}, {"failed", RED},
                 {"creating", YELLOW}, {"removing", YELLOW}, {"declined", RED}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_eq(text, words[i].word))
            return words[i].colour;
    return NULL;
}

static void print_cell(const struct table *t, size_t column, const char *text, size_t width,
                       const char *colour)
{
    int padding = (int)(width - strlen(text));
    bool last = column + 1 == t->n_columns;
    if (t->right[column])
        fprintf(t->file, "%*s", padding, "");
    fprintf(t->file, "%s%s%s", t->colour && colour ? colour : "", text,
            t->colour && colour ? PLAIN : "");
    if (!t->right[column] && !last)
        fprintf(t->file, "%*s", padding, "");
    fputs(last ? "\n" : "  ", t->file);
}

void table_print(struct table *t, const char *empty)
{
    size_t widths[PRINT_MAX_COLUMNS];
    if (t->n_cells == 0 || t->n_columns == 0) {
        fprintf(t->file, "%s\n", empty);
        return;
    }
    for (size_t c = 0; c < t->n_columns; c++)
        widths[c] = strlen(t->headings[c]);
    for (size_t i = 0; i < t->n_cells; i++)
        widths[i % t->n_columns] = MAX(widths[i % t->n_columns], strlen(t->cells[i]));
    for (size_t c = 0; c < t->n_columns; c++)
        print_cell(t, c, t->headings[c], widths[c], BOLD);
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t c = i % t->n_columns;
        print_cell(t, c, t->cells[i], widths[c], colour_of(t->cells[i]));
        free(t->cells[i]);
    }
    free(t->cells);
    t->cells = NULL;
    t->n_cells = t->room = 0;
}

void table_print_all(const char *const *headings, const json_t *list,
                     void (*add_row)(struct table *table, const json_t *element), const char *empty)
{
    struct table table = table_new(stdout, headings);
    size_t i;
    json_t *element;
    json_array_foreach(list, i, element)
    {
        add_row(&table, element);
    }
    table_print(&table, empty);
}

const char *print_age(uint64_t usec_wall, uint64_t now, char text[static AGE_TEXT_SIZE])
{
    uint64_t seconds = now > usec_wall ? (now - usec_wall) / USEC_PER_SEC : 0;
    if (usec_wall == 0)
        snprintf(text, AGE_TEXT_SIZE, "-");
    else if (seconds < 120)
        snprintf(text, AGE_TEXT_SIZE, "%" PRIu64 " s ago", seconds);
    else if (seconds < 120 * 60)
        snprintf(text, AGE_TEXT_SIZE, "%" PRIu64 " min ago", seconds / 60);
    else if (seconds < 48 * 3600)
        snprintf(text, AGE_TEXT_SIZE, "%" PRIu64 " h ago", seconds / 3600);
    else
        snprintf(text, AGE_TEXT_SIZE, "%" PRIu64 " days ago", seconds / 86400);
    return text;
}

const char *print_time(uint64_t usec_wall, char text[static AGE_TEXT_SIZE])
{
    time_t seconds = (time_t)(usec_wall / USEC_PER_SEC);
    struct tm tm;
    if (!localtime_r(&seconds, &tm) || !strftime(text, AGE_TEXT_SIZE, "%F %T", &tm))
        str_copy(text, AGE_TEXT_SIZE, "-");
    return text;
}

const char *print_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

uint64_t print_number(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

void print_field(const char *key, const char *value)
{
    printf("%s:%*s %s\n", key, (int)(12 - MIN(strlen(key), 12)), "", value && *value ? value : "-");
}

void print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

static void time_left(const struct progress_bar *bar, const struct client_progress *p,
                      char text[static 32])
{
    uint64_t spent = clock_monotonic_usec() - bar->started_at;
    uint64_t moved = p->done - bar->started_done;
    text[0] = '\0';
    if (spent < 2 * USEC_PER_SEC || moved == 0 || p->done >= p->total)
        return;
    double left = (double)(p->total - p->done) * (double)spent / (double)moved / 1e6;
    if (left < 100)
        snprintf(text, 32, ", %.0f s left", left);
    else if (left < 100 * 3600)
        snprintf(text, 32, ", %.0f min left", left / 60);
}

static void show_bar(const struct progress_bar *bar, const struct client_progress *p,
                     unsigned percent)
{
    char done[SIZE_TEXT_SIZE], total[SIZE_TEXT_SIZE], left[32], cells[31];
    for (unsigned i = 0; i < 30; i++)
        cells[i] = i < percent * 30 / 100 ? '#' : '.';
    cells[30] = '\0';
    time_left(bar, p, left);
    fprintf(stderr, "\r\033[K%s%s%s [%s] %3u %%  %s of %s%s", bar->what, bar->stage[0] ? ", " : "",
            bar->stage, cells, percent, size_format(p->done, done), size_format(p->total, total),
            left);
}

/* Each stage has a bar of its own. */
static void begin_stage(struct progress_bar *bar, const struct client_progress *p)
{
    const char *stage = p->stage ?: "";
    if (bar->started && str_eq(bar->stage, stage))
        return;
    bar->started = true;
    bar->terminal = print_is_terminal(stderr);
    bar->started_at = clock_monotonic_usec();
    bar->started_done = p->done;
    bar->last_percent = 0;
    str_copy(bar->stage, sizeof(bar->stage), stage);
}

void progress_bar_show(void *context, const struct client_progress *p)
{
    struct progress_bar *bar = context;
    unsigned percent = p->total ? (unsigned)((double)p->done * 100 / (double)p->total) : 0;
    begin_stage(bar, p);
    if (bar->terminal && p->waiting)
        fprintf(stderr, "\r\033[K%s: waiting for other copies to end", bar->what);
    else if (bar->terminal)
        show_bar(bar, p, percent);
    else if (percent >= bar->last_percent + 10)
        fprintf(stderr, "%s%s%s: %u %%\n", bar->what, bar->stage[0] ? ", " : "", bar->stage,
                percent);
    if (percent >= bar->last_percent + 10)
        bar->last_percent = percent - percent % 10;
}

void progress_bar_end(struct progress_bar *bar)
{
    if (bar->started && bar->terminal)
        fputs("\r\033[K", stderr);
}
