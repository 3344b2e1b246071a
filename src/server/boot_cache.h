/*
 * Keeps the boot sets of image versions: adds each boot that was recorded to its file, and reads
 * those of the images that nodes have into the page cache when the daemon starts, the newest image
 * first, if it is told to. One thread with the lowest priority for disks does both.
 */
#pragma once

#include "boot/watch.h"
#include "server/boot_recorder.h"

struct boot_cache;

struct boot_cache_settings {
    struct catalog_slot *catalog;
    const struct stage_provider *stages;
    bool warm_up;
    uint64_t warm_limit; /* bytes; see warm_limit() */
};

/* What is in settings must outlive it. */
int boot_cache_start(const struct boot_cache_settings *settings, struct boot_cache **ret_cache,
                     struct error *ret_error) MUST_CHECK;
/* Where boots are recorded; lives as long as it. */
struct boot_recorder *boot_cache_recorder(struct boot_cache *cache);
/* Ends the thread at once: a boot that is being recorded is not kept. Before the I/O threads are
 * stopped. NULL: no-op. */
void boot_cache_stop(struct boot_cache *cache);
/* After they were stopped. NULL: no-op. */
void boot_cache_free(struct boot_cache *cache);
