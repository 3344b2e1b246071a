#include "test.h"

#include "dhcp/architecture.h"

static void each_code_has_its_loader(void **state)
{
    static const struct {
        uint16_t code;
        enum dhcp_loader loader;
    } cases[] = {
        {0, LOADER_BIOS},
        {6, LOADER_UEFI_IA32},
        {7, LOADER_UEFI_X64},
        {9, LOADER_UEFI_X64},
        {10, LOADER_UEFI_ARM32},
        {11, LOADER_UEFI_ARM64},
        {15, LOADER_UEFI_IA32},
        {16, LOADER_UEFI_X64},
        {18, LOADER_UEFI_ARM32},
        {19, LOADER_UEFI_ARM64},
        {20, LOADER_BIOS},
        {25, LOADER_UEFI_RISCV32},
        {27, LOADER_UEFI_RISCV64},
        {28, LOADER_UEFI_RISCV64},
        {37, LOADER_UEFI_LOONGARCH32},
        {39, LOADER_UEFI_LOONGARCH64},
        {40, LOADER_UEFI_LOONGARCH64},
        /* Itanium, NEC98, ARM rpiboot, nothing at all */
        {2, DHCP_LOADERS},
        {1, DHCP_LOADERS},
        {41, DHCP_LOADERS},
        {DHCP_ARCH_UNKNOWN, DHCP_LOADERS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (dhcp_architecture_loader(cases[i].code) != cases[i].loader)
            fail_msg("%u is %d", cases[i].code, dhcp_architecture_loader(cases[i].code));
}

static void the_table_is_in_order(void **state)
{
    size_t count;
    const struct dhcp_architecture *all = dhcp_architectures(&count);
    bool seen[DHCP_LOADERS] = {0};
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || all[i - 1].code < all[i].code);
        seen[all[i].loader] = true;
    }
    for (enum dhcp_loader loader = 0; loader < DHCP_LOADERS; loader++) {
        const struct dhcp_loader_kind *kind = dhcp_loader_kind(loader);
        assert_true(seen[loader]);
        assert_true(str_has_prefix(kind->key, "loader-"));
        assert_non_null(kind->word);
        assert_non_null(kind->file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(each_code_has_its_loader), TEST(the_table_is_in_order)};
    return RUN_TESTS(tests);
}
