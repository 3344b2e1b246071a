/* Which commands a loader's file shows. The file is as test_ipxe_loader_file.c has it. */
#include "test.h"

#include "ipxe/commands.h"

#include "core/wire.h"

#define HEADER_AT  64
#define SECTION_AT 192

static uint8_t file[4096];
static enum ipxe_ability abilities[IPXE_MAX_COMMANDS];

static size_t build(const void *bytes, size_t size)
{
    memset(file, 0, sizeof(file));
    memcpy(file, "MZ", 2);
    file[60] = HEADER_AT;
    memcpy(file + HEADER_AT, "PE\0\0", 4);
    file[HEADER_AT + 4] = 0x64;
    file[HEADER_AT + 5] = 0x86;
    file[HEADER_AT + 6] = 1;
    file[HEADER_AT + 20] = 70;
    file[HEADER_AT + 24 + 68] = 10;
    struct wire_writer w = wire_writer_of(file + HEADER_AT + 24 + 70 + 16, 8);
    wire_put_le32(&w, (uint32_t)size);
    wire_put_le32(&w, SECTION_AT + 40);
    memcpy(file + SECTION_AT + 40, bytes, size);
    return SECTION_AT + 40 + size;
}

static enum ipxe_ability of(const char *command)
{
    int index = ipxe_command_find(command);
    assert_true(index >= 0);
    return abilities[index];
}

static void names_of_commands_are_found(void **state)
{
    static const char strings[] = "\0iPXE\0001.0.0\0chain\0reboot\0the menu\0";
    ipxe_commands_look(file, build(strings, sizeof(strings)), true, abilities);
    assert_int_equal(of("chain"), IPXE_HAS);
    assert_int_equal(of("reboot"), IPXE_HAS);
    assert_int_equal(of("poweroff"), IPXE_LACKS);
    assert_int_equal(of("menu"), IPXE_PERHAPS); /* a linker may let it share that string's end */
    assert_int_equal(of("boot"), IPXE_PERHAPS); /* likewise */
}

static void a_file_that_does_not_tell_lacks_nothing(void **state)
{
    static const char strings[] = "\0iPXE\0001.0.0\0chain\0";
    static const char other[] = "\0somebody else's loader\0";
    size_t size = build(strings, sizeof(strings));
    ipxe_commands_look(file, size, false, abilities);
    assert_int_equal(of("poweroff"), IPXE_PERHAPS);
    ipxe_commands_look(file, build(other, sizeof(other)), true, abilities);
    assert_int_equal(of("poweroff"), IPXE_PERHAPS);
}

static void there_are_no_others(void **state)
{
    size_t count;
    const struct ipxe_command *commands = ipxe_commands(&count);
    assert_in_range(count, 80, IPXE_MAX_COMMANDS);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ipxe_command_find(commands[i].name), i);
    assert_int_equal(ipxe_command_find("Chain"), -1);
    assert_int_equal(ipxe_command_find(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_of_commands_are_found),
        TEST(a_file_that_does_not_tell_lacks_nothing),
        TEST(there_are_no_others),
    };
    return RUN_TESTS(tests);
}
