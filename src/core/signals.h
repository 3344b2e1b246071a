/* Signals as a program expects them that is run by this one. */
#pragma once

#include "core/util.h"

#include <signal.h>

/* Nothing is handled, ignored or blocked. Safe between fork() and exec(). */
static inline void signals_reset(void)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
