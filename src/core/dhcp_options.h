/*
 * DHCP options as an operator sets them: for a subnet, a group or a node.
 *
 *     [always:]NAME=VALUE         ntp-servers=10.0.0.5, always:mtu=9000
 *     [always:]CODE=VALUE         of a known option, 42=10.0.0.5
 *     [always:]CODE=TYPE:VALUE    of any other, 224=hex:0a0b, 225=text:hello
 *
 * `always`: also sent to who did not ask for it (option 55).
 */
#pragma once

#include "core/dhcp_option_value.h"

/* One option with its data. */
struct dhcp_setting {
    uint8_t code;
    bool always;
    uint16_t size;
    const uint8_t *data;
};

#define DHCP_SETTING_TEXT_SIZE (DHCP_OPTION_TEXT_SIZE + 64)

/* The code of an option that may be set, by name or number. NULL, or what is wrong. */
const char *dhcp_setting_code(const char *name, uint8_t *ret_code) MUST_CHECK;
/* The data go into the buffer. NULL, or what is wrong with the text: behind it, it makes a
 * sentence. */
const char *dhcp_setting_parse(const char *text, uint8_t buffer[static DHCP_OPTION_VALUE_MAX],
                               struct dhcp_setting *ret_setting) MUST_CHECK;
/* As a text that can be parsed again. */
const char *dhcp_setting_format(const struct dhcp_setting *setting,
                                char text[static DHCP_SETTING_TEXT_SIZE]);

#define DHCP_OPTIONS_SIZE 1024

/* All that are set at one level, each code once. Zeroed: none. It may be copied up to its `used`
 * bytes. */
struct dhcp_options {
    uint16_t used;
    uint8_t bytes[DHCP_OPTIONS_SIZE]; /* code, always, size (2), data; and so on */
};

/* Instead of what there is of its code. NULL, or what is wrong. */
const char *dhcp_options_set(struct dhcp_options *options,
                             const struct dhcp_setting *setting) MUST_CHECK;
/* The same of a text. */
const char *dhcp_options_parse(struct dhcp_options *options, const char *text) MUST_CHECK;
/* False: it is not there. */
bool dhcp_options_unset(struct dhcp_options *options, uint8_t code);
bool dhcp_options_find(const struct dhcp_options *options, uint8_t code,
                       struct dhcp_setting *ret_setting);
/* The one at *at, which begins at 0 and is moved on. False: there is none. options may be NULL. */
bool dhcp_options_next(const struct dhcp_options *options, size_t *at,
                       struct dhcp_setting *ret_setting);
/* How many bytes of the struct are in use. */
size_t dhcp_options_size(const struct dhcp_options *options);
