#include "test.h"

#include "http/crowd.h"

#define MOST 16

struct guest {
    struct crowd_member member;
    int peer;
};

struct party {
    struct crowd crowd;
    struct guest guests[4 * MOST];
    size_t count;
};

static struct endpoint address_of(const char *text)
{
    struct endpoint endpoint;
    assert_int_equal(endpoint_parse(text, &endpoint), 0);
    return endpoint;
}

/* False: there was no room. */
static bool come(struct party *party, const char *from)
{
    int ends[2];
    struct guest *guest = &party->guests[party->count];
    guest->member = (struct crowd_member){.address = address_of(from)};
    if (!crowd_has_room(&party->crowd, &guest->member.address))
        return false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    guest->peer = ends[1];
    crowd_enter(&party->crowd, &guest->member, ends[0]);
    party->count++;
    return true;
}

static bool come_from_network(struct party *party, unsigned network, unsigned host)
{
    char text[64];
    snprintf(text, sizeof(text), "[2001:db8:%x::%x]:1000", network, host);
    return come(party, text);
}

static bool is_sent_away(const struct guest *guest)
{
    char byte;
    return recv(guest->peer, &byte, 1, 0) == 0;
}

static void begin(struct party *party)
{
    *party = (struct party){.count = 0};
    crowd_init(&party->crowd, MOST);
}

static void end(struct party *party)
{
    for (size_t i = 0; i < party->count; i++) {
        crowd_leave(&party->crowd, &party->guests[i].member);
        close(party->guests[i].member.fd);
        close(party->guests[i].peer);
    }
    assert_int_equal(party->crowd.count, 0);
    crowd_destroy(&party->crowd);
}

/* One host has as many addresses of its network as it likes. */
static void of_an_ipv6_network_the_oldest_makes_room(void **state)
{
    struct party p;
    begin(&p);
    for (unsigned i = 0; i < MOST / 2; i++)
        assert_true(come_from_network(&p, 1, i + 1));
    assert_true(come_from_network(&p, 2, 1));
    assert_false(is_sent_away(&p.guests[0]));
    assert_true(come_from_network(&p, 1, 100));
    assert_true(is_sent_away(&p.guests[0]));
    assert_false(is_sent_away(&p.guests[1]));
    end(&p);
}

static void whoever_has_asked_something_stays(void **state)
{
    struct party p;
    begin(&p);
    for (unsigned i = 0; i < MOST / 2; i++) {
        assert_true(come_from_network(&p, 1, i + 1));
        crowd_set_busy(&p.crowd, &p.guests[i].member, true);
    }
    assert_false(come_from_network(&p, 1, 100));
    assert_true(come_from_network(&p, 2, 1));
    assert_true(come(&p, "10.0.0.1:1000"));
    crowd_set_busy(&p.crowd, &p.guests[3].member, false);
    assert_true(come_from_network(&p, 1, 100));
    assert_true(is_sent_away(&p.guests[3]));
    end(&p);
}

/* A hundred hosts that read their answers byte by byte would keep all others out. */
static void whoever_takes_long_for_an_answer_makes_room_at_last(void **state)
{
    struct party p;
    char text[64];
    const uint64_t minute = 60 * USEC_PER_SEC;
    begin(&p);
    for (unsigned i = 0; i < MOST - 1; i++) {
        snprintf(text, sizeof(text), "10.0.0.%u:1000", i + 1);
        assert_true(come(&p, text));
        crowd_set_busy(&p.crowd, &p.guests[i].member, true);
    }
    assert_true(come(&p, "10.0.1.1:1000")); /* libmicrohttpd has room for it still */
    crowd_set_busy(&p.crowd, &p.guests[MOST - 1].member, true);
    for (unsigned i = 0; i < MOST; i++)
        assert_false(is_sent_away(&p.guests[i]));
    p.guests[5].member.busy_since -= minute;
    p.guests[3].member.busy_since -= 2 * minute;
    assert_true(come(&p, "10.0.1.2:1000"));
    assert_true(is_sent_away(&p.guests[3]));
    assert_false(is_sent_away(&p.guests[5]));
    end(&p);
}

static void ipv4_has_no_such_networks(void **state)
{
    struct party p;
    char text[64];
    begin(&p);
    for (unsigned i = 0; i < MOST - 1; i++) {
        snprintf(text, sizeof(text), i % 2 ? "10.0.0.%u:1000" : "[::ffff:10.0.0.%u]:1000", i + 1);
        assert_true(come(&p, text));
        crowd_set_busy(&p.crowd, &p.guests[i].member, true);
        assert_false(is_sent_away(&p.guests[0]));
    }
    end(&p);
}

static void of_all_the_oldest_makes_room(void **state)
{
    struct party p;
    char text[64];
    begin(&p);
    for (unsigned i = 0; i < 2 * MOST; i++) {
        snprintf(text, sizeof(text), "10.0.0.%u:1000", i + 1);
        assert_true(come(&p, text));
    }
    assert_int_equal(p.crowd.count, MOST - 1);
    assert_true(is_sent_away(&p.guests[MOST]));
    assert_false(is_sent_away(&p.guests[MOST + 1]));
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(of_an_ipv6_network_the_oldest_makes_room),
        TEST(whoever_has_asked_something_stays),
        TEST(whoever_takes_long_for_an_answer_makes_room_at_last),
        TEST(ipv4_has_no_such_networks),
        TEST(of_all_the_oldest_makes_room),
    };
    return RUN_TESTS(tests);
}
