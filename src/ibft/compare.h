/*
 * A table beside what it should be: by the server that has made it, or by the machine that was made
 * from it. Either is a list of texts, of which some may not be known.
 */
#pragma once

#include "ibft/ibft.h"

enum ibft_field {
    IBFT_FIELD_CARD, /* MAC */
    IBFT_FIELD_ADDRESS,
    IBFT_FIELD_PREFIX,
    IBFT_FIELD_GATEWAY,
    IBFT_FIELD_DNS, /* joined by spaces */
    IBFT_FIELD_HOST_NAME,
    IBFT_FIELD_INITIATOR,
    IBFT_FIELD_TARGET,
    IBFT_FIELD_PORTAL, /* address */
    IBFT_FIELD_PORT,
    IBFT_FIELD_LUN,
    IBFT_FIELD_ORIGIN, /* ibft_from_text() */
    IBFT_FIELD_CHAP,   /* ibft_chap_text() */
    IBFT_FIELD_CHAP_NAME,
    IBFT_FIELD_CHAP_TARGET_NAME,
    IBFT_FIELDS,
};

/* Of the card and the target that were booted by. */
struct ibft_view {
    bool known[IBFT_FIELDS];
    char text[IBFT_FIELDS][IBFT_TEXT_SIZE]; /* "": there is none */
};

/* "host_name": as in JSON; a constant. */
const char *ibft_field_key(enum ibft_field field);

void ibft_view_set(struct ibft_view *view, enum ibft_field field, const char *text);
/* Everything is known of a table that has a card and a target. */
void ibft_view_of_table(const struct ibft *ibft, struct ibft_view *ret_view);
/* What this machine has come to that booted by the table. root: as of ibft_read_machine();
 * addresses are those of this machine anyhow. */
void ibft_view_of_machine(const struct ibft *ibft, const char *root, struct ibft_view *ret_view);

enum ibft_other {
    IBFT_SERVER,
    IBFT_MACHINE,
};

struct ibft_difference {
    enum ibft_field field;
    const char *table, *other; /* belong to the views */
    const char *meaning;       /* what comes of it, at which stage of a boot; a constant */
};

/* What is known in both and is not the same. Returns how many there are. */
size_t ibft_compare(const struct ibft_view *table, const struct ibft_view *other,
                    enum ibft_other who, struct ibft_difference ret_list[static IBFT_FIELDS]);
