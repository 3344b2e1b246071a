/* The state of storage/tidy.c, which is a part of struct storage. */
#pragma once

#include "core/error.h"

#include <pthread.h>

#define TIDY_SLOTS   256u
#define TIDY_NOTHING TIDY_SLOTS

struct tidy {
    pthread_t thread;
    bool running;         /* its owner's */
    struct error told;    /* the thread's: of the last fault */
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t changed;
    bool wanted, stopping;
    unsigned at;                 /* the slot of the volume that is worked on; or NOTHING */
    unsigned paused[TIDY_SLOTS]; /* so many are at volumes of this slot */
    uint64_t pauses[TIDY_SLOTS]; /* so many have been since the beginning */
};

void tidy_init(struct tidy *tidy);
/* Its thread must have ended. */
void tidy_destroy(struct tidy *tidy);
