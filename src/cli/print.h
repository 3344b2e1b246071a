/* How answers look: aligned tables, progress bars, times; plain where no terminal is. */
#pragma once

#include "cli/client.h"
#include "core/size.h"

#define PRINT_MAX_COLUMNS 10

struct table {
    FILE *file;
    bool colour; /* bold headings, coloured states */
    size_t n_columns;
    const char *headings[PRINT_MAX_COLUMNS];
    bool right[PRINT_MAX_COLUMNS]; /* aligned to the right: numbers */
    char **cells;                  /* row by row; owned */
    size_t n_cells, room;
};

/* headings: NULL-terminated; one that begins with '>' is aligned to the right. Colours only if
 * the file is a terminal and NO_COLOR is not set. */
struct table table_new(FILE *file, const char *const *headings);
/* The next cell, copied; NULL and "" are shown as "-". */
void table_add(struct table *table, const char *text);
void table_add_size(struct table *table, uint64_t bytes);
void table_add_number(struct table *table, uint64_t number);
/* Prints and frees it. Without rows: `empty` instead, with a newline. */
void table_print(struct table *table, const char *empty);

/* A whole table to standard output: a row for each element of `list`, whose cells add_row() adds.
 */
void table_print_all(const char *const *headings, const json_t *list,
                     void (*add_row)(struct table *table, const json_t *element),
                     const char *empty);

/* May colours and cursor movements be used on it? */
bool print_is_terminal(FILE *file);

#define AGE_TEXT_SIZE 32
/* "3 s ago", "5 min ago", "2 h ago", "4 days ago"; "-" for 0. */
const char *print_age(uint64_t usec_wall, uint64_t now, char text[static AGE_TEXT_SIZE]);
/* Local date and time. */
const char *print_time(uint64_t usec_wall, char text[static AGE_TEXT_SIZE]);

/* A text member of a JSON object, NULL if it is null or not there. */
const char *print_text(const json_t *object, const char *key);
uint64_t print_number(const json_t *object, const char *key);

/* "key:   value" lines; NULL is shown as "-". */
void print_field(const char *key, const char *value);

/* Prints JSON for programs, indented. */
void print_json(const json_t *json);

struct progress_bar {
    bool started;
    bool terminal;
    unsigned last_percent;
    uint64_t started_at, started_done;
    const char *what; /* "importing debian12" */
    char stage[40];   /* of it: "converting"; or "" */
};

/* Matches client_request.progress; to stderr: a bar on a terminal, else a line every 10 %. */
void progress_bar_show(void *bar, const struct client_progress *progress);
/* Ends the bar's line. */
void progress_bar_end(struct progress_bar *bar);
