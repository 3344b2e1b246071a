/* Reads of disks for nodes that boot, through the device that their sessions use. */
#pragma once

#include "http/nodes.h"
#include "server/targets.h"

/* Any thread. read->done() is called on the volume's thread, or here: -ENOMEM, and those of
 * open_volumes_read(). */
void disk_reads_submit(struct targets *targets, struct node_disk_read *read);
