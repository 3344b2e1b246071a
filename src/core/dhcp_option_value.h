/*
 * The data of a DHCP option as text and as bytes, by type:
 *
 *     hex        0a0b0c, 0a:0b:0c
 *     text       anything without control characters
 *     bool       yes, no
 *     u8 u16 u32 i32     1500
 *     address    10.0.0.1
 *     addresses  10.0.0.1,10.0.0.2
 *     domain     lan.example
 *     domains    lan.example,example
 *     routes     10.1.0.0/16:10.0.0.2,default:10.0.0.1
 *
 * Elements of a list may also be separated by spaces.
 */
#pragma once

#include "core/dhcp_option_table.h"
#include "core/wire.h"

#define DHCP_OPTION_VALUE_MAX 512  /* bytes */
#define DHCP_OPTION_TEXT_MAX  1023 /* of a value that is parsed */
/* Of one that is formatted. Any value that was parsed fits. */
#define DHCP_OPTION_TEXT_SIZE 4096

/* NULL: no type of this name. */
const char *dhcp_option_type_name(enum dhcp_option_type type);
bool dhcp_option_type_by_name(const char *name, size_t length, enum dhcp_option_type *ret_type);

/* Writes the data of a value. NULL, or what is wrong with the text ("must be ..."). */
const char *dhcp_option_value_parse(enum dhcp_option_type type, const char *text,
                                    struct wire_writer *writer) MUST_CHECK;
/* False: it is no data of that type, or does not fit. */
bool dhcp_option_value_format(enum dhcp_option_type type, const uint8_t *data, size_t size,
                              char text[static DHCP_OPTION_TEXT_SIZE]) MUST_CHECK;
