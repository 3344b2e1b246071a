/*
 * Has a file of a boot entry the SHA-256 that it must have? What was found is remembered for as
 * long as the file is the same one, so that a rack that boots does not have it computed for each
 * machine.
 */
#pragma once

#include "core/error.h"

#include <pthread.h>
#include <sys/stat.h>

#define ENTRY_DIGESTS 32 /* remembered */

struct entry_digest {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec written, changed;
    char sha256[65]; /* "": nothing is remembered here */
};

struct entry_digests {
    pthread_mutex_t lock; /* protects what follows */
    struct entry_digest list[ENTRY_DIGESTS];
    size_t next;
};

void entry_digests_init(struct entry_digests *digests);
void entry_digests_destroy(struct entry_digests *digests);

/* digests: NULL: nothing is remembered. sha256: "": any will do. -EBADMSG: it is another one; told
 * in a sentence, with the path. Any thread. */
int entry_digest_check(struct entry_digests *digests, int fd, const char *path, const char *sha256,
                       struct error *ret_error) MUST_CHECK;
