#include "test.h"

#include "server/listen.h"

static struct endpoint endpoint(const char *text)
{
    struct endpoint e;
    assert_int_equal(endpoint_parse(text, &e), 0);
    return e;
}

static struct listen_list list_of(const char *const *texts)
{
    struct listen_list list = {.count = 0};
    for (; texts[list.count]; list.count++)
        list.endpoints[list.count] = endpoint(texts[list.count]);
    return list;
}

#define LIST(...) list_of((const char *const[]){__VA_ARGS__, NULL})

/* The port by which a machine reaches it that knows us by this address; 0: none. */
static uint16_t port_for(struct listen_list list, const char *address)
{
    struct endpoint e = endpoint(address);
    const struct endpoint *found = listen_list_find(&list, &e);
    return found ? endpoint_port(found) : 0;
}

static void the_address_itself_comes_before_all_addresses(void **state)
{
    assert_int_equal(port_for(LIST("0.0.0.0:80", "10.0.0.1:81"), "10.0.0.1:9"), 81);
    assert_int_equal(port_for(LIST("10.0.0.1:81", "0.0.0.0:80"), "10.0.0.1:9"), 81);
    assert_int_equal(port_for(LIST("0.0.0.0:80", "10.0.0.1:81"), "10.0.0.2:9"), 80);
    assert_int_equal(port_for(LIST("[::]:82", "10.0.0.1:81"), "10.0.0.2:9"), 82);
}

static void a_wildcard_is_for_its_kind_of_addresses(void **state)
{
    assert_int_equal(port_for(LIST("0.0.0.0:80", "[::]:81"), "[2001:db8::1]:9"), 81);
    assert_int_equal(port_for(LIST("[::]:81", "0.0.0.0:80"), "10.0.0.1:9"), 81);
    assert_int_equal(port_for(LIST("0.0.0.0:80"), "[2001:db8::1]:9"), 0);
    assert_int_equal(port_for(LIST("[::]:80"), "10.0.0.1:9"), 80);
    assert_int_equal(port_for(LIST("[::]:80"), "[fe80::1%lo]:9"), 80);
    assert_int_equal(port_for(LIST("[::]:80", "10.0.0.1:80"), "10.0.0.1:9"), 80);
    assert_int_equal(port_for(LIST("[::]:80", "10.0.0.1:80"), "10.0.0.2:9"), 0);
}

static void where_nothing_listens_there_is_none(void **state)
{
    assert_int_equal(port_for(LIST("127.0.0.1:80", "10.0.0.1:81"), "10.0.0.2:9"), 0);
    assert_int_equal(port_for((struct listen_list){.count = 0}, "10.0.0.2:9"), 0);
}

static void lists_are_compared_in_order(void **state)
{
    struct listen_list a = LIST("10.0.0.1:1", "10.0.0.2:2"),
                       same = LIST("10.0.0.1:1", "10.0.0.2:2");
    struct listen_list turned = LIST("10.0.0.2:2", "10.0.0.1:1"), shorter = LIST("10.0.0.1:1");
    struct listen_list port = LIST("10.0.0.1:1", "10.0.0.2:3");
    struct listen_list address = LIST("10.0.0.1:1", "10.0.0.3:2");
    assert_true(listen_list_eq(&a, &same));
    assert_false(listen_list_eq(&a, &turned));
    assert_false(listen_list_eq(&a, &shorter));
    assert_false(listen_list_eq(&shorter, &a));
    assert_false(listen_list_eq(&a, &port));
    assert_false(listen_list_eq(&a, &address));
}

static struct redirect_list one_redirect(const char *volume, const char *portal)
{
    struct redirect_list list = {.count = 1};
    str_copy(list.entries[0].volume, sizeof(list.entries[0].volume), volume);
    list.entries[0].portal = endpoint(portal);
    return list;
}

static void redirects_are_compared_by_volume_and_portal(void **state)
{
    struct redirect_list a = one_redirect("disk", "10.0.0.2:3260"), b = a;
    struct redirect_list volume = one_redirect("other", "10.0.0.2:3260"),
                         portal = one_redirect("disk", "10.0.0.2:3261"), none = {.count = 0};
    assert_true(redirect_list_eq(&a, &b));
    assert_false(redirect_list_eq(&a, &volume));
    assert_false(redirect_list_eq(&a, &portal));
    assert_false(redirect_list_eq(&a, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_address_itself_comes_before_all_addresses),
        TEST(a_wildcard_is_for_its_kind_of_addresses),
        TEST(where_nothing_listens_there_is_none),
        TEST(lists_are_compared_in_order),
        TEST(redirects_are_compared_by_volume_and_portal),
    };
    return RUN_TESTS(tests);
}
