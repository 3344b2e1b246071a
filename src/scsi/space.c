#include "scsi/space.h"

#include "scsi/lu.h"

#define SET_BYTES MIB

bool scsi_lu_has_threshold(const struct scsi_lu *lu)
{
    return lu->space && !lu->thick && !lu->removable && !lu->read_only;
}

/* Large enough that all blocks of the LU are fewer than 2^32 sets (SBC-4 6.6.7). */
static uint8_t exponent_of(const struct scsi_lu *lu)
{
    uint8_t exponent = 0;
    while (((uint64_t)lu->block_size << exponent) < SET_BYTES ||
           lu->n_blocks >> exponent > UINT32_MAX)
        exponent++;
    return exponent;
}

uint8_t scsi_threshold_exponent(const struct scsi_lu *lu)
{
    return scsi_lu_has_threshold(lu) ? exponent_of(lu) : 0;
}

static uint32_t whole_sets(const struct scsi_lu *lu, uint64_t bytes)
{
    return (uint32_t)MIN(bytes / lu->block_size >> exponent_of(lu), UINT32_MAX);
}

/* Of less than a set, too, there is one. */
uint32_t scsi_threshold(const struct scsi_lu *lu)
{
    uint64_t bytes = atomic_load(&lu->space->threshold);
    return bytes ? MAX(whole_sets(lu, bytes), 1) : 0;
}

uint32_t scsi_space_available(const struct scsi_lu *lu)
{
    return whole_sets(lu, atomic_load(&lu->space->available));
}

uint32_t scsi_space_used(const struct scsi_lu *lu)
{
    uint64_t total = atomic_load(&lu->space->total);
    uint64_t available = atomic_load(&lu->space->available);
    return whole_sets(lu, total - MIN(available, total));
}

static struct scsi_space_told look(const struct scsi_lu *lu)
{
    return (struct scsi_space_told){.threshold = scsi_threshold(lu),
                                    .low = atomic_load(&lu->space->low)};
}

void scsi_lu_set_space(struct scsi_lu *lu, const struct scsi_space *space)
{
    lu->space = space;
    lu->space_told = space ? look(lu) : (struct scsi_space_told){0};
}

void scsi_lu_look_at_space(struct scsi_lu *lu)
{
    if (!scsi_lu_has_threshold(lu))
        return;
    struct scsi_space_told before = lu->space_told, now = look(lu);
    lu->space_told = now;
    if (now.threshold != before.threshold)
        scsi_lu_establish_unit_attention(lu, NULL, SENSE_MODE_PARAMETERS_CHANGED);
    if (now.low && !before.low)
        scsi_lu_establish_unit_attention(lu, NULL, SENSE_SOFT_THRESHOLD_REACHED);
}
