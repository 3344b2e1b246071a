/* Which program logs in, by the keys that each really sends. */
#include "test.h"

#include "iscsi/program.h"

struct pair {
    const char *key, *value;
};

#define LOGIN(...) find((const struct pair[]){__VA_ARGS__, {NULL, NULL}})

static const struct iscsi_program *find(const struct pair *pairs)
{
    struct iscsi_program_signs signs = {0};
    for (; pairs->key; pairs++)
        iscsi_program_note(&signs, pairs->key, pairs->value);
    return iscsi_program_find(&signs);
}

#define UEFI                                                                                       \
    {"HeaderDigest", "None"}, {"DataDigest", "None"}, {"ErrorRecoveryLevel", "0"},                 \
        {"InitialR2T", "No"}, {"ImmediateData", "Yes"}, {"MaxRecvDataSegmentLength", "65536"},     \
        {"MaxBurstLength", "262144"}, {"FirstBurstLength", "65536"}, {"MaxConnections", "1"},      \
        {"DefaultTime2Wait", "2"},                                                                 \
    {                                                                                              \
        "DefaultTime2Retain", "20"                                                                 \
    }

static void firmware(void **state)
{
    const struct iscsi_program *ipxe =
        LOGIN({"HeaderDigest", "None"}, {"InitialR2T", "Yes"}, {"ImmediateData", "No"});
    assert_non_null(ipxe);
    assert_string_equal(ipxe->name, "iPXE");
    assert_true(ipxe->firmware);
    const struct iscsi_program *uefi = LOGIN({"InitiatorName", "iqn.x:y"}, UEFI);
    assert_non_null(uefi);
    assert_string_equal(uefi->name, "UEFI IScsiDxe");
    assert_true(uefi->firmware);
    assert_false(uefi->adopts_session);
}

static void what_only_comes_near_uefi_is_not(void **state)
{
    assert_null(LOGIN(UEFI, {"IFMarker", "No"}));
    assert_null(LOGIN({"InitiatorAlias", "web1"}, UEFI));
    assert_null(LOGIN({"InitialR2T", "No"}, {"ImmediateData", "Yes"},
                      {"MaxRecvDataSegmentLength", "65536"}, {"MaxBurstLength", "262144"},
                      {"FirstBurstLength", "65536"}, {"DefaultTime2Retain", "0"}));
    assert_null(LOGIN({"InitialR2T", "No"}, {"ImmediateData", "Yes"}, {"MaxBurstLength", "262144"},
                      {"FirstBurstLength", "65536"}, {"DefaultTime2Retain", "20"}));
}

static void iscsid_adopts(void **state)
{
    static const char *const lists[] = {"None,CRC32C", "CRC32C,None", "X,CRC32C,None"};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        const struct iscsi_program *header = LOGIN({"HeaderDigest", lists[i]});
        const struct iscsi_program *data =
            LOGIN({"HeaderDigest", "None"}, {"DataDigest", lists[i]});
        assert_true(header && header->adopts_session && !header->firmware);
        assert_true(data && data->adopts_session && !data->firmware);
    }
    assert_null(LOGIN({"HeaderDigest", "None"}, {"DataDigest", "CRC32C"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(firmware), TEST(what_only_comes_near_uefi_is_not),
                                       TEST(iscsid_adopts)};
    return RUN_TESTS(tests);
}
