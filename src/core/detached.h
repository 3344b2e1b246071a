/* A thread of its own for something that may take long, and that nobody waits for. */
#pragma once

#include "core/util.h"

#include <pthread.h>

/* stack_size: bytes, at least PTHREAD_STACK_MIN; 0: the system's default. False: there is no
 * thread, and main was not called. */
static inline bool detached_thread_start(void *(*main)(void *arg), void *arg, size_t stack_size)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_size > 0)
        pthread_attr_setstacksize(&attributes, stack_size);
    int r = pthread_create(&thread, &attributes, main, arg);
    pthread_attr_destroy(&attributes);
    return r == 0;
}
