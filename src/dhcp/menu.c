/*
 * RFC 3442: routes of any length are given instead of the default gateway, not beside it, so that
 * they must have one in them. Who has set routes alone meant them beside it, so it is put there.
 * Windows before Vista asks for the same under a number of its own.
 */
#include "dhcp/menu.h"

#define MS_ROUTES 249

enum rank {
    RANK_BOOT,
    RANK_NETWORK, /* to be reached at its address */
    RANK_ALWAYS,
    RANK_OTHER,
    RANKS,
};

void menu_init(struct menu *menu)
{
    menu->count = menu->addresses_used = 0;
    memset(menu->place, 0, sizeof(menu->place));
    memset(&menu->boot, 0, sizeof(menu->boot));
}

static struct menu_item *find(struct menu *menu, uint8_t code)
{
    return menu->place[code] ? &menu->items[menu->place[code] - 1] : NULL;
}

static struct menu_item *add(struct menu *menu, uint8_t code, bool always, const void *data,
                             size_t size)
{
    if (size == 0 || size > UINT16_MAX || find(menu, code) || menu->count == UINT8_MAX)
        return NULL;
    struct menu_item *item = &menu->items[menu->count++];
    *item =
        (struct menu_item){.code = code, .always = always, .data = data, .size = (uint16_t)size};
    menu->place[code] = (uint8_t)menu->count;
    return item;
}

void menu_offer(struct menu *menu, uint8_t code, bool always, const void *data, size_t size)
{
    (void)add(menu, code, always, data, size);
}

void menu_offer_text(struct menu *menu, uint8_t code, bool always, const char *text)
{
    menu_offer(menu, code, always, text, strlen(text));
}

void menu_offer_addresses(struct menu *menu, uint8_t code, bool always, const uint32_t *addresses,
                          size_t count)
{
    uint8_t *start = menu->addresses + menu->addresses_used;
    struct wire_writer w = wire_writer_of(start, sizeof(menu->addresses) - menu->addresses_used);
    for (size_t i = 0; i < count; i++)
        wire_put_be32(&w, addresses[i]);
    menu->addresses_used += wire_writer_used(&w);
    menu_offer(menu, code, always, start, wire_writer_used(&w));
}

void menu_offer_settings(struct menu *menu, const struct dhcp_options *options)
{
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);)
        menu_offer(menu, setting.code, setting.always, setting.data, setting.size);
}

void menu_offer_boot(struct menu *menu, uint8_t code, const void *data, size_t size)
{
    struct menu_item *item = add(menu, code, true, data, size);
    if (item)
        item->boots = true;
}

/* --- routes --- */

static bool has_default(const struct menu_item *routes)
{
    struct wire_reader r = wire_reader_of(routes->data, routes->size);
    while (wire_reader_left(&r) > 0) {
        uint8_t bits = wire_get_u8(&r);
        if (bits == 0)
            return true;
        wire_skip(&r, (bits + 7U) / 8 + 4);
    }
    return false;
}

static void add_default_route(struct menu *menu)
{
    struct menu_item *routes = find(menu, DHCP_OPTION_ROUTES);
    const struct menu_item *router = find(menu, DHCP_OPTION_ROUTER);
    if (!routes || !router || has_default(routes))
        return;
    struct wire_writer w = wire_writer_of(menu->routes, sizeof(menu->routes));
    wire_put_bytes(&w, routes->data, routes->size);
    wire_put_u8(&w, 0);
    wire_put_bytes(&w, router->data, 4);
    if (!wire_writer_ok(&w))
        return;
    routes->data = menu->routes;
    routes->size = (uint16_t)wire_writer_used(&w);
}

static bool asks_for(const struct dhcp_option *wanted, uint8_t code)
{
    return wanted && memchr(wanted->data, code, wanted->size);
}

static void complete_routes(struct menu *menu, const struct dhcp_option *wanted)
{
    add_default_route(menu);
    const struct menu_item *routes = find(menu, DHCP_OPTION_ROUTES);
    if (routes && asks_for(wanted, MS_ROUTES) && !asks_for(wanted, DHCP_OPTION_ROUTES))
        menu_offer(menu, MS_ROUTES, false, routes->data, routes->size);
}

/* --- choosing and writing --- */

static enum rank rank_of(const struct menu_item *item)
{
    static const uint8_t of_network[] = {
        DHCP_OPTION_SUBNET_MASK, DHCP_OPTION_ROUTER,    DHCP_OPTION_DNS,    DHCP_OPTION_HOST_NAME,
        DHCP_OPTION_DOMAIN,      DHCP_OPTION_BROADCAST, DHCP_OPTION_ROUTES,
    };
    if (item->boots)
        return RANK_BOOT;
    if (memchr(of_network, item->code, sizeof(of_network)))
        return RANK_NETWORK;
    return item->always ? RANK_ALWAYS : RANK_OTHER;
}

static bool is_due(const struct menu_item *item, const struct dhcp_option *wanted)
{
    return item->always || !wanted || asks_for(wanted, item->code);
}

static uint8_t choose(struct menu *menu, const struct dhcp_option *wanted, size_t room)
{
    uint8_t left_out = 0;
    for (int rank = 0; rank < RANKS; rank++) {
        for (size_t i = 0; i < menu->count; i++) {
            struct menu_item *item = &menu->items[i];
            size_t size = dhcp_option_encoded_size(item->size);
            if ((int)rank_of(item) != rank || !is_due(item, wanted))
                continue;
            item->chosen = size <= room;
            room -= item->chosen ? size : 0;
            left_out = item->chosen ? left_out : item->code;
        }
    }
    return left_out;
}

static void write_item(struct menu_item *item, struct dhcp_builder *builder)
{
    if (item && item->chosen && !item->written)
        dhcp_builder_add(builder, item->code, item->data, item->size);
    if (item)
        item->written = true;
}

uint8_t menu_serve(struct menu *menu, const struct dhcp_option *wanted,
                   struct dhcp_builder *builder)
{
    complete_routes(menu, wanted);
    uint8_t left_out = choose(menu, wanted, dhcp_builder_room(builder));
    const struct menu_item *routes = find(menu, DHCP_OPTION_ROUTES);
    struct menu_item *router = find(menu, DHCP_OPTION_ROUTER);
    if (router && routes && routes->chosen && asks_for(wanted, DHCP_OPTION_ROUTES))
        router->chosen = false;
    for (size_t i = 0; wanted && i < wanted->size; i++)
        write_item(find(menu, wanted->data[i]), builder);
    for (size_t i = 0; i < menu->count; i++)
        write_item(&menu->items[i], builder);
    return left_out;
}
