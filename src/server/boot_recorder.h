/*
 * Which boots are being recorded: what a node reads of its image version from the moment that its
 * firmware logs in until it is up, or for a bounded time.
 *
 * A recording is of a volume, and goes on while that is closed and opened again on the way, as it
 * is between firmware and initramfs. While the volume is open, what is noted belongs to its I/O
 * thread; what is known of the recording itself is behind a lock, which is taken when somebody logs
 * in or a volume is opened or closed, and never on the way of a command.
 *
 * When many nodes boot at once, a few of them tell enough: the others are not recorded.
 */
#pragma once

#include "block/block.h"
#include "boot/stage.h"
#include "registry/catalog.h"

#define BOOT_RECORDER_MAX_PER_IMAGE 4
/* How long a boot is recorded whose end nobody tells of. */
#define BOOT_RECORDER_PATIENCE      (5 * 60 * USEC_PER_SEC)

struct boot_recorder;

/* A boot that is over. */
struct boot_record {
    struct catalog_base image; /* its strings are owned */
    struct block_reads *reads; /* owned */
};

/* patience: usec. NULL without memory. The catalog must outlive it. */
struct boot_recorder *boot_recorder_new(struct catalog_slot *catalog, uint64_t patience);
/* After all I/O threads were stopped. NULL: no-op. */
void boot_recorder_free(struct boot_recorder *recorder);

/* --- any thread --- */

/* The machine whose disk the volume is begins to boot from it. Nothing happens if it is no
 * overlay over an image, or enough is being recorded. recorder NULL: no-op, in all of these. */
void boot_recorder_begin(struct boot_recorder *recorder, uint64_t volume_id);
/* How far the node whose disk it is has come. */
void boot_recorder_reached(struct boot_recorder *recorder, uint64_t volume_id,
                           enum boot_stage stage);

/* --- the volume's I/O thread --- */

/* The volume is open, as this device: if its boot is being recorded, the device notes from now on
 * what is read. */
void boot_recorder_attach(struct boot_recorder *recorder, uint64_t volume_id,
                          struct io_thread *thread, struct block_device *device);
/* ... and no longer: it is about to be closed. */
void boot_recorder_detach(struct boot_recorder *recorder, uint64_t volume_id);

/* --- the one thread that takes what was recorded --- */

/* Waits for a boot to end, for so many usec at most (UINT64_MAX: for ever); NULL: none has, or
 * boot_recorder_stop() was called. boot_record_free() it. */
struct boot_record *boot_recorder_wait(struct boot_recorder *recorder, uint64_t timeout);
/* From any thread: nobody waits any more. Before the I/O threads are stopped. */
void boot_recorder_stop(struct boot_recorder *recorder);
bool boot_recorder_stopped(struct boot_recorder *recorder);

void boot_record_free(struct boot_record *record);
