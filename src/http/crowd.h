/*
 * Who is connected to a server, so that nobody keeps the others out of it: who has not brought a
 * request makes room for those who come, and if there is none such, who takes his answer so slowly
 * that a minute was not enough.
 *
 * How many connections one address has is for libmicrohttpd to count. But an IPv6 host has as many
 * addresses as it likes: all of one network (64 bits of an address) together never have more than
 * half of what there is. Thread-safe.
 */
#pragma once

#include "core/list.h"
#include "core/net.h"

#include <pthread.h>

struct crowd {
    pthread_mutex_t lock; /* protects all below, and members but for their addresses */
    struct list members;  /* in the order in which they came */
    size_t count;         /* without those that were sent away */
    size_t most;
};

/* Embedded in what is kept of a connection. */
struct crowd_member {
    struct endpoint address;
    int fd;
    struct list link;
    uint64_t
        busy_since; /* usec, monotonic: its request has come, and is not answered yet; 0: none */
    bool sent_away;
};

/* most: connections that the server can have, at least 2. */
void crowd_init(struct crowd *crowd, size_t most);
void crowd_destroy(struct crowd *crowd);

/* Before a connection is taken: may it be? If need be somebody is sent away for it, by shutting
 * down his connection: the server then hears that he has gone. */
bool crowd_has_room(struct crowd *crowd, const struct endpoint *address);
/* fd is open until it leaves. */
void crowd_enter(struct crowd *crowd, struct crowd_member *member, int fd);
void crowd_leave(struct crowd *crowd, struct crowd_member *member);
void crowd_set_busy(struct crowd *crowd, struct crowd_member *member, bool busy);
