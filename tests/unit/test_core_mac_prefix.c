#include "test.h"

#include "core/mac_prefix.h"

static void forms(void **state)
{
    static const char *const good[] = {"52:54:00", "52-54-00", "525400"};
    static const char *const wrong[] = {"", "5", "52:5", "52:54:", "xx", "52 54", "525400123456ff"};
    static const struct mac_address inside = {{0x52, 0x54, 0, 1, 2, 3}};
    static const struct mac_address outside = {{0x52, 0x54, 1, 1, 2, 3}};
    struct mac_prefix prefix;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(mac_prefix_parse(good[i], &prefix), 0);
        assert_int_equal(prefix.size, 3);
        assert_true(mac_prefix_has(&prefix, inside));
        assert_false(mac_prefix_has(&prefix, outside));
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_true(mac_prefix_parse(wrong[i], &prefix) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
