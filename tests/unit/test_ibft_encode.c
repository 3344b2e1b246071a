#include "ibft_tables.h"

#include <errno.h>

static void assert_round_trip(const struct ibft *ibft)
{
    struct ibft got, wanted = *ibft;
    struct ibft_faults faults = {0};
    struct error error;
    struct table_bytes table = ibft_bytes(ibft);
    assert_int_equal(ibft_decode(table.bytes, table.size, &got, &faults, &error), 0);
    wanted.length = (uint32_t)table.size;
    assert_memory_equal(&got, &wanted, sizeof(got));
}

static void what_is_written_is_read(void **state)
{
    struct ibft ibft = ibft_table();
    assert_round_trip(&ibft);
    ibft.nics[1] = ibft.nics[0];
    ibft.nics[1].index = 1;
    ibft.nics[1].vlan = 42;
    ibft.nics[1].from = IBFT_FROM_DHCP;
    ibft.nics[1].flags = 1;
    ibft.targets[1] = ibft.targets[0];
    ibft.targets[1].index = ibft.targets[1].nic = 1;
    assert_round_trip(&ibft);
    ibft.nics[0].present = false;
    ibft.nics[0] = (struct ibft_nic){0};
    assert_round_trip(&ibft);
    const struct ibft nothing = {.signature = "IBFT", .revision = 1};
    assert_round_trip(&nothing);
}

static void a_small_buffer_is_not_overrun(void **state)
{
    const struct ibft ibft = ibft_table();
    struct table_bytes table = ibft_bytes(&ibft);
    for (size_t size = 0; size < table.size; size++) {
        cleanup_free uint8_t *buffer = malloc(size ? size : 1);
        size_t used = 7;
        assert_non_null(buffer);
        assert_int_equal(ibft_encode(&ibft, buffer, size, &used), -ENOSPC);
        assert_int_equal(used, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(a_small_buffer_is_not_overrun),
    };
    return RUN_TESTS(tests);
}
