/* How nodes boot where that is a choice (core/boot_ways.h), as values of the configuration: as key
 * parsers are, each puts a value into its place, or returns what is wrong with it (a static text).
 */
#pragma once

const char *config_parse_direct(const char *value, void *place);
const char *config_parse_ibft_origin(const char *value, void *place);
const char *config_parse_chap_rotation(const char *value, void *place);
