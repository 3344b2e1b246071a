/*
 * Messages to the operator: the journal (with the node as a field) when started by systemd,
 * stderr otherwise. Thread-safe. Library code does not log; whoever handles an error logs it,
 * once.
 */
#pragma once

#include "core/util.h"

#include <syslog.h>

/* Chooses the journal if stderr is connected to it, and the least level to show (LOG_ERR ..
 * LOG_DEBUG). Call once, before threads start; until then LOG_INFO and up go to stderr. */
void log_open(int max_level);

/* node: the node that this is about, or NULL. The message is one line without a newline. */
void log_write(int level, const char *node, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(...)   log_write(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_DEBUG, NULL, __VA_ARGS__)
