/*
 * Disks in memory that may lose power, for tests that crash at every step.
 *
 * A request reaches its disk when it is told to, in any order. What was written is at once what is
 * read (the page cache); it is durable after a flush that was asked for later than it was done. A
 * crash leaves an image: of a killed process, what is in the page cache and any sectors of what was
 * under way; after a loss of power, of each sector any content that it had since it was durable.
 */
#pragma once

#include "block/block.h"

#define SIM_SECTOR    512
#define SIM_MAX_QUEUE 512

struct sim;

/* A sector that was written and is not durable yet. */
struct sim_pending {
    uint64_t sector, sequence;
    uint8_t bytes[SIM_SECTOR];
};

struct sim_disk {
    struct block_device device;
    struct sim *sim;
    uint8_t *now, *durable; /* device.size bytes */
    struct sim_pending *pending;
    size_t n_pending, room;
};

struct sim {
    struct block_request *queue[SIM_MAX_QUEUE];
    unsigned n_queue;
    uint64_t sequence;
    unsigned *seed;
    unsigned error_rate; /* one of so many requests fails; 0: none */
};

/* What survives of what is not durable. */
enum sim_survival { SIM_NOTHING, SIM_EVERYTHING, SIM_SOMETHING, SIM_N_SURVIVALS };

struct sim_disk *sim_disk_new(struct sim *sim, uint64_t size);
void sim_disk_free(struct sim_disk *disk);
/* Content and durability from an image. */
void sim_disk_reset(struct sim_disk *disk, const uint8_t *image);
/* The request i of the queue reaches its disk, and is done. */
void sim_carry_out(struct sim *sim, unsigned i);
void sim_image_killed(struct sim_disk *disk, enum sim_survival of_queued, uint8_t *image);
void sim_image_powerless(struct sim_disk *disk, enum sim_survival survival, uint8_t *image);
unsigned sim_random(struct sim *sim, unsigned n);
