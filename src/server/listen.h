/* Where services listen. */
#pragma once

#include "core/names.h"
#include "core/net.h"

#define LISTEN_MAX 8

struct listen_list {
    struct endpoint endpoints[LISTEN_MAX];
    size_t count;
};

struct certificate_slot;

/* All of them, with the ports that they really have. */
struct listeners {
    struct listen_list iscsi, http, tftp;
    struct listen_list https;
    const char *https_name; /* in its URLs instead of the address; "": none. These outlive it */
    struct certificate_slot *certificates; /* NULL: no HTTPS */
};

#define REDIRECT_MAX 64

/* Volumes that another portal serves. */
struct redirect_list {
    struct redirect {
        char volume[NAME_MAX_LEN + 1];
        struct endpoint portal;
    } entries[REDIRECT_MAX];
    size_t count;
};

/* "10.0.0.1:80 [::]:80" or with commas, behind those that it has. NULL, or what is wrong. */
const char *listen_list_parse(const char *text, struct listen_list *list);
/* "disk1=10.0.0.2:3260", likewise. */
const char *redirect_list_parse(const char *text, struct redirect_list *list);

/* The same endpoints in the same order? */
bool listen_list_eq(const struct listen_list *a, const struct listen_list *b);
/* The same volumes and portals in the same order? */
bool redirect_list_eq(const struct redirect_list *a, const struct redirect_list *b);

/* The endpoint by which a machine that knows us by this address reaches the service, as
 * net_listen_one_of() listens there; NULL: none. */
const struct endpoint *listen_list_find(const struct listen_list *list,
                                        const struct endpoint *address);
