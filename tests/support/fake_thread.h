/*
 * An I/O thread that is only a struct: buffers and deferred work without a ring, for code that
 * needs a thread's services but no system calls. fake_thread_round() is the end of a round;
 * fake_thread_messages() what wakes a thread, once it was posted to.
 */
#pragma once

#include "io/thread.h"

struct io_thread *fake_thread_new(size_t buffer_budget);
void fake_thread_free(struct io_thread *thread);
void fake_thread_round(struct io_thread *thread);
/* Runs what was posted before; returns how many messages. */
size_t fake_thread_messages(struct io_thread *thread);
