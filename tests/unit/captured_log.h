/* What a test's program writes to stderr, its log for one. */
#pragma once

#include "test.h"

#include <sys/mman.h>

struct captured_log {
    int fd, old_stderr;
    char text[16 * 1024]; /* after captured_log_end() */
};

static inline void captured_log_begin(struct captured_log *log)
{
    fflush(stderr);
    log->fd = memfd_create("stderr", MFD_CLOEXEC);
    log->old_stderr = dup(STDERR_FILENO);
    assert_true(log->fd >= 0 && log->old_stderr >= 0);
    dup2(log->fd, STDERR_FILENO);
}

static inline const char *captured_log_end(struct captured_log *log)
{
    fflush(stderr);
    ssize_t n = pread(log->fd, log->text, sizeof(log->text) - 1, 0);
    log->text[n > 0 ? n : 0] = '\0';
    dup2(log->old_stderr, STDERR_FILENO);
    close(log->old_stderr);
    close(log->fd);
    return log->text;
}
