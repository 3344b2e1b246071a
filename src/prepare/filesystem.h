/* What a superblock says of its file system: ext2, 3, 4 and XFS. */
#pragma once

#include "core/util.h"

/* As much of the device's beginning as is looked at. */
#define FILESYSTEM_HEAD_SIZE 2048
#define FILESYSTEM_UUID_SIZE 37

/* The UUID of the file system that begins with these bytes. False: none that is known. */
bool filesystem_uuid(const void *head, size_t size, char uuid[static FILESYSTEM_UUID_SIZE]);
