/*
 * Takes the file system away from a process before it becomes another program (Landlock): it may
 * read the system's programs and libraries, and use the files that it was given, nothing else.
 * Whatever a stranger's file makes of that program, it finds no other file to read or to write.
 */
#pragma once

#include "core/util.h"

/* Of the calling process and what it becomes; PR_SET_NO_NEW_PRIVS must be set. The two
 * descriptors (-1: none) may be opened again. System calls only, so that it may be called between
 * fork() and exec(). True if it is done, or if this kernel does not know how (before 5.13). */
bool confine_to_files(int read_only, int read_write) MUST_CHECK;
