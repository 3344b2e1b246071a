/* Tells the open volumes, each on its own thread, when there is something new about their space. */
#pragma once

#include "server/open_volumes.h"
#include "server/space_watch.h"

struct space_news;

/* All must outlive it. NULL without memory. */
struct space_news *space_news_start(struct space_watch *watch, struct open_volumes *volumes,
                                    struct io_thread *const *threads, unsigned n_threads);
/* Nobody is told any more; before the threads are stopped. NULL: no-op. */
void space_news_stop(struct space_news *news);
/* After they were. NULL: no-op. */
void space_news_free(struct space_news *news);
