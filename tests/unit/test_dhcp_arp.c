#include "test.h"

#include "dhcp/arp.h"

static const struct mac_address mac = {{0x52, 0x54, 0, 0, 0, 1}};

/* 10.0.0.7 says so to 52:54:00:00:00:02. */
static const uint8_t answer[ARP_SIZE] = {0,  1, 8, 0, 6,    4,    0, 2, 0x52, 0x54, 0,  0, 0, 1,
                                         10, 0, 0, 7, 0x52, 0x54, 0, 0, 0,    2,    10, 0, 0, 1};

static bool reads(const uint8_t *packet, size_t size)
{
    struct mac_address found;
    uint32_t address;
    if (!arp_read_claim(packet, size, &found, &address))
        return false;
    assert_true(mac_eq(found, mac));
    assert_int_equal(address, 0x0a000007);
    return true;
}

static void an_answer_is_a_claim(void **state)
{
    uint8_t padded[46] = {0};
    memcpy(padded, answer, sizeof(answer));
    assert_true(reads(answer, sizeof(answer)));
    assert_true(reads(padded, sizeof(padded)));
    for (size_t n = 0; n < sizeof(answer); n++)
        assert_false(reads(answer, n));
}

/* RFC 5227: an announcement asks for its own address. */
static void of_requests_only_an_announcement_is(void **state)
{
    uint8_t request[ARP_SIZE];
    memcpy(request, answer, sizeof(answer));
    request[7] = 1;
    assert_false(reads(request, sizeof(request)));
    request[27] = 7;
    assert_true(reads(request, sizeof(request)));
}

static void what_is_no_machine_claims_nothing(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{1, 6}, {2, 0x86}, {4, 8}, {5, 16}, {7, 3}, {8, 0x53}};
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        uint8_t other[ARP_SIZE];
        memcpy(other, answer, sizeof(answer));
        other[changes[i].at] = changes[i].value;
        assert_false(reads(other, sizeof(other)));
    }
    uint8_t nobody[ARP_SIZE];
    memcpy(nobody, answer, sizeof(answer));
    memset(nobody + 8, 0, 6);
    assert_false(reads(nobody, sizeof(nobody)));
    memcpy(nobody, answer, sizeof(answer));
    memset(nobody + 14, 0, 4);
    assert_false(reads(nobody, sizeof(nobody)));
}

static void a_probe_claims_nothing_and_asks_for_one_address(void **state)
{
    static const uint8_t expected[ARP_SIZE] = {0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0,  0, 0, 1,
                                               0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    10, 0, 0, 7};
    uint8_t packet[ARP_SIZE];
    arp_request_build(packet, mac, 0, 0x0a000007);
    assert_memory_equal(packet, expected, sizeof(expected));
    assert_false(reads(packet, sizeof(packet)));
}

static void a_request_says_who_asks(void **state)
{
    static const uint8_t expected[ARP_SIZE] = {0,  1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0,  0, 0, 1,
                                               10, 0, 0, 1, 0, 0, 0, 0, 0,    0,    10, 0, 0, 7};
    uint8_t packet[ARP_SIZE];
    arp_request_build(packet, mac, 0x0a000001, 0x0a000007);
    assert_memory_equal(packet, expected, sizeof(expected));
    assert_false(reads(packet, sizeof(packet)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_a_claim),
        cmocka_unit_test(of_requests_only_an_announcement_is),
        cmocka_unit_test(what_is_no_machine_claims_nothing),
        cmocka_unit_test(a_probe_claims_nothing_and_asks_for_one_address),
        cmocka_unit_test(a_request_says_who_asks),
    };
    return RUN_TESTS(tests);
}
