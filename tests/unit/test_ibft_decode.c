#include "ibft_tables.h"

#include <errno.h>

static int decode(const struct table_bytes *table, struct ibft *ret_ibft,
                  struct ibft_faults *ret_faults)
{
    struct error error;
    /* an exact copy, so that a read of one byte too many is seen */
    cleanup_free uint8_t *copy = malloc(table->size);
    assert_non_null(copy);
    memcpy(copy, table->bytes, table->size);
    *ret_faults = (struct ibft_faults){0};
    return ibft_decode(copy, table->size, ret_ibft, ret_faults, &error);
}

static void a_good_table_has_no_fault(void **state)
{
    const struct ibft wanted = ibft_table();
    struct ibft got;
    struct ibft_faults faults;
    struct table_bytes table = ibft_bytes(&wanted);
    assert_int_equal(decode(&table, &got, &faults), 0);
    for (size_t i = 0; i < faults.count; i++)
        fail_msg("%s", faults.list[i].text);
    assert_int_equal(got.length, table.size);
    assert_string_equal(got.initiator.name, wanted.initiator.name);
    assert_string_equal(got.targets[0].secret, wanted.targets[0].secret);
    assert_int_equal(got.nics[0].prefix, 23);
    assert_int_equal(ibft_lun_number(got.targets[0].lun), 1);
}

/* Bytes of a good table that are changed; little-endian. */
struct damage {
    size_t at, size;
    uint32_t value;
    bool keep_checksum;
    enum ibft_severity severity;
    const char *words;
};

static const struct damage damages[] = {
    {8, 1, 2, false, IBFT_ERROR, "revision 2"},
    {10, 1, 'X', true, IBFT_ERROR, "checksum"},
    {48, 1, 7, false, IBFT_ERROR, "control structure has kind 7"},
    {50, 2, 20, false, IBFT_ERROR, "length 20"},
    {52, 1, 1, false, IBFT_ERROR, "index 1"},
    {49, 1, 2, false, IBFT_WARNING, "of version 2"},
    {54, 2, 64, false, IBFT_WARNING, "extensions"},
    {56, 2, 0, false, IBFT_ERROR, "no initiator"},
    {56, 2, 0xfff0, false, IBFT_ERROR, "behind the table's end"},
    {56, 2, 40, false, IBFT_ERROR, "inside the table's header"},
    {58, 2, 0, false, IBFT_ERROR, "no card"},
    {58, 2, 81, false, IBFT_WARNING, "not on a multiple of 8"},
    {58, 2, 80, false, IBFT_ERROR, "structure of kind 2 in its place, not 3"},
    {60, 2, 0, false, IBFT_ERROR, "no target"},
    {62, 2, TABLE_NIC, false, IBFT_WARNING, "card 1 lies over card 0"},
    {62, 2, TABLE_NIC, false, IBFT_ERROR, "both cards have the index 0"},
    {80 + 1, 1, 2, false, IBFT_WARNING, "the initiator is of version 2"},
    {80 + 2, 2, 73, false, IBFT_ERROR, "73 bytes and not 74"},
    {80 + 5, 1, 2, false, IBFT_WARNING, "the initiator is not marked as valid"},
    {80 + 70, 2, 0, false, IBFT_ERROR, "the initiator has no name"},
    {80 + 70, 2, 0xffff, false, IBFT_ERROR, "behind the table's end"},
    {80 + 70, 2, 3, false, IBFT_WARNING, "does not end with a zero byte"},
    {80 + 70, 2, 30, false, IBFT_WARNING, "has a length of 30 and ends after 28"},
    {80 + 72, 2, 0, false, IBFT_ERROR, "a length of 28 and no place"},
    {80 + 72, 2, 20, false, IBFT_WARNING, "the initiator's name lies over the table's header"},
    {TABLE_NIC + 5, 1, 1, false, IBFT_ERROR, "no card is marked as the one booted from"},
    {TABLE_NIC + 22, 1, 33, false, IBFT_ERROR, "netmask of 33 bits"},
    {TABLE_NIC + 22, 1, 0, false, IBFT_WARNING, "no netmask"},
    {TABLE_NIC + 22, 1, 30, false, IBFT_WARNING, "gateway of card 0 is not in its network"},
    {TABLE_NIC + 88, 2, 4095, false, IBFT_ERROR, "VLAN 4095"},
    {TABLE_NIC + 90, 1, 1, false, IBFT_ERROR, "a MAC that no card has"},
    {TABLE_TARGET + 5, 1, 1, false, IBFT_ERROR, "no target is marked"},
    {TABLE_TARGET + 22, 2, 0, false, IBFT_ERROR, "port 0"},
    {TABLE_TARGET + 24, 1, 0xc1, false, IBFT_WARNING, "no plain number"},
    {TABLE_TARGET + 32, 1, 3, false, IBFT_ERROR, "CHAP of kind 3"},
    {TABLE_TARGET + 32, 1, 0, false, IBFT_WARNING, "needs no CHAP"},
    {TABLE_TARGET + 33, 1, 1, false, IBFT_ERROR, "behind card 1, which is not there"},
    {TABLE_TARGET + 34, 2, 0, false, IBFT_ERROR, "target 0 has no name"},
    {TABLE_TARGET + 42, 2, 5, false, IBFT_WARNING, "less than 12 characters"},
    {TABLE_TARGET + 42, 2, 0, false, IBFT_ERROR, "no secret for it"},
    {TABLE_TARGET + 46, 2, 0, false, IBFT_ERROR, "no name for it"},
};

static void each_damage_is_told(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        const struct damage *damage = &damages[i];
        const struct ibft whole = ibft_table();
        struct table_bytes table = ibft_bytes(&whole);
        struct ibft got;
        struct ibft_faults faults;
        for (size_t k = 0; k < damage->size; k++)
            table.bytes[damage->at + k] = (uint8_t)(damage->value >> 8 * k);
        if (!damage->keep_checksum)
            ibft_fix_checksum(&table);
        assert_int_equal(decode(&table, &got, &faults), 0);
        ibft_assert_fault(&faults, damage->severity, damage->words);
        assert_int_equal(faults.error, ibft_has_fault(&faults, IBFT_ERROR, ""));
    }
}

static void what_is_no_table_is_refused(void **state)
{
    const struct ibft whole = ibft_table();
    struct table_bytes table = ibft_bytes(&whole);
    struct ibft got;
    struct ibft_faults faults;
    table.size = 65;
    assert_int_equal(decode(&table, &got, &faults), -EBADMSG);
    table = ibft_bytes(&whole);
    table.bytes[0] = 'x';
    assert_int_equal(decode(&table, &got, &faults), -EBADMSG);
    table = ibft_bytes(&whole);
    table.bytes[4] = 40;
    table.bytes[5] = 0;
    assert_int_equal(decode(&table, &got, &faults), -EBADMSG);
}

static void a_cut_table_shows_what_is_left(void **state)
{
    const struct ibft whole = ibft_table();
    struct table_bytes table = ibft_bytes(&whole);
    struct ibft got;
    struct ibft_faults faults;
    table.size = TABLE_TARGET;
    assert_int_equal(decode(&table, &got, &faults), 0);
    ibft_assert_fault(&faults, IBFT_ERROR, "there are only 272");
    assert_true(got.nics[0].present && !got.targets[0].present);
    assert_string_equal(got.nics[0].host_name, "");
}

static void texts_that_are_no_text_are_left_out(void **state)
{
    struct ibft ibft = ibft_table();
    struct ibft got;
    struct ibft_faults faults;
    str_copy(ibft.nics[0].host_name, IBFT_TEXT_SIZE, "web1\n[Network]");
    str_copy(ibft.targets[0].secret, IBFT_TEXT_SIZE, "\x1b[2Jsecret-of-12");
    struct table_bytes table = ibft_bytes(&ibft);
    assert_int_equal(decode(&table, &got, &faults), 0);
    ibft_assert_fault(&faults, IBFT_ERROR, "the host name of card 0 has characters");
    ibft_assert_fault(&faults, IBFT_ERROR, "the CHAP secret of target 0 has characters");
    assert_string_equal(got.nics[0].host_name, "");
    assert_string_equal(got.targets[0].secret, "");
}

static void faults_beyond_number_are_counted(void **state)
{
    struct ibft_faults faults = {0};
    for (size_t i = 0; i < IBFT_MAX_FAULTS + 3; i++)
        ibft_fault(&faults, IBFT_WARNING, "fault %zu", i);
    assert_int_equal(faults.count, IBFT_MAX_FAULTS);
    assert_int_equal(faults.more, 3);
    assert_false(faults.error);
    ibft_fault(&faults, IBFT_ERROR, "an error that is not in the list");
    assert_true(faults.error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_table_has_no_fault),           TEST(each_damage_is_told),
        TEST(what_is_no_table_is_refused),         TEST(a_cut_table_shows_what_is_left),
        TEST(texts_that_are_no_text_are_left_out), TEST(faults_beyond_number_are_counted),
    };
    return RUN_TESTS(tests);
}
