/* What is found in the files of boot loaders, and what is left untold. */
#include "test.h"

#include "ipxe/loader_file.h"

#include "core/wire.h"

/* A program for UEFI with one section, that has these bytes. */
#define HEADER_AT  64
#define SECTION_AT 192
static uint8_t file[4096];
static struct loader_file found;

static size_t build(uint16_t machine, const void *bytes, size_t size)
{
    memset(file, 0, sizeof(file));
    memcpy(file, "MZ", 2);
    file[60] = HEADER_AT;
    memcpy(file + HEADER_AT, "PE\0\0", 4);

    file[HEADER_AT + 4] = machine & 0xff;
    file[HEADER_AT + 5] = machine >> 8;
    file[HEADER_AT + 6] = 1;        /* section */
    file[HEADER_AT + 20] = 70;      /* size of the optional header */
    file[HEADER_AT + 24 + 68] = 10; /* an application for UEFI */
    struct wire_writer w = wire_writer_of(file + HEADER_AT + 24 + 70 + 16, 8);
    wire_put_le32(&w, (uint32_t)size);
    wire_put_le32(&w, SECTION_AT + 40);
    memcpy(file + SECTION_AT + 40, bytes, size);
    return SECTION_AT + 40 + size;
}

#define LOOK(machine, bytes)                                                                       \
    loader_file_look(file, build(machine, bytes, sizeof(bytes)), true, &found)

static bool has(uint32_t bits, const char *name)
{
    size_t count;
    const struct loader_feature *features = loader_file_features(&count);
    for (size_t i = 0; i < count; i++)
        if (str_eq(features[i].name, name))
            return bits & 1U << i;
    fail_msg("there is no feature %s", name);
    return false;
}

static void ipxe_is_known_with_what_it_has(void **state)
{
    LOOK(0x8664, "\0iPXE\0\0\0001.21.1+ (g988d2)\0HTTP\0iSCSI\0vcreate\0dhcpv6\0https\0the menu");
    assert_int_equal(found.format, LOADER_FORMAT_UEFI);
    assert_int_equal(found.machine, 0x8664);
    assert_true(found.is_ipxe);
    assert_string_equal(found.version, "1.21.1+ (g988d2)");
    assert_true(has(found.features, "HTTP") && has(found.features, "iSCSI"));
    assert_true(has(found.features, "VLAN") && !has(found.features, "HTTPS"));
    assert_true(has(found.features, "IPv6"));
    assert_true(has(found.missing, "HTTPS") && has(found.missing, "imgverify"));
    assert_false(has(found.missing, "HTTP"));
    /* the end of another string may be one of its own, too */
    assert_false(has(found.features, "menu") || has(found.missing, "menu"));
}

static void versions_are_three_numbers(void **state)
{
    static const char *const good[] = {"1.0.0", "1.0.0+git-20190125.36a4c85-5.1", "2.0.0-rc1"};
    static const char *const bad[] = {"1.0", "1.0.x", "1.0.", "10000.0.0", "v1.0.0", "1.0.0.1"};
    char text[64];
    for (size_t i = 0; i < ARRAY_SIZE(good) + ARRAY_SIZE(bad); i++) {
        bool is_good = i < ARRAY_SIZE(good);
        const char *version = is_good ? good[i] : bad[i - ARRAY_SIZE(good)];
        memset(text, 0, sizeof(text));
        memcpy(text, "\0iPXE", 6);
        str_copy(text + 6, sizeof(text) - 6, version);
        LOOK(0x8664, text);
        assert_int_equal(found.is_ipxe, is_good);
        assert_string_equal(found.version, is_good ? version : "");
    }
}

static void two_versions_are_none(void **state)
{
    LOOK(0x8664, "\0iPXE\0001.0.0\0002.5.1\0HTTP");
    assert_true(found.is_ipxe && has(found.features, "HTTP"));
    assert_string_equal(found.version, "");
    LOOK(0x8664, "\0iPXE\0001.0.0\0001.0.0");
    assert_string_equal(found.version, "1.0.0");
}

static void of_what_is_not_whole_nothing_is_missing(void **state)
{
    static const char inside[] = "\0iPXE\0001.0.0\0HTTP\0and more";
    size_t size = build(0xaa64, inside, sizeof(inside));
    loader_file_look(file, size - 4, true, &found);
    assert_int_equal(found.size, size);
    assert_true(has(found.features, "HTTP"));
    assert_int_equal(found.missing, 0);
    loader_file_look(file, size, false, &found);
    assert_int_equal(found.missing, 0);
    loader_file_look(file, SECTION_AT - 20, true, &found); /* within the table of sections */
    assert_int_equal(found.size, HEADER_AT + 24 + 70 + 40);
}

static void other_programs_are_no_ipxe(void **state)
{
    LOOK(0x014c, "\0GRUB\0002.0.6\0HTTP\0menu");
    assert_int_equal(found.format, LOADER_FORMAT_UEFI);
    assert_int_equal(found.machine, 0x014c);
    assert_false(found.is_ipxe);
    assert_int_equal(found.features | found.missing, 0);
    file[HEADER_AT + 24 + 68] = 3; /* a program for a console of Windows */
    loader_file_look(file, sizeof(file), true, &found);
    assert_int_equal(found.format, LOADER_FORMAT_UNKNOWN);
    loader_file_look((const uint8_t *)"hello\0iPXE\0001.0.0", 18, true, &found);
    assert_int_equal(found.format, LOADER_FORMAT_UNKNOWN);
    assert_false(found.is_ipxe);
    loader_file_look((const uint8_t *)"", 0, true, &found);
    assert_int_equal(found.format, LOADER_FORMAT_UNKNOWN);
}

static void ipxe_for_bios_shows_no_more_than_that(void **state)
{
    uint8_t bios[64] = {0xea, 0x05, 0x00, 0xc0, 0x07};
    loader_file_look(bios, sizeof(bios), true, &found);
    assert_int_equal(found.format, LOADER_FORMAT_UNKNOWN);
    memcpy(bios + 16, "hLRET", 5);
    loader_file_look(bios, sizeof(bios), true, &found);
    assert_int_equal(found.format, LOADER_FORMAT_PXE);
    assert_true(found.is_ipxe);
    assert_string_equal(found.version, "");
    assert_int_equal(found.features | found.missing, 0);
    loader_file_look(bios, sizeof(bios) - 1, true, &found);
    assert_int_equal(found.format, LOADER_FORMAT_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ipxe_is_known_with_what_it_has), TEST(versions_are_three_numbers),
        TEST(two_versions_are_none),          TEST(of_what_is_not_whole_nothing_is_missing),
        TEST(other_programs_are_no_ipxe),     TEST(ipxe_for_bios_shows_no_more_than_that),
    };
    return RUN_TESTS(tests);
}
