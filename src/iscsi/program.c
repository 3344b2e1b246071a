#include "iscsi/program.h"

#include "iscsi/text.h"

#define MAX_SIGNS 6

/* A key that the program sends, with this value; or, with several words, with a list that has all
 * of them, in whatever order. */
struct sign {
    const char *key;
    const char *words[2];
};

struct row {
    struct iscsi_program program;
    struct sign signs[MAX_SIGNS];
    const char *never[3]; /* keys that it does not send */
};

static const struct row rows[ISCSI_PROGRAMS] = {
    /* iPXE has no buffer for data that goes with a command; nobody else says No. */
    {{"iPXE", .firmware = true}, {{"ImmediateData", {"No"}}}},
    /* The initiator of UEFI itself (edk2, IScsiDxe): its receiver gives the session up on a NOP-In,
     * a Reject or an Asynchronous Message. Its values are constants. Others come near them, but
     * open-iscsi sends markers or an alias, and libiscsi keeps nothing for a retaining time. */
    {{"UEFI IScsiDxe", .firmware = true},
     {{"MaxRecvDataSegmentLength", {"65536"}},
      {"MaxBurstLength", {"262144"}},
      {"FirstBurstLength", {"65536"}},
      {"InitialR2T", {"No"}},
      {"ImmediateData", {"Yes"}},
      {"DefaultTime2Retain", {"20"}}},
     {"InitiatorAlias", "IFMarker", "OFMarker"}},
    /* open-iscsi's iscsid, when it adopts a session that somebody else (iscsistart) has logged in,
     * turns what was negotiated into a preference: None and CRC32C. Those who make a session say
     * what their configuration says: None. */
    {{"iscsid", .adopts_session = true}, {{"HeaderDigest", {"None", "CRC32C"}}}},
    {{"iscsid", .adopts_session = true}, {{"DataDigest", {"None", "CRC32C"}}}},
};

static unsigned count_signs(const struct row *row)
{
    unsigned n = 0;
    while (n < MAX_SIGNS && row->signs[n].key)
        n++;
    return n;
}

static bool has_value(const struct sign *sign, const char *value)
{
    if (!sign->words[1])
        return str_eq(value, sign->words[0]);
    return iscsi_text_list_find(value, sign->words[0]) >= 0 &&
           iscsi_text_list_find(value, sign->words[1]) >= 0;
}

static bool is_never_sent(const struct row *row, const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(row->never); i++)
        if (row->never[i] && str_eq(row->never[i], key))
            return true;
    return false;
}

void iscsi_program_note(struct iscsi_program_signs *signs, const char *key, const char *value)
{
    for (size_t i = 0; i < ISCSI_PROGRAMS; i++) {
        signs->ruled_out[i] |= is_never_sent(&rows[i], key);
        for (unsigned k = 0; k < count_signs(&rows[i]); k++)
            if (str_eq(rows[i].signs[k].key, key) && has_value(&rows[i].signs[k], value))
                signs->seen[i] |= (uint8_t)(1 << k);
    }
}

const struct iscsi_program *iscsi_program_find(const struct iscsi_program_signs *signs)
{
    for (size_t i = 0; i < ISCSI_PROGRAMS; i++)
        if (!signs->ruled_out[i] && signs->seen[i] == (1 << count_signs(&rows[i])) - 1)
            return &rows[i].program;
    return NULL;
}
