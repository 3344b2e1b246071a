/* A lab with one node, for tests of what goes on in its session. */
#pragma once

#include "iscsi_answers.h"

/* The node under test, at 10.0.0.11, and its target on a disk in memory. */
static struct lab *lab;
static struct initiator *node;

static inline int lab_set_up(uint64_t disk_size)
{
    lab = lab_new(disk_size, 512);
    node = initiator_new(lab, 11);
    return 0;
}

static inline int lab_tear_down(void **state)
{
    initiator_free(node);
    lab_free(lab);
    return 0;
}
