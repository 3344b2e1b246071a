/* Whose UUID is found, and that half of a superblock has none. */
#include "test.h"

#include "prepare/filesystem.h"

static uint8_t head[FILESYSTEM_HEAD_SIZE];
static char uuid[FILESYSTEM_UUID_SIZE];

static void put_uuid(size_t at)
{
    for (uint8_t i = 0; i < 16; i++)
        head[at + i] = (uint8_t)(0xa0 + i);
}

static int set_up(void **state)
{
    memset(head, 0, sizeof(head));
    memset(uuid, 0, sizeof(uuid));
    return 0;
}

static void ext_has_one(void **state)
{
    head[1024 + 0x38] = 0x53;
    head[1024 + 0x39] = 0xef;
    assert_false(filesystem_uuid(head, sizeof(head), uuid));
    put_uuid(1024 + 0x68);
    assert_true(filesystem_uuid(head, sizeof(head), uuid));
    assert_string_equal(uuid, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
}

static void xfs_has_one(void **state)
{
    memcpy(head, "XFSB", 4);
    put_uuid(32);
    assert_true(filesystem_uuid(head, sizeof(head), uuid));
    assert_string_equal(uuid, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
}

static void others_have_none(void **state)
{
    put_uuid(32);
    put_uuid(1024 + 0x68);
    assert_false(filesystem_uuid(head, sizeof(head), uuid));
}

static void a_cut_one_has_none(void **state)
{
    head[1024 + 0x38] = 0x53;
    head[1024 + 0x39] = 0xef;
    put_uuid(1024 + 0x68);
    for (size_t size = 0; size < 1024 + 0x68 + 16; size++)
        assert_false(filesystem_uuid(head, size, uuid));
    assert_true(filesystem_uuid(head, 1024 + 0x68 + 16, uuid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ext_has_one, set_up),
        cmocka_unit_test_setup(xfs_has_one, set_up),
        cmocka_unit_test_setup(others_have_none, set_up),
        cmocka_unit_test_setup(a_cut_one_has_none, set_up),
    };
    return RUN_TESTS(tests);
}
