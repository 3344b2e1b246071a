/* Memory that is allocated in small pieces and freed all at once. */
#pragma once

#include "core/util.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;
};

/* Zeroed memory, aligned for any type, that lives until arena_free(). NULL without memory. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy of text; NULL stays NULL. */
char *arena_strdup(struct arena *arena, const char *text);
void arena_free(struct arena *arena);
