/*
 * Messages to the operator: the journal (with the node as a field) when started by systemd,
 * stderr otherwise. Thread-safe. Library code does not log; whoever handles an error logs it,
 * once.
 *
 * Whoever logs never waits for the journal or for a reader of stderr: between log_start() and
 * log_stop() a thread of its own writes, and what comes faster than it can is counted and dropped.
 */
#pragma once

#include "core/util.h"

#include <syslog.h>

/* Chooses the journal if stderr is connected to it. Call once, before threads start; until then
 * LOG_INFO and up go to stderr. */
void log_open(void);
/* The least level to show, LOG_ERR .. LOG_DEBUG. Any time. */
void log_set_level(int max_level);

/* From here on messages are written by a thread, made here. -errno if it cannot be made: then they
 * go on being written by whoever logs. */
int log_start(void);
/* Writes what is left, for two seconds at most, and ends the thread. No-op without it. */
void log_stop(void);

/* node: the node that this is about, or NULL. The message is one line without a newline. */
void log_write(int level, const char *node, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(...)   log_write(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_DEBUG, NULL, __VA_ARGS__)
