/* A lab whose sessions have the disk of another one, on a thread of its own, as LUN 1. */
#pragma once

#include "iscsi_lab.h"

static struct lab *far;

static inline int further_lab_set_up(uint64_t disk_size)
{
    lab_set_up(disk_size);
    far = lab_new(disk_size, 512);
    lab->further[lab->n_further++] = far;
    node->lun = 1;
    return 0;
}

/* What is still under way ends with its connection. */
static inline void further_lab_end_session(void)
{
    lab->holds_messages = false;
    iscsi_conn_close(&node->conn, "the test is over");
    initiator_run(node); /* what it waits for comes... */
    do
        initiator_run(node); /* ...and it goes on */
    while (memdisk_run(lab->disk, false) + memdisk_run(far->disk, false) > 0);
}

static inline int further_lab_tear_down(void **state)
{
    further_lab_end_session();
    initiator_free(node);
    lab_free(lab);
    lab_free(far);
    return 0;
}
