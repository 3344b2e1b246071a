/* Requests over a real socket, written out by the test. */
#pragma once

#include "test.h"

#include "core/net.h"

#include <arpa/inet.h>

/* Connects from this address of the machine ("127.0.0.2"). */
static inline int http_connect(const struct endpoint *where, const char *from)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, from, &source.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&source, sizeof(source)), 0);
    assert_int_equal(connect(fd, &where->any, endpoint_size(where)), 0);
    return fd;
}

/* The whole answer to a request, up to the end of the connection; free() it. */
static inline char *http_ask(const struct endpoint *where, const char *from, const char *request)
{
    const size_t room = 1 << 20;
    char *answer = calloc(1, room);
    size_t size = 0;
    ssize_t n;
    cleanup_close int fd = http_connect(where, from);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    while (size < room - 1 && (n = recv(fd, answer + size, room - 1 - size, 0)) > 0)
        size += (size_t)n;
    return answer;
}
