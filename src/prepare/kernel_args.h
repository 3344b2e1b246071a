/*
 * Arguments of the kernel that a system with dracut is not to have: those that name a disk to wait
 * for, or that have the initramfs or systemd set up cards in ways of their own. They stand in
 * /etc/default/grub, in /etc/kernel/cmdline, and in the entries of the boot loader.
 */
#pragma once

#include "core/util.h"

/* Their names, separated by blanks, as grubby takes them: "resume ip ..." */
#define KERNEL_ARGS_UNWANTED                                                                       \
    "resume ip ifname bootdev netroot rd.neednet rd.iscsi.firmware rd.iscsi.ibft "                 \
    "rd.iscsi.initiator"

/* The first of them in a line that begins so ("": in any line), with its value: "resume=UUID=1", as
 * far as there is room. A word ends at a blank or a quote. False: there is none. */
bool kernel_args_find(const char *text, const char *line_begins, char *buffer, size_t size);

/* The text without them, and else as it was. free() it; NULL without memory. */
char *kernel_args_drop(const char *text, const char *line_begins);
