/*
 * The options that a client could be given, and which of them its answer gets.
 *
 * What it asked for (option 55) comes in its order, behind that what it gets in any case;
 * everything if it asked for nothing at all. If not all of it fits (option 57), the least important
 * is left out: what boots comes before what makes an address usable, and that before everything
 * else.
 */
#pragma once

#include "core/dhcp_options.h"
#include "dhcp/boot_options.h"

struct menu_item {
    uint8_t code;
    bool always; /* whether asked for or not */
    bool boots;
    bool chosen, written;
    uint16_t size;
    const void *data;
};

struct menu {
    struct menu_item items[DHCP_OPTION_CODES];
    size_t count;
    uint8_t place[DHCP_OPTION_CODES]; /* of a code in items, from 1; 0: it is not there */
    /* what some of the data live in */
    uint8_t addresses[4 * (2 * SUBNET_MAX_SERVERS + 2)];
    size_t addresses_used;
    uint8_t routes[DHCP_OPTION_VALUE_MAX + 5];
    char server[IPV4_TEXT_SIZE];
    struct dhcp_boot boot;
};

void menu_init(struct menu *menu);

/* Nothing is added of which there is one already, or which is empty. The data must live on. */
void menu_offer(struct menu *menu, uint8_t code, bool always, const void *data, size_t size);
void menu_offer_text(struct menu *menu, uint8_t code, bool always, const char *text);
/* These are copied. */
void menu_offer_addresses(struct menu *menu, uint8_t code, bool always, const uint32_t *addresses,
                          size_t count);
/* What an operator has set; NULL: nothing. */
void menu_offer_settings(struct menu *menu, const struct dhcp_options *options);
/* The same as menu_offer(), of what a machine could not boot without. */
void menu_offer_boot(struct menu *menu, uint8_t code, const void *data, size_t size);

/* Adds to the answer. wanted: option 55, or NULL. Returns the code of something that did not fit
 * and was left out; 0: nothing. */
uint8_t menu_serve(struct menu *menu, const struct dhcp_option *wanted,
                   struct dhcp_builder *builder);
