/* Small helpers used everywhere: cleanup attributes, array and bit arithmetic, clocks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define KIB ((uint64_t)1024)
#define MIB ((uint64_t)1024 * KIB)
#define GIB ((uint64_t)1024 * MIB)

#define USEC_PER_SEC ((uint64_t)1000000)

/* An `int f(...)` whose result must be looked at. */
#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Scope-bound cleanup: `cleanup_free char *s = NULL;`. Each accepts its "nothing" value. */
static inline void util_free_ptr(void *p)
{
    free(*(void **)p);
}

static inline void util_close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void util_fclose_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

#define cleanup_free   __attribute__((cleanup(util_free_ptr)))
#define cleanup_close  __attribute__((cleanup(util_close_fd)))
#define cleanup_fclose __attribute__((cleanup(util_fclose_file)))

/* Hand a descriptor out of its cleanup scope: returns it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
    int r = *fd;
    *fd = -1;
    return r;
}

/* Hand a pointer out of its cleanup scope: evaluates to it and leaves NULL behind. */
#define take_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

static inline bool str_eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static inline bool str_has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Copies as much of src as fits into dst[size] and always terminates it. False if it was cut. */
static inline bool str_copy(char *dst, size_t size, const char *src)
{
    size_t n = strlen(src);
    size_t m = n < size ? n : size - 1;
    memcpy(dst, src, m);
    dst[m] = '\0';
    return m == n;
}

/* Microseconds on a clock that never jumps (CLOCK_MONOTONIC); for intervals. */
static inline uint64_t clock_monotonic_usec(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/* Microseconds since 1970 (CLOCK_REALTIME); for what is stored or shown. */
static inline uint64_t clock_wall_usec(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}
