/* Which volumes a command is about: one by its name, or the disks of a node, of a group, or all. */
#pragma once

#include "cli/command.h"

#define SELECTION_OPTIONS                                                                          \
    {"node", "NODE", "the disk of this node"}, {"group", "GROUP", "the disks of all its nodes"},   \
    {                                                                                              \
        "all", NULL, "the disks of all nodes"                                                      \
    }

/* Of changes that machines have to boot for. */
#define SELECTION_BATCH_OPTIONS                                                                    \
    {"max", "N", "at most so many machines at once: the next when those are up again"},            \
    {                                                                                              \
        "timeout", "MINUTES", "so long may one of them take to come up (15)"                       \
    }

/* Exactly one way of saying it must be given; `volume` is the word or NULL. *ret_volumes: what the
 * API says of each; json_decref() it. An exit status. */
int selection_read(const struct cli *cli, const struct args *args, const char *volume,
                   json_t **ret_volumes) MUST_CHECK;

struct selection_action {
    /* Does it still have to be done to this one? NULL: always. */
    bool (*is_due)(const struct args *args, const json_t *volume);
    /* Does it: an exit status; what went wrong is told. *ret_json: the answer of the API. */
    int (*act)(const struct cli *cli, const struct args *args, const char *volume,
               json_t **ret_json);
    /* What has been done, without a full stop: "is back at its image". */
    void (*tell)(const struct args *args, const json_t *answer, char *text, size_t size);
};

/* Does it to one after the other, and goes on after a failure. An exit status. */
int selection_run(const struct cli *cli, const struct args *args, const char *volume,
                  const struct selection_action *action);
