#include "iscsi/negotiate.h"

enum function {
    FUNCTION_DIGEST,   /* the first of the initiator's list that we have */
    FUNCTION_AND,      /* boolean */
    FUNCTION_OR,       /* boolean */
    FUNCTION_MIN,      /* number */
    FUNCTION_MAX,      /* number */
    FUNCTION_DECLARED, /* number: the initiator's own; no answer */
    FUNCTION_OBSOLETE, /* keys of RFC 3720 that RFC 7143 13.25 wants rejected */
    FUNCTION_CONSTANT, /* a list, of which we know one word */
};

struct key {
    const char *name;
    enum function function;
    bool normal_only;  /* Irrelevant in discovery sessions */
    size_t offset;     /* in struct iscsi_parameters */
    uint32_t ours;     /* our value; for booleans 0 or 1 */
    uint32_t min, max; /* that the standard allows */
    const char *word;  /* of FUNCTION_CONSTANT */
};

#define AT(field) offsetof(struct iscsi_parameters, field)

static const struct key keys[] = {
    {"HeaderDigest", FUNCTION_DIGEST, false, AT(header_digest)},
    {"DataDigest", FUNCTION_DIGEST, false, AT(data_digest)},
    {"MaxConnections", FUNCTION_MIN, true, AT(max_connections), 1, 1, 65535},
    {"InitialR2T", FUNCTION_OR, true, AT(initial_r2t), 0},
    {"ImmediateData", FUNCTION_AND, true, AT(immediate_data), 1},
    {"MaxRecvDataSegmentLength", FUNCTION_DECLARED, false, AT(max_send_segment_length), 0, 512,
     16777215},
    {"MaxBurstLength", FUNCTION_MIN, true, AT(max_burst_length), 16776192, 512, 16777215},
    {"FirstBurstLength", FUNCTION_MIN, true, AT(first_burst_length), 262144, 512, 16777215},
    {"DefaultTime2Wait", FUNCTION_MAX, false, AT(default_time2wait), 0, 0, 3600},
    {"DefaultTime2Retain", FUNCTION_MIN, false, AT(default_time2retain), 0, 0, 3600},
    {"MaxOutstandingR2T", FUNCTION_MIN, true, AT(max_outstanding_r2t), 8, 1, 65535},
    {"DataPDUInOrder", FUNCTION_OR, true, AT(data_pdu_in_order), 1},
    {"DataSequenceInOrder", FUNCTION_OR, true, AT(data_sequence_in_order), 1},
    {"ErrorRecoveryLevel", FUNCTION_MIN, false, AT(error_recovery_level), 0, 0, 2},
    {"IFMarker", FUNCTION_OBSOLETE},
    {"OFMarker", FUNCTION_OBSOLETE},
    {"IFMarkInt", FUNCTION_OBSOLETE},
    {"OFMarkInt", FUNCTION_OBSOLETE},
    {"TaskReporting", FUNCTION_CONSTANT, true, 0, 0, 0, 0, "RFC3720"},
    {"iSCSIProtocolLevel", FUNCTION_MIN, true, AT(protocol_level), 1, 0, 31},
};

_Static_assert(ARRAY_SIZE(keys) <= 32, "one bit each in iscsi_parameters.negotiated");

void iscsi_parameters_init(struct iscsi_parameters *parameters)
{
    *parameters = (struct iscsi_parameters){
        .initial_r2t = true,
        .immediate_data = true,
        .data_pdu_in_order = true,
        .data_sequence_in_order = true,
        .max_connections = 1,
        .max_burst_length = 262144,
        .first_burst_length = 65536,
        .max_send_segment_length = ISCSI_DEFAULT_SEGMENT,
        .default_time2wait = 2,
        .default_time2retain = 20,
        .max_outstanding_r2t = 1,
        .protocol_level = 1,
    };
}

/* None or CRC32C, whichever the initiator names first. */
static const char *choose_digest(const char *list)
{
    int none = iscsi_text_list_find(list, "None"), crc = iscsi_text_list_find(list, "CRC32C");
    if (none >= 0 && (crc < 0 || none < crc))
        return "None";
    return crc >= 0 ? "CRC32C" : NULL;
}

static enum iscsi_negotiation reject(const struct key *key, struct iscsi_text *answer)
{
    iscsi_text_add(answer, key->name, "Reject");
    return NEGOTIATION_INVALID;
}

static enum iscsi_negotiation digest(const struct key *key, void *place, const char *value,
                                     struct iscsi_text *answer)
{
    const char *chosen = choose_digest(value);
    if (!chosen)
        return reject(key, answer);
    *(bool *)place = str_eq(chosen, "CRC32C");
    iscsi_text_add(answer, key->name, chosen);
    return NEGOTIATION_DONE;
}

static enum iscsi_negotiation boolean(const struct key *key, void *place, const char *value,
                                      struct iscsi_text *answer)
{
    bool theirs = str_eq(value, "Yes");
    if (!theirs && !str_eq(value, "No"))
        return reject(key, answer);
    bool result = key->function == FUNCTION_OR ? theirs || key->ours : theirs && key->ours;
    *(bool *)place = result;
    iscsi_text_add(answer, key->name, result ? "Yes" : "No");
    return NEGOTIATION_DONE;
}

/* RFC 7143 13.14: a first burst is no longer than a burst. What was answered is what holds: an
 * initiator that negotiates them the other way round, and lets them disagree, gets its way. */
static uint32_t upper_limit(const struct key *key, const struct iscsi_parameters *parameters)
{
    return key->offset == AT(first_burst_length) ? parameters->max_burst_length : UINT32_MAX;
}

static enum iscsi_negotiation number(const struct key *key, struct iscsi_parameters *parameters,
                                     void *place, const char *value, struct iscsi_text *answer)
{
    uint32_t theirs;
    if (iscsi_text_number(value, &theirs) < 0 || theirs < key->min || theirs > key->max)
        return reject(key, answer);
    if (key->function == FUNCTION_DECLARED) {
        *(uint32_t *)place = theirs;
        return NEGOTIATION_DONE;
    }
    uint32_t result =
        key->function == FUNCTION_MIN ? MIN(theirs, key->ours) : MAX(theirs, key->ours);
    result = MIN(result, upper_limit(key, parameters));
    *(uint32_t *)place = result;
    iscsi_text_addf(answer, key->name, "%u", result);
    return NEGOTIATION_DONE;
}

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (str_eq(keys[i].name, name))
            return &keys[i];
    return NULL;
}

bool iscsi_key_is_standard(const char *name)
{
    static const char *const others[] = {
        "AuthMethod",    "InitiatorAlias", "InitiatorName", "SendTargets",          "SessionType",
        "TargetAddress", "TargetAlias",    "TargetName",    "TargetPortalGroupTag",
    };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (str_eq(others[i], name))
            return true;
    return find_key(name) != NULL;
}

enum iscsi_negotiation iscsi_negotiate(struct iscsi_parameters *parameters, const char *name,
                                       const char *value, bool discovery, struct iscsi_text *answer)
{
    const struct key *key = find_key(name);
    if (!key)
        return NEGOTIATION_UNKNOWN;
    uint32_t bit = UINT32_C(1) << (key - keys);
    if (parameters->negotiated & bit)
        return NEGOTIATION_TWICE;
    parameters->negotiated |= bit;
    void *place = (char *)parameters + key->offset;
    if (discovery && key->normal_only) {
        iscsi_text_add(answer, key->name, "Irrelevant");
        return NEGOTIATION_DONE;
    }
    switch (key->function) {
    case FUNCTION_DIGEST:
        return digest(key, place, value, answer);
    case FUNCTION_AND:
    case FUNCTION_OR:
        return boolean(key, place, value, answer);
    case FUNCTION_CONSTANT:
        if (iscsi_text_list_find(value, key->word) < 0)
            return reject(key, answer);
        iscsi_text_add(answer, key->name, key->word);
        return NEGOTIATION_DONE;
    case FUNCTION_OBSOLETE:
        iscsi_text_add(answer, key->name, "Reject");
        return NEGOTIATION_DONE;
    default:
        return number(key, parameters, place, value, answer);
    }
}

/* False: it is none that anything is agreed of. */
static bool format_value(const struct key *key, const void *place, char text[static 16])
{
    switch (key->function) {
    case FUNCTION_DIGEST:
        str_copy(text, 16, *(const bool *)place ? "CRC32C" : "None");
        return true;
    case FUNCTION_AND:
    case FUNCTION_OR:
        str_copy(text, 16, *(const bool *)place ? "Yes" : "No");
        return true;
    case FUNCTION_MIN:
    case FUNCTION_MAX:
    case FUNCTION_DECLARED:
        snprintf(text, 16, "%u", *(const uint32_t *)place);
        return true;
    case FUNCTION_OBSOLETE:
    case FUNCTION_CONSTANT:
        break;
    }
    return false;
}

void iscsi_parameters_list(const struct iscsi_parameters *parameters, bool discovery,
                           void (*each)(void *context, const char *key, const char *value),
                           void *context)
{
    char text[16];
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!(discovery && keys[i].normal_only) &&
            format_value(&keys[i], (const char *)parameters + keys[i].offset, text))
            each(context, keys[i].name, text);
}
