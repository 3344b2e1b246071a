/*
 * Unit attentions: what a nexus has to be told before its next command is looked at (SAM-5 5.14).
 *
 * Resets come before everything else and in a table of precedence: one covers those below it, which
 * are told no more, and is covered by those above. What is not a reset is told behind them, in the
 * order in which it happened.
 *
 * One is cleared by being told: with CHECK CONDITION, or as the data of a REQUEST SENSE
 * (UA_INTLCK_CTRL is 00b). That the LUNs have changed is cleared by REPORT LUNS, too, on every LU.
 * INQUIRY, REPORT LUNS and REQUEST SENSE are carried out in spite of them (SCSI_CMD_SKIPS_UA).
 */
#include "scsi/lu.h"

/* The highest first. */
static const enum scsi_sense resets[] = {SENSE_RESET, SENSE_LU_RESET, SENSE_NEXUS_LOSS};

/* Its place in the table; behind all of it: not a reset. */
static unsigned rank(enum scsi_sense sense)
{
    unsigned i = 0;
    while (i < ARRAY_SIZE(resets) && resets[i] != sense)
        i++;
    return i;
}

static bool is_reset(enum scsi_sense sense)
{
    return rank(sense) < ARRAY_SIZE(resets);
}

static bool covers(enum scsi_sense a, enum scsi_sense b)
{
    return a == b || (is_reset(b) && rank(a) < rank(b));
}

static bool is_covered(const struct scsi_nexus *nexus, enum scsi_sense sense)
{
    for (unsigned i = 0; i < nexus->n_unit_attentions; i++)
        if (covers(nexus->unit_attentions[i], sense))
            return true;
    return false;
}

static void drop_covered(struct scsi_nexus *nexus, enum scsi_sense sense)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < nexus->n_unit_attentions; i++)
        if (!covers(sense, nexus->unit_attentions[i]))
            nexus->unit_attentions[kept++] = nexus->unit_attentions[i];
    nexus->n_unit_attentions = kept;
}

void scsi_nexus_clear_unit_attention(struct scsi_nexus *nexus, enum scsi_sense sense)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < nexus->n_unit_attentions; i++)
        if (nexus->unit_attentions[i] != sense)
            nexus->unit_attentions[kept++] = nexus->unit_attentions[i];
    nexus->n_unit_attentions = kept;
}

static void insert(struct scsi_nexus *nexus, unsigned at, enum scsi_sense sense)
{
    memmove(nexus->unit_attentions + at + 1, nexus->unit_attentions + at,
            (nexus->n_unit_attentions - at) * sizeof(sense));
    nexus->unit_attentions[at] = sense;
    nexus->n_unit_attentions++;
}

void scsi_nexus_establish_unit_attention(struct scsi_nexus *nexus, enum scsi_sense sense)
{
    if (is_covered(nexus, sense))
        return;
    drop_covered(nexus, sense);
    if (nexus->n_unit_attentions == SCSI_MAX_UNIT_ATTENTIONS) {
        nexus->n_unit_attentions = 0;
        sense = SENSE_RESET;
    }
    insert(nexus, is_reset(sense) ? 0 : nexus->n_unit_attentions, sense);
}

void scsi_lu_establish_unit_attention(struct scsi_lu *lu, const struct scsi_nexus *except,
                                      enum scsi_sense sense)
{
    list_for_each(node, &lu->nexuses) {
        struct scsi_nexus *nexus = container_of(node, struct scsi_nexus, link);
        if (nexus != except)
            scsi_nexus_establish_unit_attention(nexus, sense);
    }
}

enum scsi_sense scsi_nexus_take_unit_attention(struct scsi_nexus *nexus)
{
    if (nexus->n_unit_attentions == 0)
        return SENSE_NONE;
    enum scsi_sense first = nexus->unit_attentions[0];
    nexus->n_unit_attentions--;
    memmove(nexus->unit_attentions, nexus->unit_attentions + 1,
            nexus->n_unit_attentions * sizeof(first));
    return first;
}

enum scsi_sense scsi_nexus_take_reset_attention(struct scsi_nexus *nexus)
{
    bool has_reset = nexus->n_unit_attentions > 0 && is_reset(nexus->unit_attentions[0]);
    return has_reset ? scsi_nexus_take_unit_attention(nexus) : SENSE_NONE;
}
