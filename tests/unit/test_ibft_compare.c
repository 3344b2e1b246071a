#include "ibft/compare.h"
#include "ibft_tables.h"

static struct ibft_view view_of(const struct ibft *ibft)
{
    struct ibft_view view;
    ibft_view_of_table(ibft, &view);
    return view;
}

static void a_table_is_like_itself(void **state)
{
    const struct ibft ibft = ibft_table();
    const struct ibft_view view = view_of(&ibft);
    struct ibft_difference list[IBFT_FIELDS];
    for (enum ibft_field f = 0; f < IBFT_FIELDS; f++)
        assert_true(view.known[f]);
    assert_string_equal(view.text[IBFT_FIELD_DNS], "10.0.10.2 10.0.10.3");
    assert_string_equal(view.text[IBFT_FIELD_ORIGIN], "manual");
    assert_string_equal(view.text[IBFT_FIELD_LUN], "1");
    assert_int_equal(ibft_compare(&view, &view, IBFT_SERVER, list), 0);
}

/* Each field alone, in either direction; whatever it is, it is said what comes of it. */
static void each_difference_is_found(void **state)
{
    const struct ibft ibft = ibft_table();
    const struct ibft_view view = view_of(&ibft);
    for (enum ibft_field f = 0; f < IBFT_FIELDS; f++) {
        struct ibft_view other = view;
        struct ibft_difference list[IBFT_FIELDS];
        ibft_view_set(&other, f, "something else");
        assert_int_equal(ibft_compare(&view, &other, IBFT_SERVER, list), 1);
        assert_int_equal(list[0].field, f);
        assert_string_equal(list[0].other, "something else");
        assert_true(strlen(list[0].meaning) > 20);
        other.known[f] = false;
        assert_int_equal(ibft_compare(&view, &other, IBFT_SERVER, list), 0);
        assert_int_equal(ibft_compare(&other, &view, IBFT_SERVER, list), 0);
    }
}

static void what_a_table_lacks_is_a_difference(void **state)
{
    struct ibft ibft = ibft_table();
    const struct ibft_view wanted = view_of(&ibft);
    struct ibft_difference list[IBFT_FIELDS];
    ibft.nics[0].host_name[0] = '\0';
    ibft.nics[0].gateway = (struct ibft_ip){{0}};
    const struct ibft_view view = view_of(&ibft);
    assert_int_equal(ibft_compare(&view, &wanted, IBFT_SERVER, list), 2);
    assert_int_equal(list[0].field, IBFT_FIELD_GATEWAY);
    assert_string_equal(list[0].table, "");
    assert_int_equal(list[1].field, IBFT_FIELD_HOST_NAME);
}

/* As iPXE leaves them: all are marked, the cards in their order, the targets in another one. */
static void of_two_paths_a_card_and_its_target_are_shown(void **state)
{
    struct ibft ibft = ibft_table();
    ibft.nics[1] = ibft.nics[0];
    ibft.nics[1].index = 1;
    ibft.nics[1].address = ibft_ip_of_v4(0x0a010b11);
    ibft.targets[1] = ibft.targets[0];
    ibft.targets[1].index = 1;
    ibft.targets[0].nic = 1;
    ibft.targets[0].address = ibft_ip_of_v4(0x0a010a05);
    const struct ibft_view view = view_of(&ibft);
    assert_string_equal(view.text[IBFT_FIELD_ADDRESS], "10.0.11.17");
    assert_string_equal(view.text[IBFT_FIELD_PORTAL], "10.0.10.5");
    ibft.targets[1].flags = 1; /* not marked: the other one is */
    const struct ibft_view other = view_of(&ibft);
    assert_string_equal(other.text[IBFT_FIELD_PORTAL], "10.1.10.5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_table_is_like_itself),
        TEST(each_difference_is_found),
        TEST(what_a_table_lacks_is_a_difference),
        TEST(of_two_paths_a_card_and_its_target_are_shown),
    };
    return RUN_TESTS(tests);
}
