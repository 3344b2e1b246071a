/*
 * The commands of iPXE's scripts, and which of them a loader has: it finds them by their names,
 * which are in its file (ipxe/loader_file.h).
 */
#pragma once

#include "ipxe/loader_file.h"

#define IPXE_MAX_COMMANDS 128

enum ipxe_ability {
    IPXE_PERHAPS, /* the file does not tell */
    IPXE_HAS,
    IPXE_LACKS,
};

struct ipxe_command {
    const char *name;
    const char *instead; /* of it, where the loader lacks it: a sentence's end; NULL: nothing */
};

/* Up to IPXE_MAX_COMMANDS; those of every iPXE up to 2026, whatever it was built with. */
const struct ipxe_command *ipxe_commands(size_t *ret_count);
/* Its index; -1: iPXE has no such command. */
int ipxe_command_find(const char *name);

/* Those of the loader with this file: nothing is lacking unless it is whole, iPXE and not
 * compressed. abilities: by the commands' index. */
void ipxe_commands_look(const uint8_t *data, size_t size, bool whole,
                        enum ipxe_ability abilities[static IPXE_MAX_COMMANDS]);
