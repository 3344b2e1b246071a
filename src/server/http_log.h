/* What machines did wrong over HTTP, for the operator; each source once a minute. */
#pragma once

#include "core/ratelimit.h"
#include "http/nodes.h"

#include <pthread.h>

struct http_log {
    pthread_mutex_t lock; /* protects both: several HTTP threads tell things */
    struct ratelimit limit;
    struct ratelimit https; /* for what follows from what was told already */
};

void http_log_init(struct http_log *log);
void http_log_destroy(struct http_log *log);
/* How a node boots. Any thread. */
void http_log_direct(const struct node_http_direct *told);
/* A boot has what a rule for some boots has said; so many are left. Any thread. */
void http_log_claimed(const char *node, const char *target, uint32_t left);
/* What a node was to boot could not be written down. Any thread. */
void http_log_refused(const char *node, const char *target, const struct error *why);
/* A boot has CHAP secrets of its own. Any thread. */
void http_log_rotated(const char *node);
/* A node was installed. Any thread. */
void http_log_installed(const char *node, const char *entry);
/* A node boots its fallback. Any thread. */
void http_log_fell_back(const char *node, const char *target, uint32_t failures);
/* Any thread. */
void http_log_oddity(struct http_log *log, const struct node_http_oddity *oddity);
