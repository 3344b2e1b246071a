/* Which pieces belong to a boot set, and what is stored of it. */
#include "test.h"

#include "storage/boot_set.h"

#include <errno.h>

#define PIECE (64 * KIB)
#define SIZE  (20 * PIECE + 512)

static const uint8_t id[BOOT_SET_IDENTITY_SIZE] = {1, 2, 3};

/* A boot that reads the pieces of a bit mask. */
static void add(struct boot_set *set, uint32_t pieces)
{
    cleanup_free struct block_reads *reads = block_reads_new(set->size, boot_set_shift(set->size));
    for (unsigned i = 0; i < set->n_pieces; i++)
        if (pieces >> i & 1)
            block_reads_note(reads, i * PIECE, 1);
    boot_set_add(set, reads, 1000 + set->n_boots);
}

static struct boot_set make(void)
{
    struct boot_set set;
    assert_int_equal(boot_set_init(&set, id, SIZE), 0);
    assert_int_equal(set.n_pieces, 21);
    return set;
}

static uint32_t mask_of(const struct boot_set *set, unsigned threshold)
{
    uint32_t mask = 0;
    uint64_t length, bytes = 0;
    for (uint64_t at = 0; boot_set_next_run(set, threshold, &at, &length); at += length) {
        assert_true(length > 0 && at % PIECE == 0 && at + length <= set->size);
        bytes += length;
        for (uint64_t i = at / PIECE; i * PIECE < at + length; i++)
            mask |= 1u << i;
    }
    assert_int_equal(bytes, boot_set_bytes(set, threshold));
    return mask;
}

/* All that belongs to it. */
static uint32_t members(const struct boot_set *set)
{
    return mask_of(set, boot_set_threshold(set, UINT64_MAX));
}

static void test_pieces_of_two_boots_belong_to_it(void **state)
{
    struct boot_set set = make();
    assert_int_equal(members(&set), 0);
    add(&set, 0xf);
    assert_int_equal(members(&set), 0xf);
    add(&set, 0x11); /* which of the two was odd? */
    assert_int_equal(members(&set), 0x1f);
    add(&set, 0x11);
    assert_int_equal(members(&set), 0x11);
    add(&set, 0x1fffff); /* somebody reads everything, once */
    assert_int_equal(members(&set), 0x1f);
    assert_int_equal(set.n_boots, 4);
    assert_int_equal(set.recorded_at, 1003);
    boot_set_free(&set);
}

static void test_what_is_not_read_any_more_is_forgotten(void **state)
{
    struct boot_set set = make();
    for (unsigned i = 0; i < 20; i++)
        add(&set, 0x3);
    for (unsigned i = 0; i < BOOT_SET_BOOTS - 2; i++)
        add(&set, 0x6);
    assert_int_equal(members(&set), 0x7);
    add(&set, 0x6);
    assert_int_equal(members(&set), 0x6);
    assert_int_equal(set.n_boots, BOOT_SET_BOOTS);
    boot_set_free(&set);
}

static void test_what_most_have_read_comes_first(void **state)
{
    static const struct {
        uint64_t limit;
        uint32_t members;
    } rows[] = {
        {UINT64_MAX, 0x100007},
        {3 * PIECE + 512, 0x100007},
        {3 * PIECE + 511, 0x100003},
        {2 * PIECE + 512, 0x100003},
        {2 * PIECE + 511, 0x100001},
        {PIECE + 512, 0x100001},
        {PIECE + 511, 0},
        {0, 0},
    };
    struct boot_set set = make();
    add(&set, 0x10001f);
    add(&set, 0x100007);
    add(&set, 0x100003);
    add(&set, 0x100001);
    add(&set, 0x100003);
    assert_int_equal(members(&set), 0x100007); /* by 5, 4 and 2; others by one */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(mask_of(&set, boot_set_threshold(&set, rows[i].limit)), rows[i].members);
    boot_set_free(&set);
}

static void test_the_last_piece_is_short(void **state)
{
    struct boot_set set = make();
    add(&set, 0x180000);
    assert_int_equal(boot_set_bytes(&set, 1), PIECE + 512);
    uint64_t at = 19 * PIECE + 5, length = 0; /* from within a piece on */
    assert_true(boot_set_next_run(&set, 1, &at, &length));
    assert_int_equal(at, 19 * PIECE + 5);
    assert_int_equal(length, PIECE + 512 - 5);
    at = SIZE;
    assert_false(boot_set_next_run(&set, 1, &at, &length));
    boot_set_free(&set);
}

static void test_pieces_grow_with_the_image(void **state)
{
    static const struct {
        uint64_t size;
        unsigned shift;
    } rows[] = {
        {512, 16},          {32 * GIB, 16},   {64 * GIB, 16},
        {64 * GIB + 1, 17}, {1024 * GIB, 20}, {UINT64_C(1) << 56, 36},
    };
    struct boot_set set;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(boot_set_shift(rows[i].size), rows[i].shift);
        assert_int_equal(boot_set_init(&set, id, rows[i].size), 0);
        assert_true(set.n_pieces >= 1 && set.n_pieces <= BOOT_SET_MAX_PIECES);
        boot_set_free(&set);
    }
    assert_int_equal(boot_set_init(&set, id, (UINT64_C(1) << 56) + 1), -EINVAL);
    assert_int_equal(boot_set_init(&set, id, 0), -EINVAL);
}

/* --- as it is stored --- */

struct file {
    uint8_t bytes[256];
    size_t size;
};

static struct file stored(void)
{
    struct file file;
    struct boot_set set = make();
    add(&set, 0x5);
    add(&set, 0x100001);
    file.size = boot_set_encoded_size(&set);
    assert_true(file.size <= sizeof(file.bytes));
    boot_set_encode(&set, file.bytes);
    boot_set_free(&set);
    return file;
}

static int decode(const struct file *file, struct boot_set *ret_set)
{
    struct error error = {0};
    int r = boot_set_decode(file->bytes, file->size, id, SIZE, ret_set, &error);
    assert_true(r == 0 || (error.code == r && error.text[0]));
    return r;
}

static void test_it_comes_back(void **state)
{
    struct file file = stored();
    struct boot_set set;
    assert_int_equal(decode(&file, &set), 0);
    assert_int_equal(set.size, SIZE);
    assert_int_equal(set.n_boots, 2);
    assert_int_equal(set.recorded_at, 1001);
    assert_int_equal(set.pieces[0], 3);
    assert_int_equal(set.pieces[2], 2);
    assert_int_equal(set.pieces[20], 1);
    assert_int_equal(members(&set), 0x100005);
    boot_set_free(&set);
}

static void test_damage_is_seen(void **state)
{
    const struct file good = stored();
    struct boot_set set;
    for (size_t i = 0; i < good.size; i++) {
        struct file bad = good;
        bad.bytes[i] ^= 0x10;
        assert_true(decode(&bad, &set) < 0);
        bad = good;
        bad.size = i;
        assert_int_equal(decode(&bad, &set), -EBADMSG);
    }
    struct file longer = good;
    longer.size++;
    assert_int_equal(decode(&longer, &set), -EBADMSG);
    struct file newer = good;
    newer.bytes[11] = 2;
    assert_int_equal(decode(&newer, &set), -ENOTSUP);
}

static void test_that_of_another_image_is_none(void **state)
{
    static const uint8_t other[BOOT_SET_IDENTITY_SIZE] = {1, 2, 4};
    const struct file file = stored();
    struct boot_set set;
    struct error error;
    assert_int_equal(boot_set_decode(file.bytes, file.size, other, SIZE, &set, &error), -EBADMSG);
    assert_string_equal(error.text, "it belongs to another image");
    assert_int_equal(boot_set_decode(file.bytes, file.size, id, SIZE - 512, &set, &error),
                     -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pieces_of_two_boots_belong_to_it),
        TEST(test_what_is_not_read_any_more_is_forgotten),
        TEST(test_what_most_have_read_comes_first),
        TEST(test_the_last_piece_is_short),
        TEST(test_pieces_grow_with_the_image),
        TEST(test_it_comes_back),
        TEST(test_damage_is_seen),
        TEST(test_that_of_another_image_is_none),
    };
    return RUN_TESTS(tests);
}
