#include "server/space_news.h"

/* What there is to tell a thread. */
struct thread_news {
    struct message message;
    struct open_volumes *volumes;
    struct io_thread *thread;
    atomic_bool posted; /* what comes before it has run is told by it, too */
};

struct space_news {
    struct space_watch *watch;
    unsigned n_threads;
    struct thread_news threads[];
};

static void run(struct message *message)
{
    struct thread_news *news = container_of(message, struct thread_news, message);
    atomic_store(&news->posted, false);
    open_volumes_look_at_space(news->volumes, news->thread);
}

static void changed(void *context)
{
    struct space_news *news = context;
    for (unsigned i = 0; i < news->n_threads; i++) {
        struct thread_news *n = &news->threads[i];
        if (!atomic_exchange(&n->posted, true))
            io_thread_post(n->thread, &n->message);
    }
}

struct space_news *space_news_start(struct space_watch *watch, struct open_volumes *volumes,
                                    struct io_thread *const *threads, unsigned n_threads)
{
    struct space_news *news = calloc(1, sizeof(*news) + n_threads * sizeof(news->threads[0]));
    if (!news)
        return NULL;
    news->watch = watch;
    news->n_threads = n_threads;
    for (unsigned i = 0; i < n_threads; i++) {
        struct thread_news *n = &news->threads[i];
        n->message.run = run;
        n->volumes = volumes;
        n->thread = threads[i];
    }
    space_watch_listen(watch, changed, news);
    return news;
}

void space_news_stop(struct space_news *news)
{
    if (news)
        space_watch_listen(news->watch, NULL, NULL);
}

void space_news_free(struct space_news *news)
{
    free(news);
}
