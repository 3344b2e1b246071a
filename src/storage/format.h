/* Is a file a raw disk image, or one of another format that must be converted first? */
#pragma once

#include "core/error.h"

/* Looks at the first bytes of fd, called `path` in messages. -EINVAL and a sentence with the
 * command to convert it if it is qcow2, VMDK, VHD(X), VDI, QED or compressed. Anything unknown is
 * raw. */
int format_check_raw(int fd, const char *path, struct error *ret_error) MUST_CHECK;
